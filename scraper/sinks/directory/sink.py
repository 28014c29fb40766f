"""The directory sink: one file for each key.

A body is written to a temporary file in `DEST/.scraper/tmp/`. Then the file gets its
modification time, is flushed to the disk, and is renamed. A reader sees the old file or the new
one, never a part. If something else is mounted below the destination, the file is copied there
first (`mounts.py`).

A directory that is moved or replaced during the run is looked for anew. If the destination
itself is moved, no more objects are stored: its path would not lead to them.

Owns: the order of these calls, and what their errors mean. Does not know: HTTP.
Rejected: O_TMPFILE with linkat, which can't replace a file that exists.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path

from scraper.model.dates import milliseconds
from scraper.model.errors import DestinationError, SinkError
from scraper.model.records import Stored
from scraper.sinks.base import Blocking, Body, SinkOptions
from scraper.sinks.directory.changed_directories import ChangedDirectories, make_directory
from scraper.sinks.directory.mounts import CopyOnMount, is_copy, mount_point, remove_copies
from scraper.sinks.directory.names import from_disk, has_others, root_of, to_disk
from scraper.sinks.directory.open_directories import (
    OpenDirectories,
    OpenDirectory,
    RootMovedError,
)
from scraper.sinks.directory.temporary_files import NAME, TemporaryFiles
from scraper.sinks.object_stat import ObjectStat, modified_ms

OWN = ".scraper"
_TEMPORARY = f"{OWN}/{NAME}"
_NS_OF_MS = 1_000_000
_PIECE = 1 << 20  # bytes that are read at once
_FATAL = {  # errors that every other object would meet too
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ENODEV,
}
_IN_THE_WAY = {errno.ENOTDIR, errno.ELOOP}
_QUICK_S = 0.001  # an fsync that takes longer gets a thread
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LOOK_AGAIN_S = 0.1  # between two looks at where the temporary files are
_TRANSIENT = {errno.ESTALE, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.ETIMEDOUT}


def open_sink(destination: str, options: SinkOptions) -> "DirectorySink":
    """The sink for a path or a `file://` URL."""
    durable, together = options.durable, options.together
    return DirectorySink(path_of(destination), durable=durable, together=together)


def path_of(destination: str) -> Path:
    """The directory that a destination without or with the `file` scheme means."""
    return root_of(destination.removeprefix("file://"))


class DirectorySink:
    """Files below `root`. The umask decides their permissions, the server their times."""

    near = has_directories = random_access = True

    def __init__(self, root: Path, *, durable: bool = False, together: bool = False) -> None:
        self.root = root
        self._changed = ChangedDirectories() if durable else None
        self._found = self._changed.add if self._changed is not None and together else None
        self.disk = _absolute(root)
        self._below = os.fsencode(self.disk) + b"/"
        self.blocking = Blocking.COMMIT
        self.ignores_case = False
        self._files: TemporaryFiles | None = None
        self._names = count()
        self._directories: OpenDirectories | None = None
        self._temporary: OpenDirectory | None = None
        self._temporary_path = ""
        self._look_at = 0.0  # when this path is looked at again, in monotonic seconds
        self._read_only: set[str] = set()  # mount points that refused an object

    def check(self) -> None:
        """Make the directory, and one for temporary files. Raises DestinationError."""
        try:
            make_directory(self.disk, durable=self._changed is not None)
        except OSError as error:
            raise self._unusable(error.strerror) from None
        try:
            making = self._changed.making if self._changed is not None else nullcontext
            directories = self._directories = OpenDirectories(self.disk, making, self._found)
            directories.at(_TEMPORARY)  # refuses a link on the way
            removing = partial(remove_copies, directories=directories)
            self._files = TemporaryFiles(self.disk / _TEMPORARY, removing)
            own = self._files.path
            self._temporary_path = f"{_TEMPORARY}/{own.name}"
            self._temporary = directories.at(self._temporary_path)
            self.ignores_case = own.with_name(own.name.upper()).exists()
            if _flush_s(self._files.path / "probe") < _QUICK_S:
                self.blocking = Blocking.NEVER
        except OSError as error:
            raise self._unusable(_why_not(error)) from None

    def open(self, key: str) -> "FileUpload":
        """A new temporary file for `key`. Raises SinkError; DestinationError for a full disk."""
        assert self._temporary is not None, "between check() and close()"
        assert self._directories is not None
        if (now := time.monotonic()) >= self._look_at:
            self._look_at = now + _LOOK_AGAIN_S
            if not self._directories.is_at(self._temporary, self._temporary_path):
                raise self._removed()
        if self._read_only:
            self._refuse_read_only(key)
        try:
            return FileUpload(self, self._temporary, f"{next(self._names):x}", key)
        except FileNotFoundError:
            raise self._removed() from None

    def place(self, temporary: OpenDirectory, name: str, key: str) -> None:
        """Make the temporary file `name` the object `key`. Missing directories are made.

        Raises OSError; SinkError if only the file system that is mounted there refuses it.
        """
        if self._directories is None:
            raise OSError(errno.EBADF, "the run is over")
        parent, _, final = key.rpartition("/")
        try:
            directory = self._directories.at(parent)
            try:
                on_disk = to_disk(final)
                os.rename(name, on_disk, src_dir_fd=temporary.fd, dst_dir_fd=directory.fd)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self.blocking = Blocking.COMMIT  # a copy takes longer than a rename
                run = self._temporary_path.rpartition("/")[2]
                CopyOnMount(temporary, run).place(name, directory, parent, final)
            if self._changed is not None:
                self._changed.add(directory)
        except OSError as error:
            if error.errno in _FATAL and (place := self._mount_point(parent)) is not None:
                if error.errno == errno.EROFS:
                    self._read_only.add(place)
                raise _refused_there(error, key, place) from None
            raise

    def sync(self) -> None:
        """Return when the names of all committed objects are on the disk, if it is `durable`.

        Raises DestinationError.
        """
        try:
            if self._changed is not None:
                self._changed.flush()
        except OSError as error:
            raise _refused_all(error) from None

    def reach(self) -> None:
        """Raise DestinationError unless the destination is a directory."""
        if not self.disk.is_dir():
            raise DestinationError(f"there is no directory {str(self.root)!r}")

    def size(self, key: str) -> int | None:
        """Bytes of the file. None if there is none, or a link, which no run stored."""
        found = self.object_stat(key)
        return found and found.size

    def object_stat(self, key: str) -> ObjectStat | None:
        """Size and time of the file. None if there is none, or a link, which no run stored."""
        try:
            found = os.lstat(self._below + to_disk(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _mapped(error, key) from None
        if not stat.S_ISREG(found.st_mode):
            return None
        return ObjectStat(found.st_size, None, found.st_mtime_ns // _NS_OF_MS)

    def read(self, key: str) -> Iterator[bytes]:
        """The file, a piece at a time."""
        try:
            with open(self._below + to_disk(key), "rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except OSError as error:
            raise _unreadable(error, key) from None

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every file below the directory except temporary ones. Links are not followed."""

        def failed(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # removed meanwhile, or never there
                shown = from_disk(os.path.relpath(error.filename, self._below))
                raise _unreadable(error, shown)

        top = self._below + to_disk(prefix.rpartition("/")[0])
        for parent, directories, files in os.walk(top, onerror=failed):
            below = from_disk(os.path.relpath(parent, self._below))
            if below == OWN and NAME.encode() in directories:
                directories.remove(NAME.encode())
            for name in map(from_disk, files):
                key = name if below == "." else f"{below}/{name}"
                if key.startswith(prefix) and not is_copy(name):
                    yield key

    def may_have_objects(self) -> bool:
        """Whether there is anything beside our own files."""
        return has_others(self._below, OWN)

    def remove(self, key: str) -> None:
        """Delete the file if there is one. A link on the way to it is not followed."""
        parent, _, final = key.rpartition("/")
        try:
            directories = self._directories or OpenDirectories(self.disk)
            directory = directories.existing(parent)
            os.unlink(to_disk(final), dir_fd=directory.fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if self.size(key) is None and error.errno in _IN_THE_WAY:
                return  # it is below a file
            raise SinkError(f"can't delete {key!r}: {_why_not(error)}", transient=False) from None

    def is_linked(self, key: str) -> bool:
        """Whether the file, or a directory on the way to it, is a link."""
        steps = key.split("/")
        paths = ("/".join(steps[: number + 1]) for number in range(len(steps)))
        return any(os.path.islink(self._below + to_disk(path)) for path in paths)

    def remove_emptied(self, key: str) -> None:
        """Delete the directories of `key` that are empty, from below. The root stays."""
        path = key.rpartition("/")[0]
        with contextlib.suppress(OSError):
            directories = self._directories or OpenDirectories(self.disk)
            while path and path != OWN:
                path, _, name = path.rpartition("/")
                above = directories.existing(path)
                os.rmdir(to_disk(name), dir_fd=above.fd)

    def close(self) -> None:
        """Remove every file that was not committed, and close the directories."""
        if self._files is not None:
            self._files.close()
            self._files = None
        self._temporary = None
        if self._directories is not None:
            self._directories.close()
            self._directories = None

    def _mount_point(self, path: str) -> str | None:
        with contextlib.suppress(OSError):
            if self._directories is not None:
                return mount_point(path, self._directories)
        return None

    def _refuse_read_only(self, key: str) -> None:
        """Raise SinkError, before a body comes, where a mount has refused one and still would."""
        for place in [place for place in self._read_only if key.startswith(f"{place}/")]:
            with contextlib.suppress(OSError):
                if os.statvfs(self._below + to_disk(place)).f_flag & os.ST_RDONLY:
                    raise _refused_there(OSError(errno.EROFS, os.strerror(errno.EROFS)), key, place)
            self._read_only.discard(place)

    def _removed(self) -> DestinationError:
        """The directory for all temporary files is not there any more."""
        reason = f"{os.strerror(errno.ENOENT)}: {self._temporary_path!r}"
        return _refused_all(OSError(errno.ENOENT, reason))

    def _unusable(self, reason: str | None) -> DestinationError:
        return DestinationError(f"can't write to directory {str(self.root)!r}: {reason}")


class FileUpload:
    """One body on its way into one file.

    Raises SinkError, DestinationError; FileNotFoundError if `temporary` was removed.
    """

    def __init__(self, sink: DirectorySink, temporary: OpenDirectory, name: str, key: str) -> None:
        self._sink = sink
        self._temporary = temporary  # a reference keeps it open after the sink was closed
        self._name = name
        self._key = key
        try:
            self._fd = os.open(name, _NEW_FILE, 0o666, dir_fd=temporary.fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in _TRANSIENT:
                raise _mapped(error, key) from None
            # This is the directory for all temporary files: every object would meet the error.
            raise _refused_all(error) from None

    def write(self, chunk: bytes) -> None:
        """Append `chunk` to the temporary file."""
        try:
            written = os.write(self._fd, chunk)
            while written < len(chunk):
                written += os.write(self._fd, memoryview(chunk)[written:])
        except OSError as error:
            raise _mapped(error, self._key) from None

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset` of the temporary file."""
        try:
            written = os.pwrite(self._fd, chunk, offset)
            while written < len(chunk):
                written += os.pwrite(self._fd, memoryview(chunk)[written:], offset + written)
        except OSError as error:
            raise _mapped(error, self._key) from None

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes that were written at `offset`."""
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise _mapped(error, self._key) from None

    def commit(self, body: Body) -> Stored:
        """Set the time, flush to the disk, rename."""
        try:
            fetched_ms = milliseconds(body.fetched_at)
            modified = modified_ms(body.response.last_modified, fetched_ms)
            os.utime(self._fd, ns=(fetched_ms * _NS_OF_MS, modified * _NS_OF_MS))
            os.fsync(self._fd)
            self._close()
            self._sink.place(self._temporary, self._name, self._key)
        except OSError as error:
            raise _mapped(error, self._key) from None
        return body.stored()

    def abort(self) -> None:
        """Remove the temporary file."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._temporary.fd)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _flush_s(probe: Path) -> float:
    """Seconds that an fsync of a small file takes. Raises OSError."""
    with open(probe, "xb") as file:
        file.write(b"scraper")
        file.flush()
        begun = time.monotonic()
        os.fsync(file.fileno())
        took_s = time.monotonic() - begun
    probe.unlink()
    return took_s


def _unreadable(error: OSError, key: str) -> SinkError:
    reason = error.strerror or str(error)
    return SinkError(f"can't read {key!r}: {reason}", transient=error.errno in _TRANSIENT)


def _why_not(error: OSError) -> str:
    if error.errno in _IN_THE_WAY:
        return "a file or a link is where a directory should be"
    return error.strerror or str(error)


def _mapped(error: OSError, key: str) -> SinkError | DestinationError:
    if error.errno in _FATAL or isinstance(error, RootMovedError):
        return _refused_all(error)
    reason = _why_not(error)
    return SinkError(f"can't write {key!r}: {reason}", transient=error.errno in _TRANSIENT)


def _refused_all(error: OSError) -> DestinationError:
    return DestinationError(f"the directory takes no more: {error.strerror or error}")


def _refused_there(error: OSError, key: str, place: str) -> SinkError:
    """The error of a file system that is mounted at `place`. Other objects may do."""
    reason = f"{error.strerror} (on the file system mounted at {place!r})"
    return SinkError(f"can't write {key!r}: {reason}", transient=False)


def _absolute(root: Path) -> Path:
    """`root`, also after the process has changed its directory."""
    try:
        return root.absolute()
    except OSError:  # the process's directory was removed: `check` will say so
        return root
