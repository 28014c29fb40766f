"""A run ends when it is told to, by a signal or a limit, whoever else is silent.

Here S3, a list, a pipe, a terminal, a lock or a name server never answers. The bound is the
grace of the run, with room for what is to do (more on a busy machine); all of them would be
silent for longer.
"""

import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from scraper.run.stopping import GRACE_S, LAST_GRACE_S, RECORDS_S
from tests.e2e.command import WAIT_S, Command, Ran, parsed
from tests.e2e.places import Bucket, Directory, Place, kinds
from tests.e2e.watch import Process, end, is_idle, open_files, said, time_to_start, until
from tests.machine import within
from tests.s3servers import CREDENTIALS, Asked, Front, S3Server
from tests.servers import Misbehave, Reply, Serve, silent
from tests.slow import VARIABLE

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])
CLIENTS = pytest.mark.parametrize("client", ["boto3", "curl"])
MOMENTS = 40 if os.environ.get(VARIABLE) else 10
MOST_S = GRACE_S + LAST_GRACE_S + RECORDS_S
ROOM_S = 5.0  # for what a run has to do, from its first import on


class Silence:
    """A front of S3 that answers no request for which `when` is true, once it has `begun`."""

    def __init__(self, server: S3Server, when: Callable[[Asked], bool] = lambda _: True) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()
        self.met = threading.Event()
        self._when = when
        self.front = Front(server.url, self._fault)
        self.place = Bucket(server, server.make_bucket(), self.front.url)

    def _fault(self, asked: Asked) -> tuple[int, str] | None:
        if self.begun.is_set() and self._when(asked):
            self.met.set()
            self.over.wait(2 * WAIT_S)
            return 0, ""
        return None

    def __enter__(self) -> Self:
        self.front.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.front.__exit__(None, None, None)


def ends(process: Process, number: int) -> Ran:
    """Send a signal, and see the process end within the grace, with its status."""
    with within(MOST_S, room_s=ROOM_S):
        process.send_signal(number)
        ran = end(process)
    assert ran.status == 128 + number, ran.err
    return ran


def at_once(process: Process, number: int) -> None:
    """Send a signal that ends the process without any grace."""
    with within(0, room_s=GRACE_S / 2):
        process.send_signal(number)
        assert process.wait(WAIT_S) == 128 + number


def listed(cli: Command, url: str, count: int) -> str:
    cli.write("list", *(f"{url}/{number}\t{number}" for number in range(count)))
    return "list"


def recorded(place: Bucket) -> list[dict[str, Any]]:
    """What segments say; the lease may still lie beside them, as nobody could delete it."""
    keys = [key for key in place.all() if key.startswith(".scraper/manifest-")]
    return [record for key in keys for record in parsed(place.read(key))]


def is_manifest(asked: Asked) -> bool:
    return "/.scraper/manifest-" in asked.path


# ---------------------------------------------------------------- S3 is silent


