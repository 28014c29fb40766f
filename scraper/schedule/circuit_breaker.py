"""The circuit breaker: of the destination, and of each host that can't be reached.

A breaker counts failures that follow each other without a success between them. After
`opens_after` it is open: starts pause for a growing time, then one target at a time is the probe.
The first success closes it. If there was none for `patience_s`, the breaker gives up.

The destination: S3 that answers SlowDown to everything, or is away for a minute, is no fault of
the targets under way. Such failures cost targets none of their attempts. It opens after ten, since
one refused object is the fault of that object. A destination that is
given up ends the run. A `Retry-After` is honoured from the first one on.

A host: only connections that could not be made count. No target is to blame for one, so the first
opens it, and probes begin after a moment. How long a host is waited for depends on what it does.
Refused connections, missing routes and look-ups that may pass cost nothing: until `patience_s` is
over. Packets that are swallowed cost a slot for `--connect-timeout` each time, in which the system
has sent several: until ten time-outs, one after another (100 s if each takes 10 s; those that
overlap are one). What no later connection makes better (no such name, a certificate that is not
good): until ten of them in a row. After that the targets of the host end at once, but for one
every `PROBE_EVERY_S`. Without patience (`--retries 0`) any ten failures in a row are the end.

Owns: these decisions, as plain state. Does not know: clocks, sinks, slots, queues.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Self

FAILURES_UNTIL_OPEN = 10  # in a row
PROBE_EVERY_S = 30.0  # so often a target of a host that was given up is let through
_FIRST_PAUSE_S = 1.0
_FIRST_PAUSE_OF_HOST_S = 0.2
_LONGEST_PAUSE_S = 30.0


@dataclass(slots=True)
class CircuitBreaker:
    """`patience_s`: how long it may fail before it is given up. Times are monotonic seconds."""

    patience_s: float
    jitter: Callable[[], float] = random
    opens_after: int = FAILURES_UNTIL_OPEN
    first_pause_s: float | None = None  # None: that of a destination
    failures: int = 0  # in a row
    finals: int = 0  # of them: no later try is better
    rounds: int = 0  # time-outs one after another
    since: float = 0.0  # of the first of them
    pause_s: float = 0.0
    paused: float = 0.0  # when the pause began
    until: float = 0.0  # nothing starts before
    asked_until: float = 0.0  # nothing starts before, open or not
    given_up: bool = False

    @classmethod
    def of_host(cls, patience_s: float) -> Self:
        """The breaker of a host that a connection could not be made to."""
        opens_after = 1 if patience_s > 0 else FAILURES_UNTIL_OPEN
        return cls(patience_s, opens_after=opens_after, first_pause_s=_FIRST_PAUSE_OF_HOST_S)

    @property
    def is_open(self) -> bool:
        """Whether everything seems to fail."""
        if not self.failures:
            return False
        return self.failures - self.finals >= self.opens_after or self._seems_final

    @property
    def _seems_final(self) -> bool:
        return self.finals >= FAILURES_UNTIL_OPEN

    def succeeded(self) -> None:
        """Note a success."""
        self.failures = self.finals = self.rounds = 0
        self.pause_s = 0.0
        self.given_up = False

    def failed(
        self,
        started: float,
        now: float,
        in_flight: int = 0,
        *,
        timed_out: bool = False,
        final: bool = False,
    ) -> bool:
        """Note a failure of an attempt that began at `started`; whether to go on.

        `in_flight`: others that could still tell otherwise. Of a connection: `timed_out`, nobody
        answered; `final`, no later one is better.
        """
        if not self.failures:
            self.since = now
        self.failures += 1
        self.finals += final
        fresh = not self.pause_s or started >= self.paused  # else it began before the pause
        if self.is_open and fresh:
            self._pause(started, now, timed_out=timed_out)
        over = self._seems_final or self.rounds >= FAILURES_UNTIL_OPEN
        if self.is_open and not in_flight and (over or now - self.since >= self.patience_s):
            self.given_up = True
            self.until = max(self.until, now + PROBE_EVERY_S)
        return not self.given_up

    def wait_until(self, until: float) -> None:
        """Start nothing before: the destination has asked for that (`Retry-After`)."""
        self.asked_until = max(self.asked_until, until)

    def may_start(self, in_flight: int, now: float) -> bool:
        """Whether another target may start."""
        if now < self.asked_until:
            return False
        return not self.is_open or (now >= self.until and not in_flight)

    def starts_at(self, due: float, in_flight: int) -> float | None:
        """When a target that is due may start. None: when what is in flight has ended."""
        if not self.is_open:
            return max(due, self.asked_until)
        return None if in_flight else max(due, self.until, self.asked_until)

    def may_wait(self, waiting: int, now: float) -> bool:
        """Whether one more target may wait for it, `waiting` or in flight being there."""
        return not self.given_up or (now >= self.until and not waiting)

    def _pause(self, started: float, now: float, *, timed_out: bool) -> None:
        self.rounds += timed_out
        first = _FIRST_PAUSE_S if self.first_pause_s is None else self.first_pause_s
        self.pause_s = min(_LONGEST_PAUSE_S, max(first, 2 * self.pause_s))
        self.paused = now
        begun = started if timed_out else now  # a time-out was a pause itself
        self.until = max(now, begun + self.pause_s * (0.5 + self.jitter() / 2))
