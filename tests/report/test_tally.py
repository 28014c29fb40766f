"""The tally: counts that add up."""

from hypothesis import given
from hypothesis import strategies as st

from scraper.model.records import Result
from scraper.model.settings import Budget
from scraper.report.tally import Tally
from tests.report.summaries import tally_of
from tests.results import (
    BAD_LINE,
    BROKEN_OFF,
    DEFERRED,
    DUPLICATE,
    EVERY_RESULT,
    FAILED,
    NOT_MODIFIED,
    SKIPPED,
    STORED,
    UNREACHED,
    UNSTARTED,
    any_result,
)


@given(st.lists(any_result() | st.sampled_from(list(EVERY_RESULT.values()))))
def test_counts_add_up_to_the_results_that_came(results: list[Result]) -> None:
    tally = tally_of(*results)
    assert tally.targets == len(results) == sum(tally.statuses.values())
    assert sum(tally.kinds.values()) == tally.statuses["failed"]
    failed = {"failed", "deferred"}
    assert tally.failures == sum(result.status in failed for result in results)
    assert tally.failures == tally.groups.count
    assert tally.attempts == sum(result.attempts for result in results)


def test_bytes_are_those_of_stored_bodies() -> None:
    assert tally_of(STORED, STORED, FAILED, DUPLICATE).size == 2 * 1234


def test_kinds_are_those_of_failed_targets_alone() -> None:
    assert tally_of(FAILED, FAILED, UNREACHED, DEFERRED).kinds == {"http_status": 2, "connect": 1}


def test_a_target_was_tried_if_there_was_a_request_for_it() -> None:
    assert tally_of(STORED, NOT_MODIFIED, FAILED, UNREACHED, DEFERRED, BROKEN_OFF).tried == 6
    assert tally_of(SKIPPED, DUPLICATE, BAD_LINE, UNSTARTED).tried == 0


def test_a_deferred_target_counts_against_the_budget() -> None:
    assert not tally_of(STORED, SKIPPED, DUPLICATE).over(Budget(0))
    assert tally_of(STORED, DEFERRED).over(Budget(0))
    assert not tally_of(STORED, DEFERRED).over(Budget(1))
    assert tally_of(STORED, DEFERRED, FAILED).over(Budget(1))
    assert not tally_of(STORED, FAILED).over(Budget(share=0.5))
    assert tally_of(STORED, FAILED, FAILED).over(Budget(share=0.5))
    assert not tally_of().over(Budget(share=0.0))


def test_a_target_that_was_not_reached_counts_neither_as_a_failure_nor_as_a_target() -> None:
    assert not tally_of(STORED, UNSTARTED, BROKEN_OFF).over(Budget(0))
    assert tally_of(UNSTARTED, BROKEN_OFF).failures == 0
    assert not tally_of(STORED, FAILED).over(Budget(share=0.5))
    assert tally_of(STORED, FAILED, FAILED, *[UNSTARTED] * 9).over(Budget(share=0.5))


def test_failures_that_the_run_before_had_are_counted_and_are_not_new() -> None:
    tally = tally_of(FAILED, UNREACHED, STORED, known=[FAILED])
    assert (tally.groups.count, tally.new and tally.new.count) == (2, 1)
    assert tally_of(FAILED).new is None


def test_the_time_of_a_run_goes_on() -> None:
    tally = Tally()
    first = tally.elapsed_s()
    assert 0 <= first <= tally.elapsed_s()
