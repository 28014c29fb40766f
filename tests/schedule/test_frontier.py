"""Who may start now: turns, caps, pauses, hosts that are down. The clock is a number."""

import copy
import heapq
import math
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Deferred, Failed, Failure, Outcome, Target, places_of
from scraper.model.settings import Politeness
from scraper.schedule.announced import Announced
from scraper.schedule.circuit_breaker import FAILURES_UNTIL_OPEN, PROBE_EVERY_S
from scraper.schedule.frontier import IDLE_HOSTS, WINDOW, Frontier
from scraper.schedule.hosts import Charge

REFUSED = Failure(Kind.CONNECT, "connection refused", unreachable=True)
NO_ROUTE = Failure(Kind.CONNECT, "network is unreachable", unreachable=True)
NO_RESOLVER = Failure(Kind.DNS, "look-up failed for now", transient=True, unreachable=True)
SILENT = Failure(Kind.TIMEOUT, "no connection within the time", unreachable=True)
TORN = Failure(Kind.TRUNCATED, "body ended early")


def http(code: int, retry_after_s: float | None = None) -> Failure:
    failure = Failure(Kind.HTTP_STATUS, f"HTTP {code}", http_code=code, pushback=code in {429, 503})
    return failure._replace(retry_after_s=retry_after_s)


def attempt(host: str, number: int = 0) -> Attempt:
    url = f"http://{host}/{number}"
    return Attempt(Target(url, url, host, f"{host}/{number}", number + 1, "list"), queued_at=0.0)


def make(  # noqa: PLR0917 - as options, by name
    max_concurrency: int = 16,
    per_host: int = 0,
    delay: float = 0.0,
    rate: float | None = None,
    max_retry_after: float = 120.0,
    patience_s: float = 0.0,
) -> Frontier:
    politeness = Politeness(max_concurrency, per_host, delay, rate)
    return Frontier(politeness, max_retry_after, patience_s)


def fill(frontier: Frontier, host: str, targets: int, now: float = 0.0) -> None:
    for number in range(targets):
        frontier.add(attempt(host, number), now)


def start_some(frontier: Frontier, now: float, most: int = 10**9) -> list[Attempt]:
    """What starts now, as long as there are slots. Its requests are sent at once."""
    started: list[Attempt] = []
    while len(started) < most and frontier.may_start(now):
        started.append(frontier.start(now))
        frontier.sent(started[-1].target, now)
    return started


def end(
    frontier: Frontier,
    one: Attempt,
    now: float,
    failure: Failure | None = None,
    started: float | None = None,
) -> None:
    frontier.ended(one, failure, now if started is None else started, 0.5, now)


def hosts(attempts: list[Attempt]) -> list[str]:
    return [one.target.host for one in attempts]


def ended_early(frontier: Frontier) -> list[Outcome]:
    return [outcome for _, outcome in frontier.take_ended_early()]


def take_down(frontier: Frontier, host: str, now: float = 0.0) -> None:
    fill(frontier, host, FAILURES_UNTIL_OPEN, now)
    for one in start_some(frontier, now):
        end(frontier, one, now, REFUSED)
    list(frontier.take_ended_early())


# ---------------------------------------------------------------- turns


def test_targets_of_one_host_start_in_the_order_of_the_list() -> None:
    frontier = make(max_concurrency=50)
    fill(frontier, "a", 50)
    assert [one.target.line for one in start_some(frontier, 0.0)] == list(range(1, 51))


def test_one_hosts_long_run_of_lines_does_not_starve_the_others() -> None:
    frontier = make(max_concurrency=8)
    fill(frontier, "a", 5000)
    fill(frontier, "b", 5)
    fill(frontier, "c", 5)
    assert hosts(start_some(frontier, 0.0, most=8)) == ["a", "b", "c", "a", "b", "c", "a", "b"]


def test_hosts_take_turns_one_target_each_as_slots_come_free() -> None:
    frontier = make(max_concurrency=2)
    for host in "abc":
        fill(frontier, host, 20)
    running = start_some(frontier, 0.0, most=2)
    order = hosts(running)
    for step in range(1, 40):
        end(frontier, running.pop(0), float(step))
        running += start_some(frontier, float(step), most=1)
        order.append(running[-1].target.host)
    for place in range(len(order) - 3):
        assert len(set(order[place : place + 3])) == 3


def test_a_slow_host_holds_its_share_of_the_slots_while_others_have_work() -> None:
    frontier = make(max_concurrency=8)
    fast = [f"fast{number}" for number in range(9)]
    for host in ["slow", *fast]:
        fill(frontier, host, 200)
    running = start_some(frontier, 0.0, most=8)
    held = []
    for step in range(400):  # the slow one's never end
        one = next(one for one in running if one.target.host != "slow")
        running.remove(one)
        end(frontier, one, float(step))
        running += start_some(frontier, float(step), most=1)
        held.append(hosts(running).count("slow"))
    assert max(held) == 1


