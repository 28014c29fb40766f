"""A whole run against real servers: caps, retries, stopping, one result for each line."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.errors import DestinationError, Kind, SinkError, UsageError
from scraper.model.records import Duplicate, Failed, Result, Stored
from scraper.model.settings import Settings
from scraper.run.account import Receiver
from scraper.run.loop import Run
from scraper.run.stopping import GRACE_S, Note
from scraper.sinks.base import Body, Sink, Upload
from scraper.sinks.directory.sink import DirectorySink
from scraper.source.sources import from_iterable
from tests.machine import within
from tests.servers import (
    WAIT_S,
    Farm,
    HttpFarm,
    HttpServer,
    Reply,
    Request,
    Serve,
    closed_port,
)

QUICK: dict[str, Any] = {"backoff_min": 0.01, "backoff_max": 0.03}


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is the same with every engine."""
    monkeypatch.setitem(QUICK, "engine", request.param)


def make_run(
    urls: Iterable[str | bytes],
    to: Path | str,
    receivers: Iterable[Receiver] = (),
    **options: Any,
) -> Run:
    return Run(Settings.of(to=to, **{**QUICK, **options}), [from_iterable(urls)], [*receivers])


def hear(run: Run, note: Note) -> None:
    """Let `note` have what `run` tells."""
    run._note = run._stop._note = run._failure_policy._note = note


def results_of(run: Run) -> list[Result]:
    with run:
        return list(run)


def fetch(urls: Iterable[str | bytes], to: Path, **options: Any) -> list[Result]:
    return list(scraper.run(urls, to=str(to), **{**QUICK, **options}))


def statuses(results: Iterable[Result]) -> Counter[str]:
    return Counter(result.status for result in results)


def kinds(results: Iterable[Result]) -> Counter[Kind]:
    return Counter(result.failure.kind for result in results if result.failure is not None)


def body(to: Path, result: Result) -> bytes:
    return (to / result.target.key).read_bytes()


def page(request: Request) -> bytes:
    return f"{request.host}{request.path}\n".encode() * 20


def echo(request: Request) -> Reply:
    return Reply(body=page(request))


class RobotsQueue:
    """A server's handler that answers once `count` requests are in flight together."""

    def __init__(self, count: int) -> None:
        self.full = threading.Event()
        self._count = count
        self._waiting = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            self._waiting += 1
            if self._waiting == self._count:
                self.full.set()
        return Reply(body=page(request), delay=self.full)


# ---------------------------------------------------------------- slots


@pytest.mark.parametrize("count", [1, 4, 16])
def test_there_are_never_more_in_flight_than_allowed_and_all_slots_are_used(
    count: int, serve: Serve, tmp_path: Path
) -> None:
    server = serve(RobotsQueue(count))
    urls = [f"{server.url}/{number}" for number in range(5 * count)]
    results = fetch(urls, tmp_path, max_concurrency=count)
    assert statuses(results) == {"stored": 5 * count}
    assert server.max_in_flight == count


def test_no_host_has_more_in_flight_than_its_cap(farm: Farm, tmp_path: Path) -> None:
    servers = farm(RobotsQueue(12))
    urls = [f"{url}/{number}" for number in range(10) for url in servers.urls]
    results = fetch(urls, tmp_path, max_concurrency=16, per_host=3)
    assert statuses(results) == {"stored": 40}
    assert set(servers.max_in_flight_by_address.values()) == {3}


def test_one_hosts_long_run_of_lines_leaves_room_for_the_others(farm: Farm, tmp_path: Path) -> None:
    servers = farm(echo)
    first, second, *_ = servers.urls
    urls = [f"{first}/{number}" for number in range(300)]
    urls += [f"{second}/{number}" for number in range(5)]
    fetch(urls, tmp_path, max_concurrency=2)
    places = [place for place, one in enumerate(servers.requests) if one.address == "127.0.0.2"]
    assert len(places) == 5
    assert places[-1] < 280


