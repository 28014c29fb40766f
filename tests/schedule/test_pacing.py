"""Hosts that push back, by a clock that jumps: whole lists against limiters of every kind."""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure, Target
from scraper.model.settings import Politeness, Retries
from scraper.schedule import Again, Frontier, RetryPolicy, patience_of

BUSY = Failure(Kind.HTTP_STATUS, "HTTP 429", http_code=429, pushback=True)
CLOSED = Failure(Kind.CONNECT, "closed before a response", closed=True)
RETRIES = Retries()


# ---------------------------------------------------------------- limiters


class ByRate:
    """nginx's limit_req with nodelay: `rate` a second, and `burst` more at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._excess, self._last = 0.0, -math.inf

    def admits(self, now: float) -> bool:
        excess = max(0.0, self._excess - (now - self._last) * self._rate)
        if excess > self._burst + 1e-9:
            return False
        self._excess, self._last = excess + 1, now
        return True

    def left(self, now: float) -> None:
        """A request has ended."""

    def takes_s(self, targets: int) -> float:
        """The least time for so many."""
        return max(0, targets - 1 - self._burst) / self._rate


class Delaying(ByRate):
    """nginx's limit_req without nodelay: the burst is let through, at the rate."""

    delay_s = 0.0

    def admits(self, now: float) -> bool:
        admitted = super().admits(now)
        self.delay_s = max(0.0, self._excess - 1) / self._rate
        return admitted


class ByWindow:
    """A log of requests: at most `most` in any `window_s`, and what is denied counts too."""

    def __init__(self, most: int, window_s: float) -> None:
        self._most, self._window_s = most, window_s
        self._seen: deque[float] = deque()

    def admits(self, now: float) -> bool:
        while self._seen and self._seen[0] <= now - self._window_s:
            self._seen.popleft()
        self._seen.append(now)
        return len(self._seen) <= self._most

    def left(self, now: float) -> None:
        """A request has ended."""

    def takes_s(self, targets: int) -> float:
        return max(0, targets - self._most) * self._window_s / self._most


class ByPeriods(ByWindow):
    """haproxy's http_req_rate: this period and a share of the last one; what is denied counts too.

    As read_freq_ctr_period of haproxy's freq_ctr.h counts.
    """

    def __init__(self, most: int, window_s: float) -> None:
        super().__init__(most, window_s)
        self._begun, self._now, self._before = 0.0, 0, 0

    def admits(self, now: float) -> bool:
        if now >= self._begun + 2 * self._window_s:
            self._begun, self._now, self._before = now, 0, 0
        elif now >= self._begun + self._window_s:
            self._begun, self._now, self._before = self._begun + self._window_s, 0, self._now
        self._now += 1
        share = (self._begun + self._window_s - now) / self._window_s
        return int(self._before * share + self._now + 1e-9) <= self._most


class FixedWindow(ByWindow):
    """At most `most` from one tick of the clock to the next."""

    _number, _seen_now = -1, 0

    def admits(self, now: float) -> bool:
        number = math.floor(now / self._window_s + 0.3)
        if number != self._number:
            self._number, self._seen_now = number, 0
        self._seen_now += 1
        return self._seen_now <= self._most


class AtOnce:
    """nginx's limit_conn: at most `most` at once, each of which takes `latency_s`."""

    def __init__(self, most: int, latency_s: float) -> None:
        self._most, self._latency_s, self._now = most, latency_s, 0

    def admits(self, now: float) -> bool:
        if self._now >= self._most:
            return False
        self._now += 1
        return True

    def left(self, now: float) -> None:
        self._now -= 1

    def takes_s(self, targets: int) -> float:
        return targets * self._latency_s / self._most


Limiter = ByRate | ByWindow | AtOnce


# ---------------------------------------------------------------- a run, by a clock that jumps