def test_a_slow_host_may_have_every_slot_when_nobody_else_has_work() -> None:
    frontier = make(max_concurrency=8)
    fill(frontier, "slow", 100)
    fill(frontier, "fast", 1)
    assert sorted(hosts(start_some(frontier, 0.0, most=8))) == ["fast"] + ["slow"] * 7


def test_a_retry_that_is_due_goes_before_targets_that_never_started() -> None:
    frontier = make(max_concurrency=1, per_host=1)
    fill(frontier, "a", 3)
    first = start_some(frontier, 0.0, most=1)[0]
    end(frontier, first, 1.0, TORN)
    frontier.add(first._replace(number=2), 1.0, due=5.0)
    second = start_some(frontier, 2.0, most=1)[0]
    assert second.target.line == 2
    end(frontier, second, 6.0)
    assert start_some(frontier, 6.0, most=1)[0].target.line == 1


def test_a_target_knows_when_it_first_started() -> None:
    frontier = make()
    frontier.add(attempt("a"), 0.0)
    first = start_some(frontier, 3.0)[0]
    assert first.first_started == 3.0
    end(frontier, first, 4.0, TORN)
    frontier.add(first._replace(number=2), 4.0, due=9.0)
    assert start_some(frontier, 9.0)[0].first_started == 3.0


# ---------------------------------------------------------------- caps, delay, rate


def test_no_host_has_more_in_flight_than_its_cap() -> None:
    frontier = make(max_concurrency=16, per_host=3)
    fill(frontier, "a", 10)
    fill(frontier, "b", 10)
    started = start_some(frontier, 0.0)
    assert Counter(hosts(started)) == {"a": 3, "b": 3}
    end(frontier, started[0], 1.0)
    assert hosts(start_some(frontier, 1.0)) == ["a"]


def test_the_cap_of_a_host_is_no_reason_to_wake_up() -> None:
    frontier = make(per_host=1)
    fill(frontier, "a", 3)
    start_some(frontier, 0.0)
    assert frontier.wake_at(0.0) is None


def test_starts_to_one_host_keep_the_delay_and_other_hosts_do_not_wait() -> None:
    frontier = make(delay=2.0)
    fill(frontier, "a", 3)
    fill(frontier, "b", 1)
    assert hosts(start_some(frontier, 0.0)) == ["a", "b"]
    assert frontier.wake_at(0.0) == 2.0
    assert start_some(frontier, 1.999) == []
    assert hosts(start_some(frontier, 2.0)) == ["a"]
    assert start_some(frontier, 3.0) == []
    assert hosts(start_some(frontier, 4.5)) == ["a"]


def test_the_delay_counts_from_the_request_not_from_the_start() -> None:
    frontier = make(delay=2.0)
    fill(frontier, "a", 3)
    one = frontier.start(0.0)
    for now in (2.0, 4.0, 100.0):  # its handshake takes long
        assert not frontier.may_start(now)
        assert frontier.wake_at(now) is None
    frontier.sent(one.target, 100.0)
    assert frontier.wake_at(100.0) == 102.0
    assert not frontier.may_start(101.9)
    assert frontier.may_start(102.0)


def test_a_start_without_a_request_makes_nobody_wait_longer_than_the_delay() -> None:
    frontier = make(delay=2.0)
    fill(frontier, "a", 3)
    end(frontier, frontier.start(0.0), 10.0, REFUSED)
    assert frontier.may_start(10.0)
    end(frontier, frontier.start(10.0), 10.5, REFUSED)
    assert not frontier.may_start(11.9)
    assert frontier.may_start(12.0)


def test_a_second_request_of_one_target_comes_next_and_keeps_the_delay() -> None:
    frontier = make(delay=2.0)
    fill(frontier, "a", 3)
    one = start_some(frontier, 0.0)[0]
    frontier.put_back(one, 0.5)
    assert (len(frontier), frontier.in_flight) == (3, 0)
    assert not frontier.may_start(1.9)
    assert frontier.may_start(2.0)
    assert frontier.start(2.0).target is one.target
    assert frontier.in_flight == 1


def test_a_target_that_is_put_back_to_a_host_that_is_down_ends_early() -> None:
    frontier = make(delay=2.0)
    fill(frontier, "a", 2)
    one = start_some(frontier, 0.0)[0]
    other = start_some(frontier, 2.0)[0]
    end(frontier, other, 2.5, http(429, 500.0))
    frontier.put_back(one, 3.0)
    assert [type(outcome) for outcome in ended_early(frontier)] == [Deferred]
    assert (len(frontier), frontier.in_flight) == (0, 0)


@pytest.mark.parametrize(("late_s", "due"), [(0.01, 0.25), (3.0, 3.25)])
def test_with_a_rate_the_next_request_to_a_host_waits_for_one_that_is_late(
    late_s: float, due: float
) -> None:
    frontier = make(rate=4)
    fill(frontier, "a", 3)
    fill(frontier, "b", 3)
    one = frontier.start(0.0)
    assert hosts(start_some(frontier, 0.25, most=1)) == ["b"], "others do not wait for it"
    frontier = make(rate=4)
    fill(frontier, "a", 3)
    one = frontier.start(0.0)
    frontier.sent(one.target, late_s)
    assert not frontier.may_start(due - 0.001)
    assert frontier.may_start(due)


