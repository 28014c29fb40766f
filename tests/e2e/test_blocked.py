"""Readers that don't read: a pipe, a FIFO, a stopped terminal. The run ends when it is told to.

Each run here waits for its whole grace, so the tests start several at once.
"""

import json
import os
import pty
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fcntl import F_SETPIPE_SZ, fcntl
from typing import Any, NamedTuple

import pytest

from scraper.report.writer import FULL_BYTES
from scraper.run.stopping import GRACE_S
from tests.e2e.command import WAIT_S, Command, Ran, parsed
from tests.e2e.places import Bucket, Directory, Place, kinds
from tests.e2e.watch import (
    Process,
    narrow_pipe,
    records_so_far,
    time_to_start,
    until,
    until_full,
)
from tests.machine import within
from tests.s3servers import S3Server
from tests.servers import HttpServer, Reply, Request, Serve

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])
COUNT = 100
CTRL_S, CTRL_Q = b"\x13", b"\x11"


@pytest.fixture
def site(serve: Serve) -> HttpServer:
    return serve(lambda request: Reply(body=b"page"))


@pytest.fixture
def places(cli: Command, moto_server: S3Server) -> Callable[[str], Place]:
    def make(kind: str) -> Place:
        made.append(kind)
        if kind == "directory":
            return Directory(cli, f"out{len(made)}")
        return Bucket(moto_server, moto_server.make_bucket())

    made: list[str] = []
    return make


class Blocked(NamedTuple):
    """A run with a reader that doesn't read, the other ends of its streams, and its place."""

    name: str
    place: Place
    process: Process
    ends: tuple[int, ...]


def stopped_terminal() -> tuple[int, int]:
    """Its two ends. Somebody has pressed Ctrl-S there."""
    ours, theirs = pty.openpty()
    os.write(ours, CTRL_S)
    return ours, theirs


@pytest.fixture
def block(cli: Command, places: Callable[[str], Place]) -> Iterator[Callable[..., Blocked]]:
    """Starts runs; `full`: until when the reader has stopped it."""
    with ExitStack() as stack:

        def start(name: str, *words: object, place: str = "directory", **streams: Any) -> Blocked:
            where = places(place)
            ends = []
            given: dict[str, int] = {}
            for stream, kind in streams.items():
                ours, theirs = stopped_terminal() if kind == "terminal" else narrow_pipe()
                ends.append(ours)
                given[stream] = theirs
            started = cli.start(
                *words, *where.words, env={**where.environment, "TERM": "xterm"}, **given
            )
            process = stack.enter_context(started)
            for theirs in given.values():
                os.close(theirs)
            for ours in ends:
                stack.callback(os.close, ours)
            return Blocked(name, where, process, tuple(ends))

        yield start


def ended(one: Blocked) -> Ran:
    """How it ends while nobody reads what it wrote to a blocked stream."""
    status = one.process.wait(WAIT_S)
    err = b""
    if one.process.stderr is not None:
        err = one.process.stderr.read()
    return Ran(status, "", err.decode())


def assert_whole(place: Place, count: int) -> None:
    """One record a line that was read; what is stored is what is there."""
    records = place.records()
    lines = sorted(record["line"] for record in records)
    assert lines == list(range(1, len(lines) + 1))
    assert len(lines) <= count
    stored = {record["key"] for record in records if record["status"] == "stored"}
    assert set(place.files()) == stored


def listed(cli: Command, server: HttpServer, count: int = COUNT) -> str:
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(count)))
    return "list"


