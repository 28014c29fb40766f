"""SOCKS proxies, the same with every engine."""

import importlib.util
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from scraper.schedule.retry import is_transient
from tests.conformance.engine_bench import MakeBench, failure
from tests.conformance.engine_cases import PAGE
from tests.engines.test_happy_eyeballs import swallows
from tests.real_servers import dante, microsocks
from tests.servers import HttpServer, RawServer, closed_port, free_port, silent, tls_context
from tests.socks_proxy import SocksProxy

SCHEMES = ["socks4", "socks4a", "socks5", "socks5h"]
LOOKED_UP_HERE = {"socks4", "socks5"}


def skip_without_socks(engine: str) -> None:
    """Skip the test of an engine that has no library for it."""
    if engine == "threads" and importlib.util.find_spec("socks") is None:
        pytest.skip("there is no PySocks: pip install PySocks")


@pytest.fixture(autouse=True)
def _pysocks(engine: str) -> None:
    skip_without_socks(engine)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_bodies_come_through_it_and_names_are_looked_up_where_the_scheme_says(
    scheme: str, secure: bool, bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path) if secure else (None, None)
    with HttpServer({"/a%2fb?": PAGE}, tls=context) as origin, SocksProxy() as proxy:
        http = Http(
            proxy=f"{scheme}://127.0.0.1:{proxy.port}",
            cacert=str(pem) if pem else None,
            ipv4=True,
            http1_1=True,
        )
        made = bench(http=http)
        transfer = made.fetch(f"{origin.url_of('localhost')}/a%2fb?")
        assert made.body(transfer) == PAGE
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/a%2fb?")) == PAGE  # kept
        host = "127.0.0.1" if scheme in LOOKED_UP_HERE else "localhost"
        assert proxy.asked == [(int(scheme[5]), host, origin.port)]
        response = transfer.completion and transfer.completion.outcome.response
        assert response
        assert response.remote_ip is None
        assert not any("proxy" in name for name in origin.requests[0].headers)


@pytest.mark.parametrize("proxied", ["socks5", "socks5h"])
def test_an_ipv6_address_goes_through_it(proxied: str, bench: MakeBench) -> None:
    with SocksProxy(reply=5) as proxy:
        made = bench(http=Http(proxy=f"{proxied}://127.0.0.1:{proxy.port}"))
        failure(made.fetch("http://[2001:db8::7]:81/"))
        assert proxy.asked == [(5, "2001:db8::7", 81)]


