"""The allowance of a run: bytes, seconds, and the disk down to what is to stay free.

A transfer asks before it writes (`take`), so not one byte goes over
`--max-total-size`, however large a single body is; the loop asks once a turn
(`reached`) and stops the run. What counts is what bodies bring, as decoded,
stored in the end or not: a server that cuts every body short must not get round
the limit. The disk is looked at again after so many bytes or so long, whichever
is first: a look is a system call, and others write to that disk too. When the
time is over nothing starts any more; what is in flight may still write.

Owns: the three limits, and the words for each. Refuses to know: how a run stops,
which disk it is (the sink's attribute `disk`). Rejected: adding up stored
objects in the loop; a body in flight would not be seen until it ended.
"""

import os
import threading
from pathlib import Path

from scraper.model.errors import DestinationError, Kind, TransferError, UsageError
from scraper.model.settings import RunLimits

_LOOK_AFTER = 1 << 18  # bytes
_LOOK_AFTER_S = 0.5


class Quota:
    """What is left of `limits`, of a run that began at `begun` (monotonic seconds).

    `disk` is a path on the file system that bodies take room on; None: nobody knows of any.
    `take` and `expect` are called from any thread, the rest on the loop's.
    """

    def __init__(self, limits: RunLimits, begun: float, disk: Path | None) -> None:
        if limits.min_free_space is not None and disk is None:
            message = "--min-free-space: this destination does not say which disk it takes room on"
            raise UsageError(message)
        self.spent = ""  # why no byte more may be written
        self.full: DestinationError | None = None  # the same, if it is the disk's
        self._limits = limits
        self._unlimited = limits == RunLimits()
        self._ends = begun + limits.max_run_time if limits.max_run_time is not None else None
        self._disk = disk
        self._lock = threading.Lock()
        self._taken = 0
        self._look_at = 0
        self._looked = begun

    @property
    def is_of_bytes(self) -> bool:
        """Whether transfers have to ask."""
        return self._limits.max_total_size is not None or self._limits.min_free_space is not None

    def left_s(self, now: float) -> float | None:
        """Seconds of the run that are left; None: it may take as long as it takes."""
        return None if self._ends is None else max(0.0, self._ends - now)

    def check_disk(self) -> None:
        """Raise DestinationError if less is free already than is to stay free."""
        self._look()
        if self.full is not None:
            raise self.full

    def expect(self, size: int) -> None:
        """Raise TransferError if so many bytes more are more than there may be."""
        with self._lock:
            self._ask(size)

    def take(self, size: int) -> None:
        """Count bytes that are to be written. Raises TransferError: they must not be."""
        with self._lock:
            self._ask(size)
            self._taken += size
            if self._taken >= self._look_at and not self.spent:
                self._look_at = self._taken + _LOOK_AFTER
                self._look()

    def reached(self, now: float) -> str:
        """Which limit is reached, in words; "" if none is."""
        if self._unlimited:
            return ""
        with self._lock:
            if now - self._looked >= _LOOK_AFTER_S and not self.spent:
                self._looked = now
                self._look()
            if not self.spent and self.left_s(now) == 0.0:
                return f"--max-run-time {self._limits.max_run_time:g} s is over"
            return self.spent

    def _ask(self, size: int) -> None:
        most = self._limits.max_total_size
        if most is not None and self._taken + size > most and not self.spent:
            self.spent = f"--max-total-size {most:,} bytes is reached"
        if self.spent:
            raise TransferError(Kind.INTERRUPTED, f"not finished: {self.spent}", transient=False)

    def _look(self) -> None:
        least, disk = self._limits.min_free_space, self._disk
        if least is None or disk is None:
            return
        try:
            found = os.statvfs(disk)
        except OSError:
            return  # who writes there will say what is wrong
        free = found.f_bavail * found.f_frsize
        if free < least:
            self.spent = f"--min-free-space {least:,} bytes: {str(disk)!r} has {free:,} left"
            self.full = DestinationError(self.spent)
