"""Files that a run writes are its own before it touches them: the lock comes first.

Two real processes meet at one destination. What the first one writes, and what last night's
run wrote, stays whole, however the second one ends.
"""

import json
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.command import MANIFEST, WAIT_S, Command, parsed
from tests.e2e.places import Directory, Place
from tests.e2e.watch import end, of_threads, records_so_far, said, until
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import HttpServer, Misbehave, Reply, Request, Serve, silent

LAST_NIGHT = '{"line":1,"run":"last night"}'
ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def listed(cli: Command, server: HttpServer, count: int) -> str:
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(count)))
    return "list"


def lines_of(cli: Command, name: str) -> list[int]:
    """The lines of the list that a file of results tells of; each of its own lines is whole."""
    if not (cli.directory / name).exists():
        return []
    return sorted(record["line"] for record in parsed((cli.directory / name).read_bytes()))


# ---------------------------------------------------------------- two runs at once


@ENGINES
def test_a_run_that_finds_the_destination_held_leaves_the_results_of_the_other_alone(
    engine: str, place: Place, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"page", delay=None if one.path < "/5" else go))
    words = [listed(cli, server, 10), "--engine", engine, *place.words, "--results", "results"]
    words += ["--log-file", "log"]
    with cli.start(*words, env=place.environment) as first:
        until(lambda: len(lines_of(cli, "results")) == 5)
        for lock in ("fail", "skip"):
            second = cli(*words, "--lock", lock, env=place.environment)
            assert second.status == 75
            assert len(lines_of(cli, "results")) == 5
        go.set()
        assert end(first).status == 0
    assert lines_of(cli, "results") == list(range(1, 11))
    log = (cli.directory / "log").read_text().splitlines()
    assert sum(" -> " in line for line in log) == 10
    held = [line for line in log if "another run holds" in line]
    assert len(held) == 2  # each of them appended why it left
    assert "Z scraper: another run holds" in held[0]
    assert held[1].endswith(": nothing is done here")


def test_a_run_that_waits_for_the_lock_touches_nothing_until_it_has_it(
    place: Place, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"page", delay=go))
    cli.write("results", LAST_NIGHT)
    words = [listed(cli, server, 3), *place.words]
    with cli.start(*words, env=place.environment, bufsize=0) as first:
        said(first, "at most")
        waits = [*words, "--lock", "wait", "--results", "results", "--log-file", "log"]
        with cli.start(*waits, env=place.environment, stdin=None) as second:
            until(lambda: b"--lock" in _command_line(second.pid) and _sleeps(second.pid))
            assert (cli.directory / "results").read_text() == f"{LAST_NIGHT}\n"
            assert not (cli.directory / "log").exists()
            go.set()
            assert end(first).status == 0
            assert end(second).status == 0
    assert lines_of(cli, "results") == [1, 2, 3]
    assert "Z scraper " in (cli.directory / "log").read_text().splitlines()[0]


def _command_line(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def _sleeps(pid: int) -> bool:
    """Whether one of its threads waits: for a file lock it sleeps, for a lease it does not."""
    return any(
        word in waits_in for waits_in in of_threads(pid, "wchan") for word in ("nanosleep", "futex")
    )


def test_runs_into_two_destinations_do_not_share_one_file_of_results(
    cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"page", delay=go))
    words = [listed(cli, server, 3), "--results", "results"]
    with cli.start(*words, "--to", "one", bufsize=0) as first:
        said(first, "at most")
        second = cli(*words, "--to", "other")
        go.set()
        assert end(first).status == 0
    assert second.status == 2
    assert second.errors == ["scraper: --results: another run writes 'results'"]
    assert lines_of(cli, "results") == [1, 2, 3]
    assert cli.files("other") == {}


# ---------------------------------------------------------------- a run that can't begin


def test_a_run_that_cannot_begin_leaves_last_nights_results(cli: Command) -> None:
    cli.write("list", "http://127.0.0.1:1/")
    cli.write("results", LAST_NIGHT)
    cli.write("file")
    ran = cli("list", "--to", "file", "--results", "results", "--log-file", "log")
    assert (ran.status, len(ran.errors)) == (3, 1)
    assert (cli.directory / "results").read_text() == f"{LAST_NIGHT}\n"
    log = (cli.directory / "log").read_text()
    assert log.endswith(f"Z {ran.err}")  # appended, so that cron's log says it


