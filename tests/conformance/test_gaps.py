"""Gaps and caps as the server sees them: spaced when sent, whatever happens before that.

The server notes when the first byte of each request reached its machine: the kernel's own time
stamp, so that a busy machine can't make two requests look closer than they were.
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.options import EngineName
from scraper.model.records import Result
from tests.conformance.engine_bench import IN_PROCESS, carrier
from tests.servers import RawServer, read_head, tls_context

LINES = 100
DELAY_S = 0.03
CAP = 4
SLOW_S = 0.4  # of a handshake or a look-up: many gaps
CLOCK_S = 0.001  # between the clock of the time stamps and the one that measures gaps
_SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; Python has no name for it

Answer = Callable[[bytes, int, int], bytes | None]  # path, connection, request on it, from 1


class Watched(RawServer):
    """A server that keeps connections, and notes when each request came."""

    def __init__(
        self,
        answer: Answer,
        *,
        tls: ssl.SSLContext | None = None,
        slow: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.arrivals: list[float] = []
        self.in_flight = self.most = 0
        self._answer, self._context, self._is_slow = answer, tls, slow
        super().__init__(self._talk)
        for listening in self._listening:  # what it accepts is the same
            listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def url_of(self, host: str) -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self.port}"

    def _talk(self, number: int, sock: socket.socket) -> None:
        if self._is_slow(number):
            self.closing.wait(SLOW_S)
        if self._context is None:
            self._converse(number, sock)
        else:
            with self._context.wrap_socket(sock, server_side=True) as secure:
                self._converse(number, secure)

    def _converse(self, number: int, sock: socket.socket) -> None:
        count = 0
        while (came := arrival(sock)) is not None and (head := read_head(sock)):
            count += 1
            with self._changed:
                self.arrivals.append(came)
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
            said = self._answer(head.split(b" ", 2)[1], number, count)
            with self._changed:
                self.in_flight -= 1
            if said is None:
                break
            sock.sendall(said)
            if b"Connection: close" in said:
                break

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(sorted(self.arrivals))]


def arrival(sock: socket.socket) -> float | None:
    """When the next byte reached this machine, in seconds since 1970; None at the end."""
    data, ancillary, _, _ = socket.socket.recvmsg(sock, 1, 256, socket.MSG_PEEK)
    if not data:
        return None
    for level, kind, stamp in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", stamp[:16])
            return float(seconds) + float(nanoseconds) / 1e9
    raise AssertionError("the kernel gives no time stamp")


def page(body: bytes = b"page", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def always(_path: bytes, _connection: int, _count: int) -> bytes:
    return page()


def closing_often(_path: bytes, connection: int, count: int) -> bytes:
    return page(b"page", "200 OK", "Connection: close") if count >= connection % 5 else page()


def dying(_path: bytes, _connection: int, count: int) -> bytes | None:
    """Each connection is good for two requests; the third is read, and not answered."""
    return page() if count < 3 else None


def moving(path: bytes, _connection: int, _count: int) -> bytes:
    if path.endswith(b"there"):
        return page()
    return page(b"", "302 Found", f"Location: {path.decode()}/there")


TORN = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntorn"


class Failing:
    """Every third request fails, in one of two ways."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, _path: bytes, _connection: int, _count: int) -> bytes:
        self._count += 1
        if self._count % 6 == 0:
            return page(b"", "500 Internal Server Error")
        return page() if self._count % 3 else TORN


def fetch(server: Watched, tmp_path: Path, engine: EngineName, host: str, **options: Any) -> None:
    urls = [f"{server.url_of(host)}/{number}" for number in range(LINES)]
    if engine not in {"threads", "curl"}:
        options["processes"] = 2
        engine = "curl" if carrier(engine) == "curl" else "threads"
    stored(list(scraper.run(urls, to=tmp_path / "out", engine=engine, **options)))


def stored(results: Sequence[Result]) -> None:
    assert {result.status for result in results} == {"stored"}, [
        result.failure for result in results if result.status != "stored"
    ]
    assert len(results) == LINES


def spaced(server: Watched, requests: int = LINES) -> None:
    """What was promised about requests is what the server saw."""
    assert len(server.arrivals) >= requests
    assert min(server.gaps) >= DELAY_S - CLOCK_S
    assert server.most <= CAP


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        pytest.param(always, LINES, id="kept connections"),
        pytest.param(closing_often, LINES, id="connections that are closed"),
        pytest.param(dying, LINES + 2, id="connections that die"),
        pytest.param(moving, 2 * LINES, id="redirects"),
        pytest.param(Failing(), LINES * 4 // 3, id="retries"),
    ],
)
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_requests_are_spaced_behind_slow_connections(
    answer: Answer, requests: int, secure: bool, engine: EngineName, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    with Watched(
        answer, tls=context if secure else None, slow=lambda number: number in {1, 2, 5}
    ) as server:
        fetch(
            server,
            tmp_path,
            engine,
            "127.0.0.1",
            delay=DELAY_S,
            per_host=CAP,
            cacert=str(pem),
            backoff_min=0.1,
            retries=20,
        )
        spaced(server, requests)


@pytest.mark.parametrize("engine", IN_PROCESS, indirect=True)
def test_requests_are_spaced_behind_a_slow_look_up(
    engine: EngineName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = socket.getaddrinfo
    slow = threading.Event()

    def look_up(_host: str, *args: object, **kwargs: object) -> object:
        if not slow.is_set():
            slow.set()
            time.sleep(SLOW_S)  # it is slow, nothing is waited for
        return system("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with Watched(closing_often) as server:
        fetch(server, tmp_path, engine, "some.name.example", delay=DELAY_S, per_host=CAP)
        spaced(server)


def test_the_rate_holds_behind_a_slow_connection(engine: EngineName, tmp_path: Path) -> None:
    rate = 50
    with Watched(closing_often, slow=lambda number: number % 7 == 1) as server:
        fetch(server, tmp_path, engine, "127.0.0.1", rate=rate)
        times = sorted(server.arrivals)
        seconds = [sum(begin <= one < begin + 0.5 for one in times) for begin in times]
        assert max(seconds) <= rate / 2 + 2


def test_crawl_delay_counts_from_the_request_for_robots_txt(
    engine: EngineName, tmp_path: Path
) -> None:
    rules = f"User-agent: *\nCrawl-delay: {DELAY_S}\n".encode()

    def answer(path: bytes, _connection: int, _count: int) -> bytes:
        return page(rules if path == b"/robots.txt" else b"page", "200 OK", "Connection: close")

    with Watched(answer, slow=lambda number: number in {1, 3}) as server:
        fetch(server, tmp_path, engine, "127.0.0.1", robots=True, per_host=CAP)
        spaced(server, LINES + 1)
