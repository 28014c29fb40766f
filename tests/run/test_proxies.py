"""Runs through proxies that are down, away for a while, or say no: ours, squid and tinyproxy."""

import threading
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from tests.conformance.test_engine_proxies import Proxy
from tests.real_servers import squid, tinyproxy
from tests.run.test_loop import fetch, statuses
from tests.servers import HttpServer, RawServer, closed_port, free_port, tls_context

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])


@ENGINES
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_stays_away_ends_all_lines_as_proxy(
    engine: str, scheme: str, tmp_path: Path
) -> None:
    urls = [f"{scheme}://127.0.9.{number % 5 + 1}:9/{number}" for number in range(40)]
    port = closed_port()
    proxy = f"http://127.0.0.1:{port}"
    results = fetch(urls, tmp_path, engine=engine, proxy=proxy, retry_max_time=1)
    assert statuses(results) == {"failed": 40}
    assert {result.error and result.error.kind for result in results} == {Kind.PROXY}
    assert all(f"127.0.0.1:{port}" in str(result.error) for result in results)


@ENGINES
def test_a_proxy_that_comes_back_costs_nobody_an_attempt(engine: str, tmp_path: Path) -> None:
    port = free_port()
    with HttpServer({f"/{number}": b"a page" for number in range(20)}) as origin:
        urls = [f"{origin.url}/{number}" for number in range(20)]
        made: list[Proxy] = []
        later = threading.Timer(1.0, lambda: made.append(Proxy(port=port).__enter__()))
        later.start()
        try:
            results = fetch(
                urls, tmp_path, engine=engine, proxy=f"http://127.0.0.1:{port}", retries=1
            )
        finally:
            later.join()
            made[0].__exit__(None, None, None)
    assert statuses(results) == {"stored": 20}


@ENGINES
def test_a_proxys_no_to_every_line_never_means_that_hosts_are_down(
    engine: str, tmp_path: Path
) -> None:
    no = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with RawServer(no) as proxy:
        urls = [f"https://127.0.9.{number % 2 + 1}:9/{number}" for number in range(40)]
        results = fetch(urls, tmp_path, engine=engine, proxy=proxy.url)
    assert {result.error and result.error.kind for result in results} == {Kind.PROXY}
    assert {result.attempts for result in results} == {1}


@ENGINES
def test_squid(engine: str, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with (
        HttpServer({"/page": b"a page"}) as plain,
        HttpServer({"/page": b"a page"}, tls=context) as secure,
        squid() as proxy,
    ):
        dead = closed_port()
        urls = [
            f"{plain.url}/page",
            f"{secure.url}/page",
            f"http://127.0.0.1:{dead}/",
            f"https://127.0.0.1:{dead}/",
            "http://127.0.0.1:7/",
            "https://127.0.0.1:7/",
            f"{plain.url}/gone",
        ]
        found = fetch(urls, tmp_path / "out", engine=engine, proxy=proxy, cacert=pem, retries=0)
    by_url = {result.url: result for result in found}
    assert [by_url[url].status for url in urls] == ["stored"] * 2 + ["failed"] * 5
    kinds = [error and error.kind for error in (by_url[url].error for url in urls)]
    assert kinds[2:] == [Kind.PROXY] * 4 + [Kind.HTTP_STATUS]
    messages = [str(by_url[url].error) for url in urls]
    assert "HTTP 503 from the proxy: ERR_CONNECT_FAIL 111" in messages[2]
    assert "answered CONNECT with 503" in messages[3]
    assert "HTTP 403 from the proxy: ERR_ACCESS_DENIED 0" in messages[4]
    assert "answered CONNECT with 403" in messages[5]
    assert "HTTP 404 (via " in messages[6]


@ENGINES
def test_squid_that_wants_a_password(engine: str, tmp_path: Path) -> None:
    rules = (
        "auth_param basic program /bin/cat",
        "acl known proxy_auth REQUIRED",
        "http_access deny !known",
    )
    with squid(*rules) as proxy:
        urls = ["http://127.0.0.1:9/", "https://127.0.0.1:9/"]
        results = fetch(urls, tmp_path, engine=engine, proxy=proxy)
    assert {result.error and result.error.kind for result in results} == {Kind.PROXY}
    assert {result.attempts for result in results} == {1}
    assert all("407" in str(result.error) for result in results)


@ENGINES
def test_tinyproxy(engine: str, tmp_path: Path) -> None:
    with HttpServer({"/page": b"a page"}) as origin, tinyproxy() as proxy:
        dead = closed_port()
        urls = [f"{origin.url}/page", f"http://127.0.0.1:{dead}/", f"https://127.0.0.1:{dead}/"]
        found = fetch(urls, tmp_path, engine=engine, proxy=proxy, retries=0)
    by_url = {result.url: result for result in found}
    assert [by_url[url].status for url in urls] == ["stored", "failed", "failed"]
    plain, tunnel = (by_url[url].error for url in urls[1:])
    assert plain is not None
    assert (plain.kind, plain.http_code) == (Kind.HTTP_STATUS, 500)  # nothing tells whose it is
    assert tunnel is not None
    assert (tunnel.kind, "answered CONNECT with 500" in tunnel.message) == (Kind.PROXY, True)
