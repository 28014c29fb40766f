"""What a whole run may use: bytes, seconds, disk. Each ends it cleanly, and says so."""

import gzip
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import WAIT_S, Command, Ran
from tests.e2e.places import Bucket, Directory, Place, kinds
from tests.e2e.watch import end, said, time_to_start, write
from tests.proof.disk import SmallDisk, disks_can_be_had, small_disk
from tests.s3servers import S3Server
from tests.servers import HttpServer, Reply, Request, Serve

PAGE = b"0123456789" * 1_000  # 10 kB
each_engine = pytest.mark.parametrize("engine", ["curl", "threads"])
needs_a_disk = pytest.mark.skipif(
    not disks_can_be_had(), reason="no mount namespace of one's own can be had here"
)


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    if request.param == "directory":
        return Directory(cli)
    server: S3Server = request.getfixturevalue("moto_server")
    return Bucket(server, server.make_bucket())


def pages(server: HttpServer, cli: Command, count: int) -> str:
    """A list of `count` pages with keys of their own: `0`, `1`..."""
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(count)))
    return "list"


def listed(server: HttpServer, cli: Command, *names: str) -> str:
    cli.write("list", *(f"{server.url}/{name}\t{name}" for name in names))
    return "list"


def endless(piece: bytes = PAGE) -> Iterator[bytes]:
    while True:
        yield piece


def by_key(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["key"]: record for record in records}


def interrupted(reason: str) -> dict[str, str]:
    return {"kind": "interrupted", "message": f"not finished: {reason}"}


# ---------------------------------------------------------------- --max-total-size


BODIES: dict[str, Callable[[], Reply]] = {
    "endless": lambda: Reply(body=endless()),
    "a bomb": lambda: Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(9_000_000))),
    "one byte too long": lambda: Reply(body=bytes(90_001)),
}


@each_engine
@pytest.mark.parametrize("body", BODIES)
def test_no_byte_over_the_total_size_is_kept_however_a_body_comes(
    body: str, engine: str, place: Place, cli: Command, serve: Serve
) -> None:
    server = serve({"/first": PAGE, "/large": lambda _: BODIES[body](), "/later": PAGE})
    words = ["-c", 1, "--engine", engine, "--max-total-size", "100k", *place.words]
    ran = cli(listed(server, cli, "first", "large", "later"), *words, env=place.environment)
    reason = "--max-total-size 100,000 bytes is reached"
    assert ran.status == 1
    assert ran.errors.count(reason) == 1
    assert ran.errors.count(f"stopped: {reason}") == 1
    assert place.files() == {"first": PAGE}
    records = by_key(place.records())
    assert [records[key]["status"] for key in ("first", "large", "later")] == [
        "stored",
        "not_reached",
        "not_reached",
    ]
    assert records["large"]["error"] == records["later"]["error"] == interrupted(reason)
    assert (records["large"]["attempts"], records["large"]["http_code"]) == (1, 200)
    assert records["later"]["attempts"] == 0
    assert server.hits["/later"] == 0


@each_engine
def test_a_body_that_says_that_it_is_too_long_is_not_waited_for(
    engine: str, cli: Command, serve: Serve
) -> None:
    go = threading.Event()

    def late() -> Iterator[bytes]:
        go.wait(WAIT_S)
        yield b"x"

    server = serve(lambda _: Reply(200, {"Content-Length": "100001"}, late()))
    ran = cli(pages(server, cli, 2), "-c", 1, "--engine", engine, "--max-total-size", "100k")
    go.set()
    assert ran.status == 1
    assert kinds(cli.records()) == {"interrupted": 2}


@each_engine
def test_what_is_stored_together_is_never_more_than_the_total_size(
    engine: str, place: Place, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=iter([PAGE[:3_000], PAGE[3_000:]])))
    words = ["-c", 8, "--engine", engine, "--max-total-size", "205k", *place.words]
    ran = cli(pages(server, cli, 100), *words, env=place.environment)
    stored = place.files()
    assert ran.status == 1
    assert 205_000 - 8 * len(PAGE) <= sum(map(len, stored.values())) <= 205_000
    assert server.total <= len(stored) + 8
    counts = kinds(place.records())
    assert counts == {"stored": len(stored), "interrupted": 100 - len(stored)}


