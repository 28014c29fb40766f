"""The log: each event from one record, as text for people and as JSON for machines."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.manifest.record import to_record
from scraper.model.errors import Kind
from scraper.model.records import Failed, Failure, Result, Target, Times
from scraper.model.settings import Settings
from scraper.report.log import Event, Log, Style
from scraper.report.streams import ResultStream
from scraper.report.summary import Invocation, Places, Summary
from scraper.run.loop import Run
from scraper.schedule import HostStatistics
from scraper.source.sources import from_iterable
from tests.report.summaries import summary
from tests.results import (
    BAD_LINE,
    BROKEN_OFF,
    DEFERRED,
    DEFERRED_UNASKED,
    DUPLICATE,
    EVERY_RESULT,
    FAILED,
    NOT_MODIFIED,
    REFUSED,
    SKIPPED,
    STORED,
    TARGET,
    UNREACHED,
    UNSTARTED,
    URL,
    any_result,
)
from tests.servers import Reply, Request, Serve, closed_port

HEAD = {"time", "level", "event"}
DRIVES = re.compile(r"[\x00-\x1f\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def told(say: Callable[[Log], None], **how: Any) -> list[str]:
    """The lines that a log writes when `say` uses it."""
    lines: list[str] = []
    as_json = how.pop("as_json", False)
    say(Log(lambda *more: lines.extend(more), Style(as_json=as_json), **how))
    return lines


def text(result: Result) -> str:
    (line,) = told(lambda log: log(result), verbose=True)
    return line


def record_of(say: Callable[[Log], None]) -> dict[str, Any]:
    (line,) = told(say, as_json=True, verbose=True)
    found: dict[str, Any] = json.loads(line)
    assert found.keys() >= HEAD
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    return found


# ---------------------------------------------------------------- what became of a target


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (STORED, f"200    1.2 kB   0.500s  {URL} -> example.com_http/a.html"),
        (
            Result(TARGET, STORED.outcome, 3, Times(total=12.5)),
            f"200    1.2 kB  12.500s  {URL} -> example.com_http/a.html after 3 attempts",
        ),
        (NOT_MODIFIED, f"304 unchanged  {URL}"),
        (SKIPPED, f"skipped  {URL}: stored by an earlier run"),
        (DUPLICATE, f"duplicate  {URL} (urls.txt:7): same as line 3"),
        (DEFERRED, f"deferred  {URL} (urls.txt:7): HTTP 429"),
        (DEFERRED_UNASKED, f"deferred  {URL} (urls.txt:7): HTTP 429"),
        (FAILED, f"failed  {URL} (urls.txt:7): http_status: HTTP 404"),
        (
            UNREACHED,
            f"failed  {URL} (urls.txt:7): connect: {REFUSED.message} after 4 attempts",
        ),
        (BAD_LINE, "failed  nonsense (urls.txt:8): bad_url: no scheme"),
        (UNSTARTED, f"not reached  {URL} (urls.txt:7): not finished: SIGINT"),
        (BROKEN_OFF, f"not reached  {URL} (urls.txt:7): not finished: SIGINT"),
    ],
)
def test_what_became_of_a_target_is_one_line(result: Result, line: str) -> None:
    assert text(result) == line


@pytest.mark.parametrize("result", EVERY_RESULT.values(), ids=EVERY_RESULT)
def test_as_json_it_is_the_record_of_the_manifest(result: Result) -> None:
    found = record_of(lambda log: log(result))
    assert found["event"] == "result"
    assert {name: value for name, value in found.items() if name not in HEAD} == to_record(result)


@pytest.mark.parametrize("result", EVERY_RESULT.values(), ids=EVERY_RESULT)
def test_the_two_renderings_do_not_contradict_each_other(result: Result) -> None:
    line, record = text(result), record_of(lambda log: log(result))
    assert record["url"] in line
    for name in ("http_code", "reason", "of_line"):
        if name in record and result.failure is None:
            assert str(record[name]) in line
    if "error" in record:
        assert record["error"]["message"] in line
        assert line.startswith(record["status"].replace("_", " "))
    if record["attempts"] > 1 and record["status"] in {"stored", "failed"}:
        assert f"after {record['attempts']} attempts" in line


# ---------------------------------------------------------------- other events


def test_an_event_has_a_text_and_a_record() -> None:
    def say(log: Log) -> None:
        log.say("info", "start", "scraper 1.0: to ./out", version="1.0")

    assert told(say) == ["scraper 1.0: to ./out"]
    found = record_of(say)
    assert {name: found[name] for name in found.keys() - {"time"}} == {
        "level": "info",
        "event": "start",
        "message": "scraper 1.0: to ./out",
        "version": "1.0",
    }


def test_a_retry_is_named_as_one_and_shows_all_that_is_known() -> None:
    record = {"url": URL, "attempt": 1, "delay_s": 1.25, "kind": "timeout", "message": "no answer"}

    def note(log: Log) -> None:
        log.note("debug", "retry", record)

    assert told(note, verbose=True) == [
        f"retry  url={URL} attempt=1 delay_s=1.25 kind=timeout message=no answer"
    ]
    found = record_of(note)
    assert (found["event"], found["level"]) == ("retry", "debug")
    assert {name: found[name] for name in record} == record


def test_the_summary_is_its_lines_or_its_record() -> None:
    closing = summary(STORED, FAILED)
    assert told(lambda log: log.summary(closing)) == closing.as_text().splitlines()
    found = record_of(lambda log: log.summary(closing))
    assert found["event"] == "summary"
    assert {name: found[name] for name in found.keys() - HEAD} == closing.as_record()


# ---------------------------------------------------------------- what is told, and what not

WARNED = {"deferred", "deferred unasked", "failed", "failed to connect", "no target", "broken off"}
DEBUGGED = {"never started"}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", EVERY_RESULT)
def test_quiet_tells_failures_alone_and_verbose_everything(name: str, as_json: bool) -> None:
    def is_told(**how: bool) -> bool:
        return bool(told(lambda log: log(EVERY_RESULT[name]), as_json=as_json, **how))

    assert is_told(quiet=True) == (name in WARNED)
    assert is_told() == (name not in DEBUGGED)
    assert is_told(verbose=True)


@pytest.mark.parametrize(
    ("result", "level"),
    [(STORED, "info"), (FAILED, "warning"), (DEFERRED, "warning"), (UNSTARTED, "debug"),
     (BROKEN_OFF, "warning"), (DUPLICATE, "info")],
)  # fmt: skip
def test_the_level_stands_in_the_record(result: Result, level: str) -> None:
    assert record_of(lambda log: log(result))["level"] == level


@pytest.mark.parametrize(
    ("level", "told_by"),
    [("debug", "v"), ("info", "v-"), ("warning", "v-q"), ("error", "v-q")],
)
def test_events_are_told_by_their_level(level: str, told_by: str) -> None:
    def say(log: Log) -> None:
        log.say(level, "something", "words")

    assert told(say, verbose=True) == (["words"] if "v" in told_by else [])
    assert told(say) == (["words"] if "-" in told_by else [])
    assert told(say, quiet=True) == (["words"] if "q" in told_by else [])


@pytest.mark.parametrize("as_json", [False, True])
def test_quiet_has_no_summary_unless_something_went_wrong(as_json: bool) -> None:
    def is_told(closing: Summary) -> bool:
        return bool(told(lambda log: log.summary(closing), quiet=True, as_json=as_json))

    assert not is_told(summary())
    assert not is_told(summary(STORED, DUPLICATE, SKIPPED))
    assert is_told(summary(STORED, FAILED))
    assert is_told(summary(DEFERRED))
    assert is_told(summary(stopped="SIGINT"))


def test_a_muted_log_says_no_more() -> None:
    def say(log: Log) -> None:
        log.say("error", "one", "first")
        log.mute()
        log.say("error", "two", "second")
        log(FAILED)
        log.summary(summary(FAILED))

    assert told(say, verbose=True) == ["first"]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_told_at_once_is_written_at_once_without_what_is_below_the_verbosity(
    *, as_json: bool
) -> None:
    written: list[tuple[str, ...]] = []

    def write(*lines: str) -> None:
        written.append(lines)

    results = [STORED, FAILED, SKIPPED]
    for one in results:
        Log(write, Style(as_json=as_json))(one)
    Log(write, Style(as_json=as_json))(*results)
    Log(write, Style(as_json=as_json), quiet=True)(*results)
    Log(write, Style(as_json=as_json), quiet=True)(STORED, SKIPPED)
    bare = [[re.sub(r'"time":"[^"]*"', "", line) for line in lines] for lines in written]
    (stored,), (failed,), (skipped,), *together = bare
    assert together == [[stored, failed, skipped], [failed]]


# ---------------------------------------------------------------- terminals and secrets

ODD = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u2028\u202e\x00"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("outcome", EVERY_RESULT)
def test_no_list_and_no_server_drives_the_terminal(outcome: str, as_json: bool) -> None:
    target = Target(URL + ODD, URL, "a" + ODD, "key" + ODD, 1, "list" + ODD)
    result = Result(target, EVERY_RESULT[outcome].outcome, 2)
    (line,) = told(lambda log: log(result), verbose=True, as_json=as_json)
    assert not DRIVES.search(line)


@given(any_result(), st.booleans())
def test_any_result_is_one_line_that_can_be_written(result: Result, as_json: bool) -> None:
    (line,) = told(lambda log: log(result), verbose=True, as_json=as_json)
    assert not DRIVES.search(line)
    line.encode()
    if as_json:
        json.loads(line)


@pytest.mark.parametrize("as_json", [False, True])
def test_no_event_drives_the_terminal(as_json: bool) -> None:
    def say(log: Log) -> None:
        log.say("info", "start", "to " + ODD, where=ODD)
        log.note("debug", "retry", {"message": ODD})
        log.event(Event("other", "error", ODD, {"text": ODD}))
        target = Target(URL + ODD, URL, "a" + ODD, "key" + ODD, 1, "list" + ODD)
        failure = Failure(Kind.CONNECT, ODD)
        places = Places(ODD, "m" + ODD, ODD, ODD, ODD)
        hosts = [HostStatistics(f"{number}{ODD}", 1, 0, 1.0) for number in range(2)]
        again = Invocation(ODD, ODD, ODD)
        results = STORED, Result(target, Failed(failure), 1)
        closing = summary(
            *results, stopped=ODD, places=places, hosts=hosts, invocation=again, version=ODD
        )
        assert closing.as_text().count("\n") == len(closing.as_text().splitlines()) - 1
        log.summary(closing)

    lines = told(say, verbose=True, as_json=as_json)
    assert len(lines) >= 4
    assert not any(DRIVES.search(line) for line in lines)


@pytest.mark.parametrize("as_json", [False, True])
def test_no_line_shows_what_the_list_keeps_secret(as_json: bool) -> None:
    listed = "http://me:hunter2@example.com/a?token=hunter2"
    target = Target(listed, URL, "a", "k", 1, "l", {"Authorization": "hunter2"}, "me:hunter2")
    results = [Result(target, one.outcome) for one in EVERY_RESULT.values()]

    def say(log: Log) -> None:
        for result in results:
            log(result)

    lines = told(say, verbose=True, as_json=as_json)
    assert len(lines) == len(results)
    assert not any("hunter2" in line for line in lines)
    assert all("http://REDACTED@example.com/a?token=REDACTED" in line for line in lines)


def test_no_word_about_a_whole_run_has_a_secret(serve: Serve, tmp_path: Path) -> None:
    closed = f"http://me:hunter2@127.0.0.1:{closed_port()}"
    locations = {
        "/page": "/there?token=hunter2",
        "/nowhere": f"{closed}/?token=hunter2",
        "/nonsense": "http://me:hunter2@[::1/?token=hunter2",
        "/ftp": "ftp://me:hunter2@h/?sig=hunter2",
        "/round": "/round?token=hunter2",
    }

    def answer(request: Request) -> Reply:
        if location := locations.get(request.plain_path):
            return Reply(302, {"Location": location})
        return Reply(500 if request.plain_path == "/broken" else 200, body=b"x")

    server = serve(answer)
    site = server.url.replace("//", "//me:hunter2@")
    headers = {"Authorization": "Bearer hunter2", "X-Plain": "hunter2"}
    urls = [f"{site}{path}?X-Amz-Signature=hunter2&n=1" for path in (*locations, "/a", "/broken")]
    urls += [f"{site}/a?X-Amz-Signature=hunter2&n=1", f"{closed}/?key=hunter2"]
    urls += [f"{site}/{name}?password=hunter2\ttaken" for name in "bc"]
    urls += [json.dumps({"url": f"{site}/json?sig=hunter2", "headers": headers})]
    urls += [json.dumps({"url": "http://me:hunter2@h:99999/", "headers": headers})]
    urls += [json.dumps({"url": f"{site}/", "headers": {"A": "hunter2\n"}})]
    urls += [f"{site}/\t../out", "me:hunter2@host", "http://me:hunter2" + "x" * 300 + "@h:99999/"]
    lines: list[str] = []
    logs = [
        Log(lambda *more: lines.extend(more), Style(as_json=as_json), verbose=True)
        for as_json in (False, True)
    ]
    results = ResultStream(str(tmp_path / "results"), lambda error: lines.append(str(error)))
    results.open()

    def note(level: str, name: str, record: Mapping[str, Any]) -> None:
        for log in logs:
            log.note(level, name, record)

    for proxy in (None, closed):
        options: dict[str, Any] = {"headers": ["X-Api-Key: hunter2"], "proxy": proxy, "retries": 1}
        options["retry_max_time"] = 0.5  # so long is a host waited for that refuses
        settings = Settings.of(to=tmp_path, backoff_min=0, backoff_max=0, **options)
        with Run(settings, [from_iterable(urls)], [*logs, results], note) as run:
            became = {result.status for result in run}
        for log in logs:
            log.say("info", "start", run.describe())
            log.summary(run.summary())
        assert became >= {"failed", "duplicate"}
    results.close()
    assert {"authorization", "x-api-key"} <= server.requests[0].headers.keys()
    told = "\n".join(lines)
    assert '"event":"retry"' in told
    kept = (tmp_path / ".scraper/manifest.jsonl").read_text()
    told_twice = re.sub(r',"(?:identity|run)":"[^"]*"', "", kept)  # not in results of no known run
    assert told_twice == (tmp_path / "results").read_text()
    assert kept.count("\n") == 2 * len(urls)
    assert "hunter2" not in told + kept
