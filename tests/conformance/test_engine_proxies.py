"""Proxies, the same with every engine."""

import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from scraper.schedule.retry import is_transient
from tests.conformance.engine_bench import MakeBench, failure
from tests.conformance.engine_cases import PAGE, head, sized
from tests.engines.test_happy_eyeballs import swallows
from tests.servers import HttpServer, RawServer, Reply, closed_port, free_port, silent, tls_context


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):  # also after a reset
        sink.shutdown(socket.SHUT_WR)


class Proxy(RawServer):
    """A small forward proxy: absolute-form GET, and CONNECT tunnels."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        super().__init__(self._forward, port=port, tls=tls)

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


def test_an_empty_query_goes_through_the_proxy_too(bench: MakeBench) -> None:
    with HttpServer(lambda request: Reply(body=request.path.encode())) as origin, Proxy() as proxy:
        made = bench(http=Http(proxy=f"http://127.0.0.1:{proxy.port}"))
        for path in ("/page?", "/page", "/page??"):
            assert made.body(made.fetch(origin.url + path)) == path.encode()


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
        assert b"curl" not in proxy.heads[0].lower()
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
def test_a_proxy_that_is_not_there_says_nothing_of_the_host(scheme: str, bench: MakeBench) -> None:
    port = closed_port()
    made = bench(http=Http(proxy=f"http://me:s3cret@127.0.0.1:{port}"))
    found = failure(made.fetch(f"{scheme}://host.example/"))
    assert (found.kind, found.unreachable) == (Kind.PROXY, False)
    assert found.proxy == f"127.0.0.1:{port}"
    assert found.message == f"the proxy 127.0.0.1:{port}: can't connect: Connection refused"
    assert is_transient(found)


@pytest.mark.parametrize(
    ("status", "retried"),
    [(407, False), (403, False), (404, False), (405, False), (502, True), (503, True), (504, True)],
)
def test_a_refused_tunnel_is_the_proxys_final_or_not_by_its_code(
    status: int, retried: bool, bench: MakeBench
) -> None:
    refusal = head("Content-Length: 2", status=f"HTTP/1.1 {status} Who are you") + b"no"
    with RawServer(refusal) as proxy:
        made = bench(http=Http(proxy=proxy.url))
        found = failure(made.fetch("https://host.example/"))
        name = f"127.0.0.1:{proxy.port}"
    assert (found.kind, found.unreachable, found.proxy) == (Kind.PROXY, False, "")
    assert found.message == f"the proxy {name} answered CONNECT with {status} Who are you"
    assert is_transient(found) is retried


@pytest.mark.parametrize(
    ("status", "line", "said"),
    [
        (407, "Server: squid", "HTTP 407 from the proxy"),
        (
            503,
            "X-Squid-Error: ERR_CONNECT_FAIL 111",
            "HTTP 503 from the proxy: ERR_CONNECT_FAIL 111",
        ),
        (403, "X-Squid-Error: ERR_ACCESS_DENIED 0", "HTTP 403 from the proxy: ERR_ACCESS_DENIED 0"),
        (502, "Proxy-Status: p; error=dns_error", "HTTP 502 from the proxy: dns_error"),
        (502, "Proxy-Status: p; received-status=502", "HTTP 502"),
        (503, "Via: 1.1 vm (squid/5.7)", "HTTP 503 (via 1.1 vm (squid/5.7))"),
        (404, "Server: x", "HTTP 404"),
    ],
)
def test_what_can_be_known_of_a_proxys_own_answer_is_told(
    status: int, line: str, said: str, bench: MakeBench
) -> None:
    answer = head("Content-Length: 2", line, status=f"HTTP/1.1 {status} No") + b"no"
    with RawServer(answer) as proxy:
        found = failure(bench(http=Http(proxy=proxy.url)).fetch("http://host.example/"))
        by_proxy = "from the proxy" in said
        kind = Kind.PROXY if by_proxy else Kind.HTTP_STATUS
        assert (found.kind, found.http_code, found.message) == (kind, status, said)
        assert is_transient(found) == (status in {502, 503})
        if by_proxy:
            assert not found.pushback
        direct = failure(bench().fetch(f"{proxy.url}/"))  # it is a server then
        assert (direct.kind, direct.message) == (Kind.HTTP_STATUS, f"HTTP {status}")


def test_time_to_the_proxy_and_time_of_the_proxy_are_told_apart(bench: MakeBench) -> None:
    with RawServer(silent) as proxy:
        made = bench(Limits(connect_timeout=0.5), Http(proxy=proxy.url))
        found = failure(made.fetch("https://host.example/"))
        assert (found.kind, found.unreachable, found.proxy) == (Kind.TIMEOUT, True, "")
    with ExitStack() as stack:
        port = free_port("127.0.0.9")
        swallows(stack, socket.AF_INET, "127.0.0.9", port)
        made = bench(Limits(connect_timeout=0.5), Http(proxy=f"http://127.0.0.9:{port}"))
        for scheme in ("http", "https"):
            found = failure(made.fetch(f"{scheme}://host.example/"))
            assert (found.kind, found.unreachable) == (Kind.PROXY, False)
            assert found.proxy == f"127.0.0.9:{port}"
            assert "no connection within the time" in found.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_trusted_is_no_fault_of_the_host(
    scheme: str, bench: MakeBench, tmp_path: Path
) -> None:
    context, _ = tls_context(tmp_path)
    with Proxy(tls=context) as proxy:
        made = bench(http=Http(proxy=f"https://127.0.0.1:{proxy.port}"))
        found = failure(made.fetch(f"{scheme}://host.example/"))
        assert (found.kind, found.proxy) == (Kind.PROXY, f"127.0.0.1:{proxy.port}")
        assert "TLS" in found.message
        assert not is_transient(found)


def test_a_given_proxy_has_no_exceptions_of_the_environment(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpServer({"/page": PAGE}) as origin, Proxy() as proxy:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
        made = bench(http=Http(proxy=proxy.url))
        assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        assert len(proxy.heads) == 1


def test_a_range_of_addresses_may_be_an_exception(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpServer({"/page": PAGE}) as origin, Proxy() as proxy:
        monkeypatch.setenv("all_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "10.0.0.0/8,127.0.0.0/8")
        made = bench()
        assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/page")) == PAGE
        assert len(proxy.heads) == 1
        assert b"localhost" in proxy.heads[0]


def test_a_url_travels_as_it_is_through_a_proxy_too(bench: MakeBench) -> None:
    with HttpServer(lambda _: Reply(body=PAGE)) as origin, Proxy() as proxy:
        made = bench(http=Http(proxy=proxy.url))
        for path in ("/a%2fb/100%?q=%c3%a9|", "/plain", "/%20"):
            assert made.body(made.fetch(origin.url + path)) == PAGE
            assert proxy.heads[-1].startswith(f"GET {origin.url}{path} HTTP/1.1\r\n".encode())
        assert [request.path for request in origin.requests][::2] == [
            "/a%2fb/100%?q=%c3%a9|",
            "/%20",
        ]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "0x7f.1",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "169.254.169.254",
        ),
        *("localhost", "LOCALHOST.", "a.localhost"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_seen_to_be_no_public_address_is_refused_before_the_proxy(
    scheme: str, host: str, bench: MakeBench
) -> None:
    with Proxy() as proxy:
        made = bench(http=Http(proxy=proxy.url, public_only=True))
        found = failure(made.fetch(f"{scheme}://{host}:8080/"))
        assert found.kind is Kind.BLOCKED_ADDRESS
        assert not proxy.connections


def test_a_redirect_through_a_proxy_does_not_lead_past_it_to_ourselves(
    engine: str, bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpServer({"/page": PAGE}) as near:
        location = f"Location: {near.url}/page"
        with RawServer(head(location, "Content-Length: 0", status="HTTP/1.1 302 Found")) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
            found = failure(bench().fetch(f"http://{engine}.example/"))  # remembered by host
        assert found.kind is Kind.BLOCKED_ADDRESS
        assert found.message == "redirected through a proxy: 127.0.0.1 is not public"
        assert near.connections == 0


@pytest.mark.parametrize("host", ["site.example", "8.8.8.8", "[2606:2800:220:1::1]", "nolocalhost"])
def test_where_a_name_leads_is_the_proxys_business(host: str, bench: MakeBench) -> None:
    with RawServer(sized(PAGE)) as proxy:
        made = bench(http=Http(proxy=proxy.url, public_only=True))
        assert made.body(made.fetch(f"http://{host}/page")) == PAGE


@pytest.mark.parametrize(
    ("answer", "kinds", "retried"),
    [
        (b"", {Kind.PROXY}, True),
        (b"HTTP/1.1 200 O", {Kind.PROXY, Kind.CONNECT}, True),  # http.client takes it for whole
        (b"HTTP/1.1 200 OK\r\n\r\n", {Kind.CONNECT}, True),
        (b"what?\r\n\r\n", {Kind.PROXY}, False),
    ],
    ids=["nothing", "a torn head", "a tunnel that ends", "no HTTP"],
)
def test_a_proxy_that_does_not_keep_the_tunnel_is_no_fault_of_tls(
    answer: bytes, kinds: set[Kind], retried: bool, bench: MakeBench
) -> None:
    with RawServer(answer) as proxy:
        found = failure(bench(http=Http(proxy=proxy.url)).fetch("https://host.example/"))
        assert found.kind in kinds
        assert (found.unreachable, found.proxy) == (False, "")
        assert is_transient(found) is retried


def test_tls_through_a_tunnel_trusts_nobody_more(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path)
    with HttpServer({"/page": PAGE}, tls=context) as origin, Proxy() as proxy:
        found = failure(bench(http=Http(proxy=proxy.url)).fetch(f"{origin.url}/page"))
        assert found.kind is Kind.TLS
        assert origin.total == 0


def test_a_proxy_whose_name_is_unknown_says_nothing_of_the_host(bench: MakeBench) -> None:
    made = bench(http=Http(proxy="http://no.such.proxy.invalid:3128"))
    found = failure(made.fetch("http://127.0.0.1/"))
    assert (found.kind, found.proxy) == (Kind.PROXY, "no.such.proxy.invalid:3128")
    assert "name look-up failed" in found.message
