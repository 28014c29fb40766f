"""Directories below the destination, kept open and reached without following a link.

An object's directory is opened step by step from the destination, and no step follows a
link. So nothing is written outside the destination, whatever somebody planted in it. An open
directory also makes a rename cheap: the system looks up one short name, however deep the
directory lies.

A descriptor stays with its directory wherever that is moved. So before each use the path is
looked at again: if a directory on it was moved, removed, replaced by a link or covered by a mount,
the directory is opened anew. A directory that is moved after this look takes the new object with
it, as if the object had been stored a moment earlier.

Owns: these descriptors. Does not know: what is put into the directories.
Rejected: checking a path for links before it is used, since it may change in between.
Rejected: openat2 of Linux, which Python does not offer.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

from scraper.sinks.directory.names import to_disk

_MOST_OPEN = 32  # `engines/descriptors.py` leaves room for them
_MOST_STEPS = 32  # a path with more steps is opened without keeping each step open
_LOOK = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


class RootMovedError(OSError):
    """The destination itself is no longer at its path: moved, removed, unmounted or covered."""


class OpenDirectory:
    """An open directory. It is closed when the last reference to this object is gone."""

    __slots__ = ("_place", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        found = os.fstat(fd)
        self._place = found.st_dev, found.st_ino

    def is_what_was(self, found: os.stat_result) -> bool:
        """Whether `found` was found of this directory."""
        return self._place == (found.st_dev, found.st_ino)

    def __del__(self) -> None:
        """Close it."""
        os.close(self.fd)


Making = Callable[[OpenDirectory], AbstractContextManager[object]]


class OpenDirectories:
    """Directories below `root`, an absolute path. Links may lead to `root` itself.

    Paths are '/'-separated and relative to `root`, which is "". A directory is made inside the
    context `making(parent)`. `found(parent)` is called for one that was there. Many threads may
    call all methods. They raise OSError.
    """

    def __init__(
        self,
        root: Path,
        making: Making = contextlib.nullcontext,
        found: "Callable[[OpenDirectory], None] | None" = None,
    ) -> None:
        self._path = os.fsencode(root)
        self._making = making
        self._found = found
        self._root: OpenDirectory | None = OpenDirectory(os.open(root, _LOOK))
        self._cached = lru_cache(maxsize=_MOST_OPEN)(self._descend)

    def at(self, path: str) -> OpenDirectory:
        """The directory that is at `path` now. Missing ones are made. Raises RootMovedError."""
        directory = self._cached(path)
        if self.is_at(directory, path):
            return directory
        self._cached.cache_clear()
        directory = self._cached(path)
        if self.is_at(directory, path):
            return directory
        if self._root is not None and not self.is_at(self._root, ""):
            raise RootMovedError(errno.ENOENT, "it was moved, removed or unmounted")
        raise OSError(errno.ESTALE, "a directory on the way is moved again and again")

    def existing(self, path: str) -> OpenDirectory:
        """The directory that is at `path` now. Raises FileNotFoundError if there is none."""
        return self._from_root(path, _open)

    def is_at(self, directory: OpenDirectory, path: str) -> bool:
        """Whether `path` leads to `directory`, and does so without a link below the root.

        Raises OSError if the whole path is too long for the system to look at.
        """
        whole = self._path + b"/" + to_disk(path) if path else self._path
        end = len(self._path)
        try:
            while (end := whole.find(b"/", end + 1)) > 0:
                if not stat.S_ISDIR(os.lstat(whole[:end]).st_mode):
                    return False
            return directory.is_what_was(os.lstat(whole) if path else os.stat(whole))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise
            return False

    def close(self) -> None:
        """Close all directories. After that, the other methods raise OSError."""
        self._root = None
        self._cached.cache_clear()

    def _descend(self, path: str) -> OpenDirectory:
        above, _, name = path.rpartition("/")
        if path and path.count("/") < _MOST_STEPS:
            return self._open_or_make(self._cached(above), name)
        return self._from_root(path, self._open_or_make)

    def _from_root(
        self, path: str, step: Callable[[OpenDirectory, str], OpenDirectory]
    ) -> OpenDirectory:
        directory = self._root
        if directory is None:
            raise OSError(errno.EBADF, "the run is over")
        for name in path.split("/") if path else ():
            directory = step(directory, name)
        return directory

    def _open_or_make(self, parent: OpenDirectory, name: str) -> OpenDirectory:
        try:
            directory = _open(parent, name)
        except FileNotFoundError:
            with self._making(parent), contextlib.suppress(FileExistsError):  # made meanwhile
                os.mkdir(to_disk(name), dir_fd=parent.fd)
            return _open(parent, name)
        if self._found is not None:
            self._found(parent)
        return directory


def _open(parent: OpenDirectory, name: str) -> OpenDirectory:
    if name in {"", ".", ".."}:  # no key has it; a file that was planted may
        raise OSError(errno.EINVAL, "a path leads out of the destination")
    return OpenDirectory(os.open(to_disk(name), _LOOK | os.O_NOFOLLOW, dir_fd=parent.fd))
