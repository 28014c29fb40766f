"""The curl engine: what it has beyond the suite of all engines (tests/conformance)."""

import hashlib
import random
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pycurl
import pytest

from scraper.engines.base import Engine
from scraper.engines.curl.engine import CurlEngine
from scraper.engines.threads.engine import ThreadsEngine
from scraper.model.errors import Kind, SinkError, UsageError
from scraper.model.records import Stored
from scraper.model.settings import Http, Limits, Settings
from scraper.run.build import choose_engine
from scraper.schedule.retry import is_transient
from scraper.sinks.base import Blocking, Body, Sink
from scraper.sinks.directory.sink import DirectorySink, FileUpload
from scraper.transfer.transfer import Transfer
from tests.conformance.engine_bench import PATIENT, Bench, failure, longer
from tests.conformance.engine_cases import PAGE, sized
from tests.h2server import H2Server
from tests.machine import patiently
from tests.servers import (
    HttpServer,
    RawServer,
    Reply,
    Request,
    read_head,
    silent,
    tls_context,
)

MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[MakeBench]:
    """Make a Bench with this engine, and a sink if one is given."""
    with ExitStack() as stack:

        def make(
            limits: Limits | None = None,
            http: Http | None = None,
            sink: Sink | None = None,
            max_concurrency: int = 16,
        ) -> Bench:
            made = Bench(
                CurlEngine,
                tmp_path / "out",
                limits or PATIENT,
                http or Http(),
                sink=sink,
                max_concurrency=max_concurrency,
            )
            stack.callback(made.close)
            return made

        yield make


# ---------------------------------------------------------------- HTTP/2


def test_transfers_of_one_host_share_http2_connections_six_each(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, lambda path: path.encode() * 5_000, at_once=6) as server:
        made = bench(http=Http(cacert=str(pem)), max_concurrency=18)
        for round_ in range(3):
            running = [made.start(f"{server.url}/{round_}/{number}") for number in range(18)]
            if not round_:
                made.poll_until(lambda: server.working == 18)
                server.go()
            made.wait(*running)
            for number, transfer in enumerate(running):
                assert made.body(transfer) == f"/{round_}/{number}".encode() * 5_000
        assert server.max_streams == 6
        assert server.connections == 3


