"""--limit-rate: no server sends more than the rate allows, nobody is starved or given up for it.

What is counted is what a server could send, by its own log. Its sockets have small buffers, so that
it can't send ahead. All bounds are above: a machine that is busy only makes them easier to keep.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from signal import SIGTERM, SIGUSR1

import pytest

import scraper
from scraper.model.options import EngineName
from tests.e2e.command import WAIT_S as PROGRAM_S
from tests.e2e.command import Command
from tests.servers import WAIT_S, RawServer, read_head

RATE = 1_000_000
SNDBUF = 4096
SLACK = 0.35  # of a second's bytes: buffers of both sides, and what may be caught up


class Bodies:
    """A server of large bodies. Its log has the time and the size of each piece that was sent.

    `/N` has N bytes, with a length; `/chunked/N` has none. `/endless` ends with `done`, and goes
    on until then.
    """

    def __init__(self) -> None:
        self.log: list[tuple[float, int]] = []
        self.begun = 0.0  # before the first body
        self.done = threading.Event()
        self.asked = threading.Event()  # for an endless body
        self.sent = threading.Event()
        self._lock = threading.Lock()
        self.server = RawServer(self._serve)

    def _serve(self, _number: int, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SNDBUF)
        while head := read_head(sock):
            path = head.split()[1].decode()
            with self._lock:
                self.begun = self.begun or time.monotonic()
            if path == "/endless":
                self.asked.set()
                self._send_chunks(sock, 1 << 40)
                continue
            size = int(path.rpartition("/")[2].partition("?")[0])
            if path.startswith("/chunked"):
                self._send_chunks(sock, size)
            else:
                sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
                self._send(sock, size)

    def _send(self, sock: socket.socket, size: int) -> None:
        while size:
            sent = sock.send(bytes(min(size, 4096)))
            size -= sent
            with self._lock:
                self.log.append((time.monotonic(), sent))
            self.sent.set()

    def _send_chunks(self, sock: socket.socket, size: int) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size and not self.done.is_set():
            piece = min(size, 4096)
            sock.sendall(b"%x\r\n" % piece)
            self._send(sock, piece)
            sock.sendall(b"\r\n")
            size -= piece
        sock.sendall(b"0\r\n\r\n")

    def worst(self, rate: int) -> float:
        """The most that was sent beyond `rate` since the first request, in seconds of it."""
        with self._lock:
            log = sorted(self.log)
        total, worst = 0, 0.0
        for at, size in log:
            total += size
            worst = max(worst, total / rate - (at - self.begun))
        return worst


@pytest.fixture
def bodies() -> Iterator[Bodies]:
    made = Bodies()
    with made.server:
        yield made
        made.done.set()


def fetch(to: object, engine: EngineName, *urls: str, **options: object) -> list[scraper.Result]:
    given: dict[str, object] = {"engine": engine, "key": "{line}", **options}
    return list(scraper.run(urls, to=str(to), **given))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["", "chunked/"])
def test_no_server_can_send_more_than_the_rate(
    bodies: Bodies, engine: EngineName, tmp_path: object, kind: str
) -> None:
    urls = [f"{bodies.server.url}/{kind}{size}" for size in (300_000, 250_000, 200_000, 150_000)]
    results = fetch(tmp_path, engine, *urls, limit_rate=RATE, max_concurrency=4)
    assert [result.status for result in results] == ["stored"] * 4
    assert sorted(result.size or 0 for result in results) == [150_000, 200_000, 250_000, 300_000]
    assert bodies.worst(RATE) <= SLACK


def test_without_it_they_can(bodies: Bodies, engine: EngineName, tmp_path: object) -> None:
    """What the test above measures is there to be measured."""
    fetch(tmp_path, engine, f"{bodies.server.url}/4000000")
    assert bodies.worst(RATE // 100) > SLACK


def test_one_large_body_starves_nobody(
    bodies: Bodies, engine: EngineName, tmp_path: object
) -> None:
    """The large one has no end until all the others have come."""
    url = bodies.server.url
    urls = [f"{url}/endless", *(f"{url}/2000?{number}" for number in range(30))]
    options: dict[str, object] = {"engine": engine, "key": "{line}", "limit_rate": 300_000}
    options |= {"max_concurrency": 3, "max_time": 600.0}
    came: list[int | None] = []
    for result in scraper.run(urls, to=str(tmp_path), **options):  # type: ignore[arg-type]
        came.append(result.size)
        if len(came) == 30:
            bodies.done.set()
    assert came[:30] == [2000] * 30
    assert len(came) == 31


def test_a_body_that_we_hold_back_is_not_too_slow(
    bodies: Bodies, engine: EngineName, tmp_path: object
) -> None:
    """Each wait for a piece is longer than all of these limits. A busy machine is tried again."""
    (result,) = fetch(
        *(tmp_path, engine, f"{bodies.server.url}/3000"),
        limit_rate=1500,
        read_timeout=0.4,
        max_time=0.5,
        speed_limit=100_000,
        speed_time=0.4,
        retries=100,
        backoff_min=0.0,
        backoff_max=0.0,
    )
    assert result.status == "stored", result.error


def test_a_signal_does_not_wait_for_it(bodies: Bodies, engine: EngineName, cli: Command) -> None:
    """The whole body would take months."""
    words = ["-", "--engine", engine, "--limit-rate", "1k", "--grace", "0.1", "--max-time", "1e6"]
    listed = f"{bodies.server.url}/9000000000\n".encode()
    with cli.start(*words, stdin=-1) as process:
        assert process.stdin is not None
        process.stdin.write(listed)
        process.stdin.close()
        assert bodies.sent.wait(WAIT_S)
        process.send_signal(SIGTERM)
        assert process.wait(PROGRAM_S) == 143


def test_the_rate_is_told(bodies: Bodies, cli: Command) -> None:
    read, write = os.pipe()
    with cli.start("-", "--limit-rate", "250k", stdin=-1, stderr=write) as process:
        os.close(write)
        assert process.stdin is not None
        process.stdin.write(f"{bodies.server.url}/endless\n".encode())
        process.stdin.flush()
        assert bodies.asked.wait(WAIT_S)
        process.send_signal(SIGUSR1)
        with open(read, encoding="utf-8") as lines:
            assert "at most 16 at once and 250.0 kB/s, to ./out" in next(lines)
            told = next(line for line in lines if "state:" in line)
            assert "/s (limit 250.0 kB/s)" in told
            bodies.done.set()
            process.stdin.close()
            lines.read()
        assert process.wait(PROGRAM_S) == 0