@pytest.mark.each_value
@ENGINES
@CLIENTS
def test_one_signal_ends_a_run_whose_s3_is_silent(
    engine: str, client: str, cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    """All requests: bodies, the manifest, the lease."""
    server = serve(lambda _: Reply(body=b"x" * 1000))
    with Silence(moto_server) as silence:
        words = [listed(cli, server.url, 5_000), "-q", "-c", 4, "--engine", engine]
        words += ["--s3-client", client, *silence.place.words]
        with cli.start(*words, env=CREDENTIALS, bufsize=0) as process:
            until(lambda: any(map(is_manifest, silence.front.asked[8:])))  # some are recorded
            silence.begun.set()
            assert silence.met.wait(WAIT_S)
            ends(process, signal.SIGTERM)
    stored = [one["key"] for one in recorded(silence.place) if one["status"] == "stored"]
    assert stored
    assert set(stored) <= set(silence.place.files())


def test_a_second_signal_ends_a_run_whose_s3_is_silent_at_once(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve(lambda _: Reply(body=b"x"))
    with Silence(moto_server, lambda asked: not is_manifest(asked)) as silence:
        words = [listed(cli, server.url, 100), "-c", 4, *silence.place.words]
        with cli.start(*words, env=CREDENTIALS, bufsize=0) as process:
            said(process, "at most 4 at once")
            silence.begun.set()
            assert silence.met.wait(WAIT_S)
            process.send_signal(signal.SIGTERM)
            said(process, "once more stops at once")
            at_once(process, signal.SIGTERM)
            assert "stopped:" not in end(process).err  # as after the grace


@pytest.mark.each_value
@SIGNALS
@CLIENTS
def test_a_last_segment_that_can_not_be_put_is_given_up(
    client: str, number: signal.Signals, cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    """Everything is stored, only its records hang. They are told on stdout all the same."""
    server = serve(lambda _: Reply(body=b"x"))
    with Silence(moto_server, is_manifest) as silence:
        words = [listed(cli, server.url, 5), "-q", "--results", "-", "--s3-client", client]
        with cli.start(*words, *silence.place.words, env=CREDENTIALS) as process:
            server.wait_until(lambda: server.total > 0)
            silence.begun.set()
            assert silence.met.wait(WAIT_S)
            ran = ends(process, number)
    assert sorted(one["line"] for one in ran.records) == [1, 2, 3, 4, 5]
    assert "the last records are not in the manifest" in ran.err


def test_a_second_signal_does_not_wait_for_the_last_segment(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    go = threading.Event()
    server = serve(lambda asked: Reply(delay=go) if asked.path == "/4" else Reply(body=b"x"))
    with Silence(moto_server, is_manifest) as silence:
        words = [listed(cli, server.url, 5), *silence.place.words]
        with cli.start(*words, env=CREDENTIALS, bufsize=0) as process:
            server.wait_until(lambda: server.total == 5)
            silence.begun.set()
            process.send_signal(signal.SIGTERM)
            said(process, "once more stops at once")
            go.set()  # now all is stored, and only records are left
            assert silence.met.wait(WAIT_S)
            at_once(process, signal.SIGTERM)


def test_max_run_time_gives_up_a_last_segment_that_can_not_be_put(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve(lambda _: Reply(body=b"x"))
    with Silence(moto_server, lambda one: is_manifest(one) and one.operation == "PUT") as silence:
        silence.begun.set()
        limit = time_to_start(cli, silence.place)
        words = [listed(cli, server.url, 5), "-q", "--max-run-time", limit, *silence.place.words]
        with within(limit + MOST_S, room_s=ROOM_S):
            ran = cli(*words, env=CREDENTIALS)
    assert ran.status == 3
    assert "the last records are not in the manifest" in ran.err


@pytest.mark.parametrize("how", ["check", "lock"])
@SIGNALS
def test_s3_that_is_silent_at_the_start_is_left_at_once(
    number: signal.Signals, how: str, cli: Command, moto_server: S3Server
) -> None:
    with Silence(moto_server, lambda one: how == "check" or "lock.json" in one.path) as silence:
        silence.begun.set()
        words = [listed(cli, "http://127.0.0.1:1", 1), *silence.place.words]
        with cli.start(*words, env=CREDENTIALS) as process:
            assert silence.met.wait(WAIT_S)
            at_once(process, number)


@pytest.mark.each_value
@CLIENTS
@pytest.mark.parametrize("how", ["check", "lock", "manifest"])
def test_max_run_time_ends_a_run_whose_s3_is_silent_at_the_start(
    how: str, client: str, cli: Command, moto_server: S3Server
) -> None:
    paths = {"check": "", "lock": "lock.json", "manifest": "list-type"}
    with Silence(moto_server, lambda one: paths[how] in one.path) as silence:
        silence.begun.set()
        words = [listed(cli, "http://127.0.0.1:1", 1), "--max-run-time", 1, *silence.place.words]
        with within(MOST_S, room_s=ROOM_S):
            ran = cli(*words, "--s3-client", client, env=CREDENTIALS)
    assert ran.status == 3
    assert "did not answer within --max-run-time" in ran.err


# ---------------------------------------------------------------- lists


@ENGINES
@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_max_run_time_ends_a_list_that_stalls(
    scheme: str, engine: str, cli: Command, misbehave: Misbehave
) -> None:
    hangs = misbehave(silent)
    url = f"{hangs.url}/list" if scheme == "http" else "s3://bucket/list"
    words = ["-i", url, "--max-run-time", "1", "--engine", engine, "--s3-endpoint", hangs.url]
    with within(MOST_S, room_s=ROOM_S):
        ran = cli(*words, env=CREDENTIALS)
    assert (ran.status, ran.out) == (1, "")
    assert "--max-run-time 1 s is over" in ran.err
    assert cli.wrote == []


@SIGNALS
@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_list_that_stalls_is_left_at_once(
    scheme: str, number: signal.Signals, cli: Command, misbehave: Misbehave
) -> None:
    hangs = misbehave(silent)
    url = f"{hangs.url}/list" if scheme == "http" else "s3://bucket/list"
    with cli.start("-i", url, "--s3-endpoint", hangs.url, env=CREDENTIALS) as process:
        hangs.wait_until(lambda: hangs.connections == 1)
        at_once(process, number)
        assert end(process).err == ""
    assert cli.wrote == []


@pytest.fixture(params=["fifo without a writer", "pipe", "terminal"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int | None]]:
    """A list that says nothing: its name, and stdin."""
    if request.param == "fifo without a writer":
        os.mkfifo(tmp_path / "fifo")
        yield str(tmp_path / "fifo"), None
        return
    ours, theirs = pty.openpty() if request.param == "terminal" else os.pipe()[::-1]
    yield "-", theirs
    os.close(ours)
    os.close(theirs)


@SIGNALS
def test_a_list_that_says_nothing_does_not_keep_a_run(
    number: signal.Signals, source: tuple[str, int | None], cli: Command
) -> None:
    name, stdin = source
    with cli.start(name, stdin=stdin or subprocess.DEVNULL, bufsize=0) as process:
        said(process, "at most 16 at once")
        with within(0, room_s=GRACE_S / 2):
            process.send_signal(number)
            ran = end(process)
    assert ran.status == 128 + number
    assert f"stopped: {number.name}" in ran.err


def test_max_run_time_ends_a_run_whose_list_says_nothing(
    source: tuple[str, int | None], cli: Command
) -> None:
    name, stdin = source
    words = [name, "--max-run-time", "1"]
    with cli.start(*words, stdin=stdin or subprocess.DEVNULL) as process:
        ran = end(process)
    assert ran.status == 1
    assert "stopped: --max-run-time 1 s is over" in ran.err


# ---------------------------------------------------------------- a lock that is waited for


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """A destination that another run holds. `waits` tells whether this process waits for it."""

    place: Place
    waits: Callable[[int], bool]


@pytest.fixture(params=["directory", "bucket"])
def held(
    request: pytest.FixtureRequest, cli: Command, serve: Serve, moto_server: S3Server
) -> Iterator[HeldPlace]:
    go = threading.Event()
    server = serve(lambda _: Reply(delay=go))
    with Front(moto_server.url, lambda _: None) as front:
        directory, bucket = Directory(cli), Bucket(moto_server, moto_server.make_bucket())
        holder: Place = directory if request.param == "directory" else bucket
        words = [listed(cli, server.url, 1), *holder.words]
        with cli.start(*words, env=holder.environment) as process:
            server.wait_until(lambda: server.in_flight == 1)
            if request.param == "directory":
                yield HeldPlace(directory, has_found_it)
            else:
                yield HeldPlace(replace(bucket, endpoint=front.url), lambda _: looked(front))
            go.set()
            process.kill()


def has_found_it(pid: int) -> bool:
    """Whether it has opened the directory; then it asks for the lock."""
    return any("/out" in name for name in open_files(pid))


def looked(front: Front) -> bool:
    """Whether the lease was looked at twice: it waits for it."""
    return sum("lock.json" in asked.path for asked in front.asked) > 1


@SIGNALS
def test_a_signal_ends_the_wait_for_a_lock_at_once(
    number: signal.Signals, held: HeldPlace, cli: Command
) -> None:
    words = ["list", "--lock", "wait", *held.place.words]
    with cli.start(*words, env=held.place.environment) as process:
        until(lambda: held.waits(process.pid))
        at_once(process, number)


def test_max_run_time_ends_the_wait_for_a_lock(held: HeldPlace, cli: Command) -> None:
    limit = time_to_start(cli, held.place)
    words = ["list", "--lock", "wait", "--max-run-time", limit, *held.place.words]
    ran = cli(*words, env=held.place.environment)
    assert ran.status == 75
    to = held.place.words[1]
    name = repr(to) if isinstance(held.place, Directory) else to
    waiting, *held_up = ran.errors
    assert re.fullmatch(rf"waiting for {re.escape(to)}: process \d+ .*holds it", waiting)
    assert held_up[0].partition(" (")[0] == f"scraper: another run holds {name}"
    assert held_up[1:] == []


# ---------------------------------------------------------------- names

HANGS = """
import socket, threading
system = socket.getaddrinfo
def getaddrinfo(host, *more, **named):
    if host == "silent.test":
        open("asked", "w").close()
        threading.Event().wait()
    return system(host, *more, **named)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
def no_names(cli: Command) -> dict[str, str]:
    """An environment where the name server never answers for `silent.test`."""
    (cli.directory / "site").mkdir()
    (cli.directory / "site" / "sitecustomize.py").write_text(HANGS)
    return {"PYTHONPATH": str(cli.directory / "site")}


@ENGINES
def test_a_name_server_that_is_silent_does_not_keep_a_run(
    engine: str, cli: Command, no_names: dict[str, str]
) -> None:
    words = [listed(cli, "http://silent.test", 10), "-c", 2, "--engine", engine]
    with cli.start(*words, env=no_names, bufsize=0) as process:
        until(lambda: (cli.directory / "asked").exists() and is_idle(process))
        ends(process, signal.SIGTERM)
    assert kinds(Directory(cli).records()) == {"interrupted": 10}


@ENGINES
def test_a_name_server_that_is_silent_does_not_keep_a_run_from_its_limit(
    engine: str, cli: Command, no_names: dict[str, str]
) -> None:
    limit = time_to_start(cli)
    words = [listed(cli, "http://silent.test", 10), "--engine", engine, "--max-run-time", limit]
    words += ["--connect-timeout", 10 * WAIT_S]
    with within(limit + MOST_S, room_s=ROOM_S):
        ran = cli(*words, env=no_names)
    assert ran.status == 1
    assert kinds(Directory(cli).records()) == {"interrupted": 10}


@ENGINES
def test_a_name_server_that_is_silent_does_not_keep_a_python_program(
    engine: str, cli: Command, no_names: dict[str, str]
) -> None:
    """The program leaves the iteration; at its end Python waits for no thread of ours."""
    code = (
        "import scraper, sys\n"
        "urls = ['nonsense', 'http://silent.test/']\n"
        f"for result in scraper.run(urls, to='out', engine={engine!r}):\n"
        "    break\n"
        "print(result.status)\n"
    )
    ran = python(cli, code, no_names)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"failed\n", b"")


def python(
    cli: Command, code: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cli.directory,
        env={**cli.environment, **environment},
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )


# ---------------------------------------------------------------- while Python starts

STOPS = """
import sys, time
class Stop:
    def find_spec(self, name, *_):
        if name == {name!r}:
            sys.meta_path.remove(self)
            print("here", flush=True)
            time.sleep({pause})
sys.meta_path.insert(0, Stop())
"""


@SIGNALS
@pytest.mark.parametrize(
    "module",
    ["scraper.cli", "click", "scraper.cli.fetch", "scraper.run.loop", "scraper.engines.curl"],
)
def test_a_signal_during_an_import_ends_without_a_traceback(
    module: str, number: signal.Signals, cli: Command
) -> None:
    (cli.directory / "sitecustomize.py").write_text(STOPS.format(name=module, pause=60))
    words = [listed(cli, "http://127.0.0.1:1", 1)]
    with cli.start(*words, env={"PYTHONPATH": str(cli.directory)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        ran = end(process)
    assert ran.status in {128 + number, -number}
    assert ran.err == ""


@SIGNALS
def test_a_signal_at_any_moment_of_the_start_ends_without_a_traceback(
    number: signal.Signals, cli: Command, serve: Serve
) -> None:
    """Many moments, the same each time, up to the first request.

    SIGTERM from the start of the process on. SIGINT from our first lines on: before them it is
    Python that answers, with its own traceback.
    """
    go = threading.Event()
    server = serve(lambda _: Reply(delay=go))
    (cli.directory / "sitecustomize.py").write_text(STOPS.format(name="scraper.cli", pause=0))
    words = [listed(cli, server.url, 1), "-q"]
    pauses = random.Random(number)

    def until_started(process: Process) -> None:
        if number == signal.SIGINT:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"

    with cli.start(*words, env={"PYTHONPATH": str(cli.directory)}) as process:
        until_started(process)
        began = time.monotonic()
        server.wait_until(lambda: server.in_flight == 1)
        takes_s = time.monotonic() - began
        process.kill()
    go.set()
    for _ in range(MOMENTS):
        with cli.start(*words, env={"PYTHONPATH": str(cli.directory)}) as process:
            until_started(process)
            time.sleep(pauses.uniform(0.0, takes_s))
            process.send_signal(number)
            ran = Command.ended(process)
        assert ran.status in {0, 1, 128 + number, -number}, ran
        assert "Traceback" not in ran.err, ran.err
        assert "KeyboardInterrupt" not in ran.err, ran.err
