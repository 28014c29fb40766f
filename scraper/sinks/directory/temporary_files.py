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
from collections.abc import Callable, Iterator
from pathlib import Path

from scraper.model.errors import DestinationError
from scraper.sinks.directory.own_files import lock_own

NAME = "tmp"  # of the directory for all runs, among our own files
_LOCK = "lock"
_PREFIX = "run-"
_ATTEMPTS = 5


class TemporaryFiles:
    """The directory `path`, which is `parent/run-xxxx/`; locked until `close`.

    `removing` is called with a run's directory before it is removed, this one's or a dead one's.
    Raises OSError; DestinationError if something else has the name of a lock.
    """

    def __init__(self, parent: Path, removing: Callable[[Path], None] = lambda _run: None) -> None:
        self._removing = removing
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._make(parent)
                break
            except FileNotFoundError:  # `remove_workspace` of another run, in this moment
                if attempt == _ATTEMPTS:
                    raise

    def _make(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent):  # no other run sees a directory whose lock is not held yet
            self.path = parent / f"{_PREFIX}{os.urandom(8).hex()}"
            self.path.mkdir(mode=0o700)
            self._lock = lock_own(self.path / _LOCK)
            _remove_leftovers(parent, self._removing, self.path)

    def close(self) -> None:
        """Remove the directory and every file in it."""
        self._removing(self.path)
        _remove(self.path)
        lock, self._lock = self._lock, None
        if lock is not None:
            with contextlib.suppress(OSError):
                os.close(lock)


def remove_leftovers(parent: Path) -> None:
    """Remove what runs that have ended have left in `parent`. Never raises.

    For a run that may need no temporary files itself.
    """
    with contextlib.suppress(OSError, DestinationError):
        if any(parent.glob(_PREFIX + "*")):
            with _locked(parent):
                _remove_leftovers(parent, lambda _run: None)


def remove_workspace(own: Path) -> None:
    """Remove the directory for all temporary files in `own`, unless a run has some. Never raises.

    `own` is the directory for our own files, in a destination.
    """
    parent = own / NAME
    with contextlib.suppress(OSError, DestinationError), _locked(parent):
        if os.listdir(parent) == [_LOCK]:
            os.unlink(parent / _LOCK)
            os.rmdir(parent)


@contextlib.contextmanager
def _locked(parent: Path) -> Iterator[None]:
    lock = lock_own(parent / _LOCK, wait=True)
    assert lock is not None, "it was waited for"
    try:
        yield
    finally:
        os.close(lock)


def _remove_leftovers(
    parent: Path, removing: Callable[[Path], None], own: Path | None = None
) -> None:
    """Remove the directories in `parent` whose runs have ended; not `own`."""
    for left in parent.glob(_PREFIX + "*"):
        if left == own:
            continue
        with contextlib.suppress(DestinationError, OSError):  # planted, or of another user
            lock = lock_own(left / _LOCK)
            if lock is None:
                continue
            try:
                removing(left)
                _remove(left)
            finally:
                os.close(lock)


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