@dataclass
class Simulated:
    """A run over one list at one host. `latency_s`: of an answer; a push-back takes `quick_s`."""

    limiter: Limiter
    targets: int
    latency_s: Callable[[], float]
    slots: int = 16
    quick_s: float = 0.001
    seed: int = 0
    late_s: float = 0.0  # at most, by chance, from a start to its request
    broken: frozenset[int] = frozenset()  # lines that are always pushed back
    failure: Failure = BUSY
    now: float = 0.0
    asked: int = 0
    pushed_back: int = 0
    stored: int = 0
    failed: list[Attempt] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0  # from the first start of a target to its end

    def run(self) -> "Simulated":
        random.seed(self.seed)
        frontier = Frontier(Politeness(self.slots), 120.0, patience_of(RETRIES))
        policy = RetryPolicy(RETRIES)
        url, unread, tickets = "http://a/", self.targets, 0
        events: list[tuple[float, int, str, Attempt, float]] = []
        while True:
            while unread and frontier.room:
                line = self.targets - unread
                unread -= 1
                target = Target(url, url, "a", str(line), line, "list")
                frontier.add(Attempt(target, queued_at=self.now), self.now)
            while frontier.in_flight < self.slots and frontier.may_start(self.now):
                one = frontier.start(self.now)
                tickets += 1
                comes = self.now + self.quick_s / 2 + random.uniform(0, self.late_s)
                heapq.heappush(events, (comes, tickets, "come", one, self.now))
            wake = frontier.wake_at(self.now) if frontier.in_flight < self.slots else None
            if not events and wake is None:
                break
            if events and (wake is None or events[0][0] <= wake):
                at, _, what, one, started = heapq.heappop(events)
                self.now = max(self.now, at)
                tickets += 1
                if what == "come":
                    self.asked += 1
                    if one.target.line in self.broken or not self.limiter.admits(self.now):
                        at, what = self.now + self.quick_s / 2, "no"
                    else:
                        delay_s = getattr(self.limiter, "delay_s", 0.0)
                        at = self.now + delay_s + max(self.quick_s / 2, self.latency_s())
                        what = "yes"
                    heapq.heappush(events, (at, tickets, what, one, started))
                else:
                    self._end(frontier, policy, one, what, started)
            else:
                assert wake is not None
                self.now = max(self.now, wake) + 0.0005
        return self

    def _end(
        self, frontier: Frontier, policy: RetryPolicy, one: Attempt, what: str, started: float
    ) -> None:
        if what == "yes":
            self.limiter.left(self.now)
            self.stored += 1
            self.attempts[one.number] += 1
            first = started if one.first_started is None else one.first_started
            self.longest_s = max(self.longest_s, self.now - first)
            frontier.ended(one, None, started, self.now - started, self.now)
            return
        self.pushed_back += 1
        frontier.ended(one, self.failure, started, self.now - started, self.now)
        charge = frontier.charge(one)
        verdict = policy.decide(self.failure, one, self.now, charge)
        if isinstance(verdict, Again):
            free = one.free + (charge.name == "NOTHING")
            following = one._replace(number=one.number + 1, free=free)
            frontier.add(following, self.now, self.now + verdict.delay_s, under_way=True)
        else:
            self.failed.append(one)


