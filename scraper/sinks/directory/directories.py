"""Directories below a root, kept open: a name is looked up from its directory, not from `/`.

No link is ever followed on the way down, so that nothing is written elsewhere,
whatever was planted in the destination; and a file that is made or renamed
costs one short look-up, however deep it lies. A descriptor leads to its directory
wherever that was moved: `Directory.is_at` tells.

Owns: those descriptors. Refuses to know: what is put there. Rejected: checking
a path for links before it is used (it may change in between); Linux's openat2,
which Python does not have.
"""

import contextlib
import errno
import os
from functools import lru_cache
from pathlib import Path

_OPEN = 32  # kept open: `engines/descriptors.py` leaves room for them
_DEEP = 32  # levels that are gone down one by one, each of them kept open
_LOOK = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


class Directory:
    """An open directory, for as long as somebody has this object."""

    __slots__ = ("_found", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._found = os.fstat(fd)

    def is_at(self, path: str) -> bool:
        """Whether it is still there: it may be removed, or moved away with what is put into it."""
        try:
            return os.path.samestat(self._found, os.stat(path))
        except OSError:
            return False

    def __del__(self) -> None:
        """Close it."""
        os.close(self.fd)


class Directories:
    """Directories below `root`, which may itself be reached by links. Used from many threads.

    Raises OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root: Directory | None = Directory(os.open(root, _LOOK))
        self.at = lru_cache(maxsize=_OPEN)(self._descend)  # of a '/'-separated path

    def again(self, path: str) -> Directory:
        """The directory that is there now, in place of one that somebody removed or moved."""
        self.at.cache_clear()
        return self.at(path)

    def close(self) -> None:
        """Let go of all; nothing can be looked up any more."""
        self._root = None
        self.at.cache_clear()

    def _descend(self, path: str) -> Directory:
        if self._root is None:
            raise OSError(errno.EBADF, "the run is over")
        if not path:
            return self._root
        above, _, name = path.rpartition("/")
        if path.count("/") < _DEEP:
            return _below(self.at(above), name)
        directory = self._root
        for step in path.split("/"):
            directory = _below(directory, step)
        return directory


def _below(parent: Directory, name: str) -> Directory:
    """The directory `name`, made if there is none."""
    try:
        return _open(parent, name)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # made meanwhile
            os.mkdir(name, dir_fd=parent.fd)
        return _open(parent, name)


def _open(parent: Directory, name: str) -> Directory:
    return Directory(os.open(name, _LOOK | os.O_NOFOLLOW, dir_fd=parent.fd))