@each_engine
def test_a_list_that_is_just_as_large_as_it_may_be_is_a_success(
    engine: str, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=PAGE))
    ran = cli(pages(server, cli, 10), "--engine", engine, "--max-total-size", 10 * len(PAGE))
    assert ran.status == 0
    assert "--max-total-size" not in ran.err


@each_engine
def test_bodies_that_are_cut_short_count_too_so_that_they_are_no_way_around(
    engine: str, cli: Command, serve: Serve
) -> None:
    def cut(_: Request) -> Reply:
        def pieces() -> Iterator[bytes]:
            yield PAGE
            raise ConnectionAbortedError

        return Reply(body=pieces(), close=True)

    server = serve(cut)
    words = ["--retries", 0, "-c", 1, "--engine", engine, "--max-total-size", "35k"]
    ran = cli(pages(server, cli, 20), *words)
    assert ran.status == 1
    assert kinds(cli.records()) == {"truncated": 3, "interrupted": 17}
    assert server.total == 4


@each_engine
def test_what_was_tolerated_does_not_make_a_list_that_was_cut_short_a_success(
    engine: str, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=PAGE))
    words = ["--max-failures", "100%", "--engine", engine, "--max-total-size", "15k", "-c", 1]
    assert cli(pages(server, cli, 3), *words).status == 1
    assert kinds(cli.records()) == {"stored": 1, "interrupted": 2}


def test_a_log_for_machines_has_the_limit_as_an_event_and_in_its_summary(
    cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=PAGE))
    ran = cli(pages(server, cli, 3), "-c", 1, "--max-total-size", "15k", "--log-format", "json")
    events = [json.loads(line) for line in ran.errors]
    reason = "--max-total-size 15,000 bytes is reached"
    (limit,) = [one for one in events if one["event"] == "limit"]
    assert (limit["level"], limit["message"]) == ("warning", reason)
    assert (events[-1]["event"], events[-1]["reason"]) == ("summary", reason)


# ---------------------------------------------------------------- --max-run-time


@pytest.mark.parametrize(
    ("engine", "option"), [("curl", "--resume"), ("threads", "--retry-failed")]
)
def test_a_night_that_is_too_short_ends_in_order_and_the_next_one_does_the_rest(
    engine: str, option: str, place: Place, cli: Command, serve: Serve
) -> None:
    go = threading.Event()
    server = serve(lambda _: Reply(body=PAGE, delay=go))
    words = [pages(server, cli, 20), "-c", 4, "--engine", engine, *place.words]
    limit = time_to_start(cli, place)
    night = [*words, "--max-run-time", limit]
    with cli.start(*night, env=place.environment, bufsize=0) as process:
        server.wait_until(lambda: server.in_flight == 4)
        said(process, f"--max-run-time {limit} s is over")
        go.set()
        ran = end(process)
    assert ran.status == 1
    assert f"stopped: --max-run-time {limit} s is over" in ran.errors
    assert kinds(place.records()) == {"stored": 4, "interrupted": 16}
    assert server.total == 4
    first = {request.path for request in server.requests}
    again = cli(*words, option, "--max-run-time", 60, env=place.environment)
    assert again.status == 0, again.err
    assert place.files() == {str(number): PAGE for number in range(20)}
    assert {server.hits[path] for path in first} == {1}
    assert server.total == 20


@each_engine
def test_a_pipe_that_says_nothing_more_does_not_outlast_the_run_time(
    engine: str, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=PAGE))
    limit = time_to_start(cli)
    words = ["-", "--engine", engine, "--max-run-time", limit]
    with cli.start(*words, stdin=subprocess.PIPE, bufsize=0) as process:
        write(process, f"{server.url}/a\ta\n{server.url}/b\tb\n")
        assert process.wait(WAIT_S) == 1
        ran = end(process)
    assert f"stopped: --max-run-time {limit} s is over" in ran.errors
    assert kinds(cli.records()) == {"stored": 2}


