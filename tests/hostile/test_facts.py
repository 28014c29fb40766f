"""The traps of the libraries we stand on, as they were found: none of them is one for us.

Here is what no other test has whole. Of the rest, for both engines:
- a client's time limit that bounds no drip: "dripping ..." in conformance/engine_cases.py;
- a redirect's body that is read, however long: test_engines.py, `..._of_100_mb_is_not_read`;
- torn gzip that passes: "gzip torn ...", and so does no other coding (test_decode.py);
- a `default` of a .netrc that is sent to anyone: e2e/test_fetch_options.py, test_engines.py;
- `Location: //[::1`, other schemes: "redirect to ..."; lengths that are none: "content-length ...";
- 100 headers, a line over 64 KB, HTTP/0.9, status 0: refused, and 999 taken: HEADS, STATUSES;
- bounds of decoded pieces: test_decode.py; names like `..`: test_keys.py, test_names.py;
- S3 servers that take any secret and any digest: test_s3.py has one that does not.
"""

import gzip
import os
import re
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.records import Result
from tests.e2e.command import Command, folder, lines
from tests.servers import Farm, Reply, Request, Serve

QUICK: dict[str, Any] = {"backoff_min": 0.01, "backoff_max": 0.03}
each_engine = pytest.mark.parametrize("engine", ["curl", "threads"])


def fetch(urls: list[str], to: Path, **options: Any) -> list[Result]:
    return list(scraper.run(urls, to=to, **{**QUICK, **options}))


# ---------------------------------------------------------------- paths that climb


CLIMBS = ["/%2e%2e/%2e%2e/etc/passwd", "/a/%2E%2e/.%2e/etc/passwd", "/..%5c../etc/passwd"]


@each_engine
@pytest.mark.parametrize("path", CLIMBS)
def test_a_path_that_climbs_is_asked_for_and_stored_below_its_root(
    path: str, engine: str, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=b"x"))
    ran = cli("--engine", engine, stdin=lines(server.url + path))
    assert ran.status == 0
    (asked,) = server.requests
    (key,) = cli.files()
    if "%5c" in path:  # no separator on the wire: what it means is the server's business
        assert asked.path == path
    else:
        assert asked.path == "/etc/passwd"
        assert key.startswith(f"{folder(server.url)}/etc/passwd")
    assert ".." not in key.split("/")
    assert cli.wrote == ["out"]


@each_engine
def test_a_redirect_that_climbs_changes_no_key(engine: str, cli: Command, serve: Serve) -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/page":
            return Reply(302, {"Location": "/%2e%2e/%2e%2e/%2e%2e/tmp/x"})
        return Reply(body=request.path.encode())

    server = serve(answer)
    assert cli("--engine", engine, stdin=lines(f"{server.url}/page")).status == 0
    assert list(cli.files().values()) == [b"/tmp/x"]
    assert next(iter(cli.files())).startswith(f"{folder(server.url)}/page")


# ---------------------------------------------------------------- who is asked


@each_engine
@pytest.mark.parametrize("way", ["listed", "redirected"])
def test_a_host_that_parsers_disagree_on_is_one_for_politeness_for_the_key_and_on_the_wire(
    way: str, engine: str, farm: Farm, tmp_path: Path
) -> None:
    servers = farm(lambda _: Reply(body=b"x"))
    ours, evil, start, _ = servers.urls
    disguised = f"{ours}\\@{evil.removeprefix('http://')}/a"
    servers.handler = lambda request: (
        Reply(302, {"Location": disguised}) if request.path == "/start" else Reply(body=b"x")
    )
    (result,) = fetch([disguised if way == "listed" else f"{start}/start"], tmp_path, engine=engine)
    assert result.status == "stored"
    assert result.response is not None
    assert result.response.remote_ip == "127.0.0.1"
    assert servers.requests[-1].address == "127.0.0.1"
    assert servers.requests[-1].host == ours.removeprefix("http://")
    assert servers.requests[-1].path == f"/@{evil.removeprefix('http://')}/a"
    if way == "listed":
        assert result.target.host == ours.removeprefix("http://")
        assert result.target.key.startswith(folder(ours))


