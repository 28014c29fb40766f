"""Directories whose new names are not on the disk yet.

A rename changes a directory, and the change may be lost with the power until the directory itself
is flushed to the disk (fsync(2), "Description"). To flush it for each object would cost as much
as flushing the object. So the directories that changed are collected, and each is flushed once
before the records of its objects are written.

Several processes of one run (--processes) store side by side. A directory that one of them finds
may just have been made by another, so each flushes the directories above those that it finds.

Owns: which directories have changed, and flushing them. Does not know: what changed in them.
Rejected: syncfs(2), which also writes what other programs left to write.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from scraper.sinks.directory.open_directories import OpenDirectory

_MOST_OPEN = 16  # collected before they are flushed: each is kept open until then
_LOOK = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ChangedDirectories:
    """The directories that changed since the last `flush`. Many threads may use it.

    Methods raise OSError. After one error every `flush` raises it: what the system could not
    write once it may have forgotten, so a second attempt proves nothing.
    """

    def __init__(self) -> None:
        self._changed: set[OpenDirectory] = set()
        self._error: OSError | None = None
        self._adding = threading.Lock()
        self._flushing = threading.Lock()

    def add(self, directory: OpenDirectory) -> None:
        """Remember a directory in which a name has changed."""
        with self._adding:
            self._changed.add(directory)
            many = len(self._changed) >= _MOST_OPEN
        if many:
            self.flush()

    @contextlib.contextmanager
    def making(self, parent: OpenDirectory) -> Iterator[None]:
        """Make a directory in `parent` in the block.

        Another thread that uses the new directory adds it after `parent` was added.
        """
        with self._adding:
            yield
            self._changed.add(parent)

    def flush(self) -> None:
        """Return when the names of all directories added so far are on the disk."""
        with self._flushing:  # a later caller waits for what an earlier one flushes
            with self._adding:
                changed, self._changed = self._changed, set()
            if self._error is not None:
                raise self._error
            try:
                for directory in changed:
                    flush_directory(directory.fd)
            except OSError as error:
                self._error = error
                raise


def flush_directory(fd: int) -> None:
    """Flush the names in a directory to the disk. `fd` may be for its path only. Raises OSError."""
    try:
        readable = os.open(".", _READ, dir_fd=fd)
    except PermissionError:  # names may be made in it, not read
        os.sync()
        return
    try:
        os.fsync(readable)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system has nothing to flush: fsync(2)
            raise
    finally:
        os.close(readable)


def flush_path(directory: Path) -> None:
    """Flush the names in the directory at this path, which may be a link. Raises OSError."""
    fd = os.open(directory, _LOOK)
    try:
        flush_directory(fd)
    finally:
        os.close(fd)


def make_directory(path: Path, *, durable: bool) -> None:
    """Make the directory at `path`, and those above it. `durable`: on the disk, too.

    A link that leads nowhere is not followed. Raises OSError, in words of its own where something
    is in the way.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()] if durable else []
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        for each in (path, *path.parents):
            if each.is_symlink() and not each.exists():
                why = f"the link {str(each)!r} leads nowhere"
                raise FileNotFoundError(errno.ENOENT, why) from None
        raise FileExistsError(errno.EEXIST, "it is a file") from None
    for made in missing:
        flush_path(made.parent)
