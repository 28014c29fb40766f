"""Circuit breakers of the destination and of a host, by a clock that the tests own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.schedule.circuit_breaker import (
    FAILURES_UNTIL_OPEN,
    PROBE_EVERY_S,
    CircuitBreaker,
    HostCircuitBreaker,
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


def down(now: float = 100.0) -> HostCircuitBreaker:
    """The breaker of a host that has just gone down."""
    breaker = HostCircuitBreaker()
    for _ in range(LAST):
        assert not breaker.failed(0, now)
    assert breaker.failed(0, now)
    return breaker


def test_a_host_is_down_once_nothing_in_flight_could_tell_otherwise() -> None:
    breaker = HostCircuitBreaker()
    for left in range(14, -1, -1):
        assert breaker.failed(left, 100.0) == (left == 0)
        assert breaker.may_start(0)
        assert breaker.may_start(left) == (left == 0 or breaker.failures < FAILURES_UNTIL_OPEN)
    assert breaker.is_open


def test_one_probe_at_a_time_waits_for_a_host_that_is_down() -> None:
    breaker = down(now=100.0)
    assert not breaker.may_wait(0, 100.0 + PROBE_EVERY_S - 1)
    assert breaker.may_wait(0, 100.0 + PROBE_EVERY_S)
    assert not breaker.may_wait(1, 100.0 + PROBE_EVERY_S)
    assert breaker.failed(0, 140.0)
    assert not breaker.may_wait(0, 140.0 + PROBE_EVERY_S - 1)


def test_one_answer_closes_the_breaker_of_a_host() -> None:
    breaker = down()
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.may_wait(16, 100.0)
    assert breaker.may_start(16)
    assert breaker.failures == 0