def test_the_delay_of_a_robots_txt_counts_from_its_request() -> None:
    frontier = make()
    fill(frontier, "a", 3)
    one = frontier.start(0.0)
    frontier.sent(one.target, 5.0)
    end(frontier, one, 5.5)
    frontier.slow_down("a", 2.0, 0.0, 5.5)
    assert not frontier.may_start(6.9)
    assert frontier.may_start(7.0)


def test_a_retry_keeps_the_delay_as_well() -> None:
    frontier = make(delay=2.0)
    frontier.add(attempt("a"), 0.0)
    one = start_some(frontier, 0.0)[0]
    end(frontier, one, 0.5, TORN)
    frontier.add(one._replace(number=2), 0.5, due=1.0)
    assert start_some(frontier, 1.5) == []
    assert len(start_some(frontier, 2.0)) == 1


def test_the_rate_holds_from_the_first_start_on_over_all_hosts() -> None:
    frontier = make(rate=4)
    for host in "abcdefghij":
        fill(frontier, host, 1)
    starts = [step / 100 for step in range(250) if start_some(frontier, step / 100, most=1)]
    assert starts == [0.25 * number for number in range(10)]


def test_the_rate_holds_after_a_time_without_work() -> None:
    frontier = make(rate=1)
    fill(frontier, "a", 1)
    assert len(start_some(frontier, 0.0)) == 1
    fill(frontier, "a", 5)
    assert len(start_some(frontier, 100.9)) == 1
    assert start_some(frontier, 101.8) == []
    assert len(start_some(frontier, 101.9)) == 1


def test_waking_up_late_costs_no_rate() -> None:
    frontier = make(max_concurrency=1000, rate=10)
    fill(frontier, "a", 1000)
    now, started = 0.0, 0
    while now < 50:
        started += len(start_some(frontier, now))
        wake = frontier.wake_at(now)
        assert wake is not None
        now = wake + 0.01  # late each time, by a tenth of the interval
    assert 495 <= started <= 501


@given(rate=st.floats(0.5, 200), steps=st.lists(st.floats(0, 0.7), min_size=5, max_size=80))
def test_no_second_has_more_starts_than_the_rate(rate: float, steps: list[float]) -> None:
    frontier = make(max_concurrency=10**6, rate=rate)
    fill(frontier, "a", 1000)
    now, starts = 0.0, list[float]()
    for step in steps:
        now += step
        starts += [now] * len(start_some(frontier, now))
    for begin in starts:
        within = sum(begin <= start < begin + 0.94 for start in starts)
        assert within <= math.ceil(rate)


# ---------------------------------------------------------------- retries and pauses


def test_a_retry_waits_for_its_time_and_wakes_the_loop_then() -> None:
    frontier = make()
    frontier.add(attempt("a"), 10.0, due=17.0)
    assert len(frontier) == 1
    assert not frontier.may_start(10.0)
    assert frontier.wake_at(10.0) == 17.0
    assert frontier.may_start(17.0)


def test_a_target_that_waits_for_its_retry_lets_others_of_its_host_start() -> None:
    frontier = make(max_concurrency=4)
    fill(frontier, "a", 5)
    one = start_some(frontier, 0.0, most=1)[0]
    end(frontier, one, 0.0, TORN)
    frontier.add(one._replace(number=2), 0.0, due=60.0)
    assert [other.target.line for other in start_some(frontier, 0.0, most=4)] == [2, 3, 4, 5]


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_pauses_that_host_alone(code: int) -> None:
    frontier = make(max_concurrency=4)
    fill(frontier, "a", 5)
    fill(frontier, "b", 5)
    one = start_some(frontier, 0.0, most=1)[0]
    assert one.target.host == "a"
    end(frontier, one, 1.0, http(code, 30.0))
    assert set(hosts(start_some(frontier, 1.0))) == {"b"}
    assert start_some(frontier, 30.9) == []
    assert frontier.wake_at(30.9) == 31.0
    assert set(hosts(start_some(frontier, 31.0))) == {"a"}


@pytest.mark.parametrize("code", [500, 502, 404, 410, 403])
@pytest.mark.parametrize("retry_after_s", [30.0, 3600.0])
def test_retry_after_with_another_status_keeps_no_other_target_waiting(
    code: int, retry_after_s: float
) -> None:
    frontier = make(max_concurrency=4)
    fill(frontier, "a", 5)
    one = start_some(frontier, 0.0, most=1)[0]
    end(frontier, one, 1.0, http(code, retry_after_s))
    assert ended_early(frontier) == []
    assert len(start_some(frontier, 1.0, most=4)) == 4


def test_a_shorter_retry_after_does_not_end_a_longer_pause() -> None:
    frontier = make()
    fill(frontier, "a", 3)
    first, second, third = start_some(frontier, 0.0)
    fill(frontier, "a", 1)
    end(frontier, third, 1.0)
    end(frontier, first, 1.0, http(503, 60.0))
    end(frontier, second, 2.0, http(503, 1.0))
    assert not frontier.may_start(60.9)
    assert frontier.may_start(61.0)


