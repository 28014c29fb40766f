"""A workspace: a directory for temporary files that outlives no run by much.

Owns: making one for this run, and removing those that dead runs left. A live
run holds a kernel file lock in its workspace, gone with the process however it
ends, so "dead" is a fact and not a guess from ages or process ids. Refuses to
know: what the files are. Rejected: hidden temporary names beside the final
ones; finding a dead run's would mean walking the whole destination.
"""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "lock"
_PREFIX = "run-"


class Workspace:
    """`parent/run-xxxx/`, locked until `close()`, which removes it. Raises OSError."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / _LOCK):  # so that no sweep meets a workspace half made
            self.path = parent / f"{_PREFIX}{os.urandom(8).hex()}"
            self.path.mkdir(mode=0o700)
            self._lock = FileLock(self.path / _LOCK)
            self._lock.acquire(blocking=False)
            _sweep(parent, self.path)

    def close(self) -> None:
        """Remove everything in it."""
        _remove(self.path)
        self._lock.release()


def _remove(workspace: Path) -> None:
    """Remove it and its files, as far as that can be done; it has no directories."""
    with contextlib.suppress(OSError):
        fd = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in os.listdir(fd):
                os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        workspace.rmdir()


def _sweep(parent: Path, own: Path) -> None:
    """Remove the workspaces in `parent` that no live process holds."""
    for left in parent.glob(_PREFIX + "*"):
        if left == own or left.is_symlink():  # planted: a lock in it would be made elsewhere
            continue
        lock = FileLock(left / _LOCK)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(blocking=False)
            _remove(left)
            lock.release()
