"""Circuit breakers: one for the destination, one for each host.

A breaker counts failures that follow each other without a success between them. After
`FAILURES_UNTIL_OPEN` it is open: nothing is sent there but a probe now and then. The first
success closes it.

The destination (`CircuitBreaker`): S3 that answers SlowDown to everything, or is away for a
minute, is no fault of the targets under way. While the breaker is open, starts pause for a
growing time, then one target at a time is the probe, and such failures cost targets none of
their attempts. A destination that refuses objects for too long ends the run.

A host (`HostCircuitBreaker`): only failed connections count. While the breaker is open, the
targets of the host end at once, but for one every `PROBE_EVERY_S`.

Owns: these decisions, as plain state. Does not know: clocks, sinks, slots, queues. Rejected:
opening at the first failure. One refused object is the fault of that object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import random

FAILURES_UNTIL_OPEN = 10  # in a row
PROBE_EVERY_S = 30.0  # so often a target of a host that is down is let through
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_NEVER = float("inf")


@dataclass(slots=True)
class CircuitBreaker:
    """Of the destination. `patience_s`: how long it may refuse objects; times are monotonic."""

    patience_s: float
    jitter: Callable[[], float] = random
    failures: int = 0  # in a row
    since: float = 0.0  # of the first of them
    pause_s: float = 0.0
    paused: float = 0.0  # when the pause began
    until: float = 0.0  # nothing starts before

    @property
    def is_open(self) -> bool:
        """Whether the destination seems to refuse everything."""
        return self.failures >= FAILURES_UNTIL_OPEN

    def succeeded(self) -> None:
        """Note that an object was stored."""
        self.failures, self.pause_s = 0, 0.0

    def failed(self, started: float, now: float) -> bool:
        """Note a transient failure of an attempt that began at `started`; whether to go on."""
        if not self.failures:
            self.since = now
        self.failures += 1
        fresh = not self.pause_s or started >= self.paused  # else it began before the pause
        if self.is_open and fresh:
            self.pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self.pause_s))
            self.paused = now
            self.until = now + self.pause_s * (0.5 + self.jitter() / 2)
        return not self.is_open or now - self.since < self.patience_s

    def may_start(self, in_flight: int, now: float) -> bool:
        """Whether another target may start."""
        return not self.is_open or (now >= self.until and not in_flight)


class HostCircuitBreaker:
    """Of one host; times are monotonic. It opens once no transfer is left that could tell more."""

    __slots__ = ("failures", "is_open", "probe_at")

    def __init__(self) -> None:
        self.failures = 0  # connections in a row
        self.is_open = False
        self.probe_at = -_NEVER

    def succeeded(self) -> None:
        """Note that the host answered."""
        self.failures = 0
        self.is_open = False

    def failed(self, in_flight: int, now: float) -> bool:
        """Note a failed connection, with `in_flight` others left; whether the host is down now."""
        self.failures += 1
        if self.failures < FAILURES_UNTIL_OPEN or in_flight:
            return False
        self.is_open = True
        self.probe_at = now + PROBE_EVERY_S
        return True

    def may_start(self, in_flight: int) -> bool:
        """Whether a target that waits may start: transfers in flight tell whether it is down."""
        return not in_flight or self.failures < FAILURES_UNTIL_OPEN

    def may_wait(self, waiting: int, now: float) -> bool:
        """Whether one more target may wait for the host, `waiting` or in flight being there."""
        return not self.is_open or (now >= self.probe_at and not waiting)