def test_a_target_that_comes_while_its_host_is_paused_waits() -> None:
    frontier = make()
    fill(frontier, "a", 1)
    end(frontier, start_some(frontier, 0.0)[0], 0.0, http(503, 10.0))
    fill(frontier, "a", 1, now=5.0)
    assert not frontier.may_start(5.0)
    assert frontier.wake_at(5.0) == 10.0


def test_a_longer_wait_than_is_granted_defers_the_whole_host_at_once() -> None:
    frontier = make(max_retry_after=120.0)
    fill(frontier, "a", 5)
    fill(frontier, "b", 1)
    one = start_some(frontier, 0.0, most=1)[0]
    end(frontier, one, 0.0, http(429, 3600.0))
    outcomes = ended_early(frontier)
    assert len(outcomes) == 4
    assert all(isinstance(outcome, Deferred) for outcome in outcomes)
    assert {outcome.failure.http_code for outcome in outcomes if isinstance(outcome, Deferred)} == {
        429
    }
    fill(frontier, "a", 1, now=10.0)
    assert [type(outcome) for outcome in ended_early(frontier)] == [Deferred]
    assert hosts(start_some(frontier, 10.0)) == ["b"]


def test_a_deferred_host_is_asked_again_when_its_time_has_come() -> None:
    frontier = make(max_retry_after=120.0)
    fill(frontier, "a", 1)
    end(frontier, start_some(frontier, 0.0)[0], 0.0, http(503, 200.0))
    fill(frontier, "a", 1, now=201.0)
    assert ended_early(frontier) == []
    assert len(start_some(frontier, 201.0)) == 1


# ---------------------------------------------------------------- being asked to slow down


def in_flight_after(frontier: Frontier, now: float) -> int:
    start_some(frontier, now)
    return frontier.in_flight


@pytest.mark.parametrize("code", [500, 502, 404])
def test_other_failures_do_not_slow_a_host_down(code: int) -> None:
    frontier = make(max_concurrency=16)
    fill(frontier, "a", 100)
    one = start_some(frontier, 0.0, most=16)[0]
    end(frontier, one, 1.0, http(code), started=0.0)
    assert in_flight_after(frontier, 1.0) == 16


def answered(frontier: Frontier, host: str, now: float = 0.0) -> None:
    """Let `host` answer once."""
    frontier.add(attempt(host, 10**6), now)
    end(frontier, start_some(frontier, now, most=1)[0], now)


@pytest.mark.parametrize("code", [429, 503])
def test_a_host_that_pushes_back_gets_a_gap_that_grows_until_something_gets_through(
    code: int,
) -> None:
    frontier = make(max_concurrency=16, patience_s=300.0)
    answered(frontier, "a")
    fill(frontier, "a", 100)
    now, gaps = 0.0, []
    for _ in range(8):
        one = start_some(frontier, now, most=1)[0]
        end(frontier, one, now, http(code))
        assert frontier.charge(one) is Charge.NOTHING
        begun = now
        while not frontier.may_start(now):
            wake = frontier.wake_at(now)
            assert wake is not None
            now = wake
        gaps.append(now - begun)
    assert gaps == pytest.approx([0.01, 0.03, *(0.09 * 2**step for step in range(6))])


def test_a_host_that_never_answered_anything_else_costs_attempts() -> None:
    frontier = make(max_concurrency=1, patience_s=300.0)
    fill(frontier, "a", 5)
    one = start_some(frontier, 0.0, most=1)[0]
    end(frontier, one, 0.0, http(503))
    assert frontier.charge(one) is Charge.ATTEMPT


def test_what_was_sent_before_the_gap_became_longer_makes_it_no_longer() -> None:
    frontier = make(max_concurrency=16, patience_s=300.0)
    answered(frontier, "a")
    fill(frontier, "a", 100)
    for one in start_some(frontier, 0.0, most=16):
        end(frontier, one, 0.8, http(429), started=0.0)
        assert frontier.charge(one) is Charge.NOTHING
    assert len(start_some(frontier, 0.8)) == 1
    assert frontier.wake_at(0.8) == pytest.approx(0.9), "an eighth of the time of an answer"


def test_a_page_that_is_always_pushed_back_pays_for_itself_while_others_get_through() -> None:
    frontier = make(max_concurrency=1, patience_s=300.0)
    answered(frontier, "a")
    now, bad, charges = 0.0, attempt("a", 7), []
    for _ in range(10):
        now += 10
        frontier.add(bad, now, now, under_way=True)
        fill(frontier, "a", 1, now)
        for _ in range(2):
            now += 10
            one = start_some(frontier, now, most=1)[0]
            is_bad = one.target is bad.target
            end(frontier, one, now, http(503) if is_bad else None)
            charges += [frontier.charge(one)] * is_bad
        free = charges[-1] is Charge.NOTHING
        bad = bad._replace(number=bad.number + 1, free=bad.free + free)
    assert charges == [Charge.NOTHING] * 8 + [Charge.ATTEMPT] * 2