def test_a_name_and_a_password(bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as origin, SocksProxy(login=("me", "p@ss")) as proxy:
        made = bench(http=Http(proxy=f"socks5h://me:p%40ss@127.0.0.1:{proxy.port}"))
        assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        for login in ("me:wrong@", ""):
            made = bench(http=Http(proxy=f"socks5h://{login}127.0.0.1:{proxy.port}"))
            found = failure(made.fetch(f"{origin.url}/page"))
            assert (found.kind, found.unreachable, found.proxy) == (Kind.PROXY, False, "")
            name = f"the proxy 127.0.0.1:{proxy.port}"
            assert found.message == f"{name} refused: user name and password"
            assert not is_transient(found)


@pytest.mark.parametrize(
    ("scheme", "reply", "kind", "said", "retried"),
    [
        ("socks5h", 1, Kind.PROXY, "general failure", True),
        ("socks5h", 2, Kind.PROXY, "not allowed by its rules", False),
        ("socks5h", 3, Kind.CONNECT, "network unreachable", True),
        ("socks5h", 4, Kind.CONNECT, "host unreachable", True),
        ("socks5", 5, Kind.CONNECT, "Connection refused", True),
        ("socks5h", 6, Kind.CONNECT, "TTL expired", True),
        ("socks5h", 7, Kind.PROXY, "command not supported", False),
        ("socks5h", 8, Kind.PROXY, "address type not supported", False),
        ("socks4", 91, Kind.PROXY, "rejected or failed", True),
        ("socks4a", 92, Kind.PROXY, "it can't reach identd here", False),
        ("socks4a", 93, Kind.PROXY, "identd names another", False),
    ],
)
def test_a_refusal_is_the_proxys_or_the_hosts_by_its_code(  # noqa: PLR0917 - a table
    scheme: str, reply: int, kind: Kind, said: str, retried: bool, bench: MakeBench
) -> None:
    with SocksProxy(reply=reply) as proxy:
        made = bench(http=Http(proxy=f"{scheme}://127.0.0.1:{proxy.port}"))
        found = failure(made.fetch("http://127.0.0.1:9/"))
        name = f"the proxy 127.0.0.1:{proxy.port}"
    assert (found.kind, found.proxy) == (kind, "")
    assert found.unreachable is (kind is Kind.CONNECT)
    by_host = f"can't connect: {said} (says {name})"
    assert found.message == (by_host if kind is Kind.CONNECT else f"{name} refused: {said}")
    assert is_transient(found) is retried


@pytest.mark.parametrize("scheme", ["socks4a", "socks5h"])
def test_one_that_is_not_there_or_no_socks(scheme: str, bench: MakeBench) -> None:
    port = closed_port()
    made = bench(http=Http(proxy=f"{scheme}://127.0.0.1:{port}"))
    found = failure(made.fetch("https://host.example/"))
    assert (found.kind, found.unreachable, found.proxy) == (Kind.PROXY, False, f"127.0.0.1:{port}")
    assert found.message == f"the proxy 127.0.0.1:{port}: can't connect: Connection refused"
    with RawServer(lambda _, sock: sock.sendall(b"HTTP/1.1 400 What")) as server:
        made = bench(http=Http(proxy=f"{scheme}://127.0.0.1:{server.port}"))
        found = failure(made.fetch("https://host.example/"))
        assert (found.kind, found.unreachable, found.proxy) == (Kind.PROXY, False, "")


def test_time_to_the_proxy_and_time_of_the_proxy_are_told_apart(bench: MakeBench) -> None:
    with RawServer(silent) as proxy:
        made = bench(Limits(connect_timeout=0.5), Http(proxy=f"socks5h://127.0.0.1:{proxy.port}"))
        found = failure(made.fetch("https://host.example/"))
        assert (found.kind, found.unreachable, found.proxy) == (Kind.TIMEOUT, True, "")
    with ExitStack() as stack:
        port = free_port("127.0.0.9")
        swallows(stack, socket.AF_INET, "127.0.0.9", port)
        made = bench(Limits(connect_timeout=0.5), Http(proxy=f"socks5h://127.0.0.9:{port}"))
        found = failure(made.fetch("https://host.example/"))
        assert (found.kind, found.proxy) == (Kind.PROXY, f"127.0.0.9:{port}")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_microsocks(scheme: str, bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as origin, microsocks() as proxy:
        made = bench(http=Http(proxy=f"{scheme}://{proxy}", ipv4=True))
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/page")) == PAGE
        found = failure(made.fetch(f"http://127.0.0.1:{closed_port()}/"))
        assert (found.kind, found.unreachable) == (Kind.CONNECT, True)
        assert "Connection refused" in found.message


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
def test_dante(scheme: str, bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as origin, dante() as proxy:
        made = bench(http=Http(proxy=f"{scheme}://{proxy}", ipv4=True))
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/page")) == PAGE
        refused = failure(made.fetch(f"http://127.0.0.1:{closed_port()}/"))
        forbidden = failure(made.fetch("http://127.0.0.2:9/"))
        if scheme.startswith("socks5"):
            assert (refused.kind, refused.unreachable) == (Kind.CONNECT, True)
            assert (forbidden.kind, is_transient(forbidden)) == (Kind.PROXY, False)
        else:  # one code for all
            assert refused.kind is forbidden.kind is Kind.PROXY
