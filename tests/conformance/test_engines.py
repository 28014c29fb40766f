"""Every engine means the same: one suite over all of them, against servers that misbehave."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from scraper import engines, urls
from scraper.engines.base import Engine
from scraper.engines.curl import CurlEngine
from scraper.engines.threads import ThreadsEngine
from scraper.errors import Kind
from scraper.records import Attempt, Failed, Failure, Stored, Target
from scraper.retry import is_transient
from scraper.settings import Http, Limits
from scraper.sinks.directory import DirectorySink
from scraper.transfer import Plan, Transfer
from tests.conformance.engine_cases import BRIEF, CASES, NEVER, PAGE, Case, head, sized
from tests.servers import (
    WAIT_S,
    HttpServer,
    RawServer,
    Reply,
    Request,
    Script,
    closed_port,
    drips,
    read_head,
    reset,
    silent,
    then_silent,
    tls_context,
)

MakeEngine = Callable[[int, Limits, Http], Engine]
ENGINES: dict[str, MakeEngine] = {"threads": ThreadsEngine, "curl": CurlEngine}
PATIENT = Limits(connect_timeout=300, read_timeout=300, max_time=600)


class Bench:
    """One engine, a destination, and the part of the loop that starts and takes."""

    def __init__(self, make: MakeEngine, root: Path, limits: Limits, http: Http) -> None:
        self.root = root
        self.sink = DirectorySink(root)
        self.sink.check()
        self.plan = Plan(limits, http, "scraper/1", {})
        self.engine = make(16, limits, http)
        self.started = 0

    def close(self) -> None:
        self.engine.give_up()
        self.engine.close()
        self.sink.close()

    def start(self, url: str, *, guarded: bool = False) -> Transfer:
        self.started += 1
        parsed = urls.parse(url)
        target = Target(url, parsed.href, parsed.host, f"{self.started}", self.started, "list")
        now = time.monotonic()
        transfer = Transfer(Attempt(target, queued_at=now), self.plan, self.sink, now)
        transfer._guarded = guarded  # loopback is never public, so no redirect here sets it
        self.engine.start(transfer)
        return transfer

    def wait(self, *transfers: Transfer) -> None:
        """Until all of these have ended."""
        until = time.monotonic() + WAIT_S
        left = {transfer for transfer in transfers if transfer.completion is None}
        while left:
            assert time.monotonic() < until, "a transfer never ended"
            left -= set(self.engine.poll(1.0))

    def poll_until(self, condition: Callable[[], bool]) -> None:
        """Until something that is no end of a transfer holds."""
        until = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < until, "what was waited for never came"
            assert not self.engine.poll(0.01)

    def fetch(self, url: str, *, guarded: bool = False) -> Transfer:
        transfer = self.start(url, guarded=guarded)
        self.wait(transfer)
        return transfer

    def body(self, transfer: Transfer) -> bytes:
        """What was stored; fails if nothing was."""
        assert transfer.completion is not None
        assert isinstance(transfer.completion.outcome, Stored), transfer.completion.outcome
        return (self.root / transfer.attempt.target.key).read_bytes()

    @property
    def leftovers(self) -> list[str]:
        """Files that are no object; objects of a failed attempt too."""
        return [
            path.name for path in self.root.rglob("*") if path.is_file() and path.name != "lock"
        ]


MakeBench = Callable[..., Bench]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine."""
    return str(request.param)


@pytest.fixture
def bench(engine: str, tmp_path: Path) -> Iterator[MakeBench]:
    """Make a Bench with the engine, some limits, some HTTP settings."""
    with ExitStack() as stack:

        def make(limits: Limits | None = None, http: Http | None = None) -> Bench:
            made = Bench(ENGINES[engine], tmp_path / "out", limits or Limits(), http or Http())
            stack.callback(made.close)
            return made

        yield make


def failure(transfer: Transfer) -> Failure:
    assert transfer.completion is not None
    assert isinstance(transfer.completion.outcome, Failed), transfer.completion.outcome
    return transfer.completion.outcome.failure


def count_up() -> Callable[[], int]:
    numbers = iter(range(1, 10**9))
    return lambda: next(numbers)


# ---------------------------------------------------------------- one server, one request


@pytest.mark.parametrize(
    ("engine", "case"),
    [(name, case) for case in CASES for name in ENGINES if case.only in {"", name}],
    ids=lambda value: value.name if isinstance(value, Case) else value,
    indirect=["engine"],
)
def test_what_a_server_does_has_one_meaning(case: Case, engine: str, bench: MakeBench) -> None:
    with RawServer(case.sends) as server:
        made = bench(case.limits, case.http)
        transfer = made.fetch(f"{server.url}/page")
        completion = transfer.completion
        assert completion is not None
        response = completion.outcome.response
        if case.headless == engine:
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
        assert server.connections == 1