def test_a_bucket_that_is_not_there_leaves_last_nights_results(
    cli: Command, moto_server: S3Server
) -> None:
    cli.write("list", "http://127.0.0.1:1/")
    cli.write("results", LAST_NIGHT)
    words = ["list", "--to", "s3://no-such-bucket", "--s3-endpoint", moto_server.url]
    ran = cli(*words, "--results", "results", env=CREDENTIALS)
    assert ran.status == 3
    assert (cli.directory / "results").read_text() == f"{LAST_NIGHT}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_ends_before_its_destination_answers_leaves_last_nights_results(
    number: signal.Signals, cli: Command, misbehave: Misbehave
) -> None:
    hangs = misbehave(silent)
    cli.write("list", "http://127.0.0.1:1/")
    cli.write("results", LAST_NIGHT)
    words = ["list", "--to", "s3://bucket", "--s3-endpoint", hangs.url, "--results", "results"]
    with cli.start(*words, "--log-file", "log", env=CREDENTIALS) as process:
        hangs.wait_until(lambda: hangs.connections == 1)
        process.send_signal(number)
        process.wait(WAIT_S)
    assert (cli.directory / "results").read_text() == f"{LAST_NIGHT}\n"
    assert not (cli.directory / "log").exists()


# ---------------------------------------------------------------- a run that begins


@pytest.mark.each_value
@ENGINES
@pytest.mark.parametrize("when", [0, 1, 30, 200])
def test_after_a_kill_the_results_are_whole_lines_of_one_run(
    when: int, engine: str, cli: Command, serve: Serve
) -> None:
    """Of this one or of the last; and each of this one's is in the manifest."""
    server = serve(lambda request: Reply(body=b"page"))
    cli.write("results", *[LAST_NIGHT] * 100)
    words = [listed(cli, server, 1_000), "-q", "--engine", engine, "--results", "results"]
    with cli.start(*words) as process:
        if when:
            server.wait_until(lambda: server.total >= when)
        process.kill()
        process.wait(WAIT_S)
    records = parsed((cli.directory / "results").read_bytes())
    runs = {record.get("run") for record in records}
    if "last night" in runs:
        assert records == [json.loads(LAST_NIGHT)] * 100
    else:
        whole, ended, _ = (cli.directory / "out" / MANIFEST).read_bytes().rpartition(b"\n")
        kept = [record["line"] for record in parsed(whole + ended)]  # the last may be torn
        assert [record["line"] for record in records] == kept[: len(records)]


def test_who_reads_last_nights_results_has_them_to_the_end(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"a"})
    cli.write("results", *[LAST_NIGHT] * 1_000)
    with open(cli.directory / "results") as reader:
        assert reader.readline() == f"{LAST_NIGHT}\n"
        assert cli("-q", "-", "--results", "results", stdin=f"{server.url}/a\n").status == 0
        assert len(reader.readlines()) == 999
    assert lines_of(cli, "results") == [1]


def test_results_for_a_descriptor_are_added_where_it_is(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"a"})
    cli.write("all", LAST_NIGHT)
    for name in ("/dev/stdout", "/dev/fd/1", "-"):
        with open(cli.directory / "all", "ab") as out:
            words = ["-q", "--no-refresh", "list", "--results", name]
            cli.write("list", f"{server.url}/a\ta")
            with cli.start(*words, stdout=out) as process:
                assert process.wait(WAIT_S) == 0
    assert len(parsed((cli.directory / "all").read_bytes())) == 4


def test_results_are_read_live_by_a_reader_that_follows_the_name(
    cli: Command, serve: Serve, go: threading.Event
) -> None:
    def answer(request: Request) -> Reply:
        return Reply(body=b"page", delay=None if request.path == "/0" else go)

    server = serve(answer)
    words = [listed(cli, server, 2), "-q", "--results", "results"]
    with cli.start(*words) as process:
        until(lambda: lines_of(cli, "results") == [1])  # the other one is in flight still
        go.set()
        assert end(process).status == 0
    assert lines_of(cli, "results") == [1, 2]


# ---------------------------------------------------------------- the manifest during the run


@ENGINES
def test_a_run_whose_manifest_is_removed_says_so_and_ends_with_status_3(
    engine: str, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"page", delay=None if one.path == "/0" else go))
    place = Directory(cli)
    words = [listed(cli, server, 3), "--engine", engine, *place.words]
    manifest = cli.directory / "out/.scraper/manifest.jsonl"
    with cli.start(*words) as first:
        until(lambda: len(records_so_far(place)) == 1)
        manifest.unlink()
        go.set()
        ran = end(first)
    assert ran.status == 3
    moved = "scraper: the manifest 'out/.scraper/manifest.jsonl' was moved, removed or replaced"
    assert [line for line in ran.errors if line.startswith("scraper: ")] == [
        f"{moved} during the run"
    ]
    assert cli(*words).status == 0  # the next run begins a new one
    assert [record["status"] for record in place.records()] == ["stored"] * 3