@ENGINES
def test_one_signal_ends_a_run_whose_reader_does_not_read(
    engine: str, cli: Command, site: HttpServer, block: Callable[..., Blocked]
) -> None:
    words = [listed(cli, site), "--engine", engine]
    fifos = [cli.directory / name for name in ("unread", "unopened")]
    for fifo in fifos:
        os.mkfifo(fifo)
    reader = os.open(fifos[0], os.O_RDONLY | os.O_NONBLOCK)
    fcntl(reader, F_SETPIPE_SZ, 4096)
    results = [*words, "-q", "--results"]
    runs = [
        block("results", *results, "-", stdout="pipe"),
        block("results of S3", *results, "-", place="bucket", stdout="pipe"),
        block("FIFO", *results, "unread"),
        block("FIFO without a reader", *results, "unopened"),
        block("log", *words, stderr="pipe"),
        block("log of S3", *words, place="bucket", stderr="pipe"),
        block("both", *words, "--results", "-", stdout="pipe", stderr="pipe"),
        block("terminal", *words, "-v", stderr="terminal"),
    ]
    site.wait_until(lambda: site.total == COUNT * len(runs))
    for one in runs:
        assert one.process.poll() is None, one.name  # it waits for its reader
        one.process.send_signal(signal.SIGTERM)
    with within(GRACE_S, room_s=2 * GRACE_S):
        for one in runs:
            ran = ended(one)
            assert ran.status == 143, one.name
            assert kinds(one.place.records()) == {"stored": COUNT}, one.name
            assert_whole(one.place, COUNT)
            if "results" in one.name or "FIFO" in one.name:
                assert "scraper: --results: " in ran.err, one.name
                assert " records were not written\n" in ran.err
    os.close(reader)


@ENGINES
def test_the_limit_of_time_ends_a_run_whose_reader_does_not_read(
    engine: str,
    cli: Command,
    site: HttpServer,
    places: Callable[[str], Place],
    block: Callable[..., Blocked],
) -> None:
    limit = 2 * time_to_start(cli, places("bucket"))  # four start at once
    words = [listed(cli, site), "--engine", engine, "--max-run-time", limit]
    runs = [
        block("results", *words, "-q", "--results", "-", stdout="pipe"),
        block("results of S3", *words, "--results", "-", place="bucket", stdout="pipe"),
        block("log", *words, stderr="pipe"),
        block("terminal", *words, "-v", stderr="terminal"),
    ]
    for one in runs:
        ran = ended(one)
        records = one.place.records()
        told = "results" in one.name and len(records) > 30  # more than the pipe holds
        all_stored = kinds(records) == {"stored": COUNT}
        assert ran.status == (1 if told or not all_stored else 0), one.name
        assert_whole(one.place, COUNT)
        if told:
            assert " records were not written\n" in ran.err, one.name


@ENGINES
def test_a_reader_that_is_behind_stops_new_transfers_and_loses_nothing(
    engine: str, cli: Command, serve: Serve, block: Callable[..., Blocked]
) -> None:
    url = "u" * 3_000  # records of 6 kB, so that few of them are a lot
    count = 2 * FULL_BYTES // 6_000
    server = serve(lambda request: Reply(body=b"page"))
    cli.write("list", *(f"{server.url}/{url}{number}\t{number}" for number in range(count)))
    one = block(
        "results", "list", "-q", "--engine", engine, "--results", "-", "-c", 4, stdout="pipe"
    )
    until_full(one.ends[0], 4_000)
    seen = [-1, -1, -1]
    while seen[-3] != seen[-1]:  # nothing more is asked for, three looks in a row
        time.sleep(0.5)
        seen.append(server.total)
    assert 0 < server.total < count
    assert one.process.poll() is None
    with open(os.dup(one.ends[0]), "rb") as reader:
        told = parsed(reader.read())
    ran = ended(one)
    assert (ran.status, ran.err) == (0, "")
    assert server.total == count
    assert sorted(record["line"] for record in told) == list(range(1, count + 1))
    assert told == one.place.records()