def test_every_difference_of_engines_is_in_their_table() -> None:
    for case in CASES:
        assert bool(case.differs) == bool(case.only or case.headless), case.name
        assert case.differs in (engines.__doc__ or ""), case.name


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_connection_is_an_unreachable_host(scheme: str, bench: MakeBench) -> None:
    found = failure(bench().fetch(f"{scheme}://127.0.0.1:{closed_port()}/"))
    assert (found.kind, found.unreachable) == (Kind.CONNECT, True)
    assert is_transient(found)


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
        assert request.headers["accept-encoding"] == "gzip, deflate, br"
        assert request.host == f"127.0.0.1:{server.port}"


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
        found = failure(bench().fetch(f"http://{host}:{server.port}/", guarded=True))
        assert (found.kind, found.unreachable) == (Kind.BLOCKED_ADDRESS, False)
        assert not is_transient(found)
        assert server.connections == 0


def test_a_connection_kept_from_before_does_not_open_the_guard(bench: MakeBench) -> None:
    with HttpServer({"/": PAGE}) as server:
        made = bench()
        made.fetch(server.url)
        found = failure(made.fetch(server.url, guarded=True))
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


def test_a_server_that_closes_after_each_answer_loses_no_attempt(bench: MakeBench) -> None:
    with RawServer(sized(PAGE)) as server:
        made = bench()
        for number in range(30):
            assert made.body(made.fetch(f"{server.url}/{number}")) == PAGE
        assert server.connections == 30


def test_max_time_on_a_kept_connection_sends_nothing_again(bench: MakeBench) -> None:
    seen: list[bytes] = []

    def script(number: int, sock: socket.socket) -> None:
        seen.append(read_head(sock))
        if number == 1:
            sock.sendall(sized(PAGE))
            seen.append(read_head(sock))
        silent(number, sock)

    with RawServer(script) as server:
        made = bench(BRIEF)
        assert made.body(made.fetch(server.url)) == PAGE
        assert failure(made.fetch(server.url)).kind is Kind.TIMEOUT
        assert server.connections == 1
        assert len(seen) == 2


# ---------------------------------------------------------------- several at once


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


# ---------------------------------------------------------------- TLS


def test_a_certificate_of_a_known_authority_is_accepted(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        for host in ("127.0.0.1", "localhost", "localhost"):
            assert made.body(made.fetch(server.url_of(host))) == PAGE
        assert server.connections == 2


def test_an_unknown_authority_is_a_tls_failure(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench().fetch(server.url))
        assert (found.kind, found.unreachable) == (Kind.TLS, True)
        assert not is_transient(found)
        assert server.total == 0


def test_a_certificate_of_another_name_is_a_tls_failure(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path, "elsewhere.example")
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench(http=Http(cacert=str(pem))).fetch(server.url))
        assert found.kind is Kind.TLS
        assert server.total == 0


def test_an_expired_certificate_is_a_tls_failure(bench: MakeBench, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.now(UTC) - timedelta(days=30)
    authority.issue_cert(
        "127.0.0.1", not_before=past, not_after=past + timedelta(days=1)
    ).configure_cert(context)
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench(http=Http(cacert=str(pem))).fetch(server.url))
        assert found.kind is Kind.TLS
        assert "expired" in found.message
        assert server.total == 0


def test_insecure_asks_no_authority(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path, "elsewhere.example")
    with HttpServer({"/": PAGE}, tls=context) as server:
        made = bench(http=Http(insecure=True))
        assert made.body(made.fetch(server.url)) == PAGE


def test_tls_to_a_port_that_speaks_plain_http_is_a_tls_failure(bench: MakeBench) -> None:
    def script(number: int, sock: socket.socket) -> None:
        sock.recv(5)
        sock.sendall(head("Content-Length: 0", status="HTTP/1.1 400 Speak HTTP"))
        silent(number, sock)

    with RawServer(script) as server:
        found = failure(bench().fetch(f"https://127.0.0.1:{server.port}/"))
        assert found.kind is Kind.TLS
        assert not is_transient(found)


def test_plain_http_to_a_tls_port_is_no_http(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench().fetch(f"http://127.0.0.1:{server.port}/"))
        assert found.kind in {Kind.PROTOCOL, Kind.CONNECT}  # an alert, or a closed connection


