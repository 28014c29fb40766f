"""Minimum speed: whether a body comes quickly enough (--speed-limit over --speed-time).

A body is measured over one window of --speed-time after another, and only at the end of a window,
so that a chunk costs no look at the clock. A stall is noticed within two windows. The wait for
the response is not measured (--read-timeout is for that), nor is a slow sink.

Owns: that decision, the same for every engine. Does not know: sockets, transfers. Rejected:
curl's average over five seconds, which needs samples.
"""

import math

from scraper.model.errors import Kind, TransferError
from scraper.model.settings import Limits


class MinimumSpeed:
    """Of one body at a time. Only `hold` may be called by another thread than the rest."""

    __slots__ = ("_before", "_ends", "_held_s", "_limits", "_window_s")

    def __init__(self, limits: Limits) -> None:
        self._ends = math.inf  # without the time that was held
        self._held_s = 0.0
        self._window_s = limits.speed_time if limits.speed_limit else math.inf
        self._limits = limits
        self._before = 0

    @property
    def soonest_s(self) -> float:
        """Seconds from its request before which no body is too slow; inf: none ever is."""
        return self._window_s

    def begin(self, now: float, came: int) -> None:
        """Measure from `now` on. `came`: bytes of the body so far."""
        self._ends = now - self._held_s + self._window_s
        self._before = came

    @property
    def ends(self) -> float:
        """When the window ends, in monotonic seconds; inf without a body."""
        return self._ends + self._held_s

    def hold(self, wait_s: float) -> None:
        """Let `wait_s` seconds not count: we ourselves hold the body back (--limit-rate)."""
        self._held_s += wait_s

    def pause(self) -> None:
        """Measure nothing until `begin`."""
        self._ends = math.inf

    def why_slow(self, now: float, came: int) -> TransferError | None:
        """The failure if only `came` bytes have come by `now`; None: not too slow."""
        if now < self.ends:
            return None
        least, window_s = self._limits.speed_limit, self._limits.speed_time
        if came - self._before < least * window_s:
            speed = f"--speed-limit {least:,} bytes a second for --speed-time {window_s:g} s"
            return TransferError(Kind.TIMEOUT, f"slower than {speed}")
        self.begin(now, came)
        return None