def test_a_run_that_waits_for_its_reader_is_idle_and_hears_a_signal_soon(
    cli: Command, serve: Serve, block: Callable[..., Blocked]
) -> None:
    """It stops with what was read ahead told as not reached, then waits for its reader."""
    url = "u" * 3_000
    server = serve(lambda request: Reply(body=b"page"))
    count = 2 * FULL_BYTES // 6_000
    cli.write("list", *(f"{server.url}/{url}{number}\t{number}" for number in range(count)))
    one = block("results", "list", "-q", "--results", "-", "-c", 4, stdout="pipe")
    asked, used = [-1, -1, -1], [0.0, 0.0, 0.0]
    while not 0 < asked[-3] == asked[-1] or used[-1] - used[-3] >= 0.3:  # it never is, or is idle
        time.sleep(0.5)
        asked.append(server.total)
        used.append(processor_time(one.process.pid))
    one.process.send_signal(signal.SIGINT)
    until(lambda: "interrupted" in kinds(records_so_far(one.place)))
    with open(os.dup(one.ends[0]), "rb") as reader:
        told = parsed(reader.read())
    assert ended(one).status == 130
    assert told == one.place.records()  # the reader came back within the grace
    assert_whole(one.place, count)


def processor_time(pid: int) -> float:
    """Seconds that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_reader_that_reads_late_gets_every_line_of_the_log(
    cli: Command, site: HttpServer, block: Callable[..., Blocked]
) -> None:
    one = block("log", listed(cli, site), stderr="pipe")
    site.wait_until(lambda: site.total == COUNT)
    with open(os.dup(one.ends[0])) as reader:
        told = reader.read()
    assert ended(one).status == 0
    assert sum(" -> " in line for line in told.splitlines()) == COUNT
    assert f"{COUNT} targets: {COUNT} stored in " in told


def test_a_stopped_terminal_gets_every_line_when_it_goes_on(
    cli: Command, site: HttpServer, block: Callable[..., Blocked]
) -> None:
    one = block("terminal", listed(cli, site), "-v", stderr="terminal")
    site.wait_until(lambda: site.total == COUNT)
    told: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(one.ends[0], 65_536):
                told.append(piece)
        except OSError:  # nobody has the other end open
            pass

    os.write(one.ends[0], CTRL_Q)
    reading = threading.Thread(target=read)
    reading.start()
    assert ended(one).status == 0
    reading.join(WAIT_S)
    text = b"".join(told).decode()
    assert text.count(" -> ") == COUNT
    assert f"{COUNT} targets: {COUNT} stored in " in text


def test_a_full_disk_for_the_log_file_is_said_and_costs_no_target(
    cli: Command, site: HttpServer
) -> None:
    ran = cli(listed(cli, site, 5), "--log-file", "/dev/full")
    assert ran.status == 1
    assert ran.errors[0] == "scraper: --log-file: No space left on device"
    assert ran.errors[1].startswith("scraper: --log-file: ")
    assert ran.errors[1].endswith(" lines were not written")
    assert kinds(cli.records()) == {"stored": 5}


def test_a_dry_run_says_it_too(cli: Command, site: HttpServer) -> None:
    ran = cli(listed(cli, site, 5), "--dry-run", "--log-file", "/dev/full")
    assert (ran.status, len(ran.lines)) == (1, 5)
    assert ran.errors[0] == "scraper: --log-file: No space left on device"


def test_a_log_that_was_torn_by_a_kill_goes_on_in_a_new_line(
    cli: Command, site: HttpServer
) -> None:
    log = cli.directory / "log"
    log.write_text('{"event":"start"}\n{"event":"res')
    words = [listed(cli, site, 1), "--log-file", "log", "--log-format", "json"]
    assert cli(*words).status == 0
    assert cli(*words).status == 0
    lines = log.read_text().splitlines()
    assert lines[1] == '{"event":"res'
    assert all(json.loads(line)["event"] for line in lines[2:])


def test_results_on_a_full_disk_are_counted(cli: Command, serve: Serve) -> None:
    def answer(request: Request) -> Reply:
        return Reply(body=b"page")

    server = serve(answer)
    ran = cli("-q", listed(cli, server, 1), "--results", "/dev/full")
    assert ran.status == 3
    assert ran.errors[:2] == [
        "scraper: --results: No space left on device",
        "scraper: --results: 1 records were not written",
    ]
