"""The manifest: the contract's fields for every outcome, in a file and on any sink."""

import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given

from scraper.manifest.codec import object_modified_ms, status_of
from scraper.manifest.record import encode, to_record
from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Existing, Outcome, Result, Skipped, Target
from scraper.model.settings import Settings
from scraper.run.loop import Run
from scraper.source.sources import from_iterable
from tests.machine import patiently
from tests.results import (
    BAD_LINE,
    BROKEN_OFF,
    DEFERRED,
    DEFERRED_UNASKED,
    DUPLICATE,
    EVERY_RESULT,
    FAILED,
    NOT_MODIFIED,
    SHA256,
    SKIPPED,
    STORED,
    TARGET,
    UNREACHED,
    UNSTARTED,
    URL,
    any_result,
)
from tests.s3servers import Asked, Front, S3Server
from tests.servers import Reply, Serve

# The table of CLI.md, and `reason`, `of_line`, `variant`, `x_robots_tag`, `parts`, `modified` too.
TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("url", "source", "key", "status", "content_type", "etag"), str),
    **dict.fromkeys(("last_modified", "sha256", "url_effective", "started", "remote_ip"), str),
    **dict.fromkeys(("content_encoding", "variant", "x_robots_tag", "modified", "lastmod"), str),
    **dict.fromkeys(("line", "http_code", "size", "attempts", "redirects", "of_line"), int),
    **dict.fromkeys(("time_connect", "time_starttransfer", "time_total", "time_queue"), float),
    "started_at": float,
    "parts": int,
    "reason": str,
    "error": dict,
    "headers": list,
    "expected": dict,
    "expected_of": str,
    "urls": list,
    "mirror": str,
    "warc": dict,
    "warc_earlier": list,
}
ALWAYS = {"url", "line", "source", "status", "attempts"}
STATUSES = {
    *("stored", "not_modified", "skipped", "duplicate", "deferred", "failed"),
    "not_reached",
}


def check(record: dict[str, Any]) -> None:
    """It keeps what the contract says of every record."""
    assert ALWAYS <= record.keys() <= TYPES.keys()
    for name, value in record.items():
        assert type(value) is TYPES[name], name
    assert record["status"] in STATUSES
    if "error" in record:
        assert record["error"].keys() == {"kind", "message"}
        assert record["error"]["kind"] in {kind.value for kind in Kind}
        assert isinstance(record["error"]["message"], str)
    assert ("error" in record) == (record["status"] in {"failed", "deferred", "not_reached"})
    if record["status"] not in {"not_modified", "skipped"}:  # what is known of their object
        assert ({"size", "sha256"} <= record.keys()) == (record["status"] == "stored")
    if "modified" in record:  # of an object that no run had recorded
        assert record["status"] in {"skipped", "not_modified"}
        assert "size" in record
    if "started" in record:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["started"])
    assert ("started" in record) == ("started_at" in record)


# ---------------------------------------------------------------- records

COMMON = {"url": URL, "line": 7, "source": "urls.txt", "key": "example.com_http/a.html"}
TIMED = {
    "started": "2026-03-25T08:45:30Z",
    "started_at": 1774428330.25,
    "time_connect": 0.0,
    "time_starttransfer": 0.125,
    "time_total": 0.5,
    "time_queue": 3.0,
}