def test_bodies_without_end_get_their_grace_and_no_more(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(body=endless(b"x" * 10)))
    limit = 2 * time_to_start(cli)  # two start at once
    words = [pages(server, cli, 3), "-c", 1, "--max-run-time", limit]
    with (  # at once, because each takes the whole grace
        cli.start(*words, "--engine", "curl", "--to", "curl") as curl,
        cli.start(*words, "--engine", "threads", "--to", "threads") as threads,
    ):
        assert (curl.wait(WAIT_S), threads.wait(WAIT_S)) == (1, 1)
    for name in ("curl", "threads"):
        assert kinds(cli.records(name)) == {"interrupted": 3}
        assert cli.files(name) == {}


# ---------------------------------------------------------------- --min-free-space


def free(disk: SmallDisk, place: Path) -> int:
    """Bytes, as seen from within."""
    said = subprocess.check_output([*disk.prefix, "stat", "-f", "-c", "%a %S", place], text=True)
    blocks, size = map(int, said.split())
    return blocks * size


def why(ran: Ran) -> str:
    """The one line that says why a run could not go on."""
    (line,) = [line for line in ran.errors if line.startswith("scraper: ")]
    return line


@needs_a_disk
@each_engine
@pytest.mark.parametrize("bodies", ["many", "endless"])
def test_a_disk_is_left_with_as_much_free_as_is_asked_for(
    bodies: str, engine: str, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=endless() if bodies == "endless" else PAGE * 20))
    with small_disk(cli.directory, "out", "10M") as disk:
        cli.prefix = disk.prefix
        place = Directory(disk.view)
        words = [pages(server, cli, 60), "-c", 4, "--engine", engine]
        ran = cli(*words, "--min-free-space", "6MiB")
        assert ran.status == 3
        shown = f"scraper: --min-free-space 6,291,456 bytes: '{cli.directory}/out' has "
        assert why(ran).startswith(shown)
        assert f"stopped: {why(ran).removeprefix('scraper: ')}" in ran.errors
        stored = place.files()
        assert free(disk, cli.directory / "out") >= 6 * 1024**2 - 600_000
        assert kinds(place.records()) == {"interrupted": 60 - len(stored)} | (
            {"stored": len(stored)} if stored else {}
        )
        assert bool(stored) == (bodies == "many")
        assert place.temporary() == []
        if bodies == "many":
            disk.resize("30M")
            assert cli(*words, "--min-free-space", "6MiB", "--resume").status == 0
            assert len(place.files()) == 60


@needs_a_disk
@each_engine
def test_for_s3_it_is_the_disk_where_large_bodies_wait(
    engine: str, cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/small": PAGE, "/large": lambda _: Reply(body=endless())})
    place = Bucket(moto_server, moto_server.make_bucket())
    with small_disk(cli.directory, "tmp", "30M") as disk:
        cli.prefix = disk.prefix
        temporary = str(cli.directory / "tmp")
        words = ["-c", 1, "--engine", engine, "--min-free-space", "15M", *place.words]
        ran = cli(
            listed(server, cli, "small", "large"),
            *words,
            env={**place.environment, "TMPDIR": temporary},
        )
        assert ran.status == 3
        assert why(ran).startswith(
            f"scraper: --min-free-space 15,000,000 bytes: '{temporary}' has "
        )
        assert free(disk, cli.directory / "tmp") > 28_000_000  # the spool is gone
    assert place.files() == {"small": PAGE}
    assert kinds(place.records()) == {"stored": 1, "interrupted": 1}


def test_a_disk_that_is_too_full_already_is_said_before_anything_is_asked_for(
    place: Place, cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(body=PAGE))
    words = [pages(server, cli, 3), "--min-free-space", "999999T", *place.words]
    ran = cli(*words, env=place.environment)
    assert ran.status == 3
    assert len(ran.errors) == 1
    assert why(ran).startswith("scraper: --min-free-space 999,999,000,000,000,000 bytes: ")
    assert server.total == 0
    assert place.files() == {}
