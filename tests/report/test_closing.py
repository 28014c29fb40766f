"""The last screen: calm, aligned, and no wider than a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Failed, Failure, Result, Target
from scraper.report.closing import COLUMNS
from scraper.report.summary import Ending, Invocation, Places
from scraper.schedule import HostStatistics
from tests.report.summaries import PLACES, summary
from tests.results import (
    DEFERRED,
    EVERY_RESULT,
    FAILED,
    NOT_MODIFIED,
    SKIPPED,
    STORED,
    UNREACHED,
    UNSTARTED,
    URL,
    any_result,
)

COMMAND = Invocation("", "scraper l --resume", "scraper l --retry-failed")


def of(number: int, kind: Kind, message: str, code: int | None = None, host: str = "h") -> Result:
    target = Target(f"http://{host}/{number}", "", host, "k", number, "list")
    return Result(target, Failed(Failure(kind, message, http_code=code)), 1)


def test_the_screen_of_a_night_on_which_much_failed() -> None:
    results = [STORED] * 9_000 + [SKIPPED] * 1_000 + [UNSTARTED] * 11
    results += [of(n, Kind.HTTP_STATUS, "HTTP 404", 404) for n in range(268)]
    results += [of(n, Kind.HTTP_STATUS, "HTTP 500", 500, f"h{n % 3}") for n in range(148)]
    closed = "connection was closed before a response"
    results += [of(n, Kind.CONNECT, closed) for n in range(49)]
    results += [DEFERRED]
    places = PLACES._replace(results="r.jsonl", log="log", summary="out/.scraper/summary.json")
    closing = summary(*results, elapsed_s=90, places=places, stopped="SIGTERM", invocation=COMMAND)
    assert closing.as_text().split("\n") == [
        "stopped: SIGTERM",
        "10,477 targets: 9,000 stored, 1,000 skipped, 465 failed, 11 not reached, 1",
        "             deferred in 90.0 s",
        "  fetched:   11.1 MB, 123.4 kB/s, 105.2 targets/s (9,466 were tried)",
        "  failed:    268 HTTP 404",
        "                 http://h/0",
        "                 http://h/1",
        "             148 HTTP 500 at 3 hosts",
        "                 http://h0/0",
        "                 http://h1/1",
        "              49 closed before a response",
        "                 http://h/0",
        "                 http://h/1",
        "  deferred:  1 HTTP 429",
        f"               {URL}",
        "  stored in: ./out",
        "  manifest:  out/.scraper/manifest.jsonl",
        "  summary:   out/.scraper/summary.json",
        "  results:   r.jsonl",
        "  log:       log",
        "  again:     scraper l --retry-failed",
    ]


def test_the_screen_of_a_night_on_which_all_went_well() -> None:
    assert summary(*[STORED] * 1234, elapsed_s=10).as_text().split("\n") == [
        "1,234 targets: 1,234 stored in 10.0 s",
        "  fetched:   1.5 MB, 152.3 kB/s, 123.4 targets/s",
        "  stored in: ./out",
        "  manifest:  out/.scraper/manifest.jsonl",
    ]


def test_one_target_is_no_plural() -> None:
    assert summary(STORED).as_text().startswith("1 target: 1 stored in 2.0 s\n")
    assert summary(STORED, STORED).as_text().startswith("2 targets: 2 stored in ")


def test_an_empty_list_is_said() -> None:
    head, *rest = summary().as_text().split("\n")
    assert head == "0 targets: the list is empty, nothing to do"
    assert len(rest) == 2


def test_a_run_that_was_stopped_says_so_first() -> None:
    head, counts, *_ = summary(STORED, UNSTARTED, stopped="SIGINT").as_text().split("\n")
    assert head == "stopped: SIGINT"
    assert counts.startswith("2 targets: 1 stored, 1 not reached in ")


def test_a_run_that_was_stopped_before_anything_came_calls_no_list_empty() -> None:
    head, counts, *_ = summary(stopped="SIGTERM").as_text().split("\n")
    assert (head, counts) == ("stopped: SIGTERM", "0 targets")


def test_a_run_of_no_time_has_no_infinite_rate() -> None:
    assert "1 target: 1 stored in 0.0 s" in summary(STORED, elapsed_s=0.0).as_text()


def test_the_rate_is_of_targets_that_were_tried() -> None:
    text = summary(*[SKIPPED] * 1_000, *[NOT_MODIFIED] * 10, elapsed_s=2).as_text()
    assert "\n  fetched:   5.0 targets/s (10 were tried)\n" in text
    assert "fetched" not in summary(SKIPPED, SKIPPED).as_text()


def test_a_list_that_was_not_read_to_its_end_is_gone_on_with() -> None:
    ending = Ending(1, "a limit", None, unread=True)
    text = summary(STORED, ending=ending, invocation=COMMAND).as_text()
    assert text.endswith("\n  again:     scraper l --resume")


def test_reasons_beyond_a_few_are_counted_together_and_the_screen_stays_small() -> None:
    results = [of(n, Kind.HTTP_STATUS, "", 400 + n) for n in range(40) for _ in range(50 - n)]
    lines = summary(*results).as_text().split("\n")
    assert len(lines) < 24
    shown, rest = sum(50 - n for n in range(8)), sum(50 - n for n in range(8, 40))
    assert f"             {rest:,} for 32 other reasons" in lines
    assert shown + rest == len(results)


def test_only_new_failures_are_told_if_that_is_asked_for() -> None:
    text = summary(FAILED, UNREACHED, STORED, known=[FAILED]).as_text()
    assert text.startswith("3 targets: 2 failed (1 new), 1 stored in 2.0 s\n")
    assert "can't connect" in text
    assert "HTTP 404" not in text
    assert "HTTP 404" not in summary(FAILED, known=[FAILED]).as_text()


def test_very_many_hosts_are_told_as_an_estimate() -> None:
    results = [of(0, Kind.HTTP_STATUS, "", 500, f"h{number}") for number in range(5_000)]
    line = next(line for line in summary(*results).as_text().split("\n") if "HTTP 500" in line)
    assert line.startswith("  failed:    5,000 HTTP 500 at about ")
    assert line.endswith("0 hosts")


def test_the_slowest_hosts_are_told_unless_there_is_one_alone() -> None:
    two = (HostStatistics("b", 1, 0, 2.0), HostStatistics("a", 3, 0, 0.75))
    text = summary(STORED, hosts=two).as_text()
    assert "\n  slowest:   b 2.00 s, a 0.25 s (mean of an attempt)\n" in text
    assert "slowest" not in summary(STORED, hosts=two[:1]).as_text()


def test_results_and_log_are_named_if_there_are_any() -> None:
    places = Places("s3://b/p", "s3://b/p/.scraper/manifest-*.jsonl", "stdout", "log.txt")
    assert summary(STORED, places=places).as_text().split("\n")[-4:] == [
        "  stored in: s3://b/p",
        "  manifest:  s3://b/p/.scraper/manifest-*.jsonl",
        "  results:   stdout",
        "  log:       log.txt",
    ]
    assert "results:" not in summary(STORED).as_text()
    assert "log:" not in summary(STORED).as_text()


@pytest.mark.parametrize("long", ["http://h/" + "x" * 500, "http://" + "h" * 200 + "/"])
def test_a_long_url_is_cut(long: str) -> None:
    target = Target(long, long, "h" * 200, "k", 1, "list")
    hosts = [HostStatistics("h" * 200, 1, 0, 1.0), HostStatistics("i" * 200, 1, 0, 1.0)]
    lines = summary(Result(target, FAILED.outcome), hosts=hosts).as_text().split("\n")
    assert all(len(line) <= COLUMNS for line in lines)
    assert any(line.endswith("...") for line in lines)


@given(st.lists(any_result() | st.sampled_from(list(EVERY_RESULT.values()))))
def test_the_counts_of_the_record_stand_on_the_screen(results: list[Result]) -> None:
    told = summary(*results)
    text = told.as_text().replace("\n             ", " ")
    for status, count in told.as_record()["statuses"].items():
        assert (f"{count:,} {status.replace('_', ' ')}" in text) or not count
    assert ("  failed:    " in text) == bool(told.statuses["failed"])
    assert ("  deferred:  " in text) == bool(told.statuses["deferred"])
    assert "failed" in text or UNREACHED not in results
