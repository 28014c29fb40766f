"""The frontier: targets that wait, and the answer to "which may start now?".

Everything known about one host is in its Host, and only here. The frontier decides and never
waits. The loop asks `may_start`, takes a target with `start`, and sleeps until `wake_at`. The
host with the fewest transfers in flight comes first (`least_loaded.py`), one target at a time. So
neither many lines of one host nor a slow host keep the others waiting.

The window is the part of a list that is in memory: WINDOW targets that wait, retries included,
fewer of very long ones. 10,000 targets are about 10 MB, and 60 MB at the most. If a list has more
lines than that of one host in a row, other hosts wait until they come into the window.

Owns: the order of hosts, caps, pauses, rates, which host is down. Does not know: threads, slots,
how a target is fetched. Rejected: a queue for each host with workers of its own (idle threads),
and a token bucket that sleeps (it would hold a slot).
"""

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import count, islice

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Deferred, Failed, Failure, Outcome, Target
from scraper.model.settings import Politeness
from scraper.schedule.announced import Announced
from scraper.schedule.circuit_breaker import PROBE_EVERY_S
from scraper.schedule.host import Host
from scraper.schedule.host_memory import HostMemory, recall, remembered
from scraper.schedule.hosts import Charge, HostChange, HostStatistics, HostWait, change_of, together
from scraper.schedule.least_loaded import LeastLoaded
from scraper.schedule.proxies import Proxies, shows_life

WINDOW = 10_000  # targets waiting in memory
IDLE_HOSTS = 10_000  # hosts without work that are still remembered
_LATE_S = 0.05  # what a busy machine needs to wake up
_LOOKED_AT = 1_000  # of the hosts that wait, for who watches
_SHOWN_DOWN = 20
_GIVEN_UP_S = PROBE_EVERY_S  # a host that lets nothing through is left alone for so long
_NEVER = math.inf


