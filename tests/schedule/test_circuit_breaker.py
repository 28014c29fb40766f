"""Circuit breakers of the destination and of a host, by a clock that the tests own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.schedule.circuit_breaker import (
    FAILURES_UNTIL_OPEN,
    PROBE_EVERY_S,
    CircuitBreaker,
)

LAST = FAILURES_UNTIL_OPEN - 1


def opened(
    *, patience_s: float = 1000.0, jitter: float = 1.0, now: float = 100.0
) -> CircuitBreaker:
    """One that has just begun."""
    breaker = CircuitBreaker(patience_s, jitter=lambda: jitter)
    for _ in range(FAILURES_UNTIL_OPEN):
        assert breaker.failed(now - 1, now)
    return breaker


def test_a_few_failures_stop_nobody() -> None:
    breaker = CircuitBreaker(0.0)
    for count in range(LAST):
        assert breaker.failed(count, count + 0.5), "and none ends the run"
        assert breaker.may_start(15, count + 0.5)
    assert not breaker.is_open


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = CircuitBreaker(0.0)
    for _ in range(5):
        for _ in range(LAST):
            assert breaker.failed(1.0, 2.0)
        breaker.succeeded()
    assert not breaker.is_open


def test_ten_in_a_row_make_everything_wait() -> None:
    breaker = opened(now=100.0)
    assert breaker.is_open
    assert not breaker.may_start(0, 100.0)
    assert not breaker.may_start(0, 100.99)
    assert breaker.may_start(0, 101.0)


def test_a_wait_that_was_asked_for_is_kept_open_or_not() -> None:
    breaker = CircuitBreaker(1000.0)
    breaker.failed(99.0, 100.0)
    breaker.wait_until(107.0)
    breaker.wait_until(103.0)
    breaker.succeeded()  # of an object that was under way
    assert not breaker.is_open
    assert not breaker.may_start(0, 106.9)
    assert breaker.may_start(3, 107.0)
    assert (breaker.starts_at(101.0, 3), breaker.starts_at(109.0, 3)) == (107.0, 109.0)
    breaker = opened(now=100.0)
    breaker.wait_until(107.0)
    assert not breaker.may_start(0, 106.9)
    assert breaker.may_start(0, 107.0)
    assert (breaker.starts_at(101.0, 0), breaker.starts_at(101.0, 1)) == (107.0, None)


def test_one_at_a_time_tries_while_it_lasts() -> None:
    breaker = opened(now=100.0)
    assert not breaker.may_start(1, 500.0)
    assert not breaker.may_start(16, 500.0)
    assert breaker.may_start(0, 500.0)


def test_it_is_over_with_the_first_object_stored() -> None:
    breaker = opened(now=100.0)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.may_start(16, 100.0)
    for _ in range(LAST):
        assert breaker.failed(100.0, 100.0)
    assert not breaker.is_open


def test_pauses_grow_while_it_lasts_but_not_for_ever() -> None:
    breaker = opened(now=100.0, patience_s=1e9)
    pauses = []
    for _ in range(8):
        begun = breaker.until
        assert breaker.failed(begun, begun + 3)
        pauses.append(breaker.until - (begun + 3))
    assert pauses == [2, 4, 8, 16, 30, 30, 30, 30]
    breaker.succeeded()
    again = opened(now=100.0)
    assert again.until == 101.0, "the next one begins with a short pause"


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_failures_of_what_was_under_way_when_it_began_make_no_pause_longer(jitter: float) -> None:
    breaker = opened(now=100.0, jitter=jitter)
    until = breaker.until
    for ended in (100.0, 100.1, 100.9, 102.0):
        assert breaker.failed(99.99, ended)
        assert breaker.until == until
    assert breaker.failed(until, until + 1)
    assert breaker.until > until


@given(st.floats(0, 1))
def test_a_pause_is_at_least_half_as_long_as_it_could_be(jitter: float) -> None:
    assert 0.5 <= opened(now=100.0, jitter=jitter).until - 100.0 <= 1.0


def test_a_destination_that_takes_nothing_for_long_ends_the_run() -> None:
    breaker = opened(now=100.0, patience_s=50.0)
    assert breaker.failed(140.0, 149.9)
    assert not breaker.failed(140.0, 150.0), "fifty seconds after the first failure"


def test_patience_counts_from_the_first_failure_after_a_success() -> None:
    breaker = opened(now=100.0, patience_s=50.0)
    breaker.succeeded()
    for _ in range(FAILURES_UNTIL_OPEN):
        assert breaker.failed(1000.0, 1000.0)
    assert breaker.failed(1001.0, 1049.0)
    assert not breaker.failed(1001.0, 1050.0)


def test_without_patience_the_run_ends_when_it_is_sure() -> None:
    breaker = CircuitBreaker(0.0)
    verdicts = [breaker.failed(1.0, 1.0) for _ in range(FAILURES_UNTIL_OPEN)]
    assert verdicts == [True] * LAST + [False]


# ---------------------------------------------------------------- of one host


def of_host(patience_s: float = 300.0) -> CircuitBreaker:
    breaker = CircuitBreaker.of_host(patience_s)
    breaker.jitter = lambda: 1.0
    return breaker


def test_the_first_refused_connection_pauses_a_host_and_probes_begin_soon() -> None:
    breaker = of_host()
    assert breaker.failed(100.0, 100.0, 15)
    assert breaker.is_open
    assert breaker.until == 100.2
    assert not breaker.may_start(0, 100.1)
    assert not breaker.may_start(1, 101.0)
    assert breaker.may_start(0, 100.2)


def test_a_host_that_refuses_is_given_up_when_the_patience_is_over_and_not_before() -> None:
    breaker, now, pauses = of_host(300.0), 100.0, []
    while breaker.failed(now, now):
        assert breaker.may_wait(10**6, now), "any number of targets waits for it"
        pauses.append(breaker.until - now)
        now = breaker.until
    assert pauses[:9] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0])
    assert 400.0 <= now < 430.0
    assert breaker.given_up


def test_a_connection_in_between_begins_the_patience_anew() -> None:
    breaker = of_host(300.0)
    for now in (100.0, 399.0):
        assert breaker.failed(now, now)
    breaker.succeeded()
    for now in (400.0, 699.0):
        assert breaker.failed(now, now)
    assert not breaker.failed(700.0, 700.0)


def test_time_outs_are_pauses_themselves_and_ten_one_after_another_are_the_end() -> None:
    breaker, now = of_host(1e9), 0.0
    for _ in range(LAST):
        for left in range(15, -1, -1):  # those that overlap are one
            assert breaker.failed(now, now + 10.0, left, timed_out=True)
        now = max(now + 10.0, breaker.until)
    assert not breaker.failed(now, now + 10.0, timed_out=True)
    assert 100.0 <= now + 10.0 < 160.0


def test_time_outs_may_cost_no_more_than_the_patience() -> None:
    breaker = of_host(25.0)
    assert breaker.failed(0.0, 10.0, timed_out=True)
    assert breaker.failed(10.0, 20.0, timed_out=True)
    assert breaker.failed(20.0, 30.0, timed_out=True)
    assert not breaker.failed(30.0, 40.0, timed_out=True)


def test_a_host_that_no_later_try_can_reach_is_given_up_after_ten() -> None:
    breaker = of_host(1e9)
    for left in range(13, 4, -1):
        assert breaker.failed(1.0, 1.0, left, final=True)
        assert breaker.may_start(left, 1.0), "each target says it of itself"
    for left in range(4, 0, -1):
        assert breaker.failed(1.0, 1.0, left, final=True)
        assert not breaker.may_start(left, 1.0), "one of them may still get through"
    assert not breaker.failed(1.0, 1.0, 0, final=True)


def test_without_patience_ten_failures_are_the_end_once_nothing_in_flight_tells_otherwise() -> None:
    breaker = of_host(0.0)
    for left in range(14, 0, -1):
        assert breaker.failed(100.0, 100.0, left)
        assert breaker.may_start(left, 100.0) == (breaker.failures < FAILURES_UNTIL_OPEN)
    assert not breaker.failed(100.0, 100.0, 0)


def given_up(now: float = 100.0) -> CircuitBreaker:
    breaker = of_host(0.0)
    for _ in range(FAILURES_UNTIL_OPEN):
        breaker.failed(now, now)
    assert breaker.given_up
    return breaker


def test_one_probe_at_a_time_waits_for_a_host_that_was_given_up() -> None:
    breaker = given_up(now=100.0)
    assert not breaker.may_wait(0, 100.0 + PROBE_EVERY_S - 1)
    assert breaker.may_wait(0, 100.0 + PROBE_EVERY_S)
    assert not breaker.may_wait(1, 100.0 + PROBE_EVERY_S)
    assert not breaker.failed(140.0, 140.0), "one more is enough"
    assert not breaker.may_wait(0, 140.0 + PROBE_EVERY_S - 1)


def test_one_answer_closes_the_breaker_of_a_host() -> None:
    breaker = given_up()
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.may_wait(16, 100.0)
    assert breaker.may_start(16, 100.0)
    assert breaker.failures == 0
