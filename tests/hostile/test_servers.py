"""Whole runs against servers that mean no good: memory, time, disk and the account hold.

What one reply means is in `tests/conformance`, case by case; here it is what a run becomes.
"""

import gzip
import socket
import sys
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any

import brotli
import pytest

import scraper
from scraper.model.options import EngineName
from tests.conformance.engine_cases import head, sized
from tests.e2e.command import Command, Ran, lines
from tests.e2e.places import Bucket
from tests.machine import patiently
from tests.s3servers import S3Server
from tests.servers import (
    HttpFarm,
    HttpServer,
    RawServer,
    Reply,
    Request,
    Script,
    drips,
    read_head,
    resets_at_once,
    silent,
)

NEVER = threading.Event()
MANY = 100_000_000  # bytes that a bomb comes to
SPARE = 30_000_000  # bytes of memory that they may cost
every_engine = pytest.mark.parametrize("engine", ["threads", "curl"])


# Runs a program and writes down how much memory it had; one that is forked from here would
# begin with as much as this process has.
WATCH = """
import os, sys
_, status, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:]), 0)
with open(sys.argv[1], "w") as noted:
    print(used.ru_maxrss * 1024, file=noted)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_of(
    cli: Command, *arguments: object, env: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """Exit status and the most resident bytes of a run, as the kernel has counted them."""
    noted = cli.directory / "peak"
    cli.prefix = [sys.executable, "-S", "-c", WATCH, str(noted)]
    ran = cli(*arguments, env=env)
    return ran.status, int(noted.read_text())


# ---------------------------------------------------------------- memory

ZEROS = bytes(MANY)
BOMBS = {
    "gzip": gzip.compress(ZEROS, 1),
    "deflate": zlib.compress(ZEROS, 1),
    "br": brotli.compress(ZEROS, quality=1),
    "gzip, gzip": gzip.compress(gzip.compress(ZEROS, 1)),
    "br, gzip, br": brotli.compress(gzip.compress(brotli.compress(ZEROS, quality=1)), quality=1),
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What a run of one small page needs, by engine."""
    with HttpServer({"/": b"a page"}) as server:
        found = {}
        for engine in ("threads", "curl"):
            cli = Command(tmp_path_factory.mktemp(engine))
            cli.write("list", server.url)
            status, found[engine] = peak_of(cli, "list", "--engine", engine)
            assert status == 0
        return found


@every_engine
@pytest.mark.parametrize("limit", ["", "1M"])
@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_costs_no_memory_and_no_more_disk_than_is_allowed(
    coding: str, limit: str, engine: EngineName, cli: Command, usual: dict[str, int]
) -> None:
    answer = Reply(headers={"Content-Encoding": coding}, body=BOMBS[coding])
    with HttpServer({"/": answer}) as server:
        cli.write("list", server.url)
        options = ("--max-size", limit) if limit else ()
        status, peak = peak_of(cli, "list", "--engine", engine, *options)
    print(f"{engine}, {coding}, limit {limit or 'none'}: {peak / 1e6:.0f} MB")
    assert peak < usual[engine] + SPARE
    (record,) = cli.records()
    if limit:
        assert (status, record["error"]["kind"]) == (1, "too_large")
        assert cli.files() == {}
    else:
        assert (status, record["size"]) == (0, MANY)


@every_engine
@pytest.mark.parametrize("limit", ["", "1M"])
def test_a_long_body_costs_no_memory_on_its_way_to_s3(
    limit: str, engine: EngineName, cli: Command, usual: dict[str, int], moto_server: S3Server
) -> None:
    def long(_: Request) -> Reply:
        return Reply(body=(bytes(1_000_000) for _ in range(300 if limit else 60)))

    bucket = Bucket(moto_server, moto_server.make_bucket())
    (cli.directory / "none").touch()
    _, plain = peak_of(cli, "none", *bucket.words, env=bucket.environment)
    with HttpServer(long) as server:
        cli.write("list", f"{server.url}\tkey")
        options = ["--engine", engine, *(("--max-size", limit) if limit else ())]
        status, peak = peak_of(cli, "list", *bucket.words, *options, env=bucket.environment)
    print(f"{engine}, limit {limit or 'none'}: {plain / 1e6:.0f} MB, {peak / 1e6:.0f} MB")
    assert peak < plain + SPARE
    assert status == (1 if limit else 0)
    assert {key: len(body) for key, body in bucket.files().items()} == (
        {} if limit else {"key": 60_000_000}
    )


