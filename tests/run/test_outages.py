"""Hosts that refuse connections for a while: their targets wait, and lose nothing."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Failed, Result
from tests.run.test_loop import fetch, kinds, statuses
from tests.servers import WAIT_S, closed_port, free_port

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Door:
    """A server, one request a connection, whose listener can be closed and opened again.

    While it is closed the port stays ours, so that connections are refused.
    """

    def __init__(self) -> None:
        self.answered = 0
        self._open = threading.Event()
        self._over = threading.Event()
        self._socket = self._bound()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def open(self) -> None:
        self._socket.listen(128)
        self._open.set()

    def close(self) -> None:
        self._open.clear()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # it is bound, and listens no more

    def end(self) -> None:
        self._over.set()
        self.close()
        self._open.set()
        self._thread.join(WAIT_S)
        self._socket.close()

    def _bound(self) -> socket.socket:
        """A socket that keeps its port when it no longer listens: the port was asked for."""
        while True:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections of it
            try:
                sock.bind(("127.0.0.1", free_port()))
            except OSError:
                sock.close()
            else:
                return sock

    def _serve(self) -> None:
        while not self._over.is_set():
            self._open.wait(WAIT_S)
            with contextlib.suppress(OSError):  # closed
                while not self._over.is_set():
                    self._answer(self._socket.accept()[0])

    def _answer(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.recv(65_536)
            sock.sendall(_ANSWER)
            self.answered += 1


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.end()


def attempts_paid(results: list[Result]) -> int:
    return max(result.attempts for result in results)


@ENGINES
@pytest.mark.parametrize(("at_once", "retries"), [(16, 3), (1, 3), (16, 10)])
def test_a_host_that_refuses_now_and_then_gives_everything(
    engine: str, at_once: int, retries: int, door: Door, tmp_path: Path
) -> None:
    over = threading.Event()

    def flap() -> None:
        while not over.is_set():
            door.open()
            over.wait(0.25)
            door.close()
            over.wait(0.1)
        door.open()

    thread = threading.Thread(target=flap, daemon=True)
    thread.start()
    urls = [f"{door.url}/{number}" for number in range(300)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=at_once, retries=retries)
    over.set()
    thread.join(WAIT_S)
    assert statuses(results) == {"stored": 300}


@ENGINES
@pytest.mark.parametrize("at_once", [1, 16])
def test_a_host_that_comes_up_late_gives_everything(
    engine: str, at_once: int, door: Door, tmp_path: Path
) -> None:
    timer = threading.Timer(1.0, door.open)
    timer.start()
    begun = time.monotonic()
    urls = [f"{door.url}/{number}" for number in range(100)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=at_once, retries=1)
    assert time.monotonic() - begun >= 1.0
    assert statuses(results) == {"stored": 100}
    assert sum(result.attempts > 1 for result in results) <= at_once, "the others were not asked"


@ENGINES
def test_a_host_that_refuses_for_good_is_given_up_when_the_time_is_over(
    engine: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    urls = [f"{url}/{number}" for number in range(200)]
    begun = time.monotonic()
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=4, retry_max_time=1.0)
    assert time.monotonic() - begun >= 1.0
    assert statuses(results) == {"failed": 200}
    found = kinds(results)
    assert found[Kind.HOST_DOWN] + found[Kind.CONNECT] == 200
    assert 1 <= found[Kind.CONNECT] <= 4, "those that were tried last"
    for result in results:
        assert isinstance(result.outcome, Failed)
        assert "refused" in result.outcome.failure.message.lower()


_LATE = """
import subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *args):
        pass

def ip(*words):
    subprocess.run(["ip", *words], check=True)

def come_up():
    time.sleep(1.0)
    ip("link", "set", "lo", "up")
    ip("addr", "add", "192.0.2.7/32", "dev", "lo")
    ThreadingHTTPServer(("192.0.2.7", 8080), Page).serve_forever()

threading.Thread(target=come_up, daemon=True).start()
import scraper
urls = [f"http://192.0.2.7:8080/{number}" for number in range(100)]
results = list(scraper.run(urls, to=sys.argv[1], engine=sys.argv[2], max_concurrency=8))
print(sorted({result.status for result in results}), len(results))
"""


@ENGINES
def test_a_network_that_comes_up_late_costs_nothing(engine: str, tmp_path: Path) -> None:
    """In a network namespace of its own, without a route at first."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        subprocess.run([*alone, "ip", "link"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace, or no ip (iproute2): {error}")
    words = [*alone, sys.executable, "-c", _LATE, str(tmp_path / "out"), engine]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ran.stdout.strip() == "['stored'] 100", ran.stderr