class Frontier:
    """All targets that wait. `now` is monotonic seconds throughout.

    `patience_s`: how long a host may be out of reach before it is given up. `through(url)` names
    the proxy that a URL goes through, if any. `next_start`: no target starts before.
    """

    def __init__(
        self,
        politeness: Politeness,
        max_retry_after: float,
        patience_s: float = 0.0,
        through: Callable[[str], str | None] | None = None,
    ) -> None:
        self._proxies = Proxies(through, patience_s)
        self._cap = politeness.per_host or politeness.max_concurrency
        self._delay = politeness.delay
        self._interval = 1 / politeness.rate if politeness.rate else 0.0
        self._max_retry_after = max_retry_after
        self._patience_s = patience_s
        self.next_start = -_NEVER  # over all hosts
        self._hosts: OrderedDict[str, Host] = OrderedDict()
        self._ready: LeastLoaded[Host] = LeastLoaded()
        self._sleepers: list[tuple[float, int, Host]] = []
        self._ticket = count()
        self._ended_early: deque[tuple[Attempt, Outcome]] = deque()
        self._given_up: deque[Host] = deque(maxlen=_SHOWN_DOWN)  # the last of them
        self._waiting = self._places = 0  # targets, and the places that they take
        self.in_flight = 0

    def __len__(self) -> int:
        """Targets waiting."""
        return self._waiting

    @property
    def room(self) -> int:
        """How many lines of the list may be taken in."""
        return max(0, WINDOW - self._places)

    def add(
        self, attempt: Attempt, now: float, due: float = -_NEVER, *, under_way: bool = False
    ) -> None:
        """Let `attempt` wait until `due` at least. `under_way`: it comes before others then.

        It ends at once if its host is given up, or has asked for more patience than there is.
        """
        host = self._host(attempt.hop or attempt.target.host, now)
        if self._proxies.any and not attempt.hop:
            host.via = self._proxies.of(attempt.target.url)
        if early := self._early_end(host, now) or host.turns_away(attempt, now):
            self._ended_early.append((attempt, early))
            return
        if under_way and host.pace is not None:
            due = max(due, now + 2 * host.pace.gap_s)  # others show whether it is to blame
        if due > now or under_way:
            heapq.heappush(host.retries, (due, next(self._ticket), attempt))
        else:
            host.waiting.append(attempt)
        self._waiting += 1
        self._places += attempt.target.places
        self._place(host, now)

    def may_start(self, now: float) -> bool:
        """Whether some target may start now; then `start` gives it."""
        while self._sleepers and self._sleepers[0][0] <= now:
            due, _, host = heapq.heappop(self._sleepers)
            if host.due == due:
                host.due = _NEVER
                self._place(host, now)
        while self._ready and (host := self._ready.first()).ready_at() > now:
            self._ready.drop(host)  # paused, or full, since it was placed
            self._place(host, now)
        return bool(self._ready) and now >= self.next_start

    def start(self, now: float) -> Attempt:
        """The target that starts now, of the host whose turn it is. Ask `may_start` first."""
        host = self._ready.first()
        attempt = host.take(now)
        if not (host.waiting or host.retries):  # else it stays, and moves back
            self._ready.drop(host)
        self._waiting -= 1
        self._places -= attempt.target.places
        self._begin(host, attempt, now)
        if attempt.first_started is None:
            attempt = Attempt._make((*attempt[:3], now, *attempt[4:]))
        return attempt

    def joins_at(self, name: str, now: float) -> float:
        """When one more transfer of a target in flight may start at this host; inf: not now."""
        host = self._host(name, now)
        if self._early_end(host, now) is not None:
            return _NEVER
        return max(host.ready_at(joins=True), self.next_start)

    def join(self, attempt: Attempt, now: float) -> None:
        """Note that `attempt` starts, which did not wait here. Ask `joins_at` first."""
        self._begin(self._host(attempt.hop or attempt.target.host, now), attempt, now)

    def _begin(self, host: Host, attempt: Attempt, now: float) -> None:
        host.in_flight += 1
        self.in_flight += 1
        host.first_start = min(host.first_start, now)
        if host.delay or self._interval:
            host.unsent, host.started = attempt.target, now
            host.next_start = now + host.delay
        if host.via is not None:
            host.via.tried(now)
        if host.pace is not None:
            host.pace_start(now)
        if host.allowed is not None:
            host.allowed = None if now >= host.allowed_until else host.allowed - 1
        if self._interval:
            # A late wake-up alone must not lower the rate: count from the last turn then.
            late = now - self.next_start <= min(self._interval, _LATE_S)
            self.next_start = (self.next_start if late else now) + self._interval
        self._place(host, now)

    def ended(  # noqa: PLR0913, PLR0917 - facts of one end
        self,
        attempt: Attempt,
        failure: Failure | None,
        started: float,
        took_s: float,
        now: float,
        announced: Announced | None = None,
    ) -> HostChange | None:
        """Note the end of an attempt: it may change its host's cap, pace, pauses and breaker.

        `announced`: the limit that its response announced.
        """
        host = self._leave(attempt)
        before = host.state if failure is not None or host.breaker is not None else None
        host.attempts += 1
        host.total_s += took_s
        host.charge = Charge.ATTEMPT
        told = self._note_proxy(host, failure, started, now) if self._proxies.any else None
        if failure is None:
            host.breaker = None
            if host.pace is not None:
                host.speed_up(started, now, has_gaps=bool(host.delay or self._interval))
        else:
            host.failures += 1
            host.failure = failure
            if failure.kind is not Kind.PROXY:  # which says nothing of the host
                self._note_failure(host, attempt, failure, started, now)
        if announced is not None:
            host.allow(announced, now)
            if announced.remaining == 0 and announced.reset_s > self._max_retry_after:
                message = f"no requests left for {announced.reset_s:.0f} s, by its rate limit"
                self._be_patient(host, Failure(Kind.HTTP_STATUS, message), announced.reset_s, now)
        self._place(host, now)
        return told or (before and change_of(host.name, before, host.state, failure, now))

    def charge(self, attempt: Attempt) -> Charge:
        """What the failure of `attempt` costs its target; ask right after `ended`."""
        return self._hosts[attempt.hop or attempt.target.host].charge

    def has_gap(self, name: str) -> bool:
        """Whether time has to pass between the requests to this host, which has one in flight."""
        return bool(self._interval or self._hosts[name].delay)

    def sent(self, target: Target, now: float, at: str = "") -> None:
        """Note that the request of `target`, in flight, was sent: its host's gap begins here.

        `at`: the host, if a redirect led to another than the target's own.
        --rate alone is about starts, as long as the request follows its start at once.
        """
        host = self._hosts[at or target.host]
        host.last_sent = now
        if host.unsent is not target:
            return
        host.unsent = None
        host.next_start = now + host.delay
        if self._interval and now - host.started > min(self._interval, _LATE_S):
            host.next_start = max(host.next_start, now + self._interval)
        if host.pace is not None:
            host.next_start = max(host.next_start, now + host.pace.gap_s)
        self._place(host, now)

    def put_back(self, attempt: Attempt, now: float) -> None:
        """Let `attempt`, which is under way, wait for the next turn of its host, before others."""
        host = self._leave(attempt)
        self.add(attempt, now, under_way=True)
        self._place(host, now)

    def move(
        self, attempt: Attempt, to: str, started: float, now: float, said: Announced | None = None
    ) -> HostChange | None:
        """Let `attempt`, which a redirect led to the host `to`, wait for its turn there.

        The host that sent it there has answered. `said`: the limit that it announced.
        """
        change = self.ended(attempt, None, started, now - started, now, said)
        self.add(attempt._replace(hop=to), now, under_way=True)
        return change

    def slow_down(self, name: str, delay_s: float, last_start: float, now: float) -> None:
        """Keep at least `delay_s` between starts to the host, from `last_start` on."""
        host = self._host(name, now)
        if delay_s > host.delay:
            host.delay = delay_s
            host.next_start = max(host.next_start, max(last_start, host.last_sent) + delay_s)

    def memories(self, now: float) -> dict[str, HostMemory]:
        """What the next run should know of hosts, if this one is killed. From any thread."""
        return remembered([*self._hosts.values()], self._delay, now)

    def recall(self, name: str, memory: HostMemory, now: float) -> None:
        """Go on with the host as another run would have done, whose end nobody saw."""
        recall(self._host(name, now), memory, self._patience_s, self._max_retry_after, now)

    def wake_at(self, now: float) -> float | None:
        """When to ask `may_start` again if nothing else happens; None: only an event helps."""
        if self.may_start(now) or self._ready:
            return max(now, self.next_start)
        return self._sleepers[0][0] if self._sleepers else None

    def take_ended_early(self) -> Iterator[tuple[Attempt, Outcome]]:
        """Targets that end without a request, because of what their host did."""
        while self._ended_early:
            yield self._ended_early.popleft()

    def drain(self) -> Iterator[Attempt]:
        """Take out every target that waits: the run stops."""
        for host in self._hosts.values():
            yield from self._emptied(host)

    def waits(self, now: float) -> list[HostWait]:
        """Hosts that nothing is sent to now, for a time. May be asked from any thread."""
        waiting = [one.wait(now) for one in {one for _, _, one in self._sleepers[:_LOOKED_AT]}]
        found = waiting + [one.wait_given_up(now) for one in list(self._given_up)]
        return together([wait for wait in found if wait is not None])

    def statistics(self) -> Iterator[HostStatistics]:
        """What each host did that is still remembered. From any thread."""
        return (one.statistics for one in list(self._hosts.values()) if one.attempts)

    def _leave(self, attempt: Attempt) -> Host:
        """Take `attempt` out of those in flight; its host."""
        host = self._hosts[attempt.hop or attempt.target.host]
        host.in_flight -= 1
        self.in_flight -= 1
        if host.unsent is attempt.target:  # no connection could be made
            host.unsent = None
        return host

    def _host(self, name: str, now: float) -> Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, self._cap, self._delay)
            if len(self._hosts) > IDLE_HOSTS:
                self._forget_idle(now)
        return host

    def _forget_idle(self, now: float) -> None:
        """Forget the oldest hosts that have nothing to remember, a few at a time."""
        for name in list(islice(self._hosts, 8)):
            host = self._hosts[name]
            if host.is_idle(now):
                del self._hosts[name]
            else:
                self._hosts.move_to_end(name)

    def _place(self, host: Host, now: float) -> None:
        """Put `host` where its next start is: among the ready, the sleepers, or nowhere."""
        if host.level is not None:  # `may_start` looks again when its turn comes
            if host.level != host.in_flight:
                self._ready.put(host)
            return
        due = host.ready_at()
        if due <= now:
            host.due = _NEVER
            self._ready.put(host)
        elif due < host.due:
            host.due = due
            heapq.heappush(self._sleepers, (due, next(self._ticket), host))

    def _be_patient(
        self, host: Host, failure: Failure, asked: float, now: float, *, end: bool = False
    ) -> None:
        """Send nothing to `host` for `asked` seconds; `end`, or too long: end its targets."""
        if end or asked > self._max_retry_after:
            host.deferred_until = max(host.deferred_until, now + asked)
            host.reason = failure
            self._end_all(host, now)
        else:
            host.paused_until = max(host.paused_until, now + asked)

    def _note_failure(
        self, host: Host, attempt: Attempt, failure: Failure, started: float, now: float
    ) -> None:
        asked = failure.retry_after_s
        if failure.pushback:
            if not host.slow_down(attempt, failure, started, now, self._patience_s):
                self._be_patient(host, failure, max(asked or 0.0, _GIVEN_UP_S), now, end=True)
            elif asked is not None:
                self._be_patient(host, failure, asked, now)
        elif failure.http_code is not None and not failure.unreachable:
            host.answered = True
            host.speed_up(started, now, has_gaps=bool(host.delay or self._interval))
        elif failure.closed:
            host.was_closed(attempt, started, now, self._patience_s)
        if not failure.unreachable:
            host.reached(failure)
        elif host.lost(failure, started, now, self._patience_s):
            down, away = host.down(), self._emptied(host, elsewhere=True)
            self._ended_early.extend((one, down) for one in away)
        else:
            if host not in self._given_up:
                self._given_up.append(host)
            self._end_all(host, now)

    def _note_proxy(
        self, host: Host, failure: Failure | None, started: float, now: float
    ) -> HostChange | None:
        """Note what the end of an attempt says of the proxy before `host`."""
        lost = failure is not None and bool(failure.proxy)
        if failure is not None and lost:
            host.via = self._proxies.named(failure.proxy)
        if (proxy := host.via) is None or not (lost or (proxy.is_down and shows_life(failure))):
            return None
        change, charge = proxy.ended(failure if lost else None, started, now)
        host.charge = charge
        for one in [one for one in self._hosts.values() if one.via is proxy]:
            if proxy.given_up:
                self._end_all(one, now)
            self._place(one, now)
        return change

    def _early_end(self, host: Host, now: float) -> Outcome | None:
        """How a target of this host ends without a request, if it does."""
        if host.via is not None and (end := host.via.early_end(now)) is not None:
            return end
        reason = host.reason
        if reason is None:
            return None
        if now < host.deferred_until:
            left = host.deferred_until - now
            message = f"{host.name} asked for patience: {left:.0f} s more than this run gives"
            if host.charge is Charge.LAST:
                message = f"{host.name} lets nothing through: {reason.message}"
            return Deferred(Failure(reason.kind, message, http_code=reason.http_code))
        breaker = host.breaker
        waiting = host.in_flight + len(host.waiting) + len(host.retries)
        if breaker is None or breaker.may_wait(waiting, now):
            return None
        message = f"{host.name} is down: {breaker.failures} connections failed ({reason.message})"
        return Failed(Failure(Kind.HOST_DOWN, message, transient=False))

    def _end_all(self, host: Host, now: float) -> None:
        if (outcome := self._early_end(host, now)) is not None:
            self._ended_early.extend((attempt, outcome) for attempt in self._emptied(host))

    def _emptied(self, host: Host, *, elsewhere: bool = False) -> list[Attempt]:
        left = host.emptied(elsewhere=elsewhere)
        self._waiting -= len(left)
        self._places -= sum(attempt.target.places for attempt in left)
        return left
