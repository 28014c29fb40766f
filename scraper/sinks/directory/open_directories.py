"""Directories below the destination, kept open and reached without following a link.

An object's directory is opened step by step from the destination, and no step follows a
link. So nothing is written outside the destination, whatever somebody planted in it. An open
directory also makes a rename cheap: the system looks up one short name, however deep the
directory lies. A descriptor stays with its directory wherever that is moved, so
`OpenDirectory.is_at` tells whether it is still at its path.

Owns: these descriptors. Does not know: what is put into the directories.
Rejected: checking a path for links before it is used, since it may change in between.
Rejected: openat2 of Linux, which Python does not offer.
"""

import contextlib
import errno
import os
from functools import lru_cache
from pathlib import Path

_MOST_OPEN = 32  # `engines/descriptors.py` leaves room for them
_MOST_STEPS = 32  # a path with more steps is opened without keeping each step open
_LOOK = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


class OpenDirectory:
    """An open directory. It is closed when the last reference to this object is gone."""

    __slots__ = ("_found", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._found = os.fstat(fd)

    def is_at(self, path: str) -> bool:
        """Whether `path` still leads to it. False if it was removed or moved."""
        try:
            return os.path.samestat(self._found, os.stat(path))
        except OSError:
            return False

    def __del__(self) -> None:
        """Close it."""
        os.close(self.fd)


class OpenDirectories:
    """Directories below `root`. Links may lead to `root` itself. Many threads may use it.

    Raises OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root: OpenDirectory | None = OpenDirectory(os.open(root, _LOOK))
        self.at = lru_cache(maxsize=_MOST_OPEN)(self._descend)  # of a '/'-separated path

    def again(self, path: str) -> OpenDirectory:
        """The directory that is at `path` now. For use when the one that was open is not."""
        self.at.cache_clear()
        return self.at(path)

    def close(self) -> None:
        """Close all directories. After that, `at` raises OSError."""
        self._root = None
        self.at.cache_clear()

    def _descend(self, path: str) -> OpenDirectory:
        if self._root is None:
            raise OSError(errno.EBADF, "the run is over")
        if not path:
            return self._root
        above, _, name = path.rpartition("/")
        if path.count("/") < _MOST_STEPS:
            return _below(self.at(above), name)
        directory = self._root
        for step in path.split("/"):
            directory = _below(directory, step)
        return directory


def _below(parent: OpenDirectory, name: str) -> OpenDirectory:
    """The directory `name` in `parent`. It is made if there is none."""
    try:
        return _open(parent, name)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # another thread or run made it meanwhile
            os.mkdir(name, dir_fd=parent.fd)
        return _open(parent, name)


def _open(parent: OpenDirectory, name: str) -> OpenDirectory:
    return OpenDirectory(os.open(name, _LOOK | os.O_NOFOLLOW, dir_fd=parent.fd))