@pytest.mark.parametrize(
    ("result", "rest"),
    [
        (
            STORED,
            {
                "status": "stored",
                "http_code": 200,
                "content_type": "text/html; charset=utf-8",
                "etag": '"abc"',
                "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT",
                "redirects": 1,
                "url_effective": "http://example.com/b.html",
                "remote_ip": "127.0.0.1",
                "x_robots_tag": "noarchive",
                "size": 1234,
                "sha256": SHA256,
                "attempts": 1,
                **TIMED,
            },
        ),
        (
            NOT_MODIFIED,
            {
                "status": "not_modified",
                "http_code": 304,
                "etag": '"abc"',
                "redirects": 0,
                "url_effective": URL,
                "attempts": 2,
                **TIMED,
            },
        ),
        (SKIPPED, {"status": "skipped", "reason": "stored by an earlier run", "attempts": 0}),
        (DUPLICATE, {"status": "duplicate", "of_line": 3, "attempts": 0}),
        (
            DEFERRED,
            {
                "status": "deferred",
                "http_code": 429,
                "redirects": 0,
                "url_effective": URL,
                "error": {"kind": "http_status", "message": "HTTP 429"},
                "attempts": 2,
                **TIMED,
            },
        ),
        (
            DEFERRED_UNASKED,
            {
                "status": "deferred",
                "error": {"kind": "http_status", "message": "HTTP 429"},
                "attempts": 0,
            },
        ),
        (
            FAILED,
            {
                "status": "failed",
                "http_code": 404,
                "content_type": "text/plain",
                "redirects": 0,
                "url_effective": URL,
                "error": {"kind": "http_status", "message": "HTTP 404"},
                "attempts": 1,
                **TIMED,
            },
        ),
        (
            UNREACHED,
            {
                "status": "failed",
                "error": {"kind": "connect", "message": "can't connect: Connection refused"},
                "attempts": 4,
                "started": TIMED["started"],
                "started_at": TIMED["started_at"],
                "time_total": 0.5,
                "time_queue": 3.0,
            },
        ),
        (
            UNSTARTED,
            {
                "status": "not_reached",
                "error": {"kind": "interrupted", "message": "not finished: SIGINT"},
                "attempts": 0,
            },
        ),
        (
            BROKEN_OFF,
            {
                "status": "not_reached",
                "error": {"kind": "interrupted", "message": "not finished: SIGINT"},
                "attempts": 1,
                "time_total": 9.0,
            },
        ),
    ],
)
def test_a_record_has_what_is_known_and_nothing_else(result: Result, rest: dict[str, Any]) -> None:
    assert to_record(result) == COMMON | rest


def test_a_line_that_is_no_target_has_no_key() -> None:
    assert to_record(BAD_LINE) == {
        "url": "nonsense",
        "line": 8,
        "source": "urls.txt",
        "status": "failed",
        "error": {"kind": "bad_url", "message": "no scheme"},
        "attempts": 0,
    }


def test_what_older_versions_called_failed_is_read_as_not_reached() -> None:
    old = to_record(UNSTARTED) | {"status": "failed"}
    assert status_of(old) == status_of(to_record(UNSTARTED)) == "not_reached"
    assert status_of(to_record(FAILED)) == status_of({"status": "failed"}) == "failed"
    assert status_of({"status": "failed", "error": "interrupted"}) == "failed"
    assert {status_of(to_record(result)) for result in EVERY_RESULT.values()} == STATUSES


def test_the_examples_have_every_outcome_there_is() -> None:
    assert {type(result.outcome) for result in EVERY_RESULT.values()} == set(get_args(Outcome))


@pytest.mark.parametrize("result", EVERY_RESULT.values(), ids=EVERY_RESULT)
def test_the_line_of_a_result_is_its_record_as_json(result: Result) -> None:
    record = to_record(result)
    check(record)
    line = encode(result)
    assert line.endswith(b"}\n")
    assert json.loads(line) == record


@given(any_result())
def test_any_result_is_one_line_of_json_that_no_terminal_acts_on(result: Result) -> None:
    line = encode(result)
    assert line.count(b"\n") == 1
    text = line.decode()
    check(json.loads(text))
    assert not re.search(r"[\x00-\x1f\x80-\x9f\u200e-\u200f\u2028-\u202e\u2066-\u2069]", text[:-1])


def test_a_record_survives_its_line_whatever_a_server_says() -> None:
    odd = '\x00\x1b[2J\x7f\x9b31m\u2028\u202e"\\ü€𝄞'
    result = Result(Target(odd, URL, "a", odd, 1, odd), STORED.outcome)
    assert json.loads(encode(result)) == to_record(result)


