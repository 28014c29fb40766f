"""The live display on a real terminal: cheap, and no trouble when it is interrupted."""

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator

import pytest

from scraper.report.progress import _EVERY_S
from tests.e2e.command import WAIT_S, Command
from tests.e2e.places import Bucket, Directory, Place
from tests.s3servers import S3Server
from tests.servers import Reply, Serve


class Screen:
    """A pseudo-terminal that is read all the time. `theirs` is for one program, and then closed."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (24, 160))
        self._seen = bytearray()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self._ours, 65_536):
                with self._changed:
                    self._seen += piece
                    self._changed.notify_all()
        except OSError:  # EIO: nobody has the other end open
            pass
        os.close(self._ours)

    def wait_for(self, text: str, after: int = 0) -> str:
        """Until it was shown, `after` so many bytes. Returns what stood between."""
        with self._changed:
            assert self._changed.wait_for(lambda: text.encode() in self._seen[after:], WAIT_S)
            return self._seen[after:].decode(errors="replace").partition(text)[0]

    @property
    def length(self) -> int:
        """How many bytes were shown."""
        return len(self._seen)

    def all(self) -> str:
        """What was shown until the program had ended."""
        os.close(self.theirs)
        self._reader.join(WAIT_S)
        return self._seen.decode()


SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, process_group=0)
for order in sys.stdin:
    if order == "fg\\n":
        os.tcsetpgrp(2, job.pid)
    elif order == "stop\\n":
        os.kill(job.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, job.pid, os.WSTOPPED)
    else:
        os.kill(job.pid, signal.SIGCONT)
    print("done", flush=True)
sys.exit(job.wait())
"""