def test_only_the_host_that_pushed_back_is_spared() -> None:
    frontier = make(max_concurrency=16, patience_s=300.0)
    answered(frontier, "a")
    fill(frontier, "a", 50)
    fill(frontier, "b", 50)
    for one in start_some(frontier, 0.0, most=16):
        failure = http(429) if one.target.host == "a" else None
        end(frontier, one, 1.0, failure, started=0.0)
    assert Counter(hosts(start_some(frontier, 3.0))) == {"a": 1, "b": 16}


def test_a_spared_host_recovers_step_by_step_up_to_its_cap() -> None:
    frontier = make(max_concurrency=16, per_host=8, patience_s=300.0)
    answered(frontier, "a")
    fill(frontier, "a", 10_000)
    for one in start_some(frontier, 0.0):
        end(frontier, one, 0.5, http(429), started=0.0)
    now, between, most = 1.0, [], 0
    running: deque[tuple[float, Attempt]] = deque()
    last = now
    while most < 8:
        while running and running[0][0] + 0.05 <= now:
            started, one = running.popleft()
            end(frontier, one, now, started=started)
        for one in start_some(frontier, now):
            running.append((now, one))
            between.append(now - last)
            last = now
        most = max(most, len(running))
        now += 0.001
        assert now < 60.0, "it never recovers"
    assert between[1] >= 0.05
    assert between[-1] <= 0.01


def test_a_host_that_lets_nothing_through_is_given_up_when_the_time_is_over() -> None:
    frontier = make(max_concurrency=1, patience_s=300.0)
    answered(frontier, "a")
    fill(frontier, "a", 5)
    end(frontier, start_some(frontier, 0.0, most=1)[0], 0.0, http(503))
    assert ended_early(frontier) == []
    one = start_some(frontier, 300.0, most=1)[0]
    end(frontier, one, 300.0, http(503))
    assert frontier.charge(one) is Charge.LAST
    outcomes = ended_early(frontier)
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert isinstance(outcome, Deferred)
        assert outcome.failure.message == "a lets nothing through: HTTP 503"


# ---------------------------------------------------------------- limits that are announced


def announce(frontier: Frontier, one: Attempt, now: float, remaining: int, reset_s: float) -> None:
    frontier.ended(one, None, now, 0.1, now, Announced(remaining, reset_s))


def test_no_more_is_started_than_a_host_says_is_left() -> None:
    frontier = make(max_concurrency=16)
    fill(frontier, "a", 100)
    announce(frontier, start_some(frontier, 0.0, most=1)[0], 0.0, 5, 60.0)
    assert len(start_some(frontier, 0.0)) == 5
    assert frontier.wake_at(0.0) == 60.0
    assert not frontier.may_start(59.9)
    assert len(start_some(frontier, 60.0, most=11)) == 11


def test_what_is_in_flight_counts_among_what_is_left() -> None:
    frontier = make(max_concurrency=16)
    fill(frontier, "a", 100)
    running = start_some(frontier, 0.0, most=4)
    announce(frontier, running[0], 0.0, 5, 60.0)
    assert len(start_some(frontier, 0.0)) == 2


def test_a_host_with_nothing_left_for_too_long_is_deferred_before_it_is_asked() -> None:
    frontier = make(max_concurrency=1)
    fill(frontier, "a", 5)
    announce(frontier, start_some(frontier, 0.0, most=1)[0], 0.0, 0, 3600.0)
    outcomes = ended_early(frontier)
    assert [type(outcome) for outcome in outcomes] == [Deferred] * 4


# ---------------------------------------------------------------- hosts that are down


def test_ten_failed_connections_in_a_row_end_the_rest_of_the_host() -> None:
    frontier = make(max_concurrency=1)
    fill(frontier, "a", 50)
    fill(frontier, "b", 1)
    tried = 0
    while frontier.may_start(0.0):
        one = frontier.start(0.0)
        tried += one.target.host == "a"
        end(frontier, one, 0.0, REFUSED if one.target.host == "a" else None)
    assert tried == FAILURES_UNTIL_OPEN
    outcomes = ended_early(frontier)
    assert len(outcomes) == 40
    for outcome in outcomes:
        assert isinstance(outcome, Failed)
        assert outcome.failure.kind is Kind.HOST_DOWN
        assert "connection refused" in outcome.failure.message
    assert len(frontier) == 0


def test_nine_failures_in_a_row_do_not_make_a_host_down() -> None:
    frontier = make(max_concurrency=1)
    fill(frontier, "a", 50)
    for number in range(40):
        one = start_some(frontier, 0.0, most=1)[0]
        end(frontier, one, 0.0, None if number % 10 == 9 else REFUSED)
    assert ended_early(frontier) == []


@pytest.mark.parametrize("answer", [http(404), http(503)])
def test_an_answer_of_any_kind_breaks_the_row(answer: Failure) -> None:
    frontier = make(max_concurrency=1)
    fill(frontier, "a", 50)
    for number in range(40):
        one = start_some(frontier, 0.0, most=1)[0]
        end(frontier, one, 0.0, answer if number % 10 == 9 else REFUSED)
    assert ended_early(frontier) == []


