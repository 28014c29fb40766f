"""The summary: one record, with every count, which all ways of telling share."""

import json

from hypothesis import given
from hypothesis import strategies as st

from scraper.model.records import STATUSES, Result
from scraper.model.version import __version__
from scraper.report.summary import Ending, Invocation, Places, slowest
from scraper.schedule import HostStatistics
from tests.report.summaries import summary
from tests.results import (
    BAD_LINE,
    DEFERRED,
    FAILED,
    SKIPPED,
    STORED,
    UNREACHED,
    UNSTARTED,
    URL,
    any_result,
)

COMMAND = Invocation("scraper l", "scraper l --resume", "scraper l --retry-failed")


def host(name: str, attempts: int, total_s: float) -> HostStatistics:
    return HostStatistics(name, attempts, 0, total_s)


def test_the_record_has_every_status_and_says_why_what_failed() -> None:
    results = STORED, STORED, FAILED, UNREACHED, DEFERRED, SKIPPED
    ending = Ending(exit_status=1)
    told = summary(*results, hosts=(host("b", 1, 2.0),), ending=ending, invocation=COMMAND)
    record = told.as_record()
    assert record == {
        "run": "the-id",
        "version": __version__,
        "start": "2026-03-25T08:45:30.250Z",
        "end": "2026-03-25T08:45:32.250Z",
        "exit_status": 1,
        "reason": "more failures than --max-failures",
        "targets": 6,
        "statuses": {
            "stored": 2,
            "not_modified": 0,
            "skipped": 1,
            "duplicate": 0,
            "deferred": 1,
            "failed": 2,
            "not_reached": 0,
        },
        "bytes": 2468,
        "seconds": 2.0,
        "tried": 5,
        "attempts": 1 + 1 + 1 + 4 + 2,
        "bytes_per_second": 1234,
        "targets_per_second": 2.5,
        "errors": {"http_status": 1, "connect": 1},
        "http_codes": {"404": 1},
        "failures": [
            {
                "status": "failed",
                "kind": "http_status",
                "http_code": 404,
                "reason": "HTTP 404",
                "failures": 1,
                "hosts": 1,
                "urls": [URL],
            },
            {
                "status": "failed",
                "kind": "connect",
                "reason": "can't connect: Connection refused",
                "failures": 1,
                "hosts": 1,
                "urls": [URL],
            },
            {
                "status": "deferred",
                "kind": "http_status",
                "http_code": 429,
                "reason": "HTTP 429",
                "failures": 1,
                "hosts": 1,
                "urls": [URL],
            },
        ],
        "failing_hosts": [{"host": "example.com", "failures": 3}],
        "slowest_hosts": [{"host": "b", "mean_s": 2.0, "attempts": 1}],
        "command": "scraper l",
        "again": "scraper l --retry-failed",
        "destination": "./out",
        "manifest": "out/.scraper/manifest.jsonl",
        "earlier_runs": [],
    }
    assert json.loads(json.dumps(record)) == record


def test_the_record_names_what_there_is_beyond_that() -> None:
    places = Places("./out", "m", "stdout", "log.txt")
    record = summary(places=places, stopped="SIGINT").as_record()
    assert (record["results"], record["log"], record["reason"]) == ("stdout", "log.txt", "SIGINT")
    assert record["targets"] == 0
    few = summary().as_record()
    assert {"results", "log", "reason", "command", "again", "new_failures"}.isdisjoint(few)
    assert "exit_status" not in few  # it goes on


@given(st.lists(any_result()))
def test_counts_add_up_whatever_came(results: list[Result]) -> None:
    record = summary(*results).as_record()
    assert list(record["statuses"]) == list(STATUSES.values())
    assert sum(record["statuses"].values()) == record["targets"] == len(results)
    assert sum(record["errors"].values()) == record["statuses"]["failed"]
    failed = record["statuses"]["failed"] + record["statuses"]["deferred"]
    assert sum(group["failures"] for group in record["failures"]) == failed


def test_a_run_that_an_error_ended_has_that_as_its_reason() -> None:
    told = summary(STORED, ending=Ending(3, None, "the disk is full"))
    assert (told.exit_status, told.reason, told.stopped) == (3, "the disk is full", None)
    assert summary(FAILED, ending=Ending(0)).reason is None


def test_the_slowest_hosts_are_a_few_and_the_slowest_comes_first() -> None:
    hosts = [host(f"h{number}", 2, float(number)) for number in range(9)]
    assert [one.name for one in slowest(hosts)] == ["h8", "h7", "h6", "h5", "h4"]
    assert [one.name for one in slowest([host("a", 100, 100.0), host("b", 1, 2.0)])] == ["b", "a"]
    assert slowest([]) == []


# ---------------------------------------------------------------- the command that does the rest


def test_what_may_get_better_is_fetched_again() -> None:
    again = "scraper l --retry-failed"
    for results in ([UNREACHED], [DEFERRED], [UNSTARTED], [FAILED, UNREACHED]):
        assert summary(*results, invocation=COMMAND).again == again


def test_what_can_not_get_better_is_not_fetched_again() -> None:
    assert summary(STORED, FAILED, BAD_LINE, SKIPPED, invocation=COMMAND).again == ""


def test_a_list_that_was_not_read_to_its_end_is_gone_on_with() -> None:
    ending = Ending(130, "SIGINT", None, unread=True)
    told = summary(STORED, ending=ending, invocation=COMMAND)
    assert told.again == "scraper l --resume"


def test_a_shard_that_did_not_come_to_its_end_is_gone_on_with() -> None:
    command = COMMAND.of_shard()
    for results, stopped in (([FAILED], "--fail-fast"), ([STORED, UNSTARTED], None)):
        ending = Ending(1, stopped, None)
        assert summary(*results, ending=ending, invocation=command).again == "scraper l --resume"
    assert summary(STORED, UNREACHED, invocation=command).again == "scraper l --retry-failed"


# ---------------------------------------------------------------- what is worth a mail


def test_a_run_is_bad_if_something_failed_or_it_was_stopped() -> None:
    assert not summary(STORED, SKIPPED).is_bad
    assert summary(STORED, FAILED).is_bad
    assert summary(stopped="SIGINT").is_bad


def test_failures_that_the_run_before_had_are_no_news() -> None:
    old = summary(STORED, FAILED, known=[FAILED])
    assert not old.is_bad
    assert old.as_record()["new_failures"] == []
    assert old.as_record()["statuses"]["failed"] == 1
    new = summary(UNREACHED, FAILED, known=[FAILED])
    assert new.is_bad
    assert [one["kind"] for one in new.as_record()["new_failures"]] == ["connect"]
