"""Runs against servers of HTTP/2: no target loses an attempt for what others asked."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from scraper.model.records import Failed, Result
from tests.h2server import Gone, H2Server
from tests.real_http2_servers import Server, apache, haproxy, nginx
from tests.run.test_loop import fetch, statuses
from tests.servers import Reply, Request, Serve, tls_context

Start = Callable[[str], AbstractContextManager[Server]]


def code_of(result: Result) -> int | None:
    assert isinstance(result.outcome, Failed), result
    return result.outcome.failure.http_code


# ---------------------------------------------------------------- ours


def test_who_has_half_a_body_when_the_connection_ends_loses_nothing(tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)

    def answer(path: str) -> bytes | Gone:
        return Gone(2) if path == "/long" else path.encode() * 10

    def http1(path: str) -> bytes:
        if path == "/long":
            return b"HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwhole\n"

    with H2Server(context, answer, together=4, http1=http1) as server:
        paths = ["/a.half", "/b.half", "/c.half", "/long"]
        urls = [server.url + path for path in paths]
        results = fetch(urls, tmp_path / "out", engine="curl", cacert=str(pem), retries=0)
        by_path = {result.target.url.removeprefix(server.url): result for result in results}
        assert code_of(by_path.pop("/long")) == 414
        assert statuses(by_path.values()) == {"stored": 3}
        assert len(server.http1_paths) == 4


def test_a_url_that_ends_every_connection_has_its_attempts_and_no_more(tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)

    def answer(path: str) -> bytes | Gone:
        return Gone(2) if path == "/bad" else path.encode()

    def http1(path: str) -> bytes:
        return b"" if path == "/bad" else b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

    with H2Server(context, answer, http1=http1) as server:
        urls = [f"{server.url}/{number}" for number in range(12)]
        urls.insert(5, f"{server.url}/bad")
        options = {"engine": "curl", "cacert": str(pem), "retries": 3}
        results = fetch(urls, tmp_path / "out", **options)
        failed = [result for result in results if isinstance(result.outcome, Failed)]
        assert [(one.target.url, one.attempts) for one in failed] == [(f"{server.url}/bad", 4)]
        assert statuses(results) == {"stored": 12, "failed": 1}
        # Each attempt may be sent a second time, alone. While others get through, an attempt may
        # cost nothing: its connection may have been one too many.
        assert 4 <= server.paths.count("/bad") + server.http1_paths.count("/bad") <= 12


# ---------------------------------------------------------------- other people's


def test_apache_works_on_as_many_pages_as_there_are_transfers(serve: Serve, tmp_path: Path) -> None:
    """It announces 100 streams a connection, and works on 6, then 12."""
    asked, at_once = threading.Barrier(32), 32

    def answer(request: Request) -> Reply:
        asked.wait(60)  # broken unless all of them are worked on together
        return Reply(body=request.path.encode())

    with apache(serve(answer).url) as server:
        urls = [f"{server.url}/{number}" for number in range(at_once)]
        options = {"engine": "curl", "cacert": str(server.pem), "max_concurrency": at_once}
        results = fetch(urls, tmp_path, **options)
    assert [one.failure for one in results if one.failure] == []
    assert {result.attempts for result in results} == {1}


@pytest.mark.parametrize("engine", ["threads", "curl"])
@pytest.mark.parametrize(("start", "code"), [(nginx, 414), (haproxy, 400)])
def test_long_urls_get_their_status_and_their_neighbours_lose_nothing(
    engine: str, start: Start, code: int, serve: Serve, tmp_path: Path
) -> None:
    backend = serve(lambda request: Reply(body=request.path.encode()))
    with start(backend.url) as server:
        urls = [f"{server.url}/{number}" for number in range(64)]
        long = {f"{server.url}/?{'q' * 20_000}{number}" for number in (30, 31, 50)}
        for number, url in enumerate(sorted(long)):
            urls[30 + number * 10] = url
        options = {"engine": engine, "cacert": str(server.pem), "max_concurrency": 64}
        results = fetch(urls, tmp_path, **options, retries=0)
    assert statuses(results) == {"stored": 61, "failed": 3}
    assert [code_of(one) for one in results if one.target.url in long] == [code] * 3
