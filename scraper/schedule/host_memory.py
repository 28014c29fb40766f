"""What the next run of a host should know of it, if this one is killed: its pauses, its pace.

    memories = remembered(hosts, delay_s, now)   # of those of which anything matters
    recall(host, memories[host.name], ...)       # in the next run

A server that asked for patience does not care which worker hears it. So a wait that it asked for, a
pace that it forced, a Crawl-delay and that it can't be reached go on where they were.

Owns: which facts these are. Does not know: where they are kept (`sinks/pauses_file.py`). Rejected:
all of a pace, with its ramp and its search. The next run begins a ramp at the gap that was kept.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, Self

from scraper.model.errors import Kind
from scraper.model.records import Failure
from scraper.schedule.circuit_breaker import CircuitBreaker
from scraper.schedule.host import Host
from scraper.schedule.pacing import Pace, Shares

_ASKED = Failure(
    Kind.HTTP_STATUS, "it asked for a wait, before the run of its shard was lost", transient=True
)


class Down(NamedTuple):
    """No connection could be made since `since`. Nothing is tried before `until`."""

    since: float
    until: float
    failures: int
    finals: int
    rounds: int
    pause_s: float
    given_up: bool
    reason: str


class HostMemory(NamedTuple):
    """Of one host. Times are monotonic seconds.

    `until`: nothing was to be sent before; 0: it did not ask for that. `delay_s`: between requests,
    if longer than that of all hosts, else 0. `gap_s` and `at_once`: its pace; 0: it has none.
    """

    until: float = 0.0
    delay_s: float = 0.0
    gap_s: float = 0.0
    at_once: int = 0
    down: Down | None = None

    def shifted(self, by_s: float) -> Self:
        """The same by another clock, which shows so much more."""
        down = self.down
        if down is not None:
            down = down._replace(since=down.since + by_s, until=down.until + by_s)
        return self._replace(until=self.until and self.until + by_s, down=down)


def remembered(hosts: Iterable[Host], delay_s: float, now: float) -> dict[str, HostMemory]:
    """What is to be remembered, by host. `delay_s`: between requests to any host."""
    told = ((one.name, _remembered(one, delay_s, now)) for one in hosts)
    return {name: memory for name, memory in told if memory is not None}


def _remembered(host: Host, delay_s: float, now: float) -> HostMemory | None:
    until, pace = max(host.paused_until, host.deferred_until), host.pace
    if host.allowed is not None and host.allowed <= 0:  # the limit that it announced is used up
        until = max(until, host.allowed_until)
    if pace is None and host.breaker is None and until <= now and host.delay <= delay_s:
        return None
    memory = HostMemory(
        until=until if until > now else 0.0,
        delay_s=host.delay if host.delay > delay_s else 0.0,
        # Rounded: whoever compares two memories sees what matters.
        gap_s=float(f"{pace.gap_s:.1e}") if pace is not None else 0.0,
        at_once=max(1, math.floor(pace.limit)) if pace is not None else 0,
        down=_down(host),
    )
    return None if memory == HostMemory() else memory


def _down(host: Host) -> Down | None:
    breaker = host.breaker
    if breaker is None or not (breaker.is_open or breaker.given_up):
        return None
    why = host.reason or host.failure
    return Down(
        breaker.since,
        breaker.until,
        breaker.failures,
        breaker.finals,
        breaker.rounds,
        breaker.pause_s,
        breaker.given_up,
        "" if why is None else why.message,
    )


def recall(
    host: Host, memory: HostMemory, patience_s: float, max_retry_after: float, now: float
) -> None:
    """Let `host`, of which this run knows nothing, go on by `memory`.

    It may have been asked a moment ago, so a gap begins now.
    """
    if memory.until - now > max_retry_after:
        host.deferred_until, host.reason = memory.until, _ASKED
    elif memory.until:
        host.paused_until, host.failure = memory.until, _ASKED
    host.delay = max(host.delay, memory.delay_s)
    if memory.at_once:
        host.shares = Shares()
        host.pace = Pace.gone_on(host.limit, memory.gap_s, memory.at_once, now, host.shares)
        host.limit = host.pace.limit
    host.next_start = max(host.next_start, now + max(host.delay, memory.gap_s))
    if (down := memory.down) is not None:
        breaker = host.breaker = CircuitBreaker.of_host(patience_s)
        breaker.since, breaker.until, breaker.paused = down.since, down.until, now
        breaker.failures, breaker.finals, breaker.rounds = down[2:5]
        breaker.pause_s, breaker.given_up = down.pause_s, down.given_up
        host.failure = Failure(Kind.CONNECT, down.reason, transient=True, unreachable=True)
        if down.given_up:
            host.reason = host.failure