def test_a_server_of_http1_gets_its_connections_all_at_once(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    go = threading.Event()
    with HttpServer({"/": Reply(body=PAGE, delay=go)}, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        running = [made.start(server.url) for _ in range(8)]
        made.poll_until(lambda: server.in_flight == 8)
        go.set()
        made.wait(*running)
        assert {made.body(transfer) for transfer in running} == {PAGE}
        assert server.connections == 8


def test_a_stream_that_breaks_takes_no_other_with_it(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, lambda path: 2 if path == "/none" else PAGE * 3, together=4) as server:
        made = bench(http=Http(cacert=str(pem)))
        paths = ["/a", "/none", "/torn!", "/b"]
        running = [made.start(server.url + path) for path in paths]
        made.wait(*running)
        assert made.body(running[0]) == made.body(running[3]) == PAGE * 3
        none, torn = failure(running[1]), failure(running[2])
        assert (none.kind, torn.kind) == (Kind.CONNECT, Kind.TRUNCATED)
        assert is_transient(none)
        assert is_transient(torn)
        assert len(made.leftovers) == 2


def test_a_stream_that_breaks_before_its_head_is_told_as_what_it_is(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, lambda path: int(path[1:])) as server:
        made = bench(http=Http(cacert=str(pem)))
        refused = failure(made.fetch(f"{server.url}/1"))
        assert (refused.kind, refused.message) == (Kind.PROTOCOL, "HTTP/2: PROTOCOL_ERROR")
        assert not is_transient(refused)
        for code, name in ((2, "INTERNAL_ERROR"), (8, "CANCEL")):
            broken = failure(made.fetch(f"{server.url}/{code}"))
            assert broken.kind is Kind.CONNECT
            assert name in broken.message
            assert is_transient(broken)
        assert server.streams == 3


@pytest.mark.parametrize("length", [None, "0", "5"])
def test_a_204_is_one_in_http2_too_whatever_its_length(
    length: str | None, bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    head = [(":status", "204")] + ([] if length is None else [("content-length", length)])
    with H2Server(context, lambda _: head) as server:
        made = bench(http=Http(cacert=str(pem)))
        for number in (1, 2):
            found = failure(made.fetch(f"{server.url}/{number}"))
            assert (found.kind, found.http_code) == (Kind.HTTP_STATUS, 204)
            assert "no content" in found.message
        assert (server.streams, server.connections) == (2, 1)


def test_a_head_of_many_lines_is_read_in_http2_too(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    head = [(":status", "404"), *((f"x-{number}", "y" * 20) for number in range(500))]
    with H2Server(context, lambda _: head) as server:
        found = failure(bench(http=Http(cacert=str(pem))).fetch(server.url))
        assert (found.kind, found.http_code) == (Kind.HTTP_STATUS, 404)


def test_http1_1_is_spoken_if_the_user_wants_it(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with HttpServer({"/": PAGE}, tls=context) as server:
        made = bench(http=Http(cacert=str(pem), http1_1=True))
        assert made.body(made.fetch(server.url)) == PAGE


def test_a_url_travels_as_it_is_in_http2_too(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with H2Server(context, lambda _: PAGE) as server:
        made = bench(http=Http(cacert=str(pem)))
        for path in ("/a%2fb/100%?q=%c3%a9|", "/plain"):
            assert made.body(made.fetch(server.url + path)) == PAGE
            assert server.paths[-1] == path


# ---------------------------------------------------------------- sinks that block


class Upload(FileUpload):
    """A file whose writes, or whose commit, wait until they are let go."""

    def __init__(self, file: FileUpload, sink: "Far") -> None:
        self._file = file
        self._far = sink

    def write(self, chunk: bytes) -> None:
        self._far.visit("write")
        self._file.write(chunk)

    def commit(self, body: Body) -> Stored:
        self._far.visit("commit")
        return self._file.commit(body)

    def abort(self) -> None:
        self._far.visit("abort")
        self._file.abort()


class Far(DirectorySink):
    """A directory as slow as a store far away: one of its calls waits for `go`, or fails."""

    def __init__(
        self, root: Path, blocking: Blocking, waits_at: str = "", fails_at: str = ""
    ) -> None:
        super().__init__(root)
        self.go = threading.Event()
        self.waiting = 0
        self.threads: dict[str, set[str]] = {}
        self._declared = blocking
        self._waits_at, self._fails_at = waits_at, fails_at

    def check(self) -> None:
        super().check()
        self.blocking = self._declared

    def open(self, key: str) -> FileUpload:
        self.visit("open")
        return Upload(super().open(key), self)

    def visit(self, call: str) -> None:
        self.threads.setdefault(call, set()).add(threading.current_thread().name)
        if call == self._waits_at:
            self.waiting += 1
            assert self.go.wait(30)
        if call == self._fails_at:
            raise SinkError(f"no {call} today", transient=True)


@pytest.mark.parametrize(
    ("blocking", "call"),
    [
        (Blocking.COMMIT, "commit"),
        (Blocking.WRITE, "open"),
        (Blocking.WRITE, "write"),
        (Blocking.WRITE, "commit"),
    ],
)
def test_a_sink_that_blocks_holds_up_its_own_transfers_only(
    blocking: Blocking, call: str, bench: MakeBench, tmp_path: Path
) -> None:
    sink = Far(tmp_path / "out", blocking, waits_at=call)
    go = threading.Event()
    with HttpServer({"/": PAGE, "/slow": Reply(body=PAGE, delay=go)}) as server:
        made = bench(sink=sink)
        held = [made.start(server.url) for _ in range(3)]
        made.poll_until(lambda: sink.waiting == 3)
        other = made.start(f"{server.url}/slow")
        made.poll_until(lambda: server.in_flight == 1)  # so bytes move meanwhile
        assert all(transfer.completion is None for transfer in held)  # their slots are taken
        sink.go.set()
        go.set()
        made.wait(*held, other)
        assert {made.body(transfer) for transfer in (*held, other)} == {PAGE}


def test_only_what_may_block_is_given_to_threads(bench: MakeBench, tmp_path: Path) -> None:
    with HttpServer({"/": PAGE}) as server:
        own = threading.current_thread().name
        for blocking, calls in (
            (Blocking.NEVER, set()),
            (Blocking.COMMIT, {"commit"}),
            (Blocking.WRITE, {"open", "write", "commit"}),
        ):
            sink = Far(tmp_path / "out", blocking)
            made = bench(sink=sink)
            assert made.body(made.fetch(server.url)) == PAGE
            assert {call for call, names in sink.threads.items() if own not in names} == calls
            assert {call for call, names in sink.threads.items() if names == {own}} == (
                {"open", "write", "commit"} - calls
            )


def test_a_plugin_that_says_nothing_may_block_anywhere() -> None:
    class Silent:
        pass

    from scraper.sinks.base import blocking_of

    assert blocking_of(Silent()) is Blocking.WRITE  # type: ignore[arg-type]


def has_stalled(made: Bench) -> bool:
    """Whether a transfer takes no more bytes from its server, as its sink has too many."""
    live = made.engine._live.values()  # type: ignore[attr-defined]
    return any(one.offload and one.offload.stalled for one in live)


def test_a_sink_that_falls_behind_stops_the_server_and_fills_no_memory(
    bench: MakeBench, tmp_path: Path
) -> None:
    sent: list[int] = []

    def body() -> Iterator[bytes]:
        for _ in range(1600):
            sent.append(65_536)
            yield bytes(65_536)

    sink = Far(tmp_path / "out", Blocking.WRITE, waits_at="write")
    with HttpServer(lambda _: Reply(body=body())) as server:
        made = bench(sink=sink)
        transfer = made.start(server.url)
        made.poll_until(lambda: has_stalled(made))
        for _ in range(20):
            assert not made.engine.poll(0.01)
        assert sum(sent) < 30_000_000  # what socket buffers take, and a little
        sink.go.set()
        made.wait(transfer)
        assert made.body(transfer) == bytes(1600 * 65_536)


def test_a_sink_that_falls_behind_is_no_silence_of_the_server(
    bench: MakeBench, tmp_path: Path
) -> None:
    sink = Far(tmp_path / "out", Blocking.WRITE, waits_at="write")
    body = bytes(16 << 20)
    with RawServer(sized(body)) as server:

        def stall(times: int) -> tuple[Bench, Transfer]:
            made = bench(longer(Limits(read_timeout=0.2), times), sink=sink)
            transfer = made.start(server.url)
            while not made.engine.poll(0.02) and not has_stalled(made):
                pass
            return made, transfer

        made, transfer = patiently(stall, lambda one: one[1].completion is None)
        until = time.monotonic() + 3 * made.plan.limits.read_timeout
        while time.monotonic() < until:
            assert not made.engine.poll(0.02)
        sink.go.set()
        made.wait(transfer)
        assert made.body(transfer) == body


@pytest.mark.parametrize("call", ["open", "write", "commit"])
@pytest.mark.parametrize("blocking", list(Blocking))
def test_a_sink_that_fails_ends_its_transfer_and_leaves_nothing(
    blocking: Blocking, call: str, bench: MakeBench, tmp_path: Path
) -> None:
    sink = Far(tmp_path / "out", blocking, fails_at=call)
    with HttpServer(lambda _: Reply(body=[PAGE] * 200)) as server:
        made = bench(sink=sink)
        running = [made.start(server.url) for _ in range(4)]
        made.wait(*running)
        for transfer in running:
            found = failure(transfer)
            assert (found.kind, found.message) == (Kind.SINK, f"no {call} today")
        assert made.leftovers == []


@pytest.mark.parametrize("call", ["write", "commit"])
def test_giving_up_what_a_sink_holds_ends_when_the_sink_lets_go(
    call: str, bench: MakeBench, tmp_path: Path
) -> None:
    sink = Far(tmp_path / "out", Blocking.WRITE, waits_at=call)
    with HttpServer({"/": PAGE}) as server:
        made = bench(sink=sink)
        transfer = made.start(server.url)
        made.poll_until(lambda: sink.waiting == 1)
        made.engine.give_up()
        assert not made.engine.poll(0.0)
        sink.go.set()
        made.wait(transfer)
        if call == "write":  # a commit that is under way is not taken back
            assert failure(transfer).kind is Kind.INTERRUPTED
            assert made.leftovers == []
        else:
            assert made.body(transfer) == PAGE


def test_a_body_that_breaks_off_while_its_sink_is_slow_is_truncated(
    bench: MakeBench, tmp_path: Path
) -> None:
    sink = Far(tmp_path / "out", Blocking.WRITE, waits_at="write")
    breaks_off = threading.Event()

    def script(_: int, sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(sized(PAGE * 80, length=10**7))
        breaks_off.wait()

    with RawServer(script) as server:
        made = bench(sink=sink)
        transfer = made.start(server.url)
        made.poll_until(lambda: sink.waiting == 1)
        breaks_off.set()
        made.poll_until(lambda: not made.engine._live)  # type: ignore[attr-defined]
        sink.go.set()
        made.wait(transfer)
        assert failure(transfer).kind is Kind.TRUNCATED
        assert made.leftovers == []


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("blocking", list(Blocking))
def test_a_large_body_is_the_same_though_threads_take_it(
    whole: bool, blocking: Blocking, bench: MakeBench, tmp_path: Path
) -> None:
    body = random.Random(1).randbytes(5_000_001)
    sends = sized(body) if whole else sized(body, length=len(body) + 1)
    sink = Far(tmp_path / "out", blocking)
    with RawServer(sends) as server:
        made = bench(sink=sink)
        transfer = made.fetch(server.url)
        assert sink.threads["write"] - {threading.current_thread().name}
        if whole:
            assert made.body(transfer) == body
            assert transfer.completion is not None
            assert isinstance(transfer.completion.outcome, Stored)
            assert transfer.completion.outcome.sha256 == hashlib.sha256(body).hexdigest()
        else:
            assert failure(transfer).kind is Kind.TRUNCATED
            assert made.leftovers == []


def test_a_large_body_that_is_too_large_stops_the_server(bench: MakeBench) -> None:
    sent: list[int] = []

    def body() -> Iterator[bytes]:
        for _ in range(1600):
            sent.append(65_536)
            yield bytes(65_536)

    with HttpServer(lambda _: Reply(body=body())) as server:
        made = bench(Limits(max_size=4_000_000))
        assert failure(made.fetch(server.url)).kind is Kind.TOO_LARGE
        assert sum(sent) < 40_000_000
        assert made.leftovers == []


# ---------------------------------------------------------------- look-ups


def test_a_name_is_looked_up_once_for_all_who_want_it(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    go = threading.Event()
    system = socket.getaddrinfo

    def slow(host: str, *args: object, **kwargs: object) -> object:
        asked.append(host)
        assert go.wait(30)
        return system("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with HttpServer({"/": PAGE}) as server:
        made = bench()
        running = [made.start(server.url_of("some.name.example")) for _ in range(10)]
        made.poll_until(lambda: len(asked) == 1)
        assert made.body(made.fetch(server.url)) == PAGE  # others go on meanwhile
        go.set()
        made.wait(*running)
        assert {made.body(transfer) for transfer in running} == {PAGE}
        made.fetch(server.url_of("some.name.example"))
        assert asked == ["some.name.example"]


def test_a_look_up_that_never_ends_is_a_timeout_and_nothing_more(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def hangs(*_: object, **__: object) -> object:
        go.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "so late")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    with HttpServer({"/": PAGE}) as server:
        made = bench(Limits(connect_timeout=0.2))
        found = failure(made.fetch(server.url_of("some.name.example")))
        assert (found.kind, found.unreachable) == (Kind.TIMEOUT, True)
        again = made.start(server.url_of("some.name.example"))
        assert made.body(made.fetch(server.url)) == PAGE
        go.set()
        made.wait(again)
        assert again.completion is not None


def test_a_name_that_could_not_be_looked_up_is_asked_for_again(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = socket.getaddrinfo
    answers = iter([socket.gaierror(socket.EAI_AGAIN, "not now"), None])

    def moody(_host: str, *args: object, **kwargs: object) -> object:
        if error := next(answers):
            raise error
        return system("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", moody)
    with HttpServer({"/": PAGE}) as server:
        made = bench()
        found = failure(made.fetch(server.url_of("some.name.example")))
        assert (found.kind, found.unreachable) == (Kind.DNS, True)
        assert is_transient(found)
        assert made.body(made.fetch(server.url_of("some.name.example"))) == PAGE


def test_libcurl_remembers_few_hosts_and_forgotten_ones_are_found_again(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of each transfer libcurl looks at every address that it remembers."""
    system = socket.getaddrinfo
    asked: list[str] = []

    def stub(host: str, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return system("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", stub)
    names = [f"h{number}.example" for number in range(400)]
    names += [f"127.0.{number // 250}.{1 + number % 250}" for number in range(400)]
    with HttpServer(lambda _: Reply(body=PAGE, close=True), host="0.0.0.0") as server:
        made = bench(max_concurrency=16)
        for _ in range(2):
            for first in range(0, len(names), 16):
                running = [made.start(server.url_of(name)) for name in names[first : first + 16]]
                made.wait(*running)
                assert {made.body(transfer) for transfer in running} == {PAGE}
        assert len(made.engine._origins._in_libcurl) == 256  # type: ignore[attr-defined]
    assert sorted(asked) == sorted(names[:400]), "each was looked up once, by us"


def test_of_several_addresses_the_one_that_answers_is_taken(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = socket.getaddrinfo

    def several(_host: str, *args: object, **kwargs: object) -> object:
        return [
            entry
            for address in ("127.0.0.99", "127.0.0.1")
            for entry in system(address, *args, **kwargs)  # type: ignore[arg-type]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with HttpServer({"/": PAGE}) as server:
        transfer = (made := bench()).fetch(server.url_of("some.name.example"))
        assert made.body(transfer) == PAGE
        assert transfer.completion is not None
        assert transfer.completion.outcome.response is not None
        assert transfer.completion.outcome.response.remote_ip == "127.0.0.1"


# ---------------------------------------------------------------- the loop's own thread


def test_where_there_is_no_epoll_poll_will_do(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(select, "epoll")
    with HttpServer(lambda request: Reply(body=request.path.encode())) as server:
        made = bench()
        running = [made.start(f"{server.url}/{number}") for number in range(20)]
        made.wait(*running)
        for number, transfer in enumerate(running):
            assert made.body(transfer) == f"/{number}".encode()
        assert not made.engine.poll(0.01)
        made.engine.wake()
        assert not made.engine.poll(None)


def test_a_bug_where_libcurl_calls_costs_its_target_and_is_told(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def response(self: Transfer, _reply: object) -> None:
        raise ZeroDivisionError("our own")

    with HttpServer({"/": PAGE}) as server:
        made = bench()
        with monkeypatch.context() as patch:
            patch.setattr(Transfer, "response", response)
            found = failure(made.fetch(server.url))
        assert (found.kind, found.message) == (
            Kind.PROTOCOL,
            "internal error: ZeroDivisionError: our own",
        )
        assert made.body(made.fetch(server.url)) == PAGE
    assert capfd.readouterr().err == ""


def test_an_engine_of_many_reuses_its_handles_and_connections(bench: MakeBench) -> None:
    def answer(request: Request) -> Reply:
        return Reply(body=request.path.encode())

    with HttpServer(answer) as server:
        made = bench(max_concurrency=4)
        for number in range(100):
            made.wait(*[made.start(f"{server.url}/{number}/{n}") for n in range(4)])
        assert server.connections <= 4
        assert len(made.engine._all) == 4  # type: ignore[attr-defined]


def test_a_request_that_is_sent_again_is_sent_once_more_only(bench: MakeBench) -> None:
    """A server that drops every kept connection costs one connection more each time, no loop."""
    seen: list[bytes] = []

    def script(_number: int, sock: socket.socket) -> None:
        seen.append(read_head(sock))
        sock.sendall(sized(PAGE))
        read_head(sock)

    with RawServer(script) as server:
        made = bench()
        for _ in range(5):
            assert made.body(made.fetch(server.url)) == PAGE
        assert server.connections == 5


def test_a_connection_to_nowhere_is_given_up_in_time(bench: MakeBench) -> None:
    with RawServer(silent) as server:
        made = bench(Limits(connect_timeout=0.2, max_time=60))
        found = failure(made.fetch(f"https://127.0.0.1:{server.port}/"))
        assert (found.kind, found.unreachable) == (Kind.TIMEOUT, True)


# ---------------------------------------------------------------- which engine


def test_auto_is_this_engine(tmp_path: Path) -> None:
    assert isinstance(made_by("auto", tmp_path), CurlEngine)
    assert isinstance(made_by("curl", tmp_path), CurlEngine)
    assert isinstance(made_by("threads", tmp_path), ThreadsEngine)


@pytest.mark.parametrize("there", [False, True], ids=["missing", "too old"])
def test_without_pycurl_auto_is_threads_and_curl_is_a_usage_error(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        monkeypatch.delattr(pycurl, "PREREQFUNC_OK")
    else:
        monkeypatch.setitem(sys.modules, "pycurl", None)
    for name in [name for name in sys.modules if name.startswith("scraper.engines.curl")]:
        monkeypatch.delitem(sys.modules, name)
    assert isinstance(made_by("auto", tmp_path), ThreadsEngine)
    with pytest.raises(UsageError, match=r"--engine curl needs pycurl .*scraper\[fast\]"):
        made_by("curl", tmp_path)


def made_by(name: str, tmp_path: Path) -> Engine:
    engine = choose_engine(Settings.of(to=tmp_path, engine=name))()
    engine.close()
    return engine
