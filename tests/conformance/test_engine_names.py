"""-4, -6 and --resolve, the same with every engine."""

import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.settings import Http
from scraper.schedule.retry import is_transient
from tests.conformance.engine_bench import MakeBench, failure
from tests.conformance.engine_cases import PAGE, head
from tests.conformance.test_engine_proxies import Proxy
from tests.conformance.test_engine_socks import skip_without_socks
from tests.servers import HttpFarm, HttpServer, RawServer, closed_port, free_port, tls_context
from tests.socks_proxy import SocksProxy


def both_families(stack: ExitStack) -> tuple[HttpServer, HttpServer]:
    """A server at 127.0.0.1 and one at ::1, at one port."""
    port = free_port()
    try:
        six = stack.enter_context(HttpServer({"/": b"six"}, host="::1", port=port))
    except OSError as error:
        pytest.skip(f"there is no ::1 here: {error}")
    return stack.enter_context(HttpServer({"/": b"four"}, port=port)), six


def test_a_family_is_chosen_of_names_and_of_given_addresses(bench: MakeBench) -> None:
    with ExitStack() as stack:
        four, _ = both_families(stack)
        names = f"both.test:{four.port}:[::1],127.0.0.1"
        http = Http(resolve=(names,))
        for chosen, body in (
            (replace(http, ipv4=True), b"four"),
            (replace(http, ipv6=True), b"six"),
            (http, b"six"),
        ):
            made = bench(http=chosen)
            assert made.body(made.fetch(f"http://both.test:{four.port}/")) == body
        made = bench(http=Http(ipv4=True))
        assert made.body(made.fetch(four.url_of("localhost") + "/")) == b"four"


def test_a_host_without_an_address_of_the_family_is_a_dns_failure(bench: MakeBench) -> None:
    port = closed_port()
    for http, host in (
        (Http(ipv4=True), "[::1]"),
        (Http(ipv6=True), "127.0.0.1"),
        (Http(ipv6=True, resolve=(f"h.test:{port}:127.0.0.1",)), "h.test"),
    ):
        found = failure(bench(http=http).fetch(f"http://{host}:{port}/"))
        which = "IPv4" if http.ipv4 else "IPv6"
        assert (found.kind, found.unreachable) == (Kind.DNS, True)
        assert found.message == f"name look-up failed: no {which} address"
        assert not is_transient(found)


@pytest.mark.parametrize("given", ["site.test", "SITE.test", "*", "+site.test"])
def test_a_given_address_is_taken_for_the_host(given: str, bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as server:
        http = Http(resolve=(f"{given}:{server.port}:127.0.0.1", "other.test:1:127.0.0.9"))
        made = bench(http=http)
        for _ in range(2):
            assert made.body(made.fetch(f"http://site.test:{server.port}/page")) == PAGE
        assert server.requests[0].host == f"site.test:{server.port}"


def test_an_exact_host_wins_over_the_star_and_an_address_may_be_given_another(
    bench: MakeBench,
) -> None:
    farm = HttpFarm(lambda request: None, hosts=["127.0.0.1", "127.0.0.2"])
    with farm as server:
        http = Http(resolve=(f"*:{server.port}:127.0.0.1", f"site.test:{server.port}:127.0.0.2"))
        made = bench(http=http)
        for host in ("site.test", "else.test", "127.0.0.3"):
            failure(made.fetch(f"http://{host}:{server.port}/{host}"))
        seen = {request.host.partition(":")[0]: request.address for request in server.requests}
    assert seen == {
        "site.test": "127.0.0.2",
        "else.test": "127.0.0.1",
        "127.0.0.3": "127.0.0.1",
    }


def test_of_several_addresses_the_next_is_tried(bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as server:
        http = Http(resolve=(f"site.test:{server.port}:127.0.0.9,127.0.0.1",))
        made = bench(http=http)
        assert made.body(made.fetch(f"http://site.test:{server.port}/page")) == PAGE


def test_certificates_are_of_the_name(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path, "site.test")
    with HttpServer({"/page": PAGE}, tls=context) as server:
        addresses = tuple(f"{name}.test:{server.port}:127.0.0.1" for name in ("site", "other"))
        made = bench(http=Http(resolve=addresses, cacert=str(pem)))
        assert made.body(made.fetch(f"https://site.test:{server.port}/page")) == PAGE
        assert failure(made.fetch(f"https://other.test:{server.port}/page")).kind is Kind.TLS


def test_the_guard_judges_a_given_address_as_any_other(bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as server:
        http = Http(resolve=(f"site.test:{server.port}:127.0.0.1",), public_only=True)
        made = bench(http=http)
        made.guard()
        found = failure(made.fetch(f"http://site.test:{server.port}/page"))
        assert found.kind is Kind.BLOCKED_ADDRESS
        assert found.message == "--public-only: 127.0.0.1 is not public"
        assert server.connections == 0


def test_a_proxy_may_be_given_an_address_and_looks_other_names_up_itself(
    bench: MakeBench,
) -> None:
    with HttpServer({"/page": PAGE}) as origin, Proxy() as proxy:
        given = (f"proxy.test:{proxy.port}:127.0.0.1", f"localhost:{origin.port}:127.0.0.9")
        made = bench(http=Http(proxy=f"http://proxy.test:{proxy.port}", resolve=given))
        assert made.body(made.fetch(f"{origin.url_of('localhost')}/page")) == PAGE


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
def test_with_socks_the_address_is_given_where_we_look_up(
    scheme: str, engine: str, bench: MakeBench
) -> None:
    skip_without_socks(engine)
    with SocksProxy(reply=91 if scheme == "socks4" else 5) as proxy:
        given = ("site.test:81:127.0.0.9",)
        made = bench(http=Http(proxy=f"{scheme}://127.0.0.1:{proxy.port}", resolve=given))
        for _ in range(2):
            failure(made.fetch("http://site.test:81/"))
        host = "site.test" if scheme == "socks5h" else "127.0.0.9"
        assert set(proxy.asked) == {(int(scheme[5]), host, 81)}


def test_a_redirect_goes_to_the_given_address_too(bench: MakeBench) -> None:
    with HttpServer({"/page": PAGE}) as second:
        location = f"Location: http://second.test:{second.port}/page"
        with RawServer(head(location, "Content-Length: 0", status="HTTP/1.1 302 Found")) as first:
            given = tuple(
                f"{name}.test:{server.port}:127.0.0.1"
                for name, server in (("first", first), ("second", second))
            )
            made = bench(http=Http(resolve=given))
            assert made.body(made.fetch(f"http://first.test:{first.port}/")) == PAGE


def test_nothing_is_asked_of_the_system(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    asked: list[object] = []

    def look(host: object, *args: object, **more: object) -> object:
        asked.append(host)
        return real(host, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    with HttpServer({"/page": PAGE}) as server:
        made = bench(http=Http(resolve=(f"site.test:{server.port}:127.0.0.1",)))
        assert made.body(made.fetch(f"http://site.test:{server.port}/page")) == PAGE
    assert "site.test" not in asked
