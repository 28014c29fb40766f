"""Signals, pipes that close, processes that are killed: what is left is whole, and told."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from scraper.run.stopping import GRACE_S
from tests.e2e.command import WAIT_S, Command
from tests.e2e.places import Bucket, Directory, Place, kinds
from tests.e2e.watch import Process, end, narrow_pipe, said, until, write
from tests.machine import within
from tests.s3servers import CREDENTIALS, Asked, Front, S3Server
from tests.servers import (
    HttpServer,
    Misbehave,
    Reply,
    Request,
    Serve,
    silent,
)

NOT_DONE = ("failed ", "not reached ")  # begins of lines of the log
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def directory(cli: Command) -> Directory:
    return Directory(cli)


@pytest.fixture
def bucket(moto_server: S3Server) -> Bucket:
    return Bucket(moto_server, moto_server.make_bucket())


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Servers hold their answers until it is set; no server thread outlives the test for it."""
    event = threading.Event()
    yield event
    event.set()


def page(request: Request) -> bytes:
    return f"{request.path}\n".encode() * 100


def half(request: Request, go: threading.Event) -> Reply:
    """A page that hangs when it is half sent."""

    def pieces() -> Iterator[bytes]:
        yield page(request)
        assert go.wait(WAIT_S)

    return Reply(body=pieces())


def listed(cli: Command, server: HttpServer, count: int) -> str:
    """A list of `count` pages with keys of their own: `0`, `1`..."""
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(count)))
    return "list"


def assert_account_is_whole(place: Place, count: int | None = None) -> None:
    """One record for each line read; what is recorded as stored is what is there."""
    records = place.records()
    lines = sorted(record["line"] for record in records)
    assert lines == list(range(1, len(lines) + 1))
    assert count is None or len(lines) == count
    stored = {one["key"]: one["size"] for one in records if one["status"] == "stored"}
    assert {key: len(body) for key, body in place.files().items()} == stored


# ---------------------------------------------------------------- the first signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_starts_nothing_more_and_lets_what_is_in_flight_end(
    number: signal.Signals, place: Place, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda request: Reply(body=page(request), delay=go))
    words = [listed(cli, server, 20), "-c", 4, *place.words]
    with cli.start(*words, env=place.environment, bufsize=0) as process:
        server.wait_until(lambda: server.in_flight == 4)
        process.send_signal(number)
        said(process, f"{number.name}: 4 transfers in flight may end")
        go.set()
        ran = end(process)
    assert (ran.status, ran.out) == (128 + number, "")
    assert server.total == 4
    assert kinds(place.records()) == {"stored": 4, "interrupted": 16}
    assert_account_is_whole(place, 20)
    assert f"stopped: {number.name}" in ran.errors
    assert sum(" -> " in line for line in ran.errors) == 4
    assert any(line.startswith("20 targets: 16 not reached, 4 stored in ") for line in ran.errors)
    assert not any(line.startswith(NOT_DONE) for line in ran.errors)  # they were never asked for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(
    number: signal.Signals, cli: Command, serve: Serve, go: threading.Event
) -> None:
    """As nohup and `command &` in a script begin it."""
    server = serve(lambda request: Reply(body=page(request), delay=go))
    ignoring = f'trap "" {number.name.removeprefix("SIG")}; exec "$@"'
    cli.prefix = ["sh", "-c", ignoring, "sh"]
    with cli.start(listed(cli, server, 2), bufsize=0) as process:
        server.wait_until(lambda: server.in_flight == 2)
        process.send_signal(number)
        process.send_signal(signal.SIGUSR1)  # pending signals are delivered together
        said(process, "state: ")
        go.set()
        ran = end(process)
    assert ran.status == 0
    assert not any("may end" in line for line in ran.errors)


@pytest.mark.parametrize("words", [["-v"], ["-q"], ["--log-file", "log"]], ids=" ".join)
def test_sigusr1_prints_the_state_and_the_run_goes_on(
    words: list[str], cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=page(one), delay=go if one.path < "/3" else None))
    with cli.start(listed(cli, server, 5), *words, bufsize=0) as process:

        def state() -> str:
            process.send_signal(signal.SIGUSR1)
            return said(process, "state: ").partition("state: ")[2]

        server.wait_until(lambda: server.in_flight == 3 and server.total == 5)
        until(lambda: state().startswith("2 of 5, 0 failed, "))
        assert ", 3 in flight" in state()
        go.set()
        ran = end(process)
    assert ran.status == 0
    assert kinds(cli.records()) == {"stored": 5}


def test_sigusr1_says_that_a_run_waits_to_begin(
    cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda request: Reply(body=page(request), delay=go))
    name = listed(cli, server, 1)
    with cli.start(name) as holder:
        server.wait_until(lambda: server.in_flight == 1)
        with cli.start(name, "--lock", "wait", bufsize=0) as process:
            said(process, "waiting for ")
            process.send_signal(signal.SIGUSR1)
            said(process, "state: about to begin")
            go.set()
            assert (end(holder).status, end(process).status) == (0, 0)