def test_a_file_name_that_is_not_utf8_is_no_reason_to_lose_a_record() -> None:
    source = os.fsdecode(b"caf\xe9.txt")
    record = json.loads(encode(Result(Target(URL, URL, "a", "k", 1, source), STORED.outcome)))
    assert record["source"] == "caf?.txt"
    check(record)


@pytest.mark.parametrize("year_s", [-62135596801, -62135596800, 0, 253402300798, 253402300800])
def test_the_time_of_a_file_may_be_one_that_has_no_date(year_s: int) -> None:
    taken = Result(TARGET, Skipped("it is there", existing=Existing(3, year_s * 1000)))
    record = json.loads(encode(taken))
    check(record)
    assert ("modified" in record) == (-62135596800 <= year_s < 253402300799)
    if "modified" in record:
        assert object_modified_ms(record, None) == year_s * 1000


def test_the_url_is_shown_as_listed_without_its_secrets() -> None:
    listed = "HTTP://me:hunter2@Example.com/a?X-Amz-Signature=hunter2&page=2#top"
    record = to_record(Result(Target(listed, URL, "example.com", "k", 1, "l"), SKIPPED.outcome))
    assert record["url"] == "HTTP://REDACTED@Example.com/a?X-Amz-Signature=REDACTED&page=2#top"


def test_headers_of_a_target_are_named_without_their_values() -> None:
    target = Target(URL, URL, "a", "k", 1, "l", {"X-B": "hunter2", "X-A": "hunter2"})
    record = to_record(Result(target, SKIPPED.outcome))
    check(record)
    assert record["headers"] == ["X-A", "X-B"]


def test_headers_and_userinfo_of_a_target_are_in_no_record() -> None:
    target = Target(URL, URL, "a", "k", 1, "l", {"X-Plain": "hunter2"}, "me:hunter2")
    for result in EVERY_RESULT.values():
        assert b"hunter2" not in encode(Result(target, result.outcome))


# ---------------------------------------------------------------- a run that can't record


def test_a_run_whose_manifest_meets_a_full_disk_ends_with_that_and_tells_the_rest(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(lambda _: Reply(body=b"x"))
    heard: list[Result] = []
    sources = [from_iterable(f"{server.url}/{number}" for number in range(50))]
    settings = Settings.of(to=tmp_path, manifest="/dev/full", max_concurrency=1)
    run = Run(settings, sources, [lambda *more: heard.extend(more)])
    with pytest.raises(DestinationError, match="'/dev/full': No space left"), run:
        list(run)
    assert len(heard) == run.tally.targets == 50
    assert run.tally.statuses["stored"] == server.total < 50
    assert run.stopped is not None
    assert "No space left" in run.stopped


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
def test_a_run_whose_segments_are_refused_ends_with_that(
    code: str,
    serve: Serve,
    moto_server: S3Server,
) -> None:
    server = serve(lambda _: Reply(body=b"x"))

    def fault(asked: Asked) -> tuple[int, str] | None:
        status = 403 if code == "AccessDenied" else 503
        return (status, code) if "/.scraper/manifest-" in asked.path else None

    def tried(times: int) -> int:
        """How often a segment was put."""
        bucket = moto_server.make_bucket()
        sources = [from_iterable(f"{server.url}/{number}" for number in range(5))]
        with Front(moto_server.url, fault) as front:
            settings = Settings.of(
                to=f"s3://{bucket}/p", s3_endpoint=front.url, retry_max_time=2.0 * times
            )
            run = Run(settings, sources)
            results: list[Result] = []
            with pytest.raises(DestinationError, match=code), run:
                results.extend(run)
            assert [result.status for result in results] == ["stored"] * 5
            assert len(moto_server.keys(bucket) - {"p/.scraper/summary.json"}) == 5
            return sum("/.scraper/manifest-" in asked.path for asked in front.asked)

    again = code == "SlowDown"
    assert (patiently(tried, lambda times: times > 1 or not again) > 1) == again
