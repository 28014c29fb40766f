"""An outage of the destination: while it takes nothing, nothing more is sent there.

S3 that answers SlowDown to everything, or is away for a minute, is no fault of
the targets under way. Once failures of the sink follow each other with no
success between them, starts pause (a growing while, as for a retry), one target
at a time tries, and such failures cost targets none of their attempts. It is
over with the first object stored; a destination that takes none for long ends
the run.

Owns: that judgement, as plain state. Refuses to know: clocks, sinks, slots.
Rejected: pausing at the first failure; one refused object is that object's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import random

FAILURES_UNTIL_OPEN = 10  # in a row
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


@dataclass(slots=True)
class CircuitBreaker:
    """What the sink did lately. `patience_s`: how long it may take nothing; times are monotonic."""

    patience_s: float
    jitter: Callable[[], float] = random
    failures: int = 0  # in a row
    since: float = 0.0  # of the first of them
    pause_s: float = 0.0
    paused: float = 0.0  # when the pause began
    until: float = 0.0  # nothing starts before

    @property
    def on(self) -> bool:
        """Whether the destination seems to be away."""
        return self.failures >= FAILURES_UNTIL_OPEN

    def stored(self) -> None:
        """An object was taken."""
        self.failures, self.pause_s = 0, 0.0

    def failed(self, started: float, now: float) -> bool:
        """An attempt that began at `started` failed in passing; whether the run should go on."""
        if not self.failures:
            self.since = now
        self.failures += 1
        fresh = not self.pause_s or started >= self.paused  # else: of the burst before the pause
        if self.on and fresh:
            self.pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self.pause_s))
            self.paused = now
            self.until = now + self.pause_s * (0.5 + self.jitter() / 2)
        return not self.on or now - self.since < self.patience_s

    def may_start(self, in_flight: int, now: float) -> bool:
        """Whether another target may start."""
        return not self.on or (now >= self.until and not in_flight)
