"""Whole runs into a destination that is away for a while, or for good."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scraper.engines.base import Engine
from scraper.model.errors import DestinationError, Kind, SinkError
from scraper.run.loop import Run
from scraper.schedule import circuit_breaker
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.transfer import Transfer
from tests.run.test_loop import (
    Faulty,
    body,
    echo,
    hear,
    into,
    kinds,
    make_run,
    page,
    results_of,
    statuses,
    workspaces,
)
from tests.s3servers import Asked, Front, S3Server
from tests.servers import WAIT_S, Reply, Serve


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(circuit_breaker, "_LONGEST_PAUSE_S", 0.03)


class Away:
    """A fault that refuses the first `count` objects; how many it has taken since."""

    def __init__(self, count: int = 10**9) -> None:
        self.left = count
        self.refused = 0
        self.taken = 0
        self._lock = threading.Lock()

    def __call__(self, key: str) -> int:
        with self._lock:
            self.left -= 1
            if self.left >= 0:
                self.refused += 1
                raise SinkError("503 SlowDown", transient=True)
            self.taken += 1
            return self.taken


class Watched:
    """A run whose transfers are counted apart that start while its destination is away."""

    def __init__(self, run: Run) -> None:
        self.most = 0  # in flight at once
        self.probes = 0
        self.polls = 0
        self.told: list[str] = []
        self._run = run
        self._make_engine = run._make_engine
        run._make_engine = self._make  # type: ignore[assignment]
        hear(run, self._note)

    def _make(self) -> Engine:
        engine = self._make_engine()
        start, poll = engine.start, engine.poll

        def starting(transfer: Transfer) -> None:
            if self._run._failure_policy.breaker.is_open:
                self.probes += 1
                self.most = max(self.most, self._run.in_flight)
            start(transfer)

        def polling(timeout_s: float | None) -> Sequence[Transfer]:
            self.polls += self._run._failure_policy.breaker.is_open
            return poll(timeout_s)

        engine.start, engine.poll = starting, polling  # type: ignore[method-assign]
        return engine

    def _note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        if name == "circuit_breaker":
            self.told.append(record["message"])


@pytest.mark.parametrize("where", ["open", "write", "commit"])
@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_destination_that_is_away_for_a_while_costs_no_target(
    where: str, engine: str, serve: Serve, tmp_path: Path
) -> None:
    server, away = serve(echo), Away(60)
    urls = [f"{server.url}/{number}" for number in range(100)]
    run = make_run(urls, tmp_path, max_concurrency=8, engine=engine)
    watched = Watched(run)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), where, away)))
    assert statuses(results) == {"stored": 100}
    assert away.refused == 60
    assert watched.most == 1, "one target at a time tries"
    assert watched.probes > 30
    assert max(result.attempts for result in results) <= 3
    assert sum(result.attempts - 1 for result in results) == 9, "before it was sure"
    assert watched.told == [
        "the destination refuses all objects, one target at a time tries for 300 s: 503 SlowDown",
        "the destination takes objects again",
    ]
    assert workspaces(tmp_path) == []
    for result in results:
        host, _, path = result.target.url.removeprefix("http://").partition("/")
        assert body(tmp_path, result) == f"{host}/{path}\n".encode() * 20


def test_a_destination_that_is_away_for_good_ends_the_run_with_everything_recorded(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)
    heard: list[Any] = []
    urls = [f"{server.url}/{number}" for number in range(60)]
    good = Away(0)

    def fault(key: str) -> None:
        if good(key) > 20:
            raise SinkError("503 SlowDown", transient=True)

    run = make_run(
        urls, tmp_path, [lambda *more: heard.extend(more)], max_concurrency=4, retry_max_time=0.5
    )
    reason = r"^the destination refused all objects for 0\.5 s: 503 SlowDown$"
    with pytest.raises(DestinationError, match=reason):
        results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", fault)))
    counts = statuses(heard)
    assert (counts["stored"], counts["failed"] + counts["not_reached"]) == (20, 40)
    assert counts["failed"]  # what waited longest has used up its time
    lines = (tmp_path / ".scraper" / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["line"] for line in lines) == list(range(1, 61))
    assert not run.abandoned
    again = results_of(make_run(urls, tmp_path, resume=True))
    assert statuses(again) == {"skipped": 20, "stored": 40}


def test_a_destination_that_refuses_now_and_then_stops_nobody(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    lock, numbers = threading.Lock(), iter(range(10**9))

    def fault(key: str) -> None:
        with lock:
            if next(numbers) % 3 == 0:
                raise SinkError("503 SlowDown", transient=True)

    urls = [f"{server.url}/{number}" for number in range(100)]
    run = make_run(urls, tmp_path, max_concurrency=8, retries=20)
    watched = Watched(run)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", fault)))
    assert statuses(results) == {"stored": 100}
    assert watched.told == []


def test_one_object_that_is_always_refused_is_that_objects_failure(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)

    def fault(key: str) -> None:
        if key.startswith("bad"):
            raise SinkError("500 InternalError", transient=True)

    urls = [f"{server.url}/bad\tbad", *(f"{server.url}/{number}" for number in range(30))]
    run = make_run(urls, tmp_path, retries=3)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", fault)))
    assert statuses(results) == {"stored": 30, "failed": 1}
    assert {result.attempts for result in results if result.status == "failed"} == {4}


def test_what_needs_no_object_ends_as_ever_while_the_destination_is_away(
    serve: Serve, tmp_path: Path
) -> None:
    server, away = serve(lambda one: Reply(404) if "gone" in one.path else echo(one)), Away(30)
    urls = [f"{server.url}/{number}" for number in range(20)]
    urls += [f"{server.url}/gone/{number}" for number in range(20)]
    run = make_run(urls, tmp_path, max_concurrency=4)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", away)))
    assert statuses(results) == {"stored": 20, "failed": 20}
    assert server.total == 70, "each refused object was fetched once more, the rest once"


def test_a_run_can_be_stopped_while_its_destination_is_away(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE_S", 10 * WAIT_S)
    monkeypatch.setattr(circuit_breaker, "_LONGEST_PAUSE_S", 10 * WAIT_S)
    server, away = serve(echo), Away()
    urls = [f"{server.url}/{number}" for number in range(50)]
    run = make_run(urls, tmp_path, max_concurrency=4, retry_max_time=10_000)

    def note(level: str, name: str, record: Mapping[str, Any]) -> None:
        if name == "circuit_breaker":
            threading.Timer(0.05, run.stop, ["enough"]).start()

    hear(run, note)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", away)))
    assert len(results) == 50
    assert statuses(results) == {"not_reached": 50}
    assert server.total <= 10 + 3, "nothing started in the pause"


def test_a_lasting_outage_is_waited_for_without_being_busy(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(circuit_breaker, "_LONGEST_PAUSE_S", 0.2)
    server, away = serve(echo), Away(18)
    urls = [f"{server.url}/{number}" for number in range(30)]
    run = make_run(urls, tmp_path, max_concurrency=4)
    watched = Watched(run)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", away)))
    assert statuses(results) == {"stored": 30}
    assert watched.probes >= 4
    assert watched.polls < 100


def test_pages_are_stored_whole_though_the_destination_broke_off_their_first_try(
    serve: Serve, tmp_path: Path
) -> None:
    server, away = serve(lambda one: Reply(body=page(one) * 100)), Away(25)
    run = make_run([f"{server.url}/{n}" for n in range(20)], tmp_path, max_concurrency=4)
    results = results_of(into(run, Faulty(DirectorySink(tmp_path), "write", away)))
    assert statuses(results) == {"stored": 20}
    assert len({len(body(tmp_path, result)) for result in results[:10]}) <= 2


# ---------------------------------------------------------------- S3


def slow_down(server: S3Server, count: int) -> Front:
    """A front that refuses that many objects, and takes what is the run's own."""
    away, lock = [count], threading.Lock()

    def fault(asked: Asked) -> tuple[int, str] | None:
        with lock:
            if asked.operation != "PUT" or ".scraper/" in asked.path or not away[0]:
                return None
            away[0] -= 1
            return 503, "SlowDown"

    return Front(server.url, fault)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("client", ["boto3", "curl"])
