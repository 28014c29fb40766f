"""What is written besides the destination, opened: results and logs, in files and pipes.

Opening blocks nobody and destroys nothing before it has to:

- A pipe, a terminal or another device is opened once more, in non-blocking mode. That mode
  belongs to our copy; programs that share the pipe or terminal don't get it.
- A FIFO without a reader is opened later, on a thread (`Output.open`), when a reader comes.
- A file of results is replaced as a whole. A new empty file takes its name, with its
  permissions, so that a program that still reads the old one has all of it. It is
  emptied in place where a new file would lose something: another owner, further hard links,
  an access list, a directory that can't be written.
- A log file is appended to.

Owns: how a path becomes a descriptor. Does not know: what is written. Tried and rejected:
results that get their name when the run ends; nobody could read them live, and nothing of
them would be left after a kill.
"""

import contextlib
import errno
import fcntl
import os
import stat

from scraper.model.errors import UsageError

_NAMED = {"/dev/stdout": 1, "/dev/stderr": 2}
_DIRECTORIES = {"/dev/fd", "/proc/self/fd"}
_FLAGS = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY


class Output:
    """One output. `fd` is -1 while a FIFO has no reader; `open` waits for one then.

    `may_block`: whether a write to `fd` may wait for a reader. `is_file`: whether it is a
    regular file, which has no reader.
    """

    def __init__(
        self, fd: int, *, may_block: bool = False, is_file: bool = False, fifo: str | None = None
    ) -> None:
        self.fd = fd
        self.may_block = may_block
        self.is_file = is_file
        self._fifo = fifo

    def open(self) -> None:
        """Wait for the reader of a FIFO. Raises OSError."""
        if self._fifo is not None:
            self.fd = os.open(self._fifo, _FLAGS)
            self._fifo = None

    def cut(self, size: int) -> None:
        """Remove the last `size` bytes that were written, unless another program wrote more."""
        if self.is_file and size and os.lseek(self.fd, 0, os.SEEK_CUR) == _size(self.fd):
            os.ftruncate(self.fd, os.lseek(self.fd, -size, os.SEEK_CUR))


def check(option: str, path: str) -> None:
    """Find out whether `path` could be written, and change nothing. Raises UsageError."""
    try:
        _try(path)
    except OSError as error:
        raise _unwritable(option, path, error) from None


def of_descriptor(fd: int) -> Output:
    """An output of our own where the descriptor `fd` leads. Raises OSError."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return Output(_copy(fd), is_file=True)
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        return Output(_copy(fd))  # to write there is an error, and stays one
    try:
        return Output(os.open(f"/proc/self/fd/{fd}", _FLAGS | os.O_NONBLOCK))
    except OSError:  # a socket, a pipe of another user, no /proc, a reader that has left
        return Output(_copy(fd), may_block=True)


def to_append(option: str, path: str) -> Output:
    """The file, pipe or device at `path`; a file keeps what it holds. Raises UsageError."""
    try:
        if (special := _special(path)) is not None:
            return special
        fd = os.open(path, _FLAGS | os.O_CREAT | os.O_APPEND, 0o666)
        _end_line(path, fd)
    except OSError as error:
        raise _unwritable(option, path, error) from None
    return Output(fd, is_file=True)


def _end_line(path: str, fd: int) -> None:
    """End the last line of the file, if a program was killed while it wrote that."""
    with contextlib.suppress(PermissionError), open(path, "rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                os.write(fd, b"\n")


def to_replace(option: str, path: str) -> Output:
    """A new file in the place of `path`, or the pipe or device there. Raises UsageError.

    The file is locked (flock), and another run that wants to replace it meanwhile gets a
    UsageError: the records of the first one would have no name any more.
    """
    try:
        return _special(path) or Output(_new_file(path and os.path.realpath(path)), is_file=True)
    except BlockingIOError:
        raise UsageError(f"{option}: another run writes {path!r}") from None
    except OSError as error:
        raise _unwritable(option, path, error) from None


def _try(path: str) -> None:
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        directory = os.path.dirname(path) or os.curdir
        if not path or not stat.S_ISDIR(os.stat(directory).st_mode):
            raise
        _demand(directory, os.W_OK | os.X_OK)
        return
    if stat.S_ISREG(found) or stat.S_ISDIR(found):
        os.close(os.open(path, _FLAGS | os.O_APPEND))
    else:
        _demand(path, os.W_OK)


def _demand(path: str, access: int) -> None:
    if not os.access(path, access):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _unwritable(option: str, path: str, error: OSError) -> UsageError:
    return UsageError(f"{option}: can't write {path!r}: {error.strerror}")


def _special(path: str) -> Output | None:
    """What is at `path` if it is no file: a pipe, a device, an open descriptor (`/dev/stdout`)."""
    directory, _, name = path.rpartition("/")
    if path in _NAMED or (directory in _DIRECTORIES and name.isdecimal()):
        return of_descriptor(_NAMED[path] if path in _NAMED else int(name))
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found) or stat.S_ISDIR(found):
        return None
    try:
        return Output(os.open(path, _FLAGS | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO or not stat.S_ISFIFO(found):
            raise
        return Output(-1, may_block=True, fifo=path)


def _new_file(path: str) -> int:
    """A descriptor of a new file that has the name `path`. Raises OSError."""
    flags = _FLAGS | os.O_APPEND
    while True:
        fd = os.open(path, flags | os.O_CREAT, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise
        except OSError:  # a file system without locks
            pass
        if _is_at(fd, path):
            break
        os.close(fd)  # another run has replaced it since
    if not _size(fd):
        return fd
    new = _replacement(fd, path)
    if new is None:
        os.ftruncate(fd, 0)
        return fd
    os.close(fd)
    return new


def _replacement(old: int, path: str) -> int | None:
    """A new locked file that took the name of `old`, or None where that would lose something."""
    was = os.fstat(old)
    beside = f"{path}.{os.getpid()}.new"
    if was.st_nlink > 1 or was.st_uid != os.geteuid() or _has_access_list(old):
        return None
    try:
        new = os.open(beside, _FLAGS | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return None
    try:
        if os.fstat(new).st_gid != was.st_gid:
            os.fchown(new, -1, was.st_gid)
        os.fchmod(new, stat.S_IMODE(was.st_mode))
        fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.replace(beside, path)
    except OSError:
        os.close(new)
        os.unlink(beside)
        return None
    return new


def _has_access_list(fd: int) -> bool:
    try:
        return "system.posix_acl_access" in os.listxattr(fd)
    except (AttributeError, OSError):  # not Linux, or a file system without attributes
        return False


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _copy(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _size(fd: int) -> int:
    return os.fstat(fd).st_size