def test_a_host_is_not_down_while_something_is_in_flight_and_nothing_more_starts() -> None:
    frontier = make(max_concurrency=16)
    fill(frontier, "a", 100)
    running = start_some(frontier, 0.0, most=16)
    for step, one in enumerate(running[:10], 1):
        end(frontier, one, float(step), REFUSED)
        if step < 10:
            running += start_some(frontier, float(step), most=1)
    assert ended_early(frontier) == []
    assert not frontier.may_start(10.0)
    left = running[10:]
    for one in left[:-1]:
        end(frontier, one, 11.0, REFUSED)
        assert not frontier.may_start(11.0)
    end(frontier, left[-1], 12.0, REFUSED)
    assert len(ended_early(frontier)) == 100 - len(running)


def test_one_that_gets_through_saves_its_host() -> None:
    frontier = make(max_concurrency=16)
    fill(frontier, "a", 100)
    running = start_some(frontier, 0.0, most=16)
    for one in running[:15]:
        end(frontier, one, 1.0, REFUSED)
    end(frontier, running[15], 2.0)
    assert ended_early(frontier) == []
    assert len(start_some(frontier, 2.0, most=16)) == 16


def test_a_target_that_comes_to_a_host_that_is_down_ends_at_once() -> None:
    frontier = make()
    take_down(frontier, "a")
    fill(frontier, "a", 3, now=1.0)
    kinds = [
        outcome.failure.kind for outcome in ended_early(frontier) if isinstance(outcome, Failed)
    ]
    assert kinds == [Kind.HOST_DOWN] * 3
    assert not frontier.may_start(1.0)


def test_now_and_then_one_probe_is_let_through() -> None:
    frontier = make()
    take_down(frontier, "a")
    fill(frontier, "a", 3, now=PROBE_EVERY_S)
    assert len(ended_early(frontier)) == 2
    probes = start_some(frontier, PROBE_EVERY_S)
    assert len(probes) == 1
    fill(frontier, "a", 2, now=PROBE_EVERY_S + 1)
    assert len(ended_early(frontier)) == 2  # one probe at a time
    end(frontier, probes[0], PROBE_EVERY_S + 2, REFUSED)
    fill(frontier, "a", 1, now=2 * PROBE_EVERY_S + 1)
    assert len(ended_early(frontier)) == 1  # the time counts from the last probe's end
    fill(frontier, "a", 1, now=2 * PROBE_EVERY_S + 2)
    assert len(start_some(frontier, 2 * PROBE_EVERY_S + 2)) == 1


def test_a_probe_that_gets_an_answer_brings_its_host_back() -> None:
    frontier = make()
    take_down(frontier, "a")
    fill(frontier, "a", 1, now=PROBE_EVERY_S)
    probe = start_some(frontier, PROBE_EVERY_S)[0]
    end(frontier, probe, PROBE_EVERY_S + 1, http(500))
    fill(frontier, "a", 20, now=PROBE_EVERY_S + 2)
    assert ended_early(frontier) == []
    assert len(start_some(frontier, PROBE_EVERY_S + 2, most=16)) == 16


def test_the_other_hosts_of_a_run_are_not_down() -> None:
    frontier = make()
    take_down(frontier, "a")
    fill(frontier, "b", 2, now=1.0)
    assert ended_early(frontier) == []
    assert len(start_some(frontier, 1.0)) == 2


@pytest.mark.parametrize("failure", [REFUSED, NO_ROUTE, NO_RESOLVER], ids=str)
def test_a_host_that_refuses_costs_its_targets_no_attempt_and_all_of_them_wait(
    failure: Failure,
) -> None:
    frontier = make(max_concurrency=16, patience_s=300.0)
    fill(frontier, "a", 100)
    for one in start_some(frontier, 0.0, most=16):
        end(frontier, one, 0.0, failure, started=-0.1)
        assert frontier.charge(one) is Charge.NOTHING
        frontier.add(one, 0.0, 0.0, under_way=True)
    assert ended_early(frontier) == []
    assert (len(frontier), frontier.in_flight) == (100, 0)
    now = 0.0
    while True:
        wake = frontier.wake_at(now)
        assert wake is not None
        assert wake > now, "the loop would spin"
        now = wake
        (probe,) = start_some(frontier, now)
        assert probe.target.line <= 16, "those under way come first"
        end(frontier, probe, now, failure)
        if frontier.charge(probe) is Charge.LAST:
            break
        frontier.add(probe, now, now, under_way=True)
    assert 300.0 <= now <= 330.0
    assert len(ended_early(frontier)) == 99


def test_one_connection_brings_a_host_back_that_refused() -> None:
    frontier = make(max_concurrency=16, patience_s=300.0)
    fill(frontier, "a", 100)
    one = start_some(frontier, 0.0, most=1)[0]
    end(frontier, one, 0.0, REFUSED)
    assert start_some(frontier, 0.05) == []
    (probe,) = start_some(frontier, 0.2)
    end(frontier, probe, 0.3)
    assert len(start_some(frontier, 0.3, most=16)) == 16


