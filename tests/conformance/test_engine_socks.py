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
from tests.conformance.engine_cases import PAGE, head
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


@pytest.mark.parametrize(
    ("scheme", "first", "reply"),
    [
        ("socks5", "::1", 3),
        ("socks5", "::1", 4),
        ("socks5", "::1", 5),
        ("socks5", "::1", 8),
        ("socks4", "127.0.0.9", 91),
    ],
)
def test_the_next_address_is_tried_where_the_proxy_does_not_reach_one(
    scheme: str, first: str, reply: int, bench: MakeBench
) -> None:
    with HttpServer({"/page": PAGE}) as origin, SocksProxy(replies={first: reply}) as proxy:
        given = (f"d.test:{origin.port}:{first},127.0.0.1",)
        made = bench(http=Http(proxy=f"{scheme}://127.0.0.1:{proxy.port}", resolve=given))
        for _ in range(2):  # over the kept connection then
            assert made.body(made.fetch(f"http://d.test:{origin.port}/page")) == PAGE
        assert [host for _, host, _ in proxy.asked] == [first, "127.0.0.1"]


def test_the_next_address_is_tried_for_https_too(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with (
        HttpServer({"/page": PAGE}, tls=context) as origin,
        SocksProxy(replies={"::1": 3}) as proxy,
    ):
        http = Http(
            proxy=f"socks5://127.0.0.1:{proxy.port}",
            resolve=(f"localhost:{origin.port}:::1,127.0.0.1",),
            cacert=str(pem),
        )
        made = bench(http=http)
        together = [made.start(f"{origin.url_of('localhost')}/page") for _ in range(8)]
        made.wait(*together)
        assert [made.body(one) for one in together] == [PAGE] * 8
        assert {host for _, host, _ in proxy.asked} == {"::1", "127.0.0.1"}


def test_the_curl_engine_begins_with_the_address_that_was_reached(
    engine: str, bench: MakeBench
) -> None:
    if engine != "curl":
        pytest.skip("each new connection of the threads engine begins with the first address")
    page = head("Content-Length: 2", "Connection: close") + b"ab"
    with RawServer(page) as origin, SocksProxy(replies={"::1": 3}) as proxy:
        given = (f"d.test:{origin.port}:::1,127.0.0.1",)
        made = bench(http=Http(proxy=f"socks5://127.0.0.1:{proxy.port}", resolve=given))
        for _ in range(3):
            assert made.body(made.fetch(f"http://d.test:{origin.port}/page")) == b"ab"
        assert [host for _, host, _ in proxy.asked] == ["::1", *["127.0.0.1"] * 3]


@pytest.mark.parametrize("last", [5, 8])
def test_each_address_is_tried_once_and_the_hosts_failure_is_told(
    last: int, bench: MakeBench
) -> None:
    replies = {"::1": 4, "127.0.0.1": 5, "::2": last}
    with SocksProxy(replies=replies) as proxy:
        http = Http(
            proxy=f"socks5://127.0.0.1:{proxy.port}", resolve=("d.test:81:::1,127.0.0.1,::2",)
        )
        found = failure(bench(http=http).fetch("http://d.test:81/"))
        assert [host for _, host, _ in proxy.asked] == list(replies)
        assert (found.kind, found.unreachable, found.proxy) == (Kind.CONNECT, True, "")
        assert found.message.startswith("can't connect: Connection refused (says the proxy")


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_the_guard_judges_addresses_that_are_looked_up_here(scheme: str, bench: MakeBench) -> None:
    with SocksProxy(reply=91 if scheme == "socks4" else 5) as proxy:
        given = ("near.test:81:10.0.0.1,::1", "both.test:81:10.0.0.1,1.1.1.1,127.0.0.9")
        url = f"{scheme}://127.0.0.1:{proxy.port}"
        made = bench(http=Http(proxy=url, resolve=given, public_only=True))
        made.guard()
        found = failure(made.fetch("http://near.test:81/"))
        assert found.kind is Kind.BLOCKED_ADDRESS
        assert found.message == "--public-only: 10.0.0.1 is not public"
        assert proxy.asked == []
        failure(made.fetch("http://both.test:81/"))
        assert [host for _, host, _ in proxy.asked] == ["1.1.1.1"], "told, and not connected to"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_proxys_own_name_is_looked_up_as_any_other(scheme: str, bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as origin, SocksProxy() as proxy:
        url = f"{scheme}://proxy.test:{proxy.port}"
        given = (f"proxy.test:{proxy.port}:::1,127.0.0.1",)
        for ipv4 in (False, True):  # nobody listens at ::1, as IPv6 or not at all
            made = bench(http=Http(proxy=url, resolve=given, ipv4=ipv4))
            assert made.body(made.fetch(f"{origin.url}/page")) == PAGE
        given = (f"proxy.test:{proxy.port}:127.0.0.1",)
        made = bench(http=Http(proxy=url, resolve=given, ipv6=True))
        found = failure(made.fetch(f"http://[::1]:{origin.port}/page"))
        if scheme != "socks4":  # which has no address of the host to ask for either
            assert (found.kind, found.proxy) == (Kind.PROXY, f"proxy.test:{proxy.port}")
        assert len(proxy.asked) == 2


@pytest.mark.parametrize("reply", [1, 2, 7])
def test_the_next_address_is_not_tried_after_other_replies(reply: int, bench: MakeBench) -> None:
    with SocksProxy(reply=reply) as proxy:
        given = ("d.test:81:127.0.0.9,127.0.0.1",)
        made = bench(http=Http(proxy=f"socks5://127.0.0.1:{proxy.port}", resolve=given))
        assert failure(made.fetch("http://d.test:81/")).kind is Kind.PROXY
        assert proxy.asked == [(5, "127.0.0.9", 81)]


def test_localhost_has_the_addresses_that_the_system_gives_it(
    bench: MakeBench, tmp_path: Path
) -> None:
    known = {entry[4][0] for entry in socket.getaddrinfo("localhost", 80)}
    context, pem = tls_context(tmp_path)
    with (
        HttpServer({"/page": PAGE}, tls=context) as origin,
        SocksProxy(replies={"::1": 4}) as proxy,
    ):
        made = bench(http=Http(proxy=f"socks5://127.0.0.1:{proxy.port}", cacert=str(pem)))
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/page")) == PAGE
        assert {host for _, host, _ in proxy.asked} <= known


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_ipv4_is_chosen_of_given_addresses(secure: bool, bench: MakeBench) -> None:
    with SocksProxy(reply=5) as proxy:
        made = bench(
            http=Http(
                proxy=f"socks5://127.0.0.1:{proxy.port}",
                resolve=("d.test:81:::1,127.0.0.9",),
                ipv4=True,
            )
        )
        failure(made.fetch(f"http{'s' * secure}://d.test:81/"))
        assert proxy.asked == [(5, "127.0.0.9", 81)]


def test_ipv6_is_chosen_of_given_addresses(bench: MakeBench) -> None:
    try:
        proxy = SocksProxy(reply=5, host="::1")
    except OSError as error:
        pytest.skip(f"there is no ::1 here: {error}")
    with proxy:
        given = ("d.test:81:127.0.0.9,::1",)
        made = bench(http=Http(proxy=f"socks5://[::1]:{proxy.port}", resolve=given, ipv6=True))
        failure(made.fetch("http://d.test:81/"))
        assert proxy.asked == [(5, "::1", 81)]


@pytest.mark.parametrize(
    ("scheme", "given", "said"),
    [
        ("socks5", "::1", "name look-up failed: no IPv4 address"),
        ("socks4", "::1", "no IPv4 address, for SOCKS 4"),
    ],
)
def test_no_address_of_the_family_is_a_failure_of_the_name(
    scheme: str, given: str, said: str, bench: MakeBench
) -> None:
    with SocksProxy(reply=5) as proxy:
        http = Http(
            proxy=f"{scheme}://127.0.0.1:{proxy.port}",
            ipv4=scheme == "socks5",
            resolve=(f"d.test:81:{given}",),
        )
        found = failure(bench(http=http).fetch("http://d.test:81/"))
        assert (found.kind, found.message, found.proxy) == (Kind.DNS, said, "")
        assert not is_transient(found)
        assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_a_name_that_is_not_known_is_told_as_without_a_proxy(scheme: str, bench: MakeBench) -> None:
    with SocksProxy() as proxy:
        made = bench(http=Http(proxy=f"{scheme}://127.0.0.1:{proxy.port}"))
        found = failure(made.fetch("http://host.invalid/"))
        assert (found.kind, found.unreachable, found.proxy) == (Kind.DNS, True, "")
        assert found.message.startswith("name look-up failed: ")
        assert proxy.asked == []


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
