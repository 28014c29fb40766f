"""A workspace: a directory for temporary files that outlives no run by much.

Owns: making one for this run, and removing those that dead runs left. A live
run holds a kernel file lock in its workspace, gone with the process however it
ends, so "dead" is a fact and not a guess from ages or process ids. Refuses to
know: what the files are. Rejected: hidden temporary names beside the final
ones; finding a dead run's would mean walking the whole destination.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "lock"
_PREFIX = "run-"


class Workspace:
    """`parent/run-xxxx/`, locked until `close()`, which removes it. Raises OSError."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / _LOCK):  # so that no sweep meets a workspace half made
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            self._lock = FileLock(self.path / _LOCK)
            self._lock.acquire(blocking=False)
            _sweep(parent, self.path)

    def close(self) -> None:
        """Remove everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _sweep(parent: Path, own: Path) -> None:
    """Remove the workspaces in `parent` that no live process holds."""
    for left in parent.glob(_PREFIX + "*"):
        if left == own or left.is_symlink():  # planted: a lock in it would be made elsewhere
            continue
        lock = FileLock(left / _LOCK)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(blocking=False)
            shutil.rmtree(left, ignore_errors=True)
            lock.release()