def test_a_grace_of_nothing_breaks_off_at_once_what_is_in_flight(
    place: Place, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda request: half(request, go))
    words = [listed(cli, server, 3), "--grace", 0, *place.words]
    with cli.start(*words, env=place.environment, bufsize=0) as process:
        server.wait_until(lambda: server.in_flight == 3)
        process.send_signal(signal.SIGTERM)
        ran = end(process)  # the bodies hang until then
    assert ran.status == 143
    assert place.files() == {}
    assert kinds(place.records()) == {"interrupted": 3}


def stores_page(asked: Asked) -> bool:
    return asked.operation == "PUT" and "/.scraper/" not in asked.path


def test_what_does_not_end_within_the_grace_is_given_up(
    directory: Directory, bucket: Bucket, serve: Serve, go: threading.Event
) -> None:
    """Three runs at once, because each takes the whole grace: bodies that hang, uploads that do."""

    def hangs(asked: Asked) -> tuple[int, str] | None:
        if stores_page(asked):
            assert go.wait(WAIT_S)
            return 0, ""
        return None

    halves = serve(lambda request: half(request, go))
    wholes = serve(lambda request: Reply(body=page(request)))
    with Front(bucket.server.url, hangs) as front, ExitStack() as stack:
        uploads = Bucket(bucket.server, bucket.server.make_bucket(), front.url)
        started: list[tuple[Place, Process]] = []
        for place, server in ((directory, halves), (bucket, halves), (uploads, wholes)):
            given = directory.cli.directory / listed(directory.cli, server, 6)
            own = given.rename(given.with_name(f"list-{len(started)}"))  # the next is written anew
            words = [own, "-c", 2, "--read-timeout", 300, *place.words]
            starting = directory.cli.start(*words, env=place.environment, bufsize=0)
            started.append((place, stack.enter_context(starting)))
            said(started[-1][1], "2 at once")  # it has its list
        halves.wait_until(lambda: halves.total == 4)
        until(lambda: sum(map(stores_page, front.asked)) == 2)
        for _, process in started:
            process.send_signal(signal.SIGTERM)
            said(process, "SIGTERM: 2 transfers in flight may end")
        for stopped, process in started:
            ran = end(process)
            assert (ran.status, ran.out) == (143, "")
            assert kinds(stopped.records()) == {"interrupted": 6}
            assert_account_is_whole(stopped, 6)
            assert sum(line.startswith("not reached ") for line in ran.errors) == 2
    assert directory.temporary() == []


def test_targets_that_wait_for_a_retry_end_at_once(
    cli: Command, directory: Directory, serve: Serve
) -> None:
    server = serve(lambda request: Reply(429, {"Retry-After": "100"}))
    with cli.start(listed(cli, server, 5), "-v", "-c", 1, bufsize=0) as process:
        said(process, "attempt=1")
        with within(0, room_s=GRACE_S):
            process.send_signal(signal.SIGTERM)
            ran = end(process)
    assert ran.status == 143
    assert kinds(directory.records()) == {"interrupted": 5}
    assert sorted(one.get("attempts", 0) for one in directory.records()) == [0, 0, 0, 0, 1]


def test_a_run_stopped_at_any_moment_has_a_whole_account(
    cli: Command, directory: Directory, serve: Serve
) -> None:
    server = serve(lambda request: Reply(body=page(request)))
    with cli.start(listed(cli, server, 5_000), "-q", bufsize=0) as process:
        server.wait_until(lambda: server.total > 500)
        process.send_signal(signal.SIGINT)
        ran = end(process)
    assert ran.status == 130
    counts = kinds(directory.records())
    assert set(counts) == {"stored", "interrupted"}
    assert counts["stored"] == server.total >= 500
    assert_account_is_whole(directory)
    assert directory.temporary() == []


# ---------------------------------------------------------------- the second, and SIGKILL


@SIGNALS
def test_a_second_signal_stops_at_once_and_leaves_no_partial_object(
    number: signal.Signals, place: Place, cli: Command, serve: Serve, go: threading.Event
) -> None:
    def answer(request: Request) -> Reply:
        early = request.path in {"/0", "/1"}
        return Reply(body=page(request)) if early else half(request, go)

    server = serve(answer)
    words = [listed(cli, server, 20), "-c", 4, *place.words]
    with cli.start(*words, env=place.environment, bufsize=0) as process:
        server.wait_until(lambda: server.total == 6)
        process.send_signal(number)
        said(process, "once more stops at once")
        process.send_signal(number)
        ran = end(process)
    assert ran.status == 128 + number
    assert "stopped:" not in ran.err  # there was no time for a summary
    assert set(place.files()) <= {"0", "1"}
    if isinstance(place, Directory):
        assert kinds(place.records()) == {"stored": 2}  # and no line is torn
        assert set(place.files()) == {"0", "1"}


