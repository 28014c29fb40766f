"""HTTP/2: how many share a connection, and who suffers when it ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scraper.engines.curl.engine import CurlEngine
from scraper.model.errors import Kind
from scraper.model.records import Stored
from scraper.model.settings import Http, Limits
from scraper.schedule.retry import is_transient
from tests.conformance.engine_bench import PATIENT, Bench, failure
from tests.conformance.engine_cases import sized
from tests.h2server import Gone, H2Server
from tests.machine import patiently
from tests.servers import RawServer, tls_context

TOO_LONG = b"HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n"
CALM, HTTP_1_1 = 11, 13


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Make a Bench with this engine that trusts `tls`'s certificate."""
    with ExitStack() as stack:

        def make(pem: Path, limits: Limits = PATIENT, most: int = 32) -> Bench:
            http = Http(cacert=str(pem))
            made = Bench(CurlEngine, tmp_path / "out", limits, http, max_concurrency=most)
            stack.callback(made.close)
            return made

        yield make


MakeBench = Callable[..., Bench]


def page(path: str) -> bytes:
    return path.encode() * 10


def http1(path: str) -> bytes:
    """The same over HTTP/1.1, which says what is wrong with a URL."""
    return TOO_LONG if "long" in path else sized(page(path))


def ends_at_long(gone: Gone) -> Callable[[str], bytes | Gone]:
    return lambda path: gone if "long" in path else page(path)


# ---------------------------------------------------------------- streams


def test_a_server_that_works_on_six_streams_gets_more_connections(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, page, at_once=6) as server:
        made = bench(pem)
        running = [made.start(f"{server.url}/{number}") for number in range(32)]
        made.poll_until(lambda: server.working == 32)  # nobody waits in its queue
        assert server.connections == 6
        server.go()
        made.wait(*running)
        for number, transfer in enumerate(running):
            assert made.body(transfer) == page(f"/{number}")
        assert server.max_streams == 6


def test_connections_beyond_the_first_are_opened_at_once(bench: MakeBench, tmp_path: Path) -> None:
    """Nobody waits for a handshake longer than for its own."""
    context, pem = tls_context(tmp_path)
    with H2Server(context, page, at_once=6) as server:
        made = bench(pem)
        running = [made.start(f"{server.url}/{number}") for number in range(4)]
        made.poll_until(lambda: server.working == 4)
        assert server.connections == 1
        running += [made.start(f"{server.url}/{number}") for number in range(4, 7)]
        made.poll_until(lambda: server.working == 7)
        assert server.connections == 2
        server.go()
        made.wait(*running)


def test_hops_that_wait_for_a_connection_that_fails_do_not_wait_for_ever(
    bench: MakeBench, tmp_path: Path
) -> None:
    _, pem = tls_context(tmp_path)
    with RawServer(lambda _number, _sock: None) as server:
        made = bench(pem, most=8)
        url = server.url.replace("http:", "https:")
        running = [made.start(f"{url}/{number}") for number in range(8)]
        made.wait(*running)
        assert {failure(transfer).kind for transfer in running} == {Kind.CONNECT}


def test_answers_that_wait_in_a_queue_are_asked_for_over_http1(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)

    def waits(times: int) -> bool:
        limits = Limits(connect_timeout=300, read_timeout=0.5 * times, max_time=600)
        with H2Server(context, page, at_once=1, http1=http1) as server:
            made = bench(pem, limits)
            running = [made.start(f"{server.url}/{number}") for number in range(6)]
            made.wait(*running)
            ends = [transfer.completion.outcome for transfer in running if transfer.completion]
            if not all(isinstance(end, Stored) for end in ends[1:]):
                return False  # a response was later than that on a busy machine
            first = failure(running[0])  # nobody was before it, so it did not wait in a queue
            assert (first.kind, first.message) == (Kind.TIMEOUT, "no response within the time")
            for number, transfer in enumerate(running[1:], 1):
                assert made.body(transfer) == page(f"/{number}")
            assert sorted(server.http1_paths) == [f"/{number}" for number in range(1, 6)]
            last = made.fetch(f"{server.url}/next")
            assert server.paths.count("/next") == 0, "it is asked over HTTP/1.1 from now on"
            return last.completion is not None and isinstance(last.completion.outcome, Stored)

    assert patiently(waits, bool)


# ---------------------------------------------------------------- ends of connections


