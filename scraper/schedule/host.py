"""One host: its targets that wait, and everything that a run knows about it.

Owns: the state of a host, and when it may start its next target. Does not know: other hosts, and
whose turn it is (`frontier.py`). Several parts of it decide for themselves: whether it can be
reached (`circuit_breaker.py`).
"""

import heapq
import math
from collections import deque
from typing import TYPE_CHECKING

from scraper.model.records import Attempt, Failure, Target
from scraper.schedule.hosts import Charge, HostState

if TYPE_CHECKING:
    from scraper.schedule.circuit_breaker import CircuitBreaker

_NEVER = math.inf


class Host:
    """One host: its waiting targets, its limits, its pauses, its breaker, its statistics."""

    __slots__ = (
        "attempts",
        "breaker",
        "charge",
        "deferred_until",
        "delay",
        "due",
        "failure",
        "failures",
        "in_flight",
        "last_sent",
        "limit",
        "limit_changed",
        "name",
        "next_start",
        "paused_until",
        "reason",
        "retries",
        "started",
        "total_s",
        "unsent",
        "waiting",
    )

    def __init__(self, name: str, limit: float, delay: float) -> None:
        self.name = name
        self.delay = delay  # seconds between requests
        self.waiting: deque[Attempt] = deque()
        self.retries: list[tuple[float, int, Attempt]] = []  # heap by due time
        self.in_flight = 0
        self.limit = limit  # transfers at once: halves on 429 and 503, recovers step by step
        self.limit_changed = -_NEVER
        self.paused_until = -_NEVER
        self.deferred_until = -_NEVER
        self.next_start = -_NEVER
        self.started = -_NEVER  # the last start
        self.unsent: Target | None = None  # with a gap: started last, its request not sent yet
        self.last_sent = -_NEVER
        self.breaker: CircuitBreaker | None = None  # None: its last connection could be made
        self.charge = Charge.ATTEMPT  # of the last failure
        self.reason: Failure | None = None  # why down, or deferred
        self.failure: Failure | None = None  # the last one
        self.due = _NEVER  # its place among the sleepers
        self.attempts = self.failures = 0
        self.total_s = 0.0

    def ready_at(self) -> float:
        """The earliest moment at which a target of this host may start; inf if none may."""
        if self.unsent is not None or self.in_flight + 1 > self.limit:
            return _NEVER
        if self.waiting:
            due = -_NEVER
        elif self.retries:
            due = self.retries[0][0]
        else:
            return _NEVER
        if self.breaker is not None and self.breaker.is_open:
            if self.in_flight:
                return _NEVER  # it tells whether the host is down
            due = max(due, self.breaker.until)
        return max(due, self.paused_until, self.next_start)

    @property
    def state(self) -> HostState:
        """What keeps requests from it."""
        breaker = self.breaker
        down_until = None if breaker is None or not breaker.is_open else breaker.until
        given_up = breaker is not None and breaker.given_up
        return HostState(self.paused_until, self.deferred_until, down_until, given_up)

    def take(self, now: float) -> Attempt:
        """The target whose turn it is: a retry that is due, else the oldest that waits."""
        if self.retries and (self.retries[0][0] <= now or not self.waiting):
            return heapq.heappop(self.retries)[2]
        return self.waiting.popleft()

    def is_idle(self, now: float) -> bool:
        """Whether it has no work and nothing that must be remembered.

        Failed connections need not be remembered: a list may name a million dead hosts once.
        """
        until = max(self.paused_until, self.deferred_until, self.next_start)
        if self.breaker is not None and self.breaker.given_up:
            until = max(until, self.breaker.until)
        return not (self.waiting or self.retries or self.in_flight) and now >= until