def test_a_target_that_waits_for_its_retry_holds_no_slot(serve: Serve, tmp_path: Path) -> None:
    robots_queue = RobotsQueue(4)
    failed: set[str] = set()

    def answer(request: Request) -> Reply:
        if request.path.startswith("/flaky") and request.path not in failed:
            failed.add(request.path)
            return Reply(500)
        return echo(request) if request.path.startswith("/flaky") else robots_queue(request)

    server = serve(answer)
    urls = [f"{server.url}/flaky/{number}" for number in range(4)]
    urls += [f"{server.url}/page/{number}" for number in range(4)]
    results = fetch(urls, tmp_path, max_concurrency=4, backoff_min=1, backoff_max=1)
    assert statuses(results) == {"stored": 8}
    asked = [request.path.split("/")[1] for request in server.requests]
    assert Counter(asked[:8]) == {"flaky": 4, "page": 4}  # four pages at once, while four wait
    assert asked[8:] == ["flaky"] * 4


def test_a_server_that_fails_every_third_request_gives_everything_in_the_end(
    farm: Farm, tmp_path: Path
) -> None:
    numbers = itertools.count(1)

    def answer(request: Request) -> Reply:
        number = next(numbers)
        if number % 3 == 0:
            return Reply(500, body=b"an error that is not the page")
        if number % 7 == 0:
            return Reply(429, {"Retry-After": "0"}, b"too many")
        return echo(request)

    servers = farm(answer)
    urls = [f"{url}/{number}" for number in range(75) for url in servers.urls]
    results = fetch(urls, tmp_path, max_concurrency=8, retries=30)
    assert statuses(results) == {"stored": 300}
    assert sum(result.attempts for result in results) == servers.total > 400
    assert servers.max_in_flight <= 8
    for result in results:
        host, _, path = result.target.url.removeprefix("http://").partition("/")
        assert body(tmp_path, result) == f"{host}/{path}\n".encode() * 20


def test_retry_after_pauses_its_host_alone(farm: Farm, tmp_path: Path) -> None:
    asked: list[tuple[float, str]] = []

    def answer(request: Request) -> Reply:
        asked.append((time.monotonic(), request.address))
        if request.address == "127.0.0.1" and len(asked) == 1:
            return Reply(429, {"Retry-After": "1"})
        return echo(request)

    servers = farm(answer)
    first, second, *_ = servers.urls
    urls = [f"{first}/{number}" for number in range(3)]
    urls += [f"{second}/{number}" for number in range(5)]
    results = fetch(urls, tmp_path, max_concurrency=1)
    assert statuses(results) == {"stored": 8}
    assert [address for _, address in asked] == (
        ["127.0.0.1"] + ["127.0.0.2"] * 5 + ["127.0.0.1"] * 3
    )
    assert asked[6][0] - asked[0][0] >= 1.0


def test_a_host_that_asks_for_too_much_patience_is_deferred_alone(
    farm: Farm, tmp_path: Path
) -> None:
    servers = farm(
        lambda one: Reply(503, {"Retry-After": "9999"}) if one.address == "127.0.0.1" else echo(one)
    )
    first, second, *_ = servers.urls
    urls = [f"{url}/{number}" for number in range(10) for url in (first, second)]
    results = fetch(urls, tmp_path, max_concurrency=1)
    assert statuses(results) == {"deferred": 10, "stored": 10}
    assert servers.in_flight_by_address["127.0.0.1"] == 0
    assert sum(request.address == "127.0.0.1" for request in servers.requests) == 1


def test_a_host_that_is_down_costs_ten_attempts_and_not_one_for_each_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    urls = [f"{url}/{number}" for number in range(300)]
    results = fetch(urls, tmp_path, max_concurrency=4, retries=0)
    found = kinds(results)
    assert found[Kind.CONNECT] + found[Kind.HOST_DOWN] == 300
    assert 10 <= found[Kind.CONNECT] < 20


# ---------------------------------------------------------------- one result for each line


