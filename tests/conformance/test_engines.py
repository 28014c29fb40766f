"""Every engine means the same: one suite over all of them, against servers that misbehave."""

import contextlib
import gzip
import os
import resource
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scraper import engines
from scraper.model.errors import Kind, TransferError
from scraper.model.records import Failed, NotModified, Stored
from scraper.model.settings import Http, Limits
from scraper.schedule.retry import is_transient
from scraper.sinks.base import Blocking
from scraper.transfer.completion import InPart
from scraper.transfer.plan import Plan
from scraper.transfer.transfer import Transfer
from tests.conformance.coding_cases import CODINGS
from tests.conformance.engine_bench import (
    ENGINES,
    IN_PROCESS,
    PATIENT,
    Bench,
    MakeBench,
    carrier,
    failure,
    longer,
)
from tests.conformance.engine_cases import BRIEF, CASES, NEVER, PAGE, Case, head, sized
from tests.engines.curl.test_engine import Far
from tests.machine import patiently
from tests.servers import (
    WAIT_S,
    HttpServer,
    RawServer,
    Reply,
    Request,
    Script,
    closed_port,
    drips,
    free_port,
    in_turn,
    read_head,
    reset,
    resets_at_once,
    silent,
    then_reset,
    then_silent,
)

# ---------------------------------------------------------------- one server, one request


@pytest.mark.parametrize(
    ("engine", "case"),
    [
        (name, case)
        for case in (*CASES, *CODINGS)
        for name in ENGINES
        if case.only in {"", carrier(name)}
    ],
    ids=lambda value: value.name if isinstance(value, Case) else value,
    indirect=["engine"],
)
def test_what_a_server_does_has_one_meaning(case: Case, engine: str, bench: MakeBench) -> None:
    def fetched(times: int) -> tuple[Bench, Transfer, int]:
        with RawServer(case.sends) as server:
            made = bench(longer(case.limits, times), case.http)
            return made, made.fetch(f"{server.url}/page"), server.connections

    made, transfer, connections = patiently(fetched, lambda one: not is_too_early(case, one[1]))
    response = outcome_of(transfer).response
    if case.headless == carrier(engine):
        assert response is None
    elif case.status is not None:
        assert response is not None
        assert response.http_code == case.status
    if case.stores is not None:
        assert made.body(transfer) == case.stores
        return
    found = failure(transfer)
    assert found.kind is case.kind, found
    assert is_transient(found) == case.retried
    assert not found.unreachable
    assert made.leftovers == []
    assert connections == 1


def is_too_early(case: Case, transfer: Transfer) -> bool:
    """Whether it timed out without the response that the case is about."""
    outcome = outcome_of(transfer)
    timed_out = isinstance(outcome, Failed) and outcome.failure.kind is Kind.TIMEOUT
    return timed_out and case.status is not None and outcome.response is None


def outcome_of(transfer: Transfer) -> Stored | NotModified | Failed:
    assert transfer.completion is not None
    assert not isinstance(transfer.completion.outcome, InPart)
    return transfer.completion.outcome


def test_every_difference_of_engines_is_in_their_table() -> None:
    for case in CASES:
        assert bool(case.differs) == bool(case.only or case.headless), case.name
        assert case.differs in (engines.__doc__ or ""), case.name


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_connection_is_an_unreachable_host(scheme: str, bench: MakeBench) -> None:
    found = failure(bench().fetch(f"{scheme}://127.0.0.1:{closed_port()}/"))
    assert (found.kind, found.unreachable) == (Kind.CONNECT, True)
    assert is_transient(found)