class Shell:
    """What a shell does with one job on its terminal. The job begins in the background."""

    def __init__(self, cli: Command, screen: Screen, *words: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHELL, *cli.words(*words)],
            cwd=cli.directory,
            env={**cli.environment, "TERM": "xterm"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=screen.theirs,
            start_new_session=True,
            text=True,
        )

    def do(self, order: str) -> None:
        """`fg`, `stop` or `go on`, which is done when this returns."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(order, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> int:
        """Wait for the end of the job. Returns its exit status."""
        self.process.communicate(timeout=WAIT_S)
        return self.process.returncode


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_the_display_is_not_drawn_for_each_line(cli: Command, serve: Serve, screen: Screen) -> None:
    server = serve(lambda request: Reply(body=b"page"))
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(1_000)))
    words = ["list", "--progress", "-v"]
    begun = time.monotonic()
    with cli.start(*words, env={"TERM": "xterm"}, stderr=screen.theirs) as process:
        assert process.wait(WAIT_S) == 0
    took_s = time.monotonic() - begun
    text = screen.all()
    logged = [line.rpartition(" -> ")[2] for line in text.splitlines() if " -> " in line]
    assert logged == [record["key"] for record in cli.records()]  # every line, in order
    assert 0 < text.count(" in flight") < 10 + 2 * took_s / _EVERY_S
    assert text.index("1,000 targets: 1,000 stored") > text.rindex(" -> ")


@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupted_display_leaves_the_terminal_as_it_was(
    signals: int, cli: Command, serve: Serve, screen: Screen, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"page", delay=None if one.path < "/5" else go))
    cli.write("list", *(f"{server.url}/{number}" for number in range(1_000)))
    words = ["list", "--progress"]
    with cli.start(*words, env={"TERM": "xterm"}, stderr=screen.theirs) as process:
        server.wait_until(lambda: server.in_flight == 16)
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            screen.wait_for("SIGINT: 16 transfers in flight may end; once more stops at once")
        if signals == 1:
            go.set()
        assert process.wait(WAIT_S) == 130
    text = screen.all()
    assert "Traceback" not in text
    assert ("stopped: SIGINT" in text) == (signals == 1)
    assert "\x1b[?25l" not in text  # the cursor was never hidden


@pytest.mark.parametrize("where", ["directory", "s3"])
def test_a_lock_that_is_waited_for_is_shown_with_its_holder_and_for_how_long(
    where: str,
    *,
    cli: Command,
    serve: Serve,
    screen: Screen,
    go: threading.Event,
    moto_server: S3Server,
) -> None:
    place: Place = Directory(cli)
    if where == "s3":
        place = Bucket(moto_server, moto_server.make_bucket())
    server = serve(lambda _: Reply(body=b"page", delay=go))
    cli.write("list", f"{server.url}/1", f"{server.url}/2")
    with cli.start("list", *place.words, env=place.environment) as holder:
        server.wait_until(lambda: server.in_flight == 2)
        words = ["list", "--lock", "wait", *place.words]
        environment = {**place.environment, "TERM": "xterm"}
        with cli.start(*words, env=environment, stderr=screen.theirs) as waiting:
            for seconds in (1, 2, 3):  # it is drawn anew
                screen.wait_for(f"waiting {seconds} s for {place.words[1]}: process {holder.pid} ")
            go.set()
            assert (holder.wait(WAIT_S), waiting.wait(WAIT_S)) == (0, 0)
    assert "2 targets: 2 stored" in screen.all()


def test_a_list_that_is_being_fetched_is_shown_with_its_bytes(
    cli: Command, serve: Serve, screen: Screen, go: threading.Event
) -> None:
    pages = serve(lambda _: Reply(body=b"page"))
    text = f"{pages.url}/1\n".encode()

    def pieces() -> Iterator[bytes]:
        yield text
        go.wait(WAIT_S)
        yield b"#" * 100

    headers = {"Content-Length": str(len(text) + 100)}
    lists = serve(lambda _: Reply(headers=headers, body=pieces()))
    words = ["-i", f"{lists.url}/urls.txt"]
    with cli.start(*words, env={"TERM": "xterm"}, stderr=screen.theirs) as process:
        screen.wait_for(f" s for the list {lists.url}/urls.txt")
        screen.wait_for(f"{len(text)} B of {len(text) + 100} B")
        go.set()
        assert process.wait(WAIT_S) == 0
    shown = screen.all()
    assert shown.rindex(" s for the list") < shown.index("1 target: 1 stored")


def test_a_list_that_can_not_be_fetched_is_said_below_a_display_that_is_wiped(
    cli: Command, serve: Serve, screen: Screen, go: threading.Event
) -> None:
    lists = serve(lambda _: Reply(status=404, delay=go))
    words = ["-i", f"{lists.url}/urls.txt"]
    with cli.start(*words, env={"TERM": "xterm"}, stderr=screen.theirs) as process:
        screen.wait_for(f" s for the list {lists.url}/urls.txt")
        go.set()
        assert process.wait(WAIT_S) == 2
    wiped, _, said = screen.all().rpartition("scraper: can't fetch the list")
    assert wiped.endswith("\x1b[2K")
    assert "HTTP 404" in said


def test_a_job_in_the_background_draws_nothing_until_it_comes_to_the_front(
    cli: Command, serve: Serve, screen: Screen, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(404) if one.path == "/bad" else Reply(body=b"x", delay=go))
    cli.write("list", f"{server.url}/bad", f"{server.url}/good")
    shell = Shell(cli, screen, "list", "--retries", "0")
    before = screen.wait_for(f"{server.url}/bad")
    server.wait_until(lambda: server.in_flight == 1)
    assert " in flight" not in before
    shell.do("fg")
    screen.wait_for("1 in flight")
    go.set()
    assert shell.end() == 1
    assert "2 targets: 1 stored" in screen.all()


def test_a_display_that_was_stopped_begins_anew_where_the_cursor_is(
    cli: Command, serve: Serve, screen: Screen, go: threading.Event
) -> None:
    server = serve(lambda _: Reply(body=b"x", delay=go))
    cli.write("list", f"{server.url}/good")
    shell = Shell(cli, screen, "list")
    shell.do("fg")
    screen.wait_for("1 in flight")
    shell.do("stop")
    os.write(screen.theirs, b"[1]+  Stopped\n")  # as a shell does
    screen.wait_for("Stopped")
    length = screen.length
    shell.do("go on")
    assert "\x1b[1A" not in screen.wait_for("1 in flight", after=length)  # no line above is wiped
    go.set()
    assert shell.end() == 0
    assert "1 target: 1 stored" in screen.all()