def test_every_line_has_one_result_and_the_counts_add_up(serve: Serve, tmp_path: Path) -> None:
    server = serve(
        {"/a": b"a", "/b": b"b", "/gone": Reply(404), "/hop": Reply(302, {"Location": "/a"})}
    )
    lines: list[str | bytes] = [
        "# a comment",
        f"{server.url}/a",
        "",
        f"{server.url}/b\tgiven/key.txt",
        f"{server.url}/a",
        f"{server.url}/gone",
        "no url at all",
        "ftp://host/file",
        b"http://host/\xff\xfe",
        b"http://host/\0",
        f'{{"url": "{server.url}/hop"}}',
        "{not json",
        "http://" + "x" * 100_000,
        f"{server.url}/b\tother/key.txt",
        f"{server.url}/hop\tgiven/key.txt",
        f"{server.url}/a\t../../escape",
    ]
    run = make_run(lines, tmp_path, max_concurrency=4)
    results = results_of(run)
    assert sorted(result.target.line for result in results) == [2, *range(4, 17)]
    by_line = {result.target.line: result for result in results}
    assert statuses(results) == {"stored": 4, "duplicate": 1, "failed": 9}
    assert by_line[5].outcome == Duplicate(of_line=2)
    assert all(
        isinstance(by_line[line].outcome, Failed) and by_line[line].failure is not None
        for line in (6, 7, 8, 9, 10, 12, 13, 15, 16)
    )
    assert kinds(results) == {Kind.HTTP_STATUS: 1, Kind.BAD_URL: 8}
    assert run.tally.statuses == statuses(results)
    assert run.view().snapshot().lines == len(results)
    assert not (tmp_path.parent / "escape").exists()