def test_time_outs_cost_their_targets_an_attempt_and_the_others_nothing() -> None:
    frontier = make(max_concurrency=4, patience_s=300.0)
    fill(frontier, "a", 100)
    now, tried, charged = 0.0, 0, Counter[Charge]()
    while ended_early(frontier) == []:
        for one in start_some(frontier, now, most=4):
            tried += 1
            end(frontier, one, now + 10.0, SILENT, started=now)
            charged[frontier.charge(one)] += 1
        now = frontier.wake_at(now + 10.0) or now + 10.0
    assert 100.0 <= now < 200.0
    assert charged == {Charge.ATTEMPT: 4 + FAILURES_UNTIL_OPEN - 2, Charge.LAST: 1}
    assert tried == 4 + FAILURES_UNTIL_OPEN - 1


def test_a_host_that_waits_for_its_next_try_is_seen() -> None:
    frontier = make(patience_s=300.0)
    fill(frontier, "a", 3)
    end(frontier, start_some(frontier, 0.0, most=1)[0], 0.0, REFUSED)
    assert not frontier.may_start(0.05)
    (seen,) = frontier.waits(0.05)
    assert (seen.host, seen.targets, seen.is_down, seen.reason) == ("a", 2, True, REFUSED)
    assert 0.05 <= seen.left_s <= 0.15


# ---------------------------------------------------------------- window, end, account


def test_the_window_bounds_what_waits_and_a_start_makes_room() -> None:
    frontier = make()
    for number in range(WINDOW):
        assert frontier.room
        frontier.add(attempt(f"host-{number % 7}", number), 0.0)
    assert not frontier.room
    frontier.start(0.0) if frontier.may_start(0.0) else pytest.fail("nothing may start")
    assert frontier.room


