"""One host: its targets that wait, and everything that a run knows about it.

Owns: the state of a host, and when it may start its next target. Does not know: other hosts, and
whose turn it is (`frontier.py`). Several parts of it decide for themselves: whether it can be
reached (`circuit_breaker.py`), and how fast it is asked (`pacing.py`).
"""

import heapq
import math
from collections import deque
from random import random
from typing import TYPE_CHECKING

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failed, Failure, Outcome, Target
from scraper.schedule.announced import Announced
from scraper.schedule.circuit_breaker import CircuitBreaker
from scraper.schedule.hosts import Charge, HostState, HostStatistics, HostWait
from scraper.schedule.pacing import Pace, Shares
from scraper.schedule.retry import is_transient

if TYPE_CHECKING:
    from scraper.schedule.proxies import Proxy

_FREE = 8  # push-backs of one target that cost it nothing
_NEVER = math.inf


class Host:
    """One host: its waiting targets, its limits, its pauses, its breaker, its statistics."""

    __slots__ = (
        "allowed",
        "allowed_until",
        "answered",
        "attempts",
        "breaker",
        "charge",
        "deferred_until",
        "delay",
        "due",
        "failure",
        "failures",
        "first_start",
        "in_flight",
        "last_sent",
        "level",
        "limit",
        "name",
        "new_first",
        "next_start",
        "pace",
        "paused_until",
        "reason",
        "retries",
        "shares",
        "started",
        "total_s",
        "unsent",
        "via",
        "waiting",
    )

    def __init__(self, name: str, limit: float, delay: float) -> None:
        self.name = name
        self.delay = delay  # seconds between requests
        self.waiting: deque[Attempt] = deque()
        self.retries: list[tuple[float, int, Attempt]] = []  # heap by due time
        self.in_flight = 0
        self.level: int | None = None  # see `LeastLoaded`
        self.limit = limit  # transfers at once
        self.allowed: int | None = None  # starts that its announced limit leaves
        self.allowed_until = -_NEVER
        self.new_first = 0  # turns, see `take`
        self.pace: Pace | None = None  # None: it did not push back lately
        self.shares: Shares | None = None  # what a longer gap has helped so far
        self.paused_until = -_NEVER
        self.deferred_until = -_NEVER
        self.next_start = -_NEVER
        self.started = -_NEVER  # the last start
        self.first_start = _NEVER  # the first start
        self.unsent: Target | None = None  # with a gap: started last, its request not sent yet
        self.last_sent = -_NEVER
        self.breaker: CircuitBreaker | None = None  # None: its last connection could be made
        self.via: Proxy | None = None  # what its connections go through
        self.charge = Charge.ATTEMPT  # of the last failure
        self.reason: Failure | None = None  # why down, or deferred
        self.failure: Failure | None = None  # the last one
        self.due = _NEVER  # its place among the sleepers
        self.attempts = self.failures = 0
        self.answered = False  # with a failure that is no push-back
        self.total_s = 0.0

    def ready_at(self, *, joins: bool = False) -> float:
        """The earliest moment at which a target of this host may start; inf if none may.

        `joins`: at which one more transfer of a target that is in flight may.
        """
        if self.unsent is not None or self.in_flight + 1 > self.limit:
            return _NEVER
        if self.waiting or joins:
            due = -_NEVER
        elif self.retries:
            due = self.retries[0][0]
        else:
            return _NEVER
        if self.allowed is not None and self.allowed <= 0:
            due = max(due, self.allowed_until)
        if self.breaker is not None and self.breaker.is_open:
            if self.in_flight:
                return _NEVER  # it tells whether the host is down
            due = max(due, self.breaker.until)
        if self.via is not None:
            due = max(due, self.via.until)
        return max(due, self.paused_until, self.next_start)

    @property
    def statistics(self) -> HostStatistics:
        """What it did in this run."""
        return HostStatistics(self.name, self.attempts, self.failures, self.total_s, self.state)

    @property
    def state(self) -> HostState:
        """What keeps requests from it."""
        breaker = self.breaker
        down_until = None if breaker is None or not breaker.is_open else breaker.until
        given_up = breaker is not None and breaker.given_up
        return HostState(self.paused_until, self.deferred_until, down_until, given_up)

    def wait(self, now: float) -> HostWait | None:
        """What its targets wait for, None if they do not. From any thread."""
        due, targets = self.due, len(self.waiting) + len(self.retries)
        if not (now < due < _NEVER and targets):
            return None
        if self.via is not None and self.via.until > now:
            name = f"the proxy {self.via.name}"
            return HostWait(name, self.via.until - now, targets, is_down=True)
        breaker = self.breaker
        down = breaker is not None and breaker.is_open
        slowed = self.pace is not None or self.paused_until > now
        reason = self.failure if down or slowed or not self.waiting else None
        return HostWait(self.name, due - now, targets, reason, is_down=down)

    def wait_given_up(self, now: float) -> HostWait | None:
        """For how long it is left alone, None if it is not. From any thread."""
        breaker = self.breaker
        if breaker is None or not breaker.given_up or breaker.until <= now:
            return None
        return HostWait(self.name, breaker.until - now, 0, self.reason, is_down=True)

    def take(self, now: float) -> Attempt:
        """The target whose turn it is: a retry that is due, else the oldest that waits.

        After a retry that was pushed back it is the latter's turn: it shows who is to blame.
        """
        if self.new_first and self.waiting:
            self.new_first -= 1
            return self.waiting.popleft()
        if self.retries and (self.retries[0][0] <= now or not self.waiting):
            return heapq.heappop(self.retries)[2]
        return self.waiting.popleft()

    def is_idle(self, now: float) -> bool:
        """Whether it has no work and nothing that must be remembered.

        Failed connections need not be remembered: a list may name a million dead hosts once.
        """
        until = max(self.paused_until, self.deferred_until, self.next_start)
        if self.allowed is not None:
            until = max(until, self.allowed_until)
        if self.breaker is not None and self.breaker.given_up:
            until = max(until, self.breaker.until)
        return not (self.waiting or self.retries or self.in_flight) and now >= until

    def emptied(self, *, elsewhere: bool = False) -> list[Attempt]:
        """Take out the targets that wait.

        `elsewhere`: if the host is down, those that have another URL to ask first.
        """
        if elsewhere and not self.is_down:
            return []
        left = [*self.waiting, *(attempt for _, _, attempt in self.retries)]
        if elsewhere:
            left = [one for one in left if not one.waits_for_host]
            if left:
                self.waiting = deque(one for one in self.waiting if one.waits_for_host)
                self.retries = [one for one in self.retries if one[2].waits_for_host]
                heapq.heapify(self.retries)
        else:
            self.waiting.clear()
            self.retries.clear()
        return left

    def turns_away(self, attempt: Attempt, now: float) -> Outcome | None:
        """How `attempt` ends here if the host is down, and another URL can be asked meanwhile.

        One target at a time finds out whether it is down still.
        """
        if attempt.waits_for_host or not self.is_down:
            return None
        asked = self.in_flight or self.waiting or self.retries
        may_ask = self.breaker is not None and now >= self.breaker.until and not asked
        return None if may_ask else self.down()

    @property
    def is_down(self) -> bool:
        """Whether no connection can be made."""
        return self.breaker is not None and self.breaker.is_open

    def down(self) -> Outcome:
        """How a target ends that does not wait until a connection can be made."""
        why = "" if self.failure is None else f": {self.failure.message}"
        return Failed(Failure(Kind.HOST_DOWN, f"{self.name} is down{why}", transient=True))

    # ------------------------------------------------------------ what its answers say

    def allow(self, announced: Announced, now: float) -> None:
        """Start no more than it announced, those in flight included."""
        self.allowed = announced.remaining - self.in_flight
        self.allowed_until = now + announced.reset_s

    def slow_down(
        self, attempt: Attempt, failure: Failure, started: float, now: float, patience_s: float
    ) -> bool:
        """Note that it pushed `attempt` back, and what that costs its target; whether to go on.

        It costs nothing while the host is to blame: it has answered before, and a longer gap may
        help. A page that is pushed back again and again is to blame itself after a few times. It
        is no reason any more to ask the others more slowly.
        """
        pace = self._paced(started)
        if pace.is_overdue(now, patience_s):
            self.charge = Charge.LAST
            return False
        if attempt.number > 1:  # one or two, else it might always meet the same empty bucket
            self.new_first = 1 + (random() < 0.5)  # noqa: S311 - no secret
        blamed = attempt.number - 1 > attempt.free or attempt.free >= _FREE
        by_gap = True
        if self.answered or self.attempts > self.failures:
            free = pace.may_help(started)
        else:  # the first answer may still be on its way
            free = by_gap = not failure.retry_after_s and self.in_flight > 0
        if free and not blamed and patience_s:
            self.charge = Charge.NOTHING
        if not blamed or not patience_s:
            first = attempt.number == 1
            pace.pushed_back(started, now, by_gap=by_gap, first=first)
            self.limit = pace.limit
            self.next_start = max(self.next_start, pace.next_start)
        return True

    def reached(self, failure: Failure) -> None:
        """Note that a connection to it could be made. An answer alone says that it is up again."""
        if failure.http_code is not None:
            self.breaker = None

    def was_closed(self, attempt: Attempt, started: float, now: float, patience_s: float) -> None:
        """Note that it closed the connection of `attempt` without a word, and what that costs.

        It costs nothing a few times, if it closes those that are more than it takes.
        """
        pace = self._paced(started)
        if pace.closed(started, now, self.in_flight) and attempt.free < _FREE and patience_s:
            self.charge = Charge.NOTHING
        self.limit = pace.limit

    def _paced(self, started: float) -> Pace:
        if self.pace is None:
            passed = self.attempts - self.failures
            self.shares = self.shares or Shares()
            busy_s = started - self.first_start
            self.pace = Pace(self.limit, started, passed, busy_s, self.shares)
        return self.pace

    def pace_start(self, now: float) -> None:
        """Note the start of a target; it has a pace."""
        assert self.pace is not None
        due = self.pace.started(now, self.in_flight - 1, self.paused_until)
        self.next_start = max(self.next_start, due)

    def speed_up(self, started: float, now: float, *, has_gaps: bool) -> None:
        """Note that it answered a request of `started`."""
        pace = self.pace
        if pace is None:
            return
        pace.got_through(started, now)
        self.limit = pace.limit
        if not has_gaps:
            self.next_start = min(self.next_start, max(pace.next_start, started))
        if not pace.is_needed:
            self.pace = None

    def lost(self, failure: Failure, started: float, now: float, patience_s: float) -> bool:
        """Note that no connection to it could be made, and what that costs; whether to go on."""
        if self.breaker is None:
            self.breaker = CircuitBreaker.of_host(patience_s)
        breaker = self.breaker
        final, timed_out = not is_transient(failure), failure.kind is Kind.TIMEOUT
        if not breaker.failed(started, now, self.in_flight, timed_out=timed_out, final=final):
            self.charge = Charge.LAST
            self.reason = failure
            return False
        if breaker.is_open and not (final or timed_out):
            self.charge = Charge.NOTHING
        return True