@pytest.mark.parametrize(
    "gone",
    [Gone(), Gone(0, last=0), Gone(0), Gone(2), Gone(CALM), Gone(HTTP_1_1)],
    ids=["closed", "goaway 0, none", "goaway 0", "goaway 2", "goaway 11", "goaway 13"],
)
def test_who_shared_a_connection_that_ended_is_asked_again_and_the_cause_gets_its_status(
    gone: Gone, bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, ends_at_long(gone), together=6, http1=http1) as server:
        made = bench(pem)
        paths = ["/long", "/1", "/2", "/3", "/4", "/5"]  # the server looks at them in order
        running = [made.start(server.url + path) for path in paths]
        made.wait(*running)
        for path, transfer in zip(paths, running, strict=True):
            if path == "/long":
                assert failure(transfer).http_code == 414
            else:
                assert made.body(transfer) == page(path)
        assert server.paths.count("/long") == 1
        assert server.http1_paths.count("/long") == 1


def test_one_request_alone_that_ends_its_connection_gets_its_status_too(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, ends_at_long(Gone(CALM)), http1=http1) as server:
        made = bench(pem)
        for _ in range(2):
            assert failure(made.fetch(f"{server.url}/long")).http_code == 414
        assert made.body(made.fetch(f"{server.url}/short")) == page("/short")


@pytest.mark.parametrize("gone", [Gone(), Gone(2), Gone(CALM)], ids=["closed", "2", "11"])
def test_a_request_that_ends_every_connection_is_asked_twice_and_no_more(
    gone: Gone, bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    answers = {"/short": sized(page("/short")), "/old": sized(page("/old"), "Connection: close")}

    def answer(path: str) -> bytes | int | Gone:
        return HTTP_1_1 if path == "/old" else ends_at_long(gone)(path)

    with H2Server(context, answer, http1=lambda path: answers.get(path, b"")) as server:
        made = bench(pem)
        assert made.body(made.fetch(f"{server.url}/old")) == page("/old")  # it speaks both
        server.together = 2
        running = [made.start(f"{server.url}/{path}") for path in ("long", "short")]
        made.wait(*running)
        assert made.body(running[1]) == page("/short")
        found = failure(running[0])
        assert (found.kind, is_transient(found)) == (Kind.CONNECT, True)
        assert server.paths.count("/long") + server.http1_paths.count("/long") == 2


def test_a_server_of_http2_only_is_asked_again_over_http2(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    left = ["once"]

    def answer(path: str) -> bytes | Gone:
        return Gone() if path == "/b" and left and left.pop() else page(path)

    with H2Server(context, answer) as server:
        made = bench(pem)
        for path in ("/a", "/b", "/c"):
            assert made.body(made.fetch(server.url + path)) == page(path)
        assert server.paths == ["/a", "/b", "/b", "/c"]


def test_a_kept_connection_that_its_server_closes_costs_nothing(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)

    def answer(path: str) -> bytes | Gone:
        return Gone() if path.endswith("late") else page(path)

    with H2Server(context, answer, http1=http1) as server:
        made = bench(pem)
        for number in range(3):
            assert made.body(made.fetch(f"{server.url}/{number}")) == page(f"/{number}")
            running = [made.start(f"{server.url}/{number}/{one}/late") for one in range(6)]
            made.wait(*running)
            for one, transfer in enumerate(running):
                assert made.body(transfer) == page(f"/{number}/{one}/late")


# ---------------------------------------------------------------- ends of streams


def test_a_stream_that_is_refused_is_asked_over_http1(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    refused = {"/refused": 7, "/old": HTTP_1_1}
    with H2Server(context, lambda path: refused.get(path, page(path)), http1=http1) as server:
        made = bench(pem)
        for path in ("/", "/refused", "/old", "/next"):
            assert made.body(made.fetch(server.url + path)) == page(path)
        assert server.paths[:3] == ["/", "/refused", "/old"]
        assert server.http1_paths[:2] == ["/refused", "/old"]


def test_a_stream_that_is_refused_always_ends_where_there_is_no_http1(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, lambda path: 7 if path == "/refused" else page(path)) as server:
        made = bench(pem)
        assert made.body(made.fetch(f"{server.url}/")) == page("/")
        found = failure(made.fetch(f"{server.url}/refused"))
        assert (found.kind, is_transient(found)) == (Kind.CONNECT, True)
        assert server.paths.count("/refused") <= 8