def test_very_long_targets_take_more_of_the_window_and_give_it_back() -> None:
    frontier = make(max_concurrency=100_000)
    url = "http://a/" + "x" * 60_000
    places = places_of(url, url, {})
    long = Target(url, url, "a", "a/x", 1, "list", places=places)
    assert 100 < places < 200
    added = 0
    while frontier.room:
        frontier.add(Attempt(long, queued_at=0.0), 0.0)
        added += 1
    assert added == -(-WINDOW // places)
    assert frontier.may_start(0.0)
    frontier.start(0.0)
    assert frontier.room
    assert len(list(frontier.drain())) == added - 1
    assert frontier.room == WINDOW


def test_what_waits_can_be_taken_out_whole() -> None:
    frontier = make(max_concurrency=2)
    fill(frontier, "a", 3)
    fill(frontier, "b", 3)
    frontier.add(attempt("c", 7), 0.0, due=99.0)
    started = start_some(frontier, 0.0, most=2)
    drained = list(frontier.drain())
    urls = [one.target.url for one in (*started, *drained)]
    assert len(urls) == len(set(urls)) == 7
    assert len(frontier) == 0
    assert not frontier.may_start(1000.0)


def test_what_a_host_did_is_counted() -> None:
    frontier = make()
    fill(frontier, "a", 2)
    first, second = start_some(frontier, 0.0)
    frontier.ended(first, None, 0.0, 1.0, 1.0)
    frontier.ended(second, http(500), 0.0, 3.0, 3.0)
    (found,) = frontier.statistics()
    assert (found.name, found.attempts, found.failures, found.mean_s) == ("a", 2, 1, 2.0)


@pytest.mark.parametrize("failure", [None, REFUSED])
def test_hosts_without_work_are_forgotten_and_those_with_something_to_say_are_not(
    failure: Failure | None,
) -> None:
    frontier = make()
    take_down(frontier, "down")
    frontier.add(attempt("waiting"), 0.0, due=1e9)
    for number in range(IDLE_HOSTS + 500):
        frontier.add(attempt(f"host-{number}"), 1.0)
        end(frontier, start_some(frontier, 1.0)[0], 1.0, failure)
    assert len(frontier._hosts) <= IDLE_HOSTS + 2
    frontier.add(attempt("down"), 2.0)
    assert len(ended_early(frontier)) == 1
    assert len(frontier) == 1


# ---------------------------------------------------------------- everything at once


@dataclass
class Simulation:
    """A loop over a frontier, with a clock that jumps from event to event, exact in binary."""

    random: random.Random
    politeness: Politeness
    todo: list[Attempt]
    now: float = 0.0
    running: list[tuple[float, int, float, Attempt]] = field(default_factory=list)
    over: Counter[str] = field(default_factory=Counter)
    sends: list[tuple[float, int, Attempt]] = field(default_factory=list)
    connecting: Counter[str] = field(default_factory=Counter)
    last_sent: dict[str, float] = field(default_factory=dict)
    paused_until: dict[str, float] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    tickets: int = 0

    def __post_init__(self) -> None:
        patience_s = self.random.choice([0.0, 0.0, 1.0])
        self.frontier = Frontier(self.politeness, 40.0, patience_s)

    def run(self) -> None:
        for _ in range(20_000):
            self._admit()
            self._start()
            if not (self.todo or self.running or len(self.frontier)):
                return
            self._jump()
        pytest.fail("it never comes to an end")

    def _admit(self) -> None:
        for _ in range(self.random.randint(0, 5)):
            if self.todo and self.frontier.room:
                self.frontier.add(self.todo.pop(), self.now)
        self._take_ended_early()

    def _take_ended_early(self) -> None:
        for one, _ in self.frontier.take_ended_early():
            self.over[one.target.url] += 1

    def _start(self) -> None:
        slots = self.politeness.max_concurrency - len(self.running)
        while slots > 0 and self.frontier.may_start(self.now):
            slots -= 1
            one = self.frontier.start(self.now)
            host = one.target.host
            self._check_start(host, self.due.get(one.target.url, 0.0))
            self.tickets += 1
            sent = self.now + self.random.choice([0.0, 0.0, 0.25, 3.0])
            until = sent + self.random.choice([0.0, 0.125, 1.0, 5.0])
            self.connecting[host] += 1
            if self.random.random() < 0.9:  # else no connection can be made
                heapq.heappush(self.sends, (sent, self.tickets, one))
            heapq.heappush(self.running, (until, self.tickets, self.now, one))

    def _send(self, one: Attempt) -> None:
        host = one.target.host
        delay = self.politeness.delay - 1e-9  # of rounding
        assert self.now - self.last_sent.get(host, -math.inf) >= delay
        self.last_sent[host] = self.now
        self.connecting[host] -= 1
        self.frontier.sent(one.target, self.now)

    def _check_start(self, host: str, due: float) -> None:
        cap = self.politeness.per_host or self.politeness.max_concurrency
        in_flight = sum(one.target.host == host for *_, one in self.running)
        assert in_flight < cap
        if self.politeness.delay or self.politeness.rate:
            assert not self.connecting[host]
        assert self.now >= self.paused_until.get(host, 0.0)
        assert self.now >= due

    def _jump(self) -> None:
        """To the next event; before it, nothing else may have been possible."""
        wake = self.frontier.wake_at(self.now)
        free = len(self.running) < self.politeness.max_concurrency
        if free and not self.frontier.may_start(self.now):
            assert wake is None or wake > self.now, "the loop would spin"
            busy = self.running or self.sends or self.todo
            assert wake is not None or busy, "the loop would sleep for ever"
            later = self.now + 1e6
            if wake is not None:  # the middle may be rounded up to `wake` itself
                later = min(self.now + (wake - self.now) / 2, math.nextafter(wake, -math.inf))
            tickets = {id(self.frontier._ticket): count(10**9)}  # not copied from Python 3.14 on
            tried = copy.deepcopy(self.frontier, tickets)
            assert not tried.may_start(later), "the loop would oversleep"
        events = [wake] if wake is not None and free else []
        events += [self.running[0][0]] if self.running else []
        events += [self.now + 0.5] if self.todo else []
        events += [self.sends[0][0]] if self.sends else []
        self.now = max(self.now, min(events))
        while self.sends and self.sends[0][0] <= self.now:
            self._send(heapq.heappop(self.sends)[2])
        while self.running and self.running[0][0] <= self.now:
            _, _, started, one = heapq.heappop(self.running)
            self._end(one, started)

    def _end(self, one: Attempt, started: float) -> None:
        failure = self.random.choice(
            [None, None, TORN, REFUSED, REFUSED, SILENT, http(500), http(429, 3.0), http(503), None]
            + ([http(429, 99.0)] if self.random.random() < 0.05 else [])
        )
        host = one.target.host
        if self.last_sent.get(host, -math.inf) < started:  # no connection could be made
            self.connecting[host] = 0
        elif self.random.random() < 0.2:
            self.frontier.put_back(one, self.now)
            self._take_ended_early()
            return
        self.frontier.ended(one, failure, started, self.now - started, self.now)
        if failure is not None and (failure.retry_after_s or 0) in range(1, 41):
            until = self.now + (failure.retry_after_s or 0)
            self.paused_until[host] = max(self.paused_until.get(host, 0.0), until)
        if failure is None or one.number >= 4:
            self.over[one.target.url] += 1
        else:
            due = self.now + self.random.choice([0.0, 0.5, 20.0])
            self.due[one.target.url] = due
            self.frontier.add(one._replace(number=one.number + 1), self.now, due)
        self._take_ended_early()


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    politeness=st.builds(
        Politeness,
        max_concurrency=st.integers(1, 12),
        per_host=st.integers(0, 4),
        delay=st.sampled_from([0.0, 0.0, 0.75]),
        rate=st.sampled_from([None, None, 4.0]),
    ),
)
def test_whatever_happens_every_target_ends_once_within_all_limits(
    seed: int, sizes: list[int], politeness: Politeness
) -> None:
    targets = [attempt(f"h{host}", number) for host, n in enumerate(sizes) for number in range(n)]
    chance = random.Random(seed)
    chance.shuffle(targets)
    every = {one.target.url for one in targets}
    simulation = Simulation(chance, politeness, targets)
    simulation.run()
    assert simulation.over == dict.fromkeys(every, 1)
    assert simulation.frontier.in_flight == 0