def constant(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def varying(seconds: float) -> Callable[[], float]:
    return lambda: random.expovariate(1 / seconds)


# ---------------------------------------------------------------- what is promised


@pytest.mark.parametrize("latency_s", [0.001, 0.02])
@pytest.mark.parametrize("burst", [0, 5, 20])
@pytest.mark.parametrize("rate", [2, 5, 10, 25, 50])
def test_a_list_completes_against_a_limiter_by_rate_nearly_as_fast_as_it_allows(
    rate: float, burst: int, latency_s: float
) -> None:
    for slots in (1, 4, 16, 64):
        for targets in (200, 500):
            found = Simulated(ByRate(rate, burst), targets, constant(latency_s), slots).run()
            assert (found.stored, found.failed) == (targets, []), (slots, targets)
            least_s = max(found.limiter.takes_s(targets), targets * latency_s / slots)
            assert found.now <= 1.3 * least_s + 0.5, (slots, targets)
            assert found.longest_s < RETRIES.retry_max_time


LIMITERS: dict[str, Callable[[int, int], ByRate | ByWindow]] = {
    "bucket": ByRate,
    "delaying bucket": Delaying,
    "log of 1 s": lambda rate, _: ByWindow(rate, 1.0),
    "log of 10 s": lambda rate, _: ByWindow(10 * rate, 10.0),
    "haproxy, 1 s": lambda rate, _: ByPeriods(rate, 1.0),
    "haproxy, 10 s": lambda rate, _: ByPeriods(10 * rate, 10.0),
    "fixed window": lambda rate, _: FixedWindow(rate, 1.0),
}


@pytest.mark.parametrize(
    ("latencies_s", "slots"),
    [
        ((0.001, 0.1), (1, 16)),
        pytest.param((0.001, 0.02, 0.1, 0.3), (1, 4, 16, 32), marks=pytest.mark.slow),
    ],
    ids=["some", "all"],
)
@pytest.mark.parametrize("rate", [2, 5, 10, 20, 30, 50])
@pytest.mark.parametrize("kind", list(LIMITERS))
def test_a_list_takes_no_more_than_thirteen_tenths_of_the_limiters_own_time(
    kind: str, rate: int, latencies_s: tuple[float, ...], slots: tuple[int, ...]
) -> None:
    """Half a second more is for the start. What a slow refusal says is known late."""
    bursts = (0, 1, 5, 20) if "bucket" in kind else (0,)
    for burst, latency_s, most, is_slow in product(bursts, latencies_s, slots, (False, True)):
        quick_s = latency_s if is_slow else 0.001
        limiter = LIMITERS[kind](rate, burst)
        found = Simulated(limiter, 200, constant(latency_s), most, quick_s).run()
        assert (found.stored, found.failed) == (200, [])
        each_s = quick_s / 2 + max(latency_s, quick_s / 2)
        own_s = max((200 - burst) / rate, 200 * each_s / most) + each_s
        late_s = 12 * quick_s if quick_s > 0.02 else 0.0
        assert found.now <= 1.3 * own_s + 0.5 + late_s, (burst, latency_s, most, quick_s)
        assert found.longest_s < RETRIES.retry_max_time


def test_requests_that_come_with_a_jitter_are_paced_as_well() -> None:
    for limiter in (ByRate(20, 2), ByPeriods(20, 1.0), ByWindow(20, 1.0)):
        found = Simulated(limiter, 200, constant(0.005), late_s=0.02).run()
        assert (found.stored, found.failed) == (200, [])
        assert found.now <= 1.3 * 10.0 + 0.5, limiter


def test_what_got_through_before_two_incidents_in_a_row_is_not_forgotten() -> None:
    """Else the one page between them is taken for the rate, which is tried for long."""
    for slots in (16, 32):
        found = Simulated(ByWindow(20, 10.0), 200, constant(0.02), slots, quick_s=0.02).run()
        assert (found.stored, found.failed) == (200, [])
        assert found.now <= 1.3 * 100.0 + 0.5, slots


def test_every_second_request_is_refused_until_the_gap_is_long_enough() -> None:
    """So it is with one slot and no burst. A longer gap seems to be of no use for some time."""
    for limiter in (ByRate(13, 0), Delaying(13, 0)):
        found = Simulated(limiter, 200, constant(0.05), 1, late_s=0.003).run()
        assert (found.stored, found.failed) == (200, [])
        assert found.now <= 1.3 * 200 / 13 + 0.5


def test_a_host_that_names_a_time_with_each_refusal_gets_a_gap_as_well() -> None:
    """Without a gap all that wait are sent when the time is over, and refused again but for few."""
    later = BUSY._replace(retry_after_s=1.0)
    for kind, burst, slots in product(["bucket", "haproxy, 1 s"], (0, 5), (1, 16)):
        limiter = LIMITERS[kind](20, burst)
        found = Simulated(limiter, 200, constant(0.02), slots, failure=later).run()
        assert (found.stored, found.failed) == (200, [])
        assert found.pushed_back <= 60, (kind, burst, slots)
        assert found.now <= 45.0, (kind, burst, slots)


@pytest.mark.parametrize("rate", [2, 10, 50])
def test_a_short_list_completes_too(rate: float) -> None:
    for targets in (3, 10, 40):
        for slots in (1, 16, 64):
            found = Simulated(ByRate(rate, 0), targets, constant(0.005), slots).run()
            assert (found.stored, found.failed) == (targets, [])
            assert found.now <= 1.3 * found.limiter.takes_s(targets) + 3.0, (slots, targets)


def test_few_requests_are_pushed_back_once_the_pace_is_found() -> None:
    found = Simulated(ByRate(20, 5), 2000, constant(0.005)).run()
    assert found.pushed_back <= 0.2 * 2000


@pytest.mark.parametrize("most", [1, 2, 4, 10])
@pytest.mark.parametrize("latency", [constant(0.1), varying(0.1)])
def test_a_list_completes_against_a_limiter_of_connections(
    most: int, latency: Callable[[], float]
) -> None:
    for slots in (4, 16, 64):
        found = Simulated(AtOnce(most, 0.1), 400, latency, slots).run()
        assert (found.stored, found.failed) == (400, []), slots
        least_s = max(found.limiter.takes_s(400), 400 * 0.1 / slots)
        assert found.now <= 1.3 * least_s + 3.0, slots


@pytest.mark.parametrize("most", [1, 2, 4, 10])
@pytest.mark.parametrize("latency_s", [0.002, 0.1, 1.0])
def test_a_list_completes_at_a_host_that_closes_connections_that_are_too_many(
    most: int, latency_s: float
) -> None:
    for slots in (4, 16, 64):
        limiter = AtOnce(most, latency_s)
        found = Simulated(limiter, 400, varying(latency_s), slots, failure=CLOSED).run()
        assert (found.stored, found.failed) == (400, []), slots
        assert found.asked <= 1.4 * 400 + 4 * slots, slots
        assert found.now <= 1.3 * max(limiter.takes_s(400), 400 * latency_s / slots) + 6.0, slots


@pytest.mark.parametrize(("broken", "slots"), [(1, 16), (5, 64), (20, 1), (400, 1), (400, 64)])
def test_pages_whose_connection_is_always_closed_cost_their_attempts_and_no_more(
    broken: int, slots: int
) -> None:
    lines = frozenset(random.Random(1).sample(range(400), broken))
    unlimited = AtOnce(slots, 0.05)
    found = Simulated(
        unlimited, 400, varying(0.05), slots, quick_s=0.01, broken=lines, failure=CLOSED
    ).run()
    assert {one.target.line for one in found.failed} == lines
    assert {one.number for one in found.failed} == {4}
    assert found.asked == 400 + 3 * broken


def test_many_pages_whose_connection_is_always_closed_end_too() -> None:
    lines = frozenset(range(0, 400, 2))
    found = Simulated(AtOnce(64, 0.05), 400, varying(0.05), 64, broken=lines, failure=CLOSED).run()
    assert {one.target.line for one in found.failed} == lines
    assert max(one.number for one in found.failed) <= 12


@pytest.mark.parametrize(("most", "window_s"), [(5, 1), (10, 3), (20, 10), (60, 10)])
def test_a_list_completes_against_a_window_that_counts_what_it_denies(
    most: int, window_s: float
) -> None:
    for slots in (1, 16):
        found = Simulated(ByWindow(most, window_s), 300, constant(0.005), slots).run()
        assert (found.stored, found.failed) == (300, []), slots
        assert found.now <= 2.0 * found.limiter.takes_s(300) + 3 * window_s + 30.0, slots


def test_answers_that_take_long_cost_more_but_nothing_is_lost() -> None:
    for rate in (2, 10, 50):
        found = Simulated(ByRate(rate, 5), 200, varying(0.3), 16, quick_s=0.2).run()
        assert (found.stored, found.failed) == (200, [])
        assert found.now <= 1.5 * max(found.limiter.takes_s(200), 200 * 0.4 / 16) + 5.0


@pytest.mark.parametrize(("share", "most_s"), [(0.01, 30.0), (0.05, 60.0), (0.2, 90.0)])
def test_pages_that_are_always_pushed_back_do_not_stop_their_host(
    share: float, most_s: float
) -> None:
    broken = frozenset(random.Random(1).sample(range(300), int(share * 300)))
    found = Simulated(ByRate(1e9, 10**9), 300, constant(0.005), broken=broken).run()
    assert {one.target.line for one in found.failed} == broken
    assert found.stored == 300 - len(broken)
    assert found.now <= most_s


def test_a_limit_that_is_lifted_is_found_out() -> None:
    class Lifted(ByRate):
        def admits(self, now: float) -> bool:
            if now > 30.0:
                self._rate, self._burst = 1e6, 10**6
            return super().admits(now)

    found = Simulated(Lifted(5, 0), 2000, constant(0.005)).run()
    assert (found.stored, found.failed) == (2000, [])
    assert found.now <= 75.0, "400 s at five a second"