def test_the_next_run_removes_what_a_killed_one_left(
    cli: Command, directory: Directory, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=page(one)) if go.is_set() else half(one, go))
    with cli.start(listed(cli, server, 4)) as process:
        server.wait_until(lambda: server.in_flight == 4)
        until(lambda: len([key for key in directory.temporary() if key[-1].isdigit()]) == 4)
        process.kill()
        process.wait(WAIT_S)
    assert directory.files() == {}
    go.set()
    ran = cli("list")
    assert ran.status == 0
    assert set(directory.files()) == {"0", "1", "2", "3"}
    assert directory.temporary() == []


# ---------------------------------------------------------------- before and beside the run


@SIGNALS
def test_a_destination_that_does_not_answer_is_left_at_once(
    number: signal.Signals, cli: Command, misbehave: Misbehave
) -> None:
    hangs = misbehave(silent)
    cli.write("list", "http://127.0.0.1:1/")
    words = ["list", "--to", "s3://bucket", "--s3-endpoint", hangs.url]
    with cli.start(*words, env=CREDENTIALS) as process:
        hangs.wait_until(lambda: hangs.connections == 1)
        process.send_signal(number)
        ran = end(process)
    assert (ran.status, ran.out, ran.err) == (128 + number, "", "")


def test_a_list_that_does_not_come_is_left_at_once(cli: Command, misbehave: Misbehave) -> None:
    hangs = misbehave(silent)
    with cli.start("-i", f"{hangs.url}/list") as process:
        hangs.wait_until(lambda: hangs.connections == 1)
        process.send_signal(signal.SIGINT)
        ran = end(process)
    assert (ran.status, ran.out, ran.err.strip()) == (130, "", "")
    assert cli.wrote == []


@SIGNALS
def test_a_hanging_stdin_does_not_make_a_signal_wait(
    number: signal.Signals, cli: Command, directory: Directory, serve: Serve
) -> None:
    server = serve({"/a": b"a"})
    with cli.start("-", stdin=subprocess.PIPE, bufsize=0) as process:
        write(process, f"{server.url}/a\tpage\nhttp://half a line")
        said(process, "-> page")
        with within(0, room_s=GRACE_S):
            process.send_signal(number)
            assert process.wait(WAIT_S) == 128 + number  # the pipe is open still
        assert " 1 stored in " in end(process).err
    assert directory.files() == {"page": b"a"}
    assert_account_is_whole(directory, 1)


def test_a_log_that_nobody_reads_does_not_break_a_signal(
    cli: Command, directory: Directory, serve: Serve, go: threading.Event
) -> None:
    def answer(request: Request) -> Reply:
        return Reply(body=page(request), delay=None if int(request.path[1:]) < 500 else go)

    server = serve(answer)
    heard, told = narrow_pipe()
    words = [listed(cli, server, 1_000), "-c", 1]  # so that each line is a write of its own
    with open(heard, "rb") as stream, cli.start(*words, stderr=told) as process:
        os.close(told)
        server.wait_until(lambda: server.total > 500)  # as many lines are more than it holds
        process.send_signal(signal.SIGINT)
        go.set()
        rest = stream.read().decode()
        assert process.wait(WAIT_S) == 130
    assert "Traceback" not in rest
    assert "stopped: SIGINT\n" in rest
    assert_account_is_whole(directory)


# ---------------------------------------------------------------- a reader that leaves


def test_a_closed_stdout_ends_the_run_quietly(
    place: Place, cli: Command, serve: Serve, go: threading.Event
) -> None:
    held = threading.Event()  # so that not all is fetched before the next results are told

    def answer(one: Request) -> Reply:
        return Reply(
            body=page(one), delay=None if one.path < "/5" else held if "9" in one.path else go
        )

    server = serve(answer)
    words = [listed(cli, server, 1_000), "-q", "-c", 4, "--results", "-", *place.words]
    with cli.start(*words, env=place.environment) as process:
        head = subprocess.Popen(["head", "-1"], stdin=process.stdout, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()  # ours; head has its own
        first, _ = head.communicate(timeout=WAIT_S)
        go.set()
        process.stdout = None
        ran = end(process)
    held.set()
    assert first.endswith(b"\n")
    assert b'"status":"stored"' in first
    assert (ran.status, ran.err) == (1, "")  # not all of the list was fetched
    assert server.total < 1_000
    assert_account_is_whole(place)


def test_a_closed_stdout_ends_a_dry_run_quietly(cli: Command) -> None:
    cli.write("list", *(f"http://host/{number}" for number in range(100_000)))
    with cli.start("list", "--dry-run") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://host/0\t")
        process.stdout.close()
        process.stdout = None
        ran = end(process)
    assert ran.err == ""
    assert cli.wrote == ["list"]