def test_the_same_url_and_key_is_fetched_once(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a": b"a"})
    results = fetch([f"{server.url}/a", f"{server.url}/a#top", f" {server.url}/./a "], tmp_path)
    assert statuses(results) == {"stored": 1, "duplicate": 2}
    assert server.total == 1


def test_another_url_with_a_key_that_is_taken_is_a_failure_and_overwrites_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a": b"a", "/b": b"b"})
    results = fetch([f"{server.url}/a\tkey", f"{server.url}/b\tkey"], tmp_path, max_concurrency=1)
    assert [result.status for result in sorted(results, key=lambda one: one.target.line)] == [
        "stored",
        "failed",
    ]
    assert (tmp_path / "key").read_bytes() == b"a"
    assert server.hits == {"/a": 1}


def test_an_empty_list_is_no_error(tmp_path: Path) -> None:
    assert fetch([], tmp_path) == []
    assert fetch(["", "# nothing"], tmp_path) == []


def test_receivers_hear_what_the_manifest_has_in_its_order(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    manifest = tmp_path / ".scraper" / "manifest.jsonl"
    heard: list[Result] = []
    again: list[Result] = []
    urls = [f"{server.url}/{number}" for number in range(200)]
    run = make_run(
        [*urls, "bad", urls[0]],
        tmp_path,
        [lambda *more: heard.extend(more), lambda *more: again.extend(more)],
    )
    yielded = results_of(run)
    recorded = [json.loads(line)["line"] for line in manifest.read_text().splitlines()]
    assert [one.target.line for one in yielded] == recorded
    assert heard == again == yielded


def test_a_retried_target_is_recorded_once_with_its_attempts(serve: Serve, tmp_path: Path) -> None:
    answers = iter([Reply(500), Reply(429), Reply(503), Reply(body=b"at last")])
    server = serve(lambda request: next(answers))
    (result,) = fetch([f"{server.url}/a"], tmp_path)
    assert (result.status, result.attempts) == ("stored", 4)
    assert body(tmp_path, result) == b"at last"


def test_a_target_that_never_works_fails_with_its_last_reason(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: Reply(502))
    (result,) = fetch([f"{server.url}/a"], tmp_path, retries=2)
    assert (result.status, result.attempts, server.total) == ("failed", 3, 3)
    assert result.failure is not None
    assert (result.failure.kind, result.failure.http_code) == (Kind.HTTP_STATUS, 502)


# ---------------------------------------------------------------- input


def test_the_first_fetch_starts_before_the_second_line_exists(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)

    def lines() -> Iterator[str]:
        for number in range(3):
            yield f"{server.url}/{number}"
            server.wait_until(lambda expected=number + 1: server.total == expected)  # type: ignore[misc]

    assert statuses(fetch(lines(), tmp_path)) == {"stored": 3}


def test_results_come_while_the_list_is_still_open(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    go_on = threading.Event()

    def lines() -> Iterator[str]:
        yield f"{server.url}/first"
        assert go_on.wait(WAIT_S)
        yield f"{server.url}/second"

    results = scraper.run(lines(), to=str(tmp_path))
    assert next(results).status == "stored"
    go_on.set()
    assert statuses(results) == {"stored": 1}


def test_a_list_that_breaks_off_is_told_after_what_it_gave(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)

    def lines() -> Iterator[str]:
        yield f"{server.url}/first"
        raise RuntimeError("no more")

    results = scraper.run(lines(), to=str(tmp_path))
    assert next(results).status == "stored"
    with pytest.raises(RuntimeError, match="no more"):
        next(results)


def test_a_bad_option_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="max_concurrency"):
        scraper.run([], to=str(tmp_path / "out"), max_concurrency=0)
    with pytest.raises(UsageError, match="no_such_option"):
        scraper.run([], to=str(tmp_path / "out"), no_such_option=1)  # type: ignore[call-arg]
    assert list(tmp_path.iterdir()) == []


def test_a_secret_in_the_destination_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scp://REDACTED@host/") as caught:
        scraper.run([], to="scp://me:hunter2@host/pages")
    assert "hunter2" not in str(caught.value)
    run = make_run([], tmp_path / "out?token=hunter2", manifest=str(tmp_path / "m"))
    with run:
        assert list(run) == []
        assert "hunter2" not in run.describe()
    assert "hunter2" not in run.summary().as_text()
    assert (tmp_path / "out?token=hunter2").is_dir()


# ---------------------------------------------------------------- stopping


def workspaces(to: Path) -> list[Path]:
    return list((to / ".scraper" / "tmp").glob("run-*"))


def test_fail_fast_starts_nothing_after_the_first_failure(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda one: Reply(404) if one.path == "/3" else echo(one))
    urls = [f"{server.url}/{number}" for number in range(50)]
    run = make_run(urls, tmp_path, max_concurrency=1, fail_fast=True)
    results = results_of(run)
    assert server.total == 4
    assert kinds(results) == {Kind.HTTP_STATUS: 1, Kind.INTERRUPTED: 46}
    assert statuses(results) == {"stored": 3, "failed": 1, "not_reached": 46}
    assert run.stopped is not None


def test_fail_fast_tolerates_what_the_budget_does(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda one: Reply(404) if one.path in {"/1", "/2", "/3"} else echo(one))
    urls = [f"{server.url}/{number}" for number in range(10)]
    results = fetch(urls, tmp_path, max_concurrency=1, fail_fast=True, max_failures=2)
    assert kinds(results) == {Kind.HTTP_STATUS: 3, Kind.INTERRUPTED: 6}
    assert server.total == 4


def test_lines_taken_in_together_with_the_one_that_stops_the_run_have_results_too(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(50)]
    results = fetch([*urls, "no url", *urls[:3]], tmp_path, fail_fast=True)
    assert sorted(result.target.line for result in results) == list(range(1, 55))
    assert kinds(results)[Kind.BAD_URL] == 1


def test_what_is_in_flight_when_the_run_is_stopped_may_end(serve: Serve, tmp_path: Path) -> None:
    go = threading.Event()
    server = serve(lambda request: Reply(body=page(request), delay=go))
    run = make_run([f"{server.url}/{number}" for number in range(20)], tmp_path, max_concurrency=4)

    def stop(request: Request) -> None:
        if server.in_flight == 4:
            run.stop("enough", grace_s=WAIT_S)
            go.set()

    server.on_request = stop
    results = results_of(run)
    assert server.total == 4
    assert statuses(results) == {"stored": 4, "not_reached": 16}
    assert kinds(results) == {Kind.INTERRUPTED: 16}
    assert len(results) == 20


def test_what_does_not_end_within_the_grace_is_given_up_and_recorded(
    serve: Serve, tmp_path: Path
) -> None:
    never = threading.Event()
    server = serve(lambda request: Reply(body=[b"begun", b"never sent"], delay=never))
    run = make_run([f"{server.url}/{number}" for number in range(10)], tmp_path, max_concurrency=3)

    def stop(request: Request) -> None:
        if server.in_flight == 3:
            run.stop("enough", grace_s=0.1)

    server.on_request = stop
    results = results_of(run)
    never.set()
    assert kinds(results) == {Kind.INTERRUPTED: 10}
    assert not run.abandoned
    assert workspaces(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {".scraper"}
    manifest = tmp_path / ".scraper" / "manifest.jsonl"
    assert len(manifest.read_text().splitlines()) == 10


def test_a_signal_that_wakes_nobody_is_heard_soon(serve: Serve, tmp_path: Path) -> None:
    """It may come after the loop last looked and before it sleeps."""
    never = threading.Event()
    server = serve(lambda request: Reply(body=b"late", delay=never))
    run = make_run([f"{server.url}/0"], tmp_path)
    run.wake = lambda: None  # type: ignore[method-assign]
    server.on_request = lambda request: run.stop("a signal", grace_s=0.0)
    with within(0, room_s=GRACE_S / 4):
        results = results_of(run)
    never.set()
    assert kinds(results) == {Kind.INTERRUPTED: 1}


def test_targets_that_wait_for_a_retry_are_recorded_when_the_run_is_stopped(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(lambda request: Reply(500))
    run = make_run(
        [f"{server.url}/{n}" for n in range(5)], tmp_path, backoff_min=50, backoff_max=50
    )
    heard: list[str] = []

    def note(level: str, name: str, record: object) -> None:
        heard.append(name)
        if heard.count("retry") == 5:
            run.stop("enough")

    hear(run, note)
    results = results_of(run)
    assert kinds(results) == {Kind.INTERRUPTED: 5}
    assert {result.attempts for result in results} == {1}


def test_leaving_the_iteration_early_ends_the_run(serve: Serve, tmp_path: Path) -> None:
    never = threading.Event()
    server = serve(lambda one: echo(one) if one.path == "/0" else Reply(body=b"x", delay=never))
    results = scraper.run([f"{server.url}/{n}" for n in range(100)], to=str(tmp_path))
    first = next(results)
    assert isinstance(results, Generator)
    results.close()
    never.set()
    server.wait_until(lambda: server.open_connections == 0)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left - {".scraper/tmp/lock", ".scraper/lock"} == {
        first.target.key,
        ".scraper/manifest.jsonl",
        ".scraper/summary.json",
    }
    assert workspaces(tmp_path) == []
    with pytest.raises(StopIteration):
        next(results)


def test_an_endless_list_can_be_left(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    endless = (f"{server.url}/{number}" for number in itertools.count())
    results = scraper.run(endless, to=str(tmp_path), max_concurrency=4)
    assert len(list(itertools.islice(results, 50))) == 50
    assert isinstance(results, Generator)
    results.close()
    assert workspaces(tmp_path) == []


# ---------------------------------------------------------------- sinks that fail


class Faulty:
    """A directory sink whose uploads fail where and how the test says."""

    def __init__(self, sink: DirectorySink, where: str, fault: Callable[[str], object]) -> None:
        self.sink = sink
        self.where = where
        self.fault = fault

    def check(self) -> None:
        self.sink.check()

    def open(self, key: str) -> Upload:
        if self.where == "open":
            self.fault(key)
        return FaultyUpload(self, key)

    def close(self) -> None:
        self.sink.close()


class FaultyUpload:
    def __init__(self, faulty: Faulty, key: str) -> None:
        self.faulty = faulty
        self.key = key
        self.upload = faulty.sink.open(key)

    def write(self, chunk: bytes) -> None:
        if self.faulty.where == "write":
            self.faulty.fault(self.key)
        self.upload.write(chunk)

    def commit(self, body: Body) -> Stored:
        if self.faulty.where == "commit":
            self.faulty.fault(self.key)
        return self.upload.commit(body)

    def abort(self) -> None:
        self.upload.abort()
        if self.faulty.where == "abort":
            self.faulty.fault(self.key)


def into(run: Run, sink: Sink) -> Run:
    run._resources.sink = sink
    return run


@pytest.mark.parametrize("where", ["open", "write", "commit"])
def test_a_destination_that_takes_no_more_ends_the_run_with_everything_recorded(
    where: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)

    numbers = itertools.count()

    def fault(key: str) -> None:
        if next(numbers) == 5:
            raise DestinationError("disk full")

    urls = [f"{server.url}/{number}" for number in range(30)]
    heard: list[Result] = []
    run = make_run(urls, tmp_path, [lambda *more: heard.extend(more)], max_concurrency=1)
    with pytest.raises(DestinationError, match="disk full"):
        results_of(into(run, Faulty(DirectorySink(tmp_path), where, fault)))
    assert len(heard) == 30
    assert statuses(heard) == {"stored": 5, "failed": 1, "not_reached": 24}
    assert kinds(heard) == {Kind.SINK: 1, Kind.INTERRUPTED: 24}
    assert server.total == 6
    assert len((tmp_path / ".scraper" / "manifest.jsonl").read_text().splitlines()) == 30


@pytest.mark.parametrize("where", ["open", "write", "commit", "abort"])
def test_a_bug_in_a_sink_costs_its_target_and_no_slot(
    where: str, serve: Serve, tmp_path: Path
) -> None:
    numbers = itertools.count()

    def answer(request: Request) -> Reply:
        odd = int(request.path[1:]) % 2 == 1
        return Reply(404) if odd and where == "abort" else echo(request)

    def fault(key: str) -> None:
        if next(numbers) % 2 == 1 or where == "abort":
            raise ZeroDivisionError("a bug")

    server = serve(answer)
    run = make_run([f"{server.url}/{n}" for n in range(20)], tmp_path, max_concurrency=2)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), where, fault)))
    assert statuses(results) == {"stored": 10, "failed": 10}
    assert workspaces(tmp_path) == []


def test_an_error_of_the_sink_that_may_pass_is_retried(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    tries: Counter[str] = Counter()

    def fault(key: str) -> None:
        tries[key] += 1
        if tries[key] == 1:
            raise SinkError("503 SlowDown", transient=True)

    run = make_run([f"{server.url}/{n}" for n in range(6)], tmp_path)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", fault)))
    assert statuses(results) == {"stored": 6}
    assert {result.attempts for result in results} == {2}


# ---------------------------------------------------------------- many


def test_two_thousand_pages_of_four_hosts_are_stored_byte_by_byte(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        size = int(request.path.rpartition("/")[2]) * 37 % 9000
        return Reply(body=(page(request) * (1 + size // 20))[:size])

    with HttpFarm(answer) as farm:
        urls = [f"{url}/{number}" for number in range(500) for url in farm.urls]
        results = fetch(urls, tmp_path, max_concurrency=16, per_host=8)
        assert statuses(results) == {"stored": 2000}
        for result in results:
            host, _, path = result.target.url.removeprefix("http://").partition("/")
            size = int(path) * 37 % 9000
            expected = f"{host}/{path}\n".encode() * 20 * (1 + size // 20)
            assert body(tmp_path, result) == expected[:size]
        assert farm.max_in_flight <= 16
        assert max(farm.max_in_flight_by_address.values()) <= 8
        assert farm.total == 2000
        assert farm.connections <= 64


# Sampled, because the kernel's own peak of a child begins with that of its parent.
MEASURED = """
import sys
import psutil
import scraper

url, to, *marks = sys.argv[1:]
marks = [int(mark) for mark in marks]
lines = (f"{url}/{number}" for number in range(marks[-1]))
process, peak = psutil.Process(), 0
for done, result in enumerate(scraper.run(lines, to=to, max_concurrency=16), 1):
    assert result.status == "stored", result
    if done % 100 == 0:
        peak = max(peak, process.memory_info().rss)
    if done in marks:
        print(peak)
"""


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    answer = Reply(body=b"a page")
    with HttpServer(lambda request: answer, keep_requests=False) as server:
        command = [sys.executable, "-c", MEASURED, server.url, str(tmp_path), "5000", "20000"]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
    early, late = (int(line) for line in told.stdout.split())
    print(f"{early:,} bytes after 5,000 targets, {late:,} after 20,000")
    assert late < 150_000_000
    assert late - early < 8_000_000