def test_a_storm_of_slowdown_is_sat_out(client: str, serve: Serve, moto_server: S3Server) -> None:
    server = serve(echo)
    bucket = moto_server.make_bucket()
    with slow_down(moto_server, 40) as front:
        urls = [f"{server.url}/{number}" for number in range(50)]
        run = make_run(
            urls, f"s3://{bucket}/p", s3_endpoint=front.url, s3_client=client, max_concurrency=8
        )
        watched = Watched(run)
        results = results_of(run)
    assert statuses(results) == {"stored": 50}
    assert watched.most == 1
    assert len(watched.told) == 2, "open, and closed again"
    for result in results:
        stored = moto_server.read(bucket, f"p/{result.target.key}")
        assert stored is not None
        assert stored.endswith(result.target.url.encode().rpartition(b"/")[2] + b"\n")


COMMAND = """
import sys
from scraper.schedule import circuit_breaker
from scraper.engines.base import Engine
from scraper.cli import main
circuit_breaker._FIRST_PAUSE_S = circuit_breaker._LONGEST_PAUSE_S = 0.02
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("aws")
def test_the_command_says_in_one_line_that_the_destination_is_gone(
    serve: Serve, tmp_path: Path, moto_server: S3Server
) -> None:
    server = serve(echo)
    bucket = moto_server.make_bucket()
    listed = "".join(f"{server.url}/{number}\n" for number in range(30))
    with slow_down(moto_server, 10**9) as front:
        options = ["--s3-endpoint", front.url, "--retry-max-time", "0.5", "-q"]
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "-", "-o", f"s3://{bucket}/p", *options],
            input=listed,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    said = [line for line in done.stderr.splitlines() if line.startswith("scraper: ")]
    assert len(said) == 1
    assert said[0].startswith("scraper: the destination refused all objects for 0.5 s: ")
    assert "SlowDown" in said[0]


def test_what_ends_with_the_destination_is_recorded_as_its_failure(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(12)]
    heard: list[Any] = []
    run = make_run(
        urls,
        tmp_path,
        [lambda *more: heard.extend(more)],
        max_concurrency=12,
        retry_max_time=0,
        retries=0,
    )
    with pytest.raises(DestinationError):
        results_of(into(run, Faulty(DirectorySink(tmp_path), "commit", Away())))
    assert set(kinds(heard)) == {Kind.SINK}
