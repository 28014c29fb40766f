"""An outage of the destination, judged by a clock that the tests own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.schedule.circuit_breaker import FAILURES_UNTIL_OUT, Outage

LAST = FAILURES_UNTIL_OUT - 1


def an_outage(*, patience_s: float = 1000.0, jitter: float = 1.0, now: float = 100.0) -> Outage:
    """One that has just begun."""
    outage = Outage(patience_s, jitter=lambda: jitter)
    for _ in range(FAILURES_UNTIL_OUT):
        assert outage.failed(now - 1, now)
    return outage


def test_a_few_failures_stop_nobody() -> None:
    outage = Outage(0.0)
    for count in range(LAST):
        assert outage.failed(count, count + 0.5), "and none ends the run"
        assert outage.may_start(15, count + 0.5)
    assert not outage.on


def test_a_success_in_between_begins_the_count_anew() -> None:
    outage = Outage(0.0)
    for _ in range(5):
        for _ in range(LAST):
            assert outage.failed(1.0, 2.0)
        outage.stored()
    assert not outage.on


def test_ten_in_a_row_make_everything_wait() -> None:
    outage = an_outage(now=100.0)
    assert outage.on
    assert not outage.may_start(0, 100.0)
    assert not outage.may_start(0, 100.99)
    assert outage.may_start(0, 101.0)


def test_one_at_a_time_tries_while_it_lasts() -> None:
    outage = an_outage(now=100.0)
    assert not outage.may_start(1, 500.0)
    assert not outage.may_start(16, 500.0)
    assert outage.may_start(0, 500.0)


def test_it_is_over_with_the_first_object_stored() -> None:
    outage = an_outage(now=100.0)
    outage.stored()
    assert not outage.on
    assert outage.may_start(16, 100.0)
    for _ in range(LAST):
        assert outage.failed(100.0, 100.0)
    assert not outage.on


def test_pauses_grow_while_it_lasts_but_not_for_ever() -> None:
    outage = an_outage(now=100.0, patience_s=1e9)
    pauses = []
    for _ in range(8):
        begun = outage.until
        assert outage.failed(begun, begun + 3)
        pauses.append(outage.until - (begun + 3))
    assert pauses == [2, 4, 8, 16, 30, 30, 30, 30]
    outage.stored()
    again = an_outage(now=100.0)
    assert again.until == 101.0, "the next one begins with a short pause"


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_failures_of_what_was_under_way_when_it_began_make_no_pause_longer(jitter: float) -> None:
    outage = an_outage(now=100.0, jitter=jitter)
    until = outage.until
    for ended in (100.0, 100.1, 100.9, 102.0):
        assert outage.failed(99.99, ended)
        assert outage.until == until
    assert outage.failed(until, until + 1)
    assert outage.until > until


@given(st.floats(0, 1))
def test_a_pause_is_at_least_half_as_long_as_it_could_be(jitter: float) -> None:
    assert 0.5 <= an_outage(now=100.0, jitter=jitter).until - 100.0 <= 1.0


def test_a_destination_that_takes_nothing_for_long_ends_the_run() -> None:
    outage = an_outage(now=100.0, patience_s=50.0)
    assert outage.failed(140.0, 149.9)
    assert not outage.failed(140.0, 150.0), "fifty seconds after the first failure"


def test_patience_counts_from_the_first_failure_after_a_success() -> None:
    outage = an_outage(now=100.0, patience_s=50.0)
    outage.stored()
    for _ in range(FAILURES_UNTIL_OUT):
        assert outage.failed(1000.0, 1000.0)
    assert outage.failed(1001.0, 1049.0)
    assert not outage.failed(1001.0, 1050.0)


def test_without_patience_the_run_ends_when_it_is_sure() -> None:
    outage = Outage(0.0)
    verdicts = [outage.failed(1.0, 1.0) for _ in range(FAILURES_UNTIL_OUT)]
    assert verdicts == [True] * LAST + [False]
