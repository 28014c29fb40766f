"""Temporary files of a run: a directory of its own, which later runs clean up.

A run makes `PARENT/run-xxxx/` and holds a kernel file lock in it. The kernel drops that lock
when the process ends, however it ends. So a later run knows which directories are left over
from dead runs, and removes them.

Owns: that directory, its lock, the removal of left-overs. Does not know: what the files are.
Rejected: judging by age or by process ids, which are guesses. Rejected: hidden temporary names
beside the final ones; to find those of a dead run, a run would have to walk the whole
destination.
"""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "lock"
_PREFIX = "run-"


class TemporaryFiles:
    """The directory `path`, which is `parent/run-xxxx/`; locked until `close`. Raises OSError."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / _LOCK):  # no other run sees a directory whose lock is not held yet
            self.path = parent / f"{_PREFIX}{os.urandom(8).hex()}"
            self.path.mkdir(mode=0o700)
            self._lock = FileLock(self.path / _LOCK)
            self._lock.acquire(blocking=False)
            _remove_leftovers(parent, self.path)

    def close(self) -> None:
        """Remove the directory and every file in it."""
        _remove(self.path)
        self._lock.release()


def _remove(directory: Path) -> None:
    """Remove a run's directory and its files, as far as possible. It has no directories in it."""
    with contextlib.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in os.listdir(fd):
                os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        directory.rmdir()


def _remove_leftovers(parent: Path, own: Path) -> None:
    """Remove the directories in `parent` whose runs have ended."""
    for left in parent.glob(_PREFIX + "*"):
        if left == own or left.is_symlink():  # a planted link: the lock would be made elsewhere
            continue
        lock = FileLock(left / _LOCK)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(blocking=False)
            _remove(left)
            lock.release()
