"""A body that comes too slowly is given up; what is not the server's fault is not."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scraper.engines.minimum_speed import MinimumSpeed
from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from scraper.sinks.base import Blocking
from tests.conformance.engine_bench import ENGINES, IN_PROCESS, Bench, failure
from tests.conformance.engine_cases import NEVER, PAGE, SLOW, sized
from tests.engines.curl.test_engine import Far
from tests.servers import HttpServer, RawServer, Reply, drips


@pytest.fixture(params=ENGINES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each engine, impatient with slow servers, and a sink whose writes wait."""
    with ExitStack() as stack:
        sink = Far(tmp_path / "out", Blocking.WRITE, waits_at="write")
        stack.callback(sink.go.set)
        bench = Bench(ENGINES[request.param], tmp_path / "out", SLOW, Http(), sink=sink)
        stack.callback(bench.close)
        yield bench


def test_a_body_is_measured_over_one_window_after_another() -> None:
    speed = MinimumSpeed(Limits(speed_limit=100, speed_time=10))
    speed.begin(1000.0, came=50)
    assert speed.ends == 1010.0
    assert speed.why_slow(1009.9, came=50) is None
    assert speed.why_slow(1011.0, came=1050) is None
    assert speed.ends == 1021.0
    slow = speed.why_slow(1021.0, came=2049)
    assert slow is not None
    assert slow.kind is Kind.TIMEOUT
    assert slow.message == "slower than --speed-limit 100 bytes a second for --speed-time 10 s"


def test_nothing_is_measured_outside_a_body_or_without_a_limit() -> None:
    speed = MinimumSpeed(Limits(speed_limit=100, speed_time=10))
    assert speed.why_slow(1e9, came=0) is None
    speed.begin(0.0, came=0)
    speed.pause()
    assert speed.why_slow(1e9, came=0) is None
    free = MinimumSpeed(Limits())
    free.begin(0.0, came=0)
    assert free.why_slow(1e9, came=0) is None


@pytest.mark.parametrize("made", IN_PROCESS, indirect=True)
def test_a_sink_that_is_slow_is_no_slow_server(made: Bench) -> None:
    body = bytes(16 << 20)
    assert isinstance(made.sink, Far)
    with RawServer(sized(body)) as server:
        transfer = made.start(server.url)
        for _ in range(40):
            assert not made.engine.poll(0.02)
        made.sink.go.set()
        made.wait(transfer)
        assert made.body(transfer) == body


def test_a_response_that_lets_wait_is_no_slow_body(made: Bench) -> None:
    assert isinstance(made.sink, Far)
    made.sink.go.set()
    go = threading.Event()
    with HttpServer({"/": Reply(body=PAGE, delay=go)}) as server:
        transfer = made.start(server.url)
        for _ in range(40):
            assert not made.engine.poll(0.02)
        go.set()
        made.wait(transfer)
        assert made.body(transfer) == PAGE


def test_one_that_is_too_slow_ends_while_an_older_one_goes_on(made: Bench) -> None:
    assert isinstance(made.sink, Far)
    made.sink.go.set()
    go = threading.Event()
    with (
        HttpServer({"/": Reply(body=PAGE, delay=go)}) as server,
        RawServer(drips(sized(b"", length=10**6), NEVER)) as slow,
    ):
        older = made.start(server.url)
        made.poll_until(lambda: server.total == 1)
        drop = made.start(slow.url)
        made.wait(drop)
        assert "--speed-limit" in failure(drop).message
        assert older.completion is None
        go.set()
        made.wait(older)
        assert made.body(older) == PAGE
