"""The summary: counts that add up, and closing words for every way a run can end."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.records import Failed, Result
from scraper.model.settings import Budget
from scraper.report.summary import Places, Summary, Tally, human_size, slowest
from scraper.schedule.frontier import HostStatistics
from tests.results import (
    BAD_LINE,
    BROKEN_OFF,
    DEFERRED,
    DUPLICATE,
    EVERY_RESULT,
    FAILED,
    SKIPPED,
    STORED,
    UNREACHED,
    UNSTARTED,
    any_result,
)

PLACES = Places("./out", "out/.scraper/manifest.jsonl")


def tally_of(*results: Result) -> Tally:
    tally = Tally()
    for result in results:
        tally(result)
    return tally


def summary(
    *results: Result,
    elapsed_s: float = 2.0,
    hosts: tuple[HostStatistics, ...] = (),
    places: Places = PLACES,
    stopped: str | None = None,
) -> Summary:
    return Summary(tally_of(*results), elapsed_s, hosts, places, stopped)


# ---------------------------------------------------------------- counts


@given(st.lists(any_result() | st.sampled_from(list(EVERY_RESULT.values()))))
def test_counts_add_up_to_the_results_that_came(results: list[Result]) -> None:
    tally = tally_of(*results)
    assert tally.targets == len(results) == sum(tally.statuses.values())
    assert sum(tally.kinds.values()) == tally.statuses["failed"]
    failed = {"failed", "deferred"}
    assert tally.failures == sum(result.status in failed for result in results)
    assert tally.attempts == sum(result.attempts for result in results)


def test_bytes_are_those_of_stored_bodies() -> None:
    assert tally_of(STORED, STORED, FAILED, DUPLICATE).size == 2 * 1234


def test_kinds_are_those_of_failed_targets_alone() -> None:
    assert tally_of(FAILED, FAILED, UNREACHED, DEFERRED).kinds == {"http_status": 2, "connect": 1}


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


def test_the_time_of_a_run_goes_on() -> None:
    tally = Tally()
    first = tally.elapsed_s()
    assert 0 <= first <= tally.elapsed_s()


# ---------------------------------------------------------------- words


def test_the_words_say_how_many_of_what_how_long_and_where() -> None:
    results = [STORED] * 1230 + [FAILED, FAILED, UNREACHED, DEFERRED]
    assert summary(*results, elapsed_s=10).as_text().splitlines() == [
        "1,234 targets: 1,230 stored, 3 failed, 1 deferred in 10.0 s, 1.5 MB, 123.4/s",
        "  failed:    2 http_status, 1 connect",
        "  stored in: ./out",
        "  manifest:  out/.scraper/manifest.jsonl",
    ]


def test_one_target_is_no_plural() -> None:
    assert summary(STORED).as_text().startswith("1 target: 1 stored in 2.0 s, 1.2 kB, 0.5/s\n")
    assert summary(STORED, STORED).as_text().startswith("2 targets: 2 stored in ")


def test_an_empty_list_is_said() -> None:
    head, *rest = summary().as_text().splitlines()
    assert head == "0 targets: the list is empty, nothing to do"
    assert len(rest) == 2


def test_a_run_that_was_stopped_says_so_first() -> None:
    head, counts, *_ = summary(STORED, UNSTARTED, stopped="SIGINT").as_text().splitlines()
    assert head == "stopped: SIGINT"
    assert counts.startswith("2 targets: 1 stored, 1 not_reached in ")


def test_a_run_that_was_stopped_before_anything_came_calls_no_list_empty() -> None:
    head, counts, *_ = summary(stopped="SIGTERM").as_text().splitlines()
    assert (head, counts) == ("stopped: SIGTERM", "0 targets")


def test_a_run_of_no_time_has_no_infinite_rate() -> None:
    assert "1 target: 1 stored in 0.0 s" in summary(STORED, elapsed_s=0.0).as_text()


def test_results_and_log_are_named_if_there_are_any() -> None:
    places = Places("s3://b/p", "s3://b/p/.scraper/manifest-*.jsonl", "stdout", "log.txt")
    text = summary(STORED, places=places).as_text()
    assert text.splitlines()[-4:] == [
        "  stored in: s3://b/p",
        "  manifest:  s3://b/p/.scraper/manifest-*.jsonl",
        "  results:   stdout",
        "  log:       log.txt",
    ]
    assert "results:" not in summary(STORED).as_text()
    assert "log:" not in summary(STORED).as_text()


def host(name: str, attempts: int, total_s: float) -> HostStatistics:
    return HostStatistics(name, attempts, 0, total_s)


def test_the_slowest_hosts_are_a_few_and_the_slowest_comes_first() -> None:
    hosts = [host(f"h{number}", 2, float(number)) for number in range(9)]
    assert [one.name for one in slowest(hosts)] == ["h8", "h7", "h6", "h5", "h4"]
    assert [one.name for one in slowest([host("a", 100, 100.0), host("b", 1, 2.0)])] == ["b", "a"]
    assert slowest([]) == []


def test_the_slowest_hosts_are_told_unless_there_is_one_alone() -> None:
    two = (host("b", 1, 2.0), host("a", 3, 0.75))
    text = summary(STORED, hosts=two).as_text()
    assert "\n  slowest:   b 2.00 s, a 0.25 s (mean of an attempt)\n" in text
    assert "slowest" not in summary(STORED, hosts=two[:1]).as_text()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (1, "1.0 s"),
        (119.9, "119.9 s"),
        (120, "2 min 00 s"),
        (125.4, "2 min 05 s"),
        (3599.6, "1 h 00 min 00 s"),
        (3725, "1 h 02 min 05 s"),
        (360_000, "100 h 00 min 00 s"),
    ],
)
def test_a_duration_is_as_exact_as_anyone_needs(seconds: float, shown: str) -> None:
    assert f"1 stored in {shown}, " in summary(STORED, elapsed_s=seconds).as_text()


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1949, "1.9 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_000_000, "1.0 MB"),
        (999_999_999, "1.0 GB"),
        (5_500_000_000, "5.5 GB"),
        (999_999_999_999, "1.0 TB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_a_size_is_in_decimal_units(size: int, shown: str) -> None:
    assert human_size(size) == shown


@given(st.integers(0, 10**14))
def test_a_size_has_at_most_three_digits_before_its_point(size: int) -> None:
    number, unit = human_size(size).split()
    assert float(number) < 1000
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    assert abs(float(number) * factor - size) <= factor / 19


# ---------------------------------------------------------------- the record


def test_the_record_has_the_same_counts_as_the_words() -> None:
    hosts = (host("b", 1, 2.0),)
    record = summary(STORED, STORED, FAILED, UNREACHED, DEFERRED, hosts=hosts).as_record()
    assert record == {
        "targets": 5,
        "statuses": {"stored": 2, "failed": 2, "deferred": 1},
        "errors": {"http_status": 1, "connect": 1},
        "attempts": 1 + 1 + 1 + 4 + 2,
        "bytes": 2468,
        "seconds": 2.0,
        "slowest_hosts": [{"host": "b", "mean_s": 2.0, "attempts": 1}],
        "destination": "./out",
        "manifest": "out/.scraper/manifest.jsonl",
    }
    assert json.loads(json.dumps(record)) == record


def test_the_record_names_what_there_is_beyond_that() -> None:
    places = Places("./out", "m", "stdout", "log.txt")
    record = summary(places=places, stopped="SIGINT").as_record()
    assert (record["results"], record["log"], record["stopped"]) == ("stdout", "log.txt", "SIGINT")
    assert record["targets"] == 0
    assert {"results", "log", "stopped"}.isdisjoint(summary().as_record())


@given(st.lists(any_result(), min_size=1))
def test_every_number_of_the_record_stands_in_the_words(results: list[Result]) -> None:
    told = summary(*results)
    record, text = told.as_record(), told.as_text()
    counts = re.findall(r"(\d[\d,]*) (\w+)", text.partition(": ")[2].partition(" in ")[0])
    assert {name: int(number.replace(",", "")) for number, name in counts} == record["statuses"]
    failed = any(isinstance(result.outcome, Failed) for result in results)
    assert ("  failed:    " in text) == failed == bool(record["errors"])


def test_bad_lines_are_failures_of_their_kind() -> None:
    assert summary(BAD_LINE).as_record()["errors"] == {"bad_url": 1}
