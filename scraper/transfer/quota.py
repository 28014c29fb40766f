"""The quota of a run: bytes, seconds, and the disk space that must stay free.

A transfer asks before it writes (`take`), so no byte is written beyond `--max-total-size`,
however large a single body is. The loop asks once a turn (`reached`), and stops the run. All
decoded bytes of bodies count, also those of bodies that are not stored. Otherwise a server that
cuts every body short could get round the limit. The disk is looked at after so many bytes or
seconds, whichever comes first: each look is a system call, and other programs write to that disk
too. When the time is over, no transfer starts any more, but those in flight may still write.

Transfers of several processes (--processes) take from one quota: what they took, and whether it is
spent, is then in memory that they share.

Owns: the three limits, and the message of each. Does not know: how a run stops, or which disk
it is (the sink says it, by its attribute `disk`). Rejected: adding up stored objects in the loop.
A body in flight would not be seen until it ended.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError, Kind, TransferError, UsageError
from scraper.model.settings import RunLimits

if TYPE_CHECKING:
    from scraper.model.shared_numbers import SharedNumbers

_LOOK_AFTER = 1 << 18  # bytes
_LOOK_AFTER_S = 0.5
_BY_SIZE, _BY_DISK = 1, 2  # why it is spent, for other processes


class Quota:
    """What is left of `limits`, for a run that began at `begun` (monotonic seconds).

    `disk` is a path on the file system that bodies are written to, None if unknown. `take` and
    `expect` may be called from any thread, the rest only from the loop's. Raises UsageError if
    space must stay free on a disk that is unknown.
    """

    def __init__(self, limits: RunLimits, begun: float, disk: Path | None) -> None:
        if limits.min_free_space is not None and disk is None:
            message = "--min-free-space: this destination does not say which disk it takes room on"
            raise UsageError(message)
        self.spent = ""  # why no more bytes may be written; "" while they may
        self.full: DestinationError | None = None  # the same, if the disk is the reason
        self._limits = limits
        self._unlimited = limits == RunLimits()
        self._ends = begun + limits.max_run_time if limits.max_run_time is not None else None
        self._disk = disk
        self._lock = threading.Lock()
        self._shared: SharedNumbers | None = None
        self._taken = 0
        self._look_at = 0
        self._looked = begun
        self._free = 0  # bytes, when the disk was full

    def share(self, shared: "SharedNumbers") -> None:
        """Count what other processes take too, from now on. Call it before the first byte."""
        self._shared = shared

    @property
    def is_of_bytes(self) -> bool:
        """Whether transfers have to ask."""
        return self._limits.max_total_size is not None or self._limits.min_free_space is not None

    def left_s(self, now: float) -> float | None:
        """Seconds that are left for the run, None if it has no limit."""
        return None if self._ends is None else max(0.0, self._ends - now)

    def check_disk(self) -> None:
        """Raise DestinationError if less space is free already than must stay free."""
        self._look()
        if self.full is not None:
            raise self.full

    def expect(self, size: int) -> None:
        """Raise TransferError if `size` bytes more would exceed the quota."""
        with self._alone():
            self._ask(size)

    def take(self, size: int) -> None:
        """Count `size` bytes before they are written. Raises TransferError: they must not be."""
        with self._alone():
            self._ask(size)
            self._taken += size
            if self._taken >= self._look_at and not self.spent:
                self._look_at = self._taken + _LOOK_AFTER
                self._look()

    def reached(self, now: float) -> str:
        """The message of the limit that is reached, "" if none is. `now`: monotonic seconds."""
        if self._unlimited:
            return ""
        with self._alone():
            if now - self._looked >= _LOOK_AFTER_S and not self.spent:
                self._looked = now
                self._look()
            if not self.spent and self.left_s(now) == 0.0:
                return f"--max-run-time {self._limits.max_run_time:g} s is over"
            return self.spent

    def _ask(self, size: int) -> None:
        most = self._limits.max_total_size
        if most is not None and self._taken + size > most and not self.spent:
            self.spent = self._total_is_reached()
        if self.spent:
            raise TransferError(Kind.INTERRUPTED, f"not finished: {self.spent}", transient=False)

    def _look(self) -> None:
        least, disk = self._limits.min_free_space, self._disk
        if least is None or disk is None:
            return
        try:
            found = os.statvfs(disk)
        except OSError:
            return  # the next write to it will say what is wrong
        free = found.f_bavail * found.f_frsize
        if free < least:
            self._is_full(free)

    def _total_is_reached(self) -> str:
        return f"--max-total-size {self._limits.max_total_size:,} bytes is reached"

    def _is_full(self, free: int) -> None:
        least, disk = self._limits.min_free_space, self._disk
        self._free = free
        self.spent = f"--min-free-space {least:,} bytes: {str(disk)!r} has {free:,} left"
        self.full = DestinationError(self.spent)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else counts meanwhile, in this process or in another."""
        shared = self._shared
        if shared is None:
            with self._lock:
                yield
            return
        with shared.alone():
            self._taken, self._look_at = int(shared[shared.TAKEN]), int(shared[shared.LOOK_AT])
            if not self.spent and shared[shared.SPENT] == _BY_SIZE:
                self.spent = self._total_is_reached()
            elif not self.spent and shared[shared.SPENT] == _BY_DISK:
                self._is_full(int(shared[shared.FREE]))
            try:
                yield
            finally:
                shared[shared.TAKEN], shared[shared.LOOK_AT], shared[shared.FREE] = (
                    self._taken,
                    self._look_at,
                    self._free,
                )
                if self.spent:
                    shared[shared.SPENT] = _BY_SIZE if self.full is None else _BY_DISK
