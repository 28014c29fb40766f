"""The lock of a directory: a kernel lock on the file `.scraper/lock`.

The kernel lets go of it when the process ends, however that happens. Nothing is ever written
to the file. Versions before 0.2 lock the same file in the same way. Runs of shards share the
lock of the directory (`shard_lock.py`), and each has the lock of its own file.

This module owns that file. It does not know how it is opened and locked (`own_files.py`), and it
does not know leases (`lease.py`).
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError, Held
from scraper.sinks.directory import OWN
from scraper.sinks.directory.own_files import lock_own
from scraper.sinks.directory.temporary_files import remove_workspace

if TYPE_CHECKING:
    from scraper.model.shared_numbers import SharedNumbers

NAME = f"{OWN}/lock"
_LOOK_AGAIN_S = 0.2  # while waiting
_ENDING_S = 2.0  # for the children of a run that was killed (--processes)
_LOCKS = "/proc/locks"


class FileHold:
    """A destination that is a directory, held by this process. See `lock.Lock`."""

    def __init__(  # noqa: PLR0913 - facts of one lock
        self,
        root: Path,
        wait_s: float = 0.0,
        left: Callable[[], bool] = lambda: False,
        on_wait: Callable[[str], None] = lambda _holder: None,
        *,
        name: str = NAME,
        shared: bool = False,
    ) -> None:
        """Wait for it for `wait_s` seconds, or until `left()`. Raises Held, DestinationError.

        `on_wait` is called with its holder, in words, again and again while it is waited for.
        `name` is that of the file, below `root`. Others may have the lock too if it is `shared`.
        """
        path = root / name
        begun = time.monotonic()
        until = begun + wait_s
        while True:
            try:
                fd = lock_own(path, shared=shared)
            except OSError as error:
                shown = os.fspath(root)
                raise DestinationError(f"can't lock {shown!r}: {error.strerror}") from None
            if fd is not None:
                break
            holder, now = holder_of(path), time.monotonic()
            wait_until = max(until, begun + _ENDING_S) if has_ended(holder) else until
            if now >= wait_until or left():
                raise Held(f"another run holds {os.fspath(root)!r}")
            on_wait(holder)
            time.sleep(min(_LOOK_AGAIN_S, max(0.0, wait_until - time.monotonic())))
        self._fd, self._path = fd, path

    def holds(self) -> bool:
        """True: the kernel takes the lock from nobody."""
        return True

    def descriptors(self) -> tuple[int, ...]:
        """What another process of the run has to keep open to hold the lock as well."""
        return (self._fd,)

    def tell(self, numbers: "SharedNumbers") -> bool:
        """False: this lock does not run out."""
        del numbers
        return False

    def remove_files(self) -> None:
        """Remove the file, and our directory if there is nothing else in it. Never raises.

        Whoever waits for the lock sees that its file is gone, and locks the next one
        (`lock_own`). So nothing may be done under the lock after this.
        """
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self._fd), os.lstat(self._path)):
                remove_workspace(self._path.parent)
                os.unlink(self._path)
                os.rmdir(self._path.parent)

    def release(self) -> None:
        """Unlock. The file stays.

        It is not enough to close it: a process that was forked has the descriptor too.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
                os.close(fd)


def is_held(path: Path) -> bool:
    """Whether another process has the lock of the file at `path`. Raises DestinationError."""
    try:
        fd = lock_own(path, shared=True)
    except OSError as error:
        raise DestinationError(f"can't lock {str(path)!r}: {error.strerror}") from None
    if fd is not None:
        os.close(fd)
    return fd is None


def holder_of(path: Path) -> str:
    """The process that holds the lock of the file at `path`: `process 123`; "" if unknown.

    Linux tells it (proc_locks(5)), but not of a process in another PID namespace.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        found = os.stat(path)
        major, minor = os.major(found.st_dev), os.minor(found.st_dev)
        place = f"{major:02x}:{minor:02x}:{found.st_ino}"
        with open(_LOCKS, encoding="ascii") as locks:
            for line in locks:
                words = line.split()
                if words[1] == "FLOCK" and words[5] == place and int(words[4]) > 0:
                    return f"process {words[4]}"
    return ""


def has_ended(holder: str) -> bool:
    """Whether the process that `holder_of` tells has ended: children of it hold the lock then.

    In a container Linux does not show a lock any more whose process has ended.
    """
    if not holder:
        return os.path.exists(_LOCKS)
    try:
        os.kill(int(holder.rpartition(" ")[2]), 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False