@pytest.mark.parametrize("limits", [Limits(connect_timeout=0.3, read_timeout=0.3), BRIEF])
def test_a_tls_handshake_that_never_ends_is_a_timeout(limits: Limits, bench: MakeBench) -> None:
    with RawServer(silent) as server:
        found = failure(bench(limits).fetch(f"https://127.0.0.1:{server.port}/"))
        assert found.kind is Kind.TIMEOUT
        assert is_transient(found)


def test_a_tls_connection_reset_in_mid_body_is_truncated(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)

    def script(number: int, sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(sized(PAGE, length=10**6))
        reset(sock)

    with RawServer(script, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        assert failure(made.fetch(server.url)).kind is Kind.TRUNCATED
        assert made.leftovers == []


# ---------------------------------------------------------------- proxies


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Proxy(RawServer):
    """A small forward proxy: absolute-form GET, and CONNECT tunnels."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._forward, tls=tls)

    def _forward(self, number: int, sock: socket.socket) -> None:
        request = self.read_head(sock)
        if not request:
            return
        method, target, _ = request.split(b"\r\n")[0].decode().split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as origin:
                sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=pump, args=(origin, sock), daemon=True)
                back.start()
                pump(sock, origin)
                back.join()
            return
        parts = urlsplit(target)
        path = target.removeprefix(f"{parts.scheme}://{parts.netloc}").encode()
        with socket.create_connection((parts.hostname, parts.port or 80)) as origin:
            rest = request.partition(b"\r\n")[2]
            origin.sendall(b"GET %b HTTP/1.1\r\nConnection: close\r\n%b" % (path, rest))
            pump(origin, sock)


def test_plain_requests_go_through_the_proxy(bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as origin, Proxy() as proxy:
        made = bench(http=Http(proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}"))
        transfer = made.fetch(f"{origin.url}/page")
        assert made.body(transfer) == PAGE
        assert proxy.heads[0].startswith(f"GET {origin.url}/page HTTP/1.1\r\n".encode())
        assert b"proxy-authorization: basic bWU6cEBzcw==".lower() in proxy.heads[0].lower()
        assert transfer.completion is not None
        assert transfer.completion.outcome.response is not None
        assert transfer.completion.outcome.response.remote_ip is None  # the proxy's says nothing


def test_tls_requests_go_through_a_tunnel_and_the_origin_sees_no_proxy_password(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with HttpServer({"/page": PAGE}, tls=context) as origin, Proxy() as proxy:
        http = Http(proxy=f"http://me:s3cret@127.0.0.1:{proxy.port}", cacert=str(pem))
        made = bench(http=http)
        for _ in range(2):
            assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        assert len(proxy.heads) == 1  # the tunnel is kept
        assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{origin.port} HTTP/1".encode())
        assert b"proxy-authorization" in proxy.heads[0].lower()
        assert all("proxy-authorization" not in request.headers for request in origin.requests)


def test_a_proxy_may_be_spoken_to_by_tls(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with HttpServer({"/page": PAGE}, tls=context) as origin, Proxy(tls=context) as proxy:
        made = bench(http=Http(proxy=f"https://127.0.0.1:{proxy.port}", cacert=str(pem)))
        assert made.body(made.fetch(f"{origin.url}/page")) == PAGE


def test_a_proxy_without_a_scheme_is_an_http_proxy(bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as origin, Proxy() as proxy:
        made = bench(http=Http(proxy=f"127.0.0.1:{proxy.port}"))
        assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        assert len(proxy.heads) == 1


def test_the_proxy_of_the_environment_is_used_and_its_exceptions_too(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpServer({"/page": PAGE}) as origin, Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "localhost")
        made = bench()
        assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        assert len(proxy.heads) == 1
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/page")) == PAGE
        assert len(proxy.heads) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_a_failed_connection(scheme: str, bench: MakeBench) -> None:
    made = bench(http=Http(proxy=f"http://127.0.0.1:{closed_port()}"))
    found = failure(made.fetch(f"{scheme}://host.example/"))
    assert (found.kind, found.unreachable) == (Kind.CONNECT, True)


def test_a_proxy_that_refuses_a_tunnel_is_a_failed_connection(bench: MakeBench) -> None:
    refusal = head("Content-Length: 0", status="HTTP/1.1 407 Who are you")
    with RawServer(refusal) as proxy:
        made = bench(http=Http(proxy=proxy.url))
        found = failure(made.fetch("https://host.example/"))
        assert found.kind is Kind.CONNECT
        assert "407" in found.message