# ---------------------------------------------------------------- time and the account


def floods(begin: bytes, piece: bytes) -> Script:
    """Send `piece` for as long as somebody takes it."""
    return drips(begin, NEVER, piece, every_s=0.0)


def answers_late(number: int, sock: socket.socket) -> None:
    """All is well, but for the time it takes."""
    read_head(sock)
    silent(number, sock)


OK = b"HTTP/1.1 200 OK\r\n"
CROWD: dict[str, tuple[Script | bytes, str]] = {
    "says nothing": (silent, "timeout"),
    "answers never": (answers_late, "timeout"),
    "drips its head": (drips(OK + b"X: ", NEVER), "timeout"),
    "drips headers": (drips(OK, NEVER, b"X: y\r\n", 0.5), "timeout"),
    "drips its body": (drips(sized(b"", length=10**6), NEVER), "timeout"),
    "drips chunks": (drips(head("Transfer-Encoding: chunked"), NEVER, b"1\r\nx\r\n"), "timeout"),
    "drips an endless chunk": (
        drips(head("Transfer-Encoding: chunked") + b"fffffffff\r\n", NEVER), "timeout"),
    "drips the size of a chunk": (
        drips(head("Transfer-Encoding: chunked"), NEVER, b"0", 0.5), "timeout"),
    "drips trailers": (
        drips(head("Transfer-Encoding: chunked") + b"0\r\n", NEVER, b"X: y\r\n", 0.5), "timeout"),
    "drips interim responses": (
        drips(b"", NEVER, head(status="HTTP/1.1 103 So"), 0.5), "timeout"),
    "floods with its body": (floods(head("Connection: close"), bytes(65_536)), "too_large"),
    "floods with chunks": (
        floods(head("Transfer-Encoding: chunked"), b"800\r\n" + bytes(2048) + b"\r\n"),
        "too_large"),
    "floods with headers": (floods(OK, b"X-Name: value\r\n" * 500), "protocol"),
    "floods with a header": (floods(OK + b"X: ", b"y" * 65_536), "protocol"),
    "has 100,000 headers": (head(*("X: y" for _ in range(100_000))), "protocol"),
    "has a header of 1 MB": (head("X: " + "y" * 1_000_000, "Content-Length: 0"), "protocol"),
    "floods with interim responses": (
        floods(b"", head(status="HTTP/1.1 103 So") * 100), "protocol"),
    "floods with spaces": (floods(b"", b" " * 65_536), "protocol"),
    "floods with empty lines": (floods(b"", b"\r\n" * 9_000), "protocol"),
    "floods with trailers": (
        floods(head("Transfer-Encoding: chunked") + b"0\r\n", b"X: y\r\n" * 9_000), "truncated"),
    "resets": (resets_at_once, "connect"),
    "closes": (b"", "connect"),
    "sends half": (sized(b"half", length=8), "truncated"),
    "speaks another tongue": (b"SSH-2.0-OpenSSH_9.6\r\n", "protocol"),
    "is well": (sized(b"hi"), "stored"),
}  # fmt: skip


