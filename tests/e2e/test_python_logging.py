"""Events of `scraper.run` through Python's `logging`, by one logger."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.errors import SinkError
from scraper.run.events import log_event
from scraper.schedule import circuit_breaker
from scraper.sinks.directory.sink import DirectorySink
from tests.e2e.command import Command
from tests.servers import Reply, Request, Serve


class Kept(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def named(self, event: str) -> list[Any]:
        return [record for record in self.records if record.event == event]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, logger = Kept(), logging.getLogger("scraper")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_retry_and_a_wait_are_logged(serve: Serve, tmp_path: Path, kept: Kept) -> None:
    def answer(request: Request) -> Reply:
        if server.hits[request.path] > 1:
            return Reply(body=b"x")
        return Reply(503) if "503" in request.path else Reply(429, {"Retry-After": "1"})

    server = serve(answer)
    urls = [f"{server.url}/{path}?token=pass-word" for path in ("503", "429")]
    results = list(scraper.run(urls, to=tmp_path, backoff_min=0.01, backoff_max=0.02))
    assert [result.ok for result in results] == [True, True]
    first, second = kept.named("retry")
    assert first.levelname == "DEBUG"
    assert {first.fields["kind"], second.fields["kind"]} == {"http_status"}
    assert first.fields["attempt"] == 1
    (wait,) = kept.named("wait")
    assert wait.fields["host"] == results[0].target.host
    assert 0.5 < wait.fields["delay_s"] <= 1.0
    assert wait.getMessage().startswith(f"wait  host={results[0].target.host} delay_s=")
    (start,) = kept.named("start")
    assert (start.levelname, start.name) == ("INFO", "scraper")
    assert start.getMessage().startswith(f"scraper {scraper.__version__}: ")
    said = " ".join(f"{record.getMessage()} {record.fields}" for record in kept.records)
    assert "pass-word" not in said


def test_a_host_that_is_down_is_logged_once(tmp_path: Path, kept: Kept) -> None:
    urls = [f"http://127.0.0.1:9/{number}" for number in range(30)]
    results = list(scraper.run(urls, to=tmp_path, retries=0, max_concurrency=5))
    assert {result.ok for result in results} == {False}
    (down,) = kept.named("host_down")
    assert down.fields["host"] == results[0].target.host


def test_the_circuit_breaker_of_the_destination_is_logged_open_and_closed(
    serve: Serve, tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = DirectorySink.place

    def refuse(self: DirectorySink, temporary: Any, name: str, key: str) -> None:
        if not kept.named("circuit_breaker"):
            raise SinkError("503 SlowDown", transient=True)
        place(self, temporary, name, key)

    monkeypatch.setattr(DirectorySink, "place", refuse)
    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(circuit_breaker, "_LONGEST_PAUSE_S", 0.03)
    server = serve(lambda request: Reply(body=b"x"))
    urls = [f"{server.url}/{number}" for number in range(20)]
    options: scraper.Options = {
        "backoff_min": 0.01,
        "backoff_max": 0.02,
        "max_concurrency": 10,
        "retries": 10,
    }
    assert all(result.ok for result in scraper.run(urls, to=tmp_path, **options))
    opened, closed = kept.named("circuit_breaker")
    assert (opened.levelname, closed.levelname) == ("WARNING", "INFO")
    assert "503 SlowDown" in opened.getMessage()
    assert closed.getMessage() == "the destination takes objects again"


def test_a_limit_is_logged_with_the_name_that_the_option_has_in_python(
    serve: Serve, tmp_path: Path, kept: Kept
) -> None:
    server = serve(lambda request: Reply(body=b"x" * 100))
    urls = (f"{server.url}/{number}" for number in range(10_000))

    async def main() -> None:
        async for _ in scraper.arun(urls, to=tmp_path, max_total_size=200, insecure=True):
            pass

    asyncio.run(main())
    (limit,) = kept.named("limit")
    assert limit.levelname == "WARNING"
    assert limit.getMessage() == "max_total_size 200 bytes is reached"
    (insecure,) = kept.named("insecure")
    assert insecure.getMessage().startswith("insecure: certificates are not checked")


def test_nothing_is_printed_and_made_unless_the_program_asks_for_it(
    cli: Command, serve: Serve
) -> None:
    server = serve(lambda request: Reply(503))
    code = f"""
import scraper
list(scraper.run(["{server.url}/"], to="out", retries=1, backoff_max=0.01, insecure=True))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=cli.directory,
        env=cli.environment,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_an_event_that_nobody_hears_is_not_looked_at() -> None:
    class Unseen(dict[str, Any]):
        def keys(self) -> Any:
            raise AssertionError

    assert not logging.getLogger("scraper").isEnabledFor(logging.DEBUG)
    log_event("debug", "retry", Unseen(message="x"))