@contextlib.contextmanager
def free_descriptors(number: int) -> Iterator[None]:
    """So many more may be opened in this process, and no others."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]  # fills what is free in between
    for fd in held[100 - number :]:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        for fd in held[: 100 - number]:
            os.close(fd)


@pytest.mark.parametrize("free", range(4))
@pytest.mark.parametrize("engine", IN_PROCESS, indirect=True)
def test_no_more_descriptors_are_a_fault_of_ours_that_may_pass(free: int, bench: MakeBench) -> None:
    made = bench(BRIEF)
    with HttpServer({"/": PAGE}) as first, HttpServer({"/": PAGE}) as second:
        made.fetch(first.url)  # loads what is loaded when it is needed
        with free_descriptors(free):
            completion = made.fetch(second.url).completion
        assert completion is not None
        if isinstance(completion.outcome, Failed):
            assert is_transient(completion.outcome.failure), completion.outcome.failure
            assert not completion.outcome.failure.unreachable
        else:
            assert free


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a..b"])
def test_a_name_that_can_not_be_looked_up_is_a_dns_failure(host: str, bench: MakeBench) -> None:
    found = failure(bench().fetch(f"http://{host}/"))
    assert (found.kind, found.unreachable) == (Kind.DNS, True)
    assert not is_transient(found)


def test_the_facts_of_a_connection_are_known(bench: MakeBench) -> None:
    with HttpServer({"/": PAGE}) as server:
        made = bench()
        for connects in (True, False):
            transfer = made.fetch(server.url)
            assert transfer.completion is not None
            response = transfer.completion.outcome.response
            assert response is not None
            assert response.remote_ip == "127.0.0.1"
            times = transfer.completion.times
            assert times.connect is not None
            assert (times.connect > 0) == connects
            assert times.starttransfer is not None
            assert times.total is not None
            assert times.connect <= times.starttransfer <= times.total


def test_a_request_is_sent_as_it_was_meant(bench: MakeBench) -> None:
    with HttpServer({}) as server:
        http = Http(headers=(("X-One", "\xe9"), ("Accept", "text/html")), user_agent="me")
        bench(http=http).fetch(f"{server.url}/a%20b/%2f/100%/\u00e9?q='1'&r=a|b%zz#fragment")
        (request,) = server.requests
        assert request.method == "GET"
        assert request.path == "/a%20b/%2f/100%/%C3%A9?q=%271%27&r=a|b%zz"  # as browsers do
        assert request.headers["x-one"] == "\xe9"
        assert request.headers["accept"] == "text/html"
        assert request.headers["accept-encoding"] == "gzip, deflate, br, zstd"
        assert request.host == f"127.0.0.1:{server.port}"


def test_nothing_is_sent_that_was_not_meant(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("default login me password s3cret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    cookie = {"Set-Cookie": "a=b", "Alt-Svc": 'h2=":1"'}
    with HttpServer({"/": Reply(200, cookie, PAGE)}) as server:
        given = ("User-Agent", ""), ("X-Empty", ""), ("X-Blank", "  ")
        made = bench(http=Http(headers=given))
        for _ in range(2):
            assert made.body(made.fetch(server.url)) == PAGE
        wanted = {"host", "user-agent", "accept", "accept-encoding", "x-empty", "x-blank"}
        for request in server.requests:
            assert request.headers.keys() - {"connection"} == wanted
            assert request.headers["user-agent"] == ""
            assert request.headers["x-empty"] == request.headers["x-blank"] == ""


def test_a_host_header_is_sent_in_place_of_our_own(bench: MakeBench) -> None:
    with RawServer(sized(PAGE)) as server:
        seen: list[bytes] = []

        def script(_number: int, sock: socket.socket) -> None:
            seen.append(read_head(sock))
            sock.sendall(sized(PAGE))

        server._script = script
        made = bench(http=Http(headers=(("Host", "other.example"),)))
        assert made.body(made.fetch(server.url)) == PAGE
        lines = seen[0].lower().split(b"\r\n")
        assert [line for line in lines if line.startswith(b"host:")] == [b"host: other.example"]


def test_an_ipv6_address_is_an_address(bench: MakeBench) -> None:
    try:
        server = HttpServer({"/": PAGE}, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        made = bench()
        transfer = made.fetch(server.url)
        assert made.body(transfer) == PAGE
        assert transfer.completion is not None
        assert transfer.completion.outcome.response is not None
        assert transfer.completion.outcome.response.remote_ip == "::1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433"])
def test_a_guarded_hop_connects_to_no_private_address(host: str, bench: MakeBench) -> None:
    with HttpServer({"/": PAGE}) as server:
        made = bench(http=Http(public_only=True))
        found = failure(made.fetch(f"http://{host}:{server.port}/"))
        assert (found.kind, found.unreachable) == (Kind.BLOCKED_ADDRESS, False)
        assert not is_transient(found)
        assert server.connections == 0


def test_a_connection_kept_from_before_does_not_open_the_guard(bench: MakeBench) -> None:
    with HttpServer({"/": PAGE}) as server:
        made = bench()
        made.fetch(server.url)
        made.guard()
        found = failure(made.fetch(server.url))
        assert found.kind is Kind.BLOCKED_ADDRESS
        assert server.total == 1


# ---------------------------------------------------------------- hops


def huge(sent: list[int]) -> Iterator[bytes]:
    for _ in range(1600):
        sent.append(65_536)
        yield bytes(65_536)


@pytest.mark.parametrize("status", [302, 404])
def test_an_unwanted_body_of_100_mb_is_not_read(status: int, bench: MakeBench) -> None:
    sent: list[int] = []

    def answer(request: Request) -> Reply:
        if request.path == "/page":
            return Reply(body=PAGE)
        headers = {"Location": "/page", "Content-Length": str(1600 * 65_536)}
        return Reply(status, headers, huge(sent))

    with HttpServer(answer) as server:
        made = bench()
        transfer = made.fetch(f"{server.url}/hop")
        if status == 302:
            assert made.body(transfer) == PAGE
        else:
            assert failure(transfer).http_code == 404
        assert sum(sent) < 30_000_000  # what socket buffers take


@pytest.mark.parametrize("status", [302, 404])
def test_an_unwanted_body_that_never_comes_is_not_waited_for(status: int, bench: MakeBench) -> None:
    def script(number: int, sock: socket.socket) -> None:
        if b"/page" in read_head(sock):
            sock.sendall(sized(PAGE))
            return
        sock.sendall(head("Location: /page", "Content-Length: 9", status=f"HTTP/1.1 {status} So"))
        silent(number, sock)

    with RawServer(script) as server:
        made = bench(PATIENT)
        transfer = made.fetch(f"{server.url}/hop")
        assert (status == 404) or made.body(transfer) == PAGE


@pytest.mark.parametrize("status", [302, 404])
def test_an_unwanted_body_that_drips_is_not_waited_for(status: int, bench: MakeBench) -> None:
    sent: list[int] = []

    def script(_number: int, sock: socket.socket) -> None:
        if b"/page" in read_head(sock):
            sock.sendall(sized(PAGE))
            return
        status_line = f"HTTP/1.1 {status} So"
        sock.sendall(head("Location: /page", "Content-Length: 9999", status=status_line))
        while not NEVER.wait(0.02):
            sock.sendall(b"x")
            sent.append(1)

    with RawServer(script) as server:
        made = bench(PATIENT)
        transfer = made.fetch(f"{server.url}/hop")
        assert (status == 404) or made.body(transfer) == PAGE
        assert len(sent) < 1_000  # of 9,999


def test_redirects_lead_over_hosts_and_count(bench: MakeBench) -> None:
    with HttpServer({"/end": PAGE}) as last, HttpServer({}) as first:
        first.handler = lambda request: (
            Reply(301, {"Location": "/b"})
            if request.path == "/a"
            else Reply(307, {"Location": f"{last.url}/end"})
        )
        made = bench()
        transfer = made.fetch(f"{first.url}/a")
        assert made.body(transfer) == PAGE
        assert transfer.completion is not None
        response = transfer.completion.outcome.response
        assert response is not None
        assert response.redirects == 2
        assert response.url_effective == f"{last.url}/end"


# ---------------------------------------------------------------- connections


def test_connections_are_kept_and_used_again(bench: MakeBench) -> None:
    with HttpServer(lambda request: Reply(body=request.path.encode() * 100)) as server:
        made = bench()
        running = {made.start(f"{server.url}/{number}") for number in range(4)}
        for number in range(4, 200):
            ended = made.engine.poll(WAIT_S)
            assert ended
            running -= set(ended)
            running |= {made.start(f"{server.url}/{number}/{n}") for n in range(len(ended))}
            for transfer in ended:
                assert (
                    made.body(transfer)
                    == transfer.attempt.target.url[len(server.url) :].encode() * 100
                )
        made.wait(*running)
        assert server.total >= 200
        assert server.connections <= 8


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=PAGE),
        Reply(body=[PAGE, PAGE]),
        Reply(body=b""),
        Reply(204),
        Reply(304),
        Reply(404, body=b"not here"),
        Reply(500, body=[b"no ", b"idea"]),
        Reply(302, {"Location": "/end"}, b"over there"),
    ],
    ids=lambda reply: f"{reply.status}",
)
def test_after_every_kind_of_answer_the_connection_serves_again(
    reply: Reply, bench: MakeBench
) -> None:
    with HttpServer(
        lambda request: Reply(body=b"end") if request.path == "/end" else reply
    ) as server:
        made = bench()
        for number in range(5):
            made.fetch(f"{server.url}/{number}")
        if reply.status != 500:  # chunks nobody wants may cost their connection
            assert server.connections == 1


def lose_second(
    close: Callable[[socket.socket], None], *first: bytes
) -> tuple[Script, list[bytes]]:
    """The first connection answers once and is lost when it is used again; others are fine."""
    seen: list[bytes] = []

    def script(number: int, sock: socket.socket) -> None:
        while True:
            seen.append(read_head(sock))
            if number == 1 and len(seen) == 2:
                close(sock)
                return
            if not seen[-1]:
                return
            sock.sendall(b"".join(first) or sized(PAGE))

    return script, seen


@pytest.mark.parametrize("close", [socket.socket.close, reset], ids=["closed", "reset"])
def test_a_kept_connection_that_the_server_gave_up_costs_no_attempt(
    close: Callable[[socket.socket], None], bench: MakeBench
) -> None:
    script, seen = lose_second(close)
    with RawServer(script) as server:
        made = bench()
        assert made.body(made.fetch(f"{server.url}/1")) == PAGE
        assert made.body(made.fetch(f"{server.url}/2")) == PAGE
        assert server.connections == 2
        assert len(seen) == 3


def test_any_number_of_kept_connections_that_the_server_gave_up_costs_no_attempt(
    bench: MakeBench,
) -> None:
    all_are_open = threading.Barrier(9)

    def script(number: int, sock: socket.socket) -> None:
        read_head(sock)
        if number <= 9:
            all_are_open.wait(WAIT_S)
        sock.sendall(sized(PAGE))
        read_head(sock)  # the second request gets no answer

    with RawServer(script) as server:
        made = bench()
        running = [made.start(f"{server.url}/{number}") for number in range(9)]
        made.wait(*running)
        assert made.body(made.fetch(f"{server.url}/again")) == PAGE
        assert server.connections == 10


def test_a_server_that_closes_after_each_answer_loses_no_attempt(bench: MakeBench) -> None:
    with RawServer(sized(PAGE)) as server:
        made = bench()
        for number in range(30):
            assert made.body(made.fetch(f"{server.url}/{number}")) == PAGE
        assert server.connections == 30


def test_bytes_that_nobody_asked_for_spoil_no_later_answer(bench: MakeBench) -> None:
    oddities = [
        head("Content-Length: 5", status="HTTP/1.1 304 Not Modified") + b"hello",
        head("Content-Length: 5", status="HTTP/1.1 204 No Content") + b"hello",
        sized(b"hello") + sized(b"of nobody"),
        sized(b"hello") + head(status="HTTP/1.1 408 Request Timeout"),
    ]

    def script(_number: int, sock: socket.socket) -> None:
        while True:
            request = read_head(sock)
            if not request:
                return
            number = int(request.split()[1][1:])
            sock.sendall(sized(PAGE) if number % 2 else oddities[number // 2])

    with RawServer(script) as server:
        made = bench()
        for number in range(8):
            transfer = made.fetch(f"{server.url}/{number}")
            if number % 2:
                assert made.body(transfer) == PAGE


def test_max_time_on_a_kept_connection_sends_nothing_again(bench: MakeBench) -> None:
    seen: list[bytes] = []

    def script(number: int, sock: socket.socket) -> None:
        seen.append(read_head(sock))
        if number == 1:
            sock.sendall(sized(PAGE))
            seen.append(read_head(sock))
        silent(number, sock)

    with RawServer(script) as server:
        made = bench(PATIENT)
        assert made.body(made.fetch(server.url)) == PAGE
        made.plan = Plan(BRIEF, Http(), "scraper/1", {})
        assert failure(made.fetch(server.url)).kind is Kind.TIMEOUT
        server.wait_until(lambda: len(seen) == 2)
        assert server.connections == 1


# ---------------------------------------------------------------- several at once


def test_a_storm_of_connections_that_all_break_is_a_failure_each(bench: MakeBench) -> None:
    endings: list[Script | bytes] = [
        resets_at_once,
        b"",
        then_reset(sized(PAGE, length=10**6)),
        sized(PAGE),
        b"HTTP/1.1 2",
    ]

    def script(number: int, sock: socket.socket) -> None:
        in_turn(endings[number % len(endings)])(number, sock)

    with RawServer(script) as server:
        made = bench()
        running = [made.start(f"{server.url}/{number}") for number in range(200)]
        made.wait(*running)
        assert server.connections == 200
        ends: Counter[str] = Counter()
        for transfer in running:
            assert transfer.completion is not None
            outcome = transfer.completion.outcome
            ends[outcome.failure.kind if isinstance(outcome, Failed) else "stored"] += 1
        assert ends == {"stored": 40, Kind.CONNECT: 120, Kind.TRUNCATED: 40}
        assert len(made.leftovers) == 40


def test_many_names_of_one_server_are_looked_up_at_once(bench: MakeBench) -> None:
    with HttpServer({"/": PAGE}) as server:
        made = bench()
        urls = [server.url_of("localhost"), server.url_of("no.such.name.invalid"), server.url]
        running = [made.start(url) for url in urls * 10]
        made.wait(*running)
        for transfer, url in zip(running, urls * 10, strict=True):
            if "invalid" in url:
                assert failure(transfer).kind is Kind.DNS
            else:
                assert made.body(transfer) == PAGE


def test_one_whose_time_is_over_ends_while_the_others_go_on(bench: MakeBench) -> None:
    go = threading.Event()
    stuck = drips(sized(b"", length=10**6), NEVER)
    with HttpServer({"/": Reply(body=PAGE, delay=go)}) as server, RawServer(stuck) as bad:
        made = bench(Limits(read_timeout=60, max_time=2 * WAIT_S))
        others = [made.start(server.url) for _ in range(3)]
        made.plan = Plan(BRIEF, Http(), "scraper/1", {})
        slow = made.start(bad.url)
        made.plan = Plan(PATIENT, Http(), "scraper/1", {})
        others += [made.start(server.url) for _ in range(3)]
        made.wait(slow)
        assert failure(slow).kind is Kind.TIMEOUT
        assert all(other.completion is None for other in others)
        go.set()
        made.wait(*others)
        assert all(made.body(other) == PAGE for other in others)


@pytest.mark.parametrize("engine", IN_PROCESS, indirect=True)
def test_one_whose_time_is_over_in_the_sink_breaks_no_connection_that_another_has_now(
    engine: str, tmp_path: Path
) -> None:
    go = threading.Event()
    with HttpServer({"/first": Reply(), "/second": Reply(body=PAGE, delay=go)}) as server:
        sink = Far(tmp_path / "out", Blocking.WRITE, waits_at="commit")
        made = Bench(ENGINES[engine], sink.root, PATIENT, Http(), sink=sink)
        with contextlib.closing(made):
            first = made.start(f"{server.url}/first")
            made.poll_until(lambda: sink.waiting == 1)
            second = made.start(f"{server.url}/second")
            made.poll_until(lambda: server.total == 2)
            first.expire(TransferError(Kind.TIMEOUT, "its time is over"))
            made.engine.poll(0.0)
            go.set()
            sink.go.set()
            made.wait(first, second)
            assert made.body(second) == PAGE
            assert (server.connections, server.total) == (1, 2)


def test_a_bomb_that_goes_off_for_hours_holds_up_nobody_and_is_broken_off(
    bench: MakeBench,
) -> None:
    """Nothing comes out of it but empty members, so that no limit on size is in the way."""
    packed = b""
    for copies in (50_000, 400, 400):
        packed = gzip.compress(packed * copies if packed else gzip.compress(b"") * copies)
    with (
        RawServer(sized(packed, "Content-Encoding: gzip, gzip, gzip, gzip")) as bad,
        HttpServer({"/": PAGE}) as server,
    ):
        made = bench(PATIENT)
        endless = made.start(bad.url)
        made.poll_until(lambda: bad.connections == 1)
        made.plan = Plan(BRIEF, Http(), "scraper/1", {})
        brief = made.start(bad.url)
        made.plan = Plan(PATIENT, Http(), "scraper/1", {})
        others = [made.start(server.url) for _ in range(3)]
        made.wait(*others, brief)
        assert [made.body(other) for other in others] == [PAGE] * 3
        assert failure(brief).kind is Kind.TIMEOUT
        assert endless.completion is None
        made.engine.give_up()
        made.wait(endless)
        assert failure(endless).kind is Kind.INTERRUPTED


def test_giving_up_breaks_off_whatever_waits(bench: MakeBench) -> None:
    with (
        RawServer(silent) as mute,
        RawServer(then_silent(sized(b"begun", length=100))) as begun,
        RawServer(drips(b"HTTP/1.1 200 OK\r\nX: ", NEVER)) as dripping,
    ):
        made = bench(PATIENT)
        servers = (mute, begun, dripping)
        running = [made.start(f"{server.url}/") for server in servers]
        running.append(made.start(f"https://127.0.0.1:{mute.port}/"))  # in its TLS handshake
        made.poll_until(lambda: [server.connections for server in servers] == [2, 1, 1])
        made.engine.give_up()
        made.wait(*running)
        assert {failure(transfer).kind for transfer in running} == {Kind.INTERRUPTED}
        assert made.leftovers == []


def test_polling_waits_no_longer_than_told_and_a_wake_up_ends_it(bench: MakeBench) -> None:
    made = bench()
    assert list(made.engine.poll(0.0)) == []
    assert list(made.engine.poll(0.01)) == []
    threading.Timer(0.05, made.engine.wake).start()
    assert list(made.engine.poll(None)) == []
    made.engine.wake()
    assert list(made.engine.poll(None)) == []


def test_closing_waits_for_nobody(bench: MakeBench) -> None:
    with RawServer(silent) as server:
        made = bench(PATIENT)
        made.start(server.url)
        made.poll_until(lambda: server.connections == 1)
        made.engine.close()


# ---------------------------------------------------------------- look-ups


@pytest.mark.parametrize("engine", IN_PROCESS, indirect=True)
def test_a_name_that_moved_is_looked_up_again(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old address refuses: the next attempt asks for the new one at once."""
    system = socket.getaddrinfo
    address = "127.0.0.2"

    def moving(_host: str, *args: object, **kwargs: object) -> object:
        return system(address, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    made, port = bench(PATIENT), free_port()
    with HttpServer({"/": Reply(body=b"old", close=True)}, host="127.0.0.2", port=port) as server:
        url = server.url_of("some.name.example")
        assert made.body(made.fetch(url)) == b"old"
    with HttpServer({"/": b"new"}, port=port):
        refused = failure(made.fetch(url))
        assert (refused.kind, refused.unreachable) == (Kind.CONNECT, True)
        address = "127.0.0.1"
        assert made.body(made.fetch(url)) == b"new"
