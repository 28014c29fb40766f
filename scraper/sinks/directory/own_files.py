"""Our own files inside a destination, opened so that nothing planted there can do harm.

Others may be able to write into a destination: it was unpacked from an archive, or a web server
or another user has it too. A symbolic link, a hard link, a FIFO or a device under the name of
one of our files would send what a run writes elsewhere, or block the run for ever. So the name
is looked up from the open directory, no link is followed, the open never blocks, and what was
opened must be a regular file with one name. Anything else is refused, and is left as it is.

This module owns these rules. It does not know what the files contain. Paths that the user names
(`--manifest`, `--results`) are not opened here: a link or a pipe there is what the user wants.

A library that opens files by path (SQLite) can't be given a descriptor. `check_own` looks before
it does. That is enough for what was planted before the run, but not for somebody who changes the
directory during the run.

Locks are flock(2) locks on such a descriptor. Nothing is written to a file that is only a lock.

Rejected: a check of the owner. Several users may share a destination; the permissions decide.
Rejected: filelock. It opens a path and truncates the file, so a hard link that was planted there
would empty a file elsewhere. Rejected: fcntl(2) locks. The process loses them when it closes any
other descriptor of the file.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scraper.model.errors import DestinationError

REMOVE = "remove it, or use another destination"
_ATTEMPTS = 5  # at a directory that others remove
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Linux says ELOOP for a link, ENXIO for a FIFO without a reader; a directory can't be written.
_PLANTED = {errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENOTDIR}
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Planted(DestinationError):
    """Something else has the name of one of our files. The message is one line."""


def open_own(path: Path, flags: int, mode: int = 0o666, *, way_out: str = REMOVE) -> int:
    """A descriptor of the file at `path`, which lies in a directory of ours.

    `flags` are those of open(2), `mode` the permissions of a new file. With O_CREAT the directory
    is made too. `way_out` says in the message what the user can do. Raises Planted, OSError.
    """
    if flags & os.O_CREAT:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.parent)
    with _opened(path.parent, way_out) as directory:
        return open_at(directory, path, flags, mode, way_out)


def open_at(
    directory: int, path: Path, flags: int, mode: int = 0o666, way_out: str = REMOVE
) -> int:
    """A descriptor of the file at `path`, by its name in the open `directory`. See `open_own`.

    Raises Planted, OSError.
    """
    writes = flags & (os.O_WRONLY | os.O_RDWR) != 0
    with contextlib.suppress(FileNotFoundError):  # opening a device may already do something
        _check(os.stat(path.name, dir_fd=directory, follow_symlinks=False), path, way_out, writes)
    try:
        fd = os.open(path.name, flags & ~os.O_TRUNC | _SAFE, mode, dir_fd=directory)
    except OSError as error:
        if error.errno in _PLANTED:
            raise Planted(f"{str(path)!r} is not a file: {way_out}") from None
        raise
    try:
        _check(os.fstat(fd), path, way_out, writes)
        os.set_blocking(fd, True)
        if flags & os.O_TRUNC:  # not before: it may have had another name
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_own(path: Path, *, way_out: str = REMOVE) -> None:
    """Make sure that there is nothing at `path`, or a file of ours. Raises Planted, OSError.

    For files that a library opens, or that are made later.
    """
    try:
        with _opened(path.parent, way_out) as directory:
            found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    _check(found, path, way_out, writes=True)


def lock_own(path: Path, *, wait: bool = False, shared: bool = False) -> int | None:
    """A descriptor that holds the lock of the file at `path`. Close it to unlock.

    Several processes may have it `shared`, or one alone. None if another process has it, unless
    `wait`. Raises Planted, OSError.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        fd = _opened_to_lock(path)
        try:
            fcntl.flock(fd, kind | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(fd), os.lstat(path)):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # the file was removed or replaced meanwhile: lock the one that is there now


def _opened_to_lock(path: Path) -> int:
    """The file at `path`, made if it is missing. Its directory may be removed in this moment."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return open_own(path, os.O_RDWR | os.O_CREAT)
    return open_own(path, os.O_RDWR | os.O_CREAT)


@contextlib.contextmanager
def replace_own(path: Path, beside: str, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A new file that takes the place of the one at `path` when the block ends without an error.

    Until then it has the name `beside`, which is ours: what a killed run left there is removed.
    It has the permissions of the file that it replaces, and its owner if that is allowed. There
    may be none to replace. With `sync` it is on the disk before it is renamed. Raises Planted, also
    for what was planted at `path`, and OSError.
    """
    with _opened(path.parent, REMOVE) as directory:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=directory)
        old = None
        with contextlib.suppress(FileNotFoundError):
            old = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
            _check(old, path, REMOVE, writes=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        mode = 0o600 if old is not None else 0o666
        fd = open_at(directory, path.with_name(beside), flags, mode)
        try:
            with open(fd, "wb") as file:
                if old is not None:
                    with contextlib.suppress(PermissionError):  # the owner is root's to give
                        os.fchown(fd, old.st_uid, old.st_gid)
                    os.fchmod(fd, stat.S_IMODE(old.st_mode))
                yield file
                file.flush()
                if sync:
                    os.fsync(fd)
            os.rename(beside, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=directory)
            raise


@contextlib.contextmanager
def _opened(directory: Path, way_out: str) -> Iterator[int]:
    """A descriptor of `directory`, which is ours and so no link."""
    try:
        fd = os.open(directory, _DIRECTORY)
    except OSError as error:
        if error.errno in _PLANTED:
            what = "a link" if directory.is_symlink() else "no directory"
            raise Planted(f"{str(directory)!r} is {what}: {way_out}") from None
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def _check(found: os.stat_result, shown: Path, way_out: str, writes: bool) -> None:  # noqa: FBT001
    """Raise Planted unless it is a regular file with one name.

    A second name does no harm to who only reads: a backup may have made it.
    """
    for is_kind, what in _KINDS:
        if is_kind(found.st_mode):
            raise Planted(f"{str(shown)!r} is {what}: {way_out}")
    if writes and found.st_nlink > 1:
        what = "has a second name (hard link), and a run would write to both"
        raise Planted(f"{str(shown)!r} {what}: replace it with a copy")
