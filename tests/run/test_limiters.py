"""Real runs against servers that limit: ours, nginx, haproxy, Apache."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest

from tests.real_servers import apache, found, public_directory, running
from tests.run.test_loop import fetch, statuses
from tests.schedule.test_pacing import ByRate
from tests.servers import WAIT_S, Reply, Request, Serve, free_port

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])


class Limited:
    """Answers as fast as a limiter allows, with nothing but a status else."""

    def __init__(self, limiter: ByRate, status: int) -> None:
        self._limiter, self._status, self._lock = limiter, status, Lock()

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            admitted = self._limiter.admits(time.monotonic())
        return Reply(body=b"a page") if admitted else Reply(self._status)


@ENGINES
@pytest.mark.parametrize(("status", "at_once"), [(429, 16), (503, 16), (429, 1), (503, 64)])
def test_a_list_completes_against_a_limiter(
    engine: str, status: int, at_once: int, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Limited(ByRate(50, 10), status))
    urls = [f"{server.url}/{number}" for number in range(60)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=at_once)
    assert statuses(results) == {"stored": 60}
    assert sum(result.attempts for result in results) == server.total


def test_without_retries_nothing_is_tried_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(Limited(ByRate(20, 5), 429))
    urls = [f"{server.url}/{number}" for number in range(30)]
    results = fetch(urls, tmp_path, max_concurrency=8, retries=0)
    assert server.total == 30
    assert {result.attempts for result in results} == {1}


@ENGINES
@pytest.mark.parametrize("kind", ["epoch", "seconds"])
def test_an_announced_limit_is_never_hit(
    engine: str, kind: str, serve: Serve, tmp_path: Path
) -> None:
    """Ten in each window of a second, with GitHub's headers: with more it answers 403."""
    lock = Lock()
    window, left, refused = [0], [10], [0]

    def answer(request: Request) -> Reply:
        with lock:
            now = time.time()
            if int(now) != window[0]:
                window[0], left[0] = int(now), 10
            left[0] -= 1
            reset = str(int(now) + 1) if kind == "epoch" else "1"
            headers = {"X-RateLimit-Remaining": str(max(0, left[0])), "X-RateLimit-Reset": reset}
            refused[0] += left[0] < 0
            return Reply(403 if left[0] < 0 else 200, headers, b"a page")

    server = serve(answer)
    urls = [f"{server.url}/{number}" for number in range(25)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=1)
    assert statuses(results) == {"stored": 25}
    assert refused[0] == 0


_NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_CONFIGURATION = """
{user}
daemon off;
pid {directory}/nginx.pid;
error_log stderr emerg;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  limit_req_zone $server_name zone=rate:1m rate=30r/s;
  limit_conn_zone $server_name zone=conn:1m;
  server {{
    listen 127.0.0.1:{port};
    server_name limited;
    root {directory};
    location /rate/ {{ limit_req zone=rate burst=5 nodelay; rewrite ^ /page break; }}
    location /rate429/ {{ limit_req zone=rate; limit_req_status 429; rewrite ^ /page break; }}
    location /conn/ {{ limit_conn conn 3; limit_rate 40k; rewrite ^ /page break; }}
  }}
}}
"""


@contextmanager
def nginx(directory: Path) -> Iterator[str]:
    """An nginx whose `/rate/`, `/rate429/` and `/conn/` are limited; its URL."""
    if _NGINX is None:
        pytest.skip("there is no nginx: apt-get install nginx-light")
    directory.mkdir()
    directory.chmod(0o755)
    (directory / "page").write_bytes(b"x" * 4_000)
    port = free_port()
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(_CONFIGURATION.format(user=user, directory=directory, port=port))
    words = [_NGINX, "-p", str(directory), "-c", str(config), "-e", "stderr"]
    with subprocess.Popen(words) as process:
        try:
            until = time.monotonic() + WAIT_S
            while True:
                assert process.poll() is None, "nginx ended"
                assert time.monotonic() < until, "nginx does not listen"
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=10).close()
                    break
                except OSError:
                    time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@ENGINES
@pytest.mark.parametrize("limit", ["rate", "rate429", "conn"])
def test_a_list_completes_at_an_nginx_that_limits(engine: str, limit: str, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx") as url:
        urls = [f"{url}/{limit}/{number}" for number in range(50)]
        results = fetch(urls, tmp_path / "out", engine=engine, max_concurrency=16)
    assert statuses(results) == {"stored": 50}


_HAPROXY = """
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend limited
  bind 127.0.0.1:{port}
"""


@contextmanager
def haproxy(limit: str) -> Iterator[str]:
    """A haproxy with these lines in its frontend; its URL."""
    program, port = found("haproxy", "haproxy"), free_port()
    with public_directory() as directory:
        config = directory / "haproxy.cfg"
        config.write_text(_HAPROXY.format(port=port) + limit)
        with running([program, "-f", str(config)], port, directory / "log"):
            yield f"http://127.0.0.1:{port}"


_COUNTS = """\
  stick-table type string size 10 expire 60s store http_req_rate(1s)
  http-request track-sc0 str(all)
  http-request deny deny_status {status} if {{ sc_http_req_rate(0) gt 30 }}
  http-request return status 200 content-type text/plain string "a page"
"""


@ENGINES
@pytest.mark.parametrize("status", [429, 503])
def test_a_list_completes_at_a_haproxy_that_counts_what_it_denies_too(
    engine: str, status: int, tmp_path: Path
) -> None:
    with haproxy(_COUNTS.format(status=status)) as url:
        urls = [f"{url}/{number}" for number in range(60)]
        results = fetch(urls, tmp_path / "out", engine=engine, max_concurrency=16)
    assert statuses(results) == {"stored": 60}


class TakesFour(ThreadingHTTPServer):
    """Closes connections beyond four without a word. The others are kept, and answer each page."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Kept)
        self._lock, self._open = Lock(), 0

    def verify_request(self, request: object, client_address: object) -> bool:
        with self._lock:
            taken = self._open < 4
            self._open += taken
        return taken

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open -= 1


class Kept(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"a page")

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def takes_four() -> Iterator[str]:
    with TakesFour() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


_CLOSES = """\
  stick-table type ip size 10 expire 60s store conn_cur
  tcp-request connection track-sc0 src
  tcp-request connection reject if { sc0_conn_cur gt 4 }
  http-request return status 200 content-type text/plain string "a page"
"""


def haproxy_that_closes() -> AbstractContextManager[str]:
    return haproxy(_CLOSES)


@contextmanager
def mod_qos() -> Iterator[str]:
    with apache({"page": b"a page"}, "qos", "QS_SrvMaxConnPerIP 4") as url:
        yield f"{url}/plain/page?"


@ENGINES
@pytest.mark.parametrize("server", [takes_four, haproxy_that_closes, mod_qos])
def test_a_list_completes_where_connections_that_are_too_many_are_closed(
    engine: str, server: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    with server() as url:
        urls = [f"{url}/{number}" for number in range(200)]
        results = fetch(urls, tmp_path / "out", engine=engine, max_concurrency=16)
    assert statuses(results) == {"stored": 200}
    assert sum(one.attempts for one in results) <= 400