@each_engine
def test_a_disguised_host_gets_no_more_at_once_than_its_cap(
    engine: str, farm: Farm, tmp_path: Path
) -> None:
    def slowly(_: Request) -> Reply:
        return Reply(body=iter([b"x" * 1000] * 50))

    servers = farm(slowly)
    ours = servers.urls[0]
    urls = [f"{ours}\\@evil{number}.example/{number}" for number in range(12)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=8, per_host=1)
    assert [result.status for result in results] == ["stored"] * 12
    assert {result.target.host for result in results} == {ours.removeprefix("http://")}
    assert servers.max_in_flight_by_address == {"127.0.0.1": 1}


# ---------------------------------------------------------------- what servers ask for


WAITS = {  # and what becomes of the target
    "": "stored",
    "soon": "stored",
    "-5": "stored",
    "1.5": "stored",
    "1e9": "stored",
    "0x10": "stored",
    "0": "stored",
    "\u0665".encode().decode("latin-1"): "stored",  # a digit, in Arabic
    "Mon, 99 Jan 2099 00:00:00 GMT": "stored",
    "Sun, 06 Nov 1994 08:49:37 GMT": "stored",
    "Sun, 06 Nov 9999 08:49:37 GMT": "deferred",
    "21601": "deferred",
    "9" * 4_000: "deferred",
}


@each_engine
def test_a_retry_after_of_any_kind_is_a_wait_or_none_and_never_an_error(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    values = list(WAITS)

    def answer(request: Request) -> Reply:
        if server.hits[request.path] == 1:
            return Reply(503, {"Retry-After": values[int(request.path[1:])]})
        return Reply(body=b"x")

    found = {}
    for number, value in enumerate(values):  # a run each: a wait is the whole host's
        server = serve(answer)
        to = tmp_path / f"{number}"
        (result,) = fetch([f"{server.url}/{number}"], to, engine=engine)
        found[value] = result.status
    assert found == WAITS


@each_engine
def test_more_codings_than_anybody_needs_are_refused(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    body = b"x" * 1000
    for _ in range(5):
        body = gzip.compress(body)
    five, six = {"Content-Encoding": ", ".join(["gzip"] * 5)}, {"Content-Encoding": "gzip," * 6}
    server = serve({"/5": Reply(200, five, body), "/6": Reply(200, six, gzip.compress(body))})
    results = fetch([f"{server.url}/5", f"{server.url}/6"], tmp_path, engine=engine)
    found = {result.target.listed[-1]: result for result in results}
    assert found["5"].status == "stored"
    assert found["6"].failure is not None
    assert found["6"].failure.kind == "protocol"


def peak(cli: Command, url: str, engine: str) -> int:
    """The most resident bytes of a run that stores what is there."""
    with cli.start("-q", "list", "--to", "-".join([engine, url[-1:]]), "--engine", engine) as run:
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0
    return used.ru_maxrss * 1024


@each_engine
def test_a_bomb_goes_off_in_flat_memory(engine: str, cli: Command, serve: Serve) -> None:
    size = 150_000_000
    bomb = gzip.compress(bytes(size), 9)
    page = gzip.compress(bytes(1_000_000), 9)
    zipped = {"Content-Encoding": "gzip"}
    server = serve({"/bomb": Reply(200, zipped, bomb), "/page": Reply(200, zipped, page)})
    used = {}
    for name in ("page", "bomb"):
        cli.write("list", f"{server.url}/{name}\t{name}")
        used[name] = peak(cli, name, engine)
    assert used["bomb"] - used["page"] < size / 4


# ---------------------------------------------------------------- what is installed


def floors() -> Iterator[tuple[str, str]]:
    """Every library that the package needs, by itself or for an extra, and its least version."""
    for line in requires("scraper") or ():
        name, least = re.match(r"[\w-]+", line), re.search(r">=([\d.]+)", line)
        assert name, line
        yield name[0].lower(), least[1] if least else ""


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_versions_with_known_holes_are_not_allowed() -> None:
    least = dict(floors())
    assert version(least["urllib3"]) >= (2, 7)  # decompression bombs: 2.6.0, 2.6.3, 2.7.0
    assert version(least["requests"]) >= (2, 33)  # advisories of 2024 to 2026
    assert version(least["brotli"]) >= (1, 2)  # the first with bounded output


def test_libraries_that_are_traps_are_not_among_those_needed() -> None:
    needed = {name for name, _ in floors()}
    assert not needed & {"niquests", "urllib3-future"}  # installed over urllib3
    assert not needed & {"pathvalidate"}  # its sanitize_filename("..") is ".."