@every_engine
def test_a_crowd_of_bad_servers_holds_nobody_up_and_is_told_of_one_by_one(
    engine: EngineName, cli: Command
) -> None:
    expected = {name: kind for name, (_, kind) in CROWD.items()}

    def visited(times: int) -> tuple[Ran, dict[str, str]]:
        with ExitStack() as stack:
            servers = {
                name: stack.enter_context(RawServer(does)) for name, (does, _) in CROWD.items()
            }
            names = {f"{server.url}/": name for name, server in servers.items()}
            words = ["--max-time", 3 * times, "--retries", 0, "--max-size", "1M", "-c", 64]
            words += ["--engine", engine, "--results", "-", "--to", f"{times}"]
            ran = cli("-", *words, stdin=lines(*names))
        return ran, {
            names[one["url"]]: one.get("error", {}).get("kind", one["status"])
            for one in ran.records
        }

    def others_came_to_their_end(one: tuple[Ran, dict[str, str]]) -> bool:
        return all(kind != "timeout" or expected[name] == kind for name, kind in one[1].items())

    ran, ends = patiently(visited, others_came_to_their_end)
    assert ran.status == 1
    assert ends == expected
    assert len(ran.records) == len(CROWD)
    to = max(cli.directory.iterdir(), key=lambda one: int(one.name))
    assert list(cli.files(to).values()) == [b"hi"]
    assert max(one["time_total"] for one in ran.records) < 10 * 3 * int(to.name)


@every_engine
def test_no_way_of_redirects_is_without_end_and_a_cookie_lasts_for_one(
    engine: EngineName, cli: Command, serve: Callable[[Any], HttpServer]
) -> None:
    def answer(request: Request) -> Reply:
        where = request.plain_path
        number = int(request.path.partition("?")[2] or 0) + 1
        to = {"/itself": "/itself", "/two": "/to", "/to": "/two", "/longer": f"?{number}"}
        if where == "/end":
            return Reply(body=b"the end")
        if where == "/chain":
            return Reply(302, {"Location": f"?{number}" if number <= 9 else "/end"})
        return Reply(302, {"Location": to[where], "Set-Cookie": "seen=1; Path=/"}, bytes(100_000))

    server = serve(answer)
    paths = ("itself", "two", "longer", "chain")
    ran = cli("-", "--results", "-", "--engine", engine,
              stdin=lines(*(f"{server.url}/{path}" for path in paths)))  # fmt: skip
    ends = {one["url"].rpartition("/")[2]: one for one in ran.records}
    for path in ("itself", "two", "longer"):
        assert ends[path]["error"]["kind"] == "too_many_redirects"
        assert (ends[path]["redirects"], ends[path]["attempts"]) == (10, 1)
    assert (ends["chain"]["status"], ends["chain"]["redirects"]) == ("stored", 10)
    assert server.total == 4 * 11
    with_cookies = [one.path for one in server.requests if "cookie" in one.headers]
    assert len(with_cookies) == 3 * 10  # all hops but the first one
    assert not any(path.startswith(("/chain", "/end")) for path in with_cookies)
    assert list(cli.files().values()) == [b"the end"]


ASKED = {
    "0": "stored",
    "1": "stored",
    formatdate(0, usegmt=True): "stored",
    "Sun Nov  6 08:49:37 1994": "stored",
    "-5": "stored",
    "1.5": "stored",
    "soon": "stored",
    "": "stored",
    "\xa05": "stored",
    "Sun, 99 Nov 2094 08:49:37 GMT": "stored",
    formatdate(4_000_000_000, usegmt=True): "deferred",
    "Sun, 06 Nov 9999 08:49:37 GMT": "deferred",
    "121": "deferred",
    "9" * 400: "deferred",
}


@every_engine
def test_a_server_may_ask_for_patience_in_any_words(
    engine: EngineName, farm: Callable[[Any], HttpFarm], tmp_path: Path
) -> None:
    """Each on a host of its own, since all of a host waits."""
    asked = dict(enumerate(ASKED))
    met: set[str] = set()

    def answer(request: Request) -> Reply:
        if request.host in met:
            return Reply(body=b"at last")
        met.add(request.host)
        return Reply(503, {"Retry-After": asked[int(request.path[1:])]})

    hosts = [f"127.0.2.{number + 1}" for number in asked]
    with HttpFarm(answer, hosts) as server:
        urls = [f"{server.url_of(host)}/{number}" for number, host in enumerate(hosts)]
        ends = scraper.run(urls, to=tmp_path, engine=engine, backoff_min=0.01, backoff_max=0.02)
        found = {asked[int(end.target.url.rpartition("/")[2])]: end.status for end in ends}
    assert found == ASKED
