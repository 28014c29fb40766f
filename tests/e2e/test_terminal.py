"""What a terminal shows: the display and the failures, in colours where it has them."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl

import pytest

from tests.e2e.command import WAIT_S, Command, lines
from tests.e2e.places import Place
from tests.e2e.watch import until
from tests.screens import Screen
from tests.servers import Reply, Request, Serve, closed_port, status_on_demand


class Terminal:
    """A pseudo-terminal of 120 columns; what was written to it, as it came."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._seen = bytearray()

    def wait_for(self, pattern: str) -> str:
        """Read until `pattern` was shown, and return all so far."""
        while not re.search(pattern, self.text):
            self._seen += os.read(self.ours, 65_536)  # the test's time-out ends it
        return self.text

    @property
    def screen(self) -> Screen:
        """What a person sees."""
        screen = Screen(120)
        screen.feed(self.text.replace("\ufffd", ""))
        return screen

    def see(self, pattern: str) -> Screen:
        """Read until `pattern` is on the screen."""
        while not re.search(pattern, (screen := self.screen).text):
            self._seen += os.read(self.ours, 65_536)
        return screen

    def rest(self) -> str:
        """Everything until the other end was closed."""
        os.close(self.theirs)
        try:
            while piece := os.read(self.ours, 65_536):
                self._seen += piece
        except OSError:  # EIO: nobody has it open any more
            pass
        os.close(self.ours)
        return self.text

    @property
    def text(self) -> str:
        return self._seen.decode("utf-8", "replace")


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_on_a_terminal_there_is_a_display_and_the_failures_above_it(
    cli: Command, serve: Serve, terminal: Terminal
) -> None:
    let_go = threading.Event()
    server = serve(
        lambda request: Reply(body=b"x" * 1000, delay=let_go if request.path == "/9.txt" else None)
    )
    path = cli.write("list.txt", *(f"{server.url}/{n}.txt" for n in range(10)), "nonsense")
    env = {"TERM": "xterm-256color"}
    with cli.start(path, env=env, stderr=terminal.theirs) as process:
        terminal.wait_for(r"10 of 11 (?=.*1 in flight)(?=.*1 failed)(?=.* 9\.0 kB)(?=.*\d/s)")
        let_go.set()
        out, _ = process.communicate(timeout=WAIT_S)
    text = terminal.rest()
    assert (process.returncode, out) == (1, b"")
    assert "200 " not in text  # good targets are shown with -v only
    assert "bad_url\x1b[39m          nonsense  " in text
    assert "11 targets: 10 stored, 1 failed" in text
    assert text.rstrip().endswith("summary:   out/.scraper/summary.json")  # wiped at the end
    assert len(cli.files()) == 10


@pytest.mark.parametrize("options", [["--no-progress"], ["-q"], ["--log-format", "json"]])
def test_on_a_terminal_there_is_no_display_where_none_is_wanted(
    options: list[str], cli: Command, serve: Serve, terminal: Terminal
) -> None:
    server = serve({"/a.txt": b"a"})
    path = cli.write("list.txt", f"{server.url}/a.txt")
    with cli.start(*options, path, stderr=terminal.theirs, env={"TERM": "xterm"}) as process:
        process.communicate(timeout=WAIT_S)
    text = terminal.rest()
    assert process.returncode == 0
    assert "in flight" not in text
    assert "\x1b" not in text


def test_without_a_terminal_there_is_no_display_even_if_asked_for(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    for options in ([], ["--progress"]):
        ran = cli(*options, stdin=lines(f"{server.url}/a.txt"), env={"FORCE_COLOR": "1"})
        assert (ran.status, ran.out) == (0, "")
        assert "in flight" not in ran.err
        assert "\x1b" not in ran.err


def test_beside_a_log_file_the_terminal_keeps_display_failures_and_summary(
    cli: Command, serve: Serve, terminal: Terminal
) -> None:
    let_go = threading.Event()
    server = serve({"/a.txt": b"a", "/b.txt": Reply(body=b"b", delay=let_go)})
    path = cli.write("list.txt", *(f"{server.url}/{name}" for name in ("a.txt", "b.txt", "gone")))
    options = ["--log-file", "log"]
    with cli.start(*options, path, stderr=terminal.theirs, env={"TERM": "xterm"}) as process:
        terminal.wait_for("2 of 3 ")
        process.send_signal(signal.SIGINT)
        terminal.wait_for("SIGINT: 1 transfers in flight may end; once more stops at once")
        let_go.set()
        process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    shown = terminal.rest()
    assert "/a.txt" not in shown
    assert f"\x1b[31mHTTP 404\x1b[39m         {server.url}/gone" in shown
    assert "stopped: SIGINT" in shown
    logged = (cli.directory / "log").read_text()
    assert logged.count("Z 200 ") == 2
    assert "Z failed  " in logged
    assert "\x1b" not in logged
    for said in ("in flight may end", "stopped: SIGINT"):
        assert said in logged


@pytest.mark.parametrize(
    ("variables", "red_and_draws"),
    [
        ({"TERM": "xterm"}, (True, True)),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (False, True)),
        ({"TERM": "dumb"}, (False, False)),
        ({}, (False, False)),
    ],
)
def test_a_terminal_shows_failures_only_in_red_where_it_can(
    variables: dict[str, str],
    red_and_draws: tuple[bool, bool],
    cli: Command,
    serve: Serve,
    terminal: Terminal,
) -> None:
    red, draws = red_and_draws
    let_go = threading.Event()
    server = serve({"/a.txt": b"a", "/b.txt": Reply(body=b"b", delay=let_go)})
    path = cli.write("list.txt", *(f"{server.url}/{name}" for name in ("a.txt", "b.txt", "gone")))
    with cli.start(path, stderr=terminal.theirs, env=variables) as process:
        terminal.wait_for(f"{server.url}/gone")
        if draws:
            terminal.wait_for("2 of 3 ")
        let_go.set()
        process.communicate(timeout=WAIT_S)
    shown = terminal.rest()
    assert ("\x1b[31mHTTP 404\x1b[39m " in shown) == red
    assert ("in flight" in shown) == draws
    assert ("\x1b" in shown) == draws
    assert "\x1b[3" not in shown or red  # colours of any kind
    assert "a.txt" not in shown
    assert "3 targets: 2 stored, 1 failed" in shown


def test_nothing_on_a_terminal_asks_for_a_list(cli: Command, terminal: Terminal) -> None:
    with cli.start(stdin=terminal.theirs) as process:
        ran = cli.ended(process)
    terminal.rest()
    assert (ran.status, ran.out) == (2, "")
    assert ran.errors[0] == "scraper: nothing to fetch: no URL, no list"
    assert ran.errors[1].startswith("hint: scraper URL..., scraper FILE...")


# ---------------------------------------------------------------- a display that is alive


class Halves:
    """Bodies of which the second half comes when `go` is set."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.go = threading.Event()

    def __call__(self, request: Request) -> Reply:
        del request
        return Reply(headers={"Content-Length": str(self.size)}, body=self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        half = b"x" * (self.size // 2)
        yield half
        self.go.wait(WAIT_S)
        yield half


@pytest.fixture
def halves() -> Iterator[Callable[[int], Halves]]:
    made: list[Halves] = []

    def make(size: int) -> Halves:
        made.append(Halves(size))
        return made[-1]

    yield make
    for one in made:
        one.go.set()


@contextmanager
def one_held(
    cli: Command,
    serve: Serve,
    terminal: Terminal,
    answer: Halves,
    *options: str,
    term: str = "xterm",
) -> Iterator[subprocess.Popen[bytes]]:
    """A run at the terminal of one page that is held half way; after the block it ends."""
    path = cli.write("list.txt", f"{serve(answer).url}/held")
    with cli.start(path, *options, env={"TERM": term}, stderr=terminal.theirs) as process:
        yield process
        answer.go.set()
        process.communicate(timeout=WAIT_S)


XTERM = {"TERM": "xterm"}


@pytest.mark.parametrize("engine", ["curl", "threads"])
@pytest.mark.parametrize("size", [200_000, 6_000_000])
def test_bytes_are_shown_while_their_body_is_still_on_its_way(  # noqa: PLR0917 - fixtures
    size: int, engine: str, place: Place, cli: Command, serve: Serve, terminal: Terminal,
    halves: Callable[[int], Halves],
) -> None:  # fmt: skip
    answer = halves(size)
    server = serve(answer)
    path = cli.write("list.txt", f"{server.url}/large.iso")
    half, whole = ("100.0 kB", "200.0 kB") if size == 200_000 else ("3.0 MB", "6.0 MB")
    words = [path, "--engine", engine, *place.words]
    env = {**place.environment, **XTERM}
    with cli.start(*words, env=env, stderr=terminal.theirs) as process:
        screen = terminal.see(rf"/large.iso +{half} of {whole} +50%  .*\n.*\n.* 1 in flight.*\n")
        *_, bar, counts, end = screen.rows
        assert (len(bar), end) == (120, "")  # the bar is as wide as the terminal
        assert bar[:59] == "\N{BOX DRAWINGS HEAVY HORIZONTAL}" * 59
        rest = r"\d[\d.]* [kM]?B/s  1 in flight(  \d+ (s|min) left)?"
        assert re.fullmatch(rf"0 of 1  0 failed  0/s  {half}  {rest}", counts)
        answer.go.set()
        process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    terminal.rest()
    assert "in flight" not in terminal.screen.text  # wiped


def test_what_hosts_are_waited_for_is_shown(
    cli: Command, serve: Serve, terminal: Terminal, halves: Callable[[int], Halves]
) -> None:
    answer = halves(1_000)
    held = serve(answer)
    busy = serve(lambda _: Reply(429, {"Retry-After": "60"}))
    closed = closed_port()
    path = cli.write(
        "list.txt",
        f"{held.url}/held",
        *(f"{busy.url}/{number}" for number in range(40)),
        *(f"http://127.0.0.1:{closed}/{number}" for number in range(10)),
    )
    with cli.start(path, "--retries", 1, env=XTERM, stderr=terminal.theirs) as process:
        terminal.see(rf"waiting \d\d s for 127.0.0.1:{busy.port} \(429 Retry-After\), 40 URLs")
        terminal.see(rf"127.0.0.1:{closed} is down, next try in \d+ s")
        process.send_signal(signal.SIGINT)
        answer.go.set()
        process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    terminal.rest()


def test_a_display_that_was_stopped_begins_anew_below_what_the_shell_has_written(
    cli: Command, serve: Serve, terminal: Terminal, halves: Callable[[int], Halves]
) -> None:
    with one_held(cli, serve, terminal, halves(1_000)) as process:
        terminal.see("1 in flight")
        process.send_signal(signal.SIGSTOP)  # what Ctrl-Z does
        os.waitpid(process.pid, os.WUNTRACED)
        os.write(terminal.theirs, b"[1]+ Stopped\n$ fg\n")
        process.send_signal(signal.SIGCONT)
        screen = terminal.see(r"fg\n(.*\n)*.*1 in flight")
        assert "1 in flight" in screen.text.partition("[1]+ Stopped")[0]  # as it was left
    terminal.rest()
    after = terminal.screen.text.partition("$ fg\n")[2]
    assert after.startswith("1 target: 1 stored")


def test_a_terminal_that_becomes_narrower_gets_narrower_rows(
    cli: Command, serve: Serve, terminal: Terminal, halves: Callable[[int], Halves]
) -> None:
    with one_held(cli, serve, terminal, halves(1_000)):
        terminal.see("1 in flight")
        before = len(terminal.text)
        ioctl(terminal.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 40, 0, 0))
        terminal.wait_for(r"in flight[^\r]*\r\n(\x1b\[1A\x1b\[2K){4}\r(\x1b\[1A\x1b\[2K){2}")
        until = terminal.text[before:].rindex("0 failed")
        rows = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", terminal.text[before:][:until]).split("\r\n")
        assert len(rows[-2].strip("\r")) == 40  # the bar
    terminal.rest()


def test_what_servers_and_lists_say_drives_no_terminal(
    cli: Command, serve: Serve, terminal: Terminal, halves: Callable[[int], Halves]
) -> None:
    answer = halves(1_000)
    server = serve(lambda one: answer(one) if "held" in one.path else None)
    evil = "\x1b[2J\x1b]0;owned\x07\x9b31m"
    path = cli.write("list.txt", f"{server.url}/held{evil}", f"evil {evil}", f"{server.url}/{evil}")
    with cli.start(path, "--retries", 0, env=XTERM, stderr=terminal.theirs) as process:
        screen = terminal.see(r"held.*  50%")
        screen = terminal.see(r"bad_url          evil \\u001b\[2J")
        answer.go.set()
        process.communicate(timeout=WAIT_S)
    terminal.rest()
    assert "owned" in terminal.screen.text
    assert screen.rows


# ---------------------------------------------------------------- totals, logs


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_terminal_totals_stand_for_the_lines_of_good_targets(
    form: str, cli: Command, serve: Serve, halves: Callable[[int], Halves]
) -> None:
    answer = halves(4_000)
    server = serve(lambda one: answer(one) if one.path == "/held" else status_on_demand(one))
    path = cli.write(
        "list.txt", *(f"{server.url}/{name}" for name in ("status/200", "gone", "held"))
    )
    halfway = ("2 of 3, 1 failed", "2.0 kB") if form == "text" else ('"targets":2', '"bytes":2011')
    with cli.start(path, "--stats", 0.05, "--log-format", form) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line.decode())
            if all(part in told[-1] for part in halfway):
                break
        answer.go.set()
        told += process.stderr.read().decode().splitlines()
        assert process.wait(WAIT_S) == 1
    is_result = "failed  http" if form == "text" else '"event":"result"'
    (failed,) = [line for line in told if is_result in line]
    assert "/gone" in failed
    assert not [line for line in told if "/status/200" in line]
    if form == "text":
        assert failed.startswith("failed  ")
        assert any(re.match(r"2 of 3, 1 failed, .*1 in flight(, .* left)?$", line) for line in told)
    else:
        totals = [json.loads(line) for line in told if '"event":"totals"' in line]
        facts = [(one["targets"], one["total"], one["failed"], one["in_flight"]) for one in totals]
        assert (2, 3, 1, 1) in facts  # one more line may have come when the last page was let go
        assert json.loads(failed)["status"] == "failed"


def test_a_dumb_terminal_gets_totals_if_they_are_asked_for_sooner(
    cli: Command, serve: Serve, terminal: Terminal, halves: Callable[[int], Halves]
) -> None:
    with one_held(cli, serve, terminal, halves(4_000), "--stats", "0.1", term="dumb"):
        terminal.wait_for(r"0 of 1, 0 failed, 0/s, 2\.0 kB, .*1 in flight")
    assert "\x1b" not in terminal.rest()


def test_a_log_file_with_a_date_that_is_copied_and_emptied_begins_anew(
    cli: Command, serve: Serve, halves: Callable[[int], Halves]
) -> None:
    answer = halves(4_000)
    server = serve(lambda one: answer(one) if one.path == "/held" else status_on_demand(one))
    path = cli.write("list.txt", f"{server.url}/gone", f"{server.url}/held")
    with cli.start(path, "--log-file", "{:%Y}.log", stderr=None) as process:
        until(lambda: any(b"/gone" in one.read_bytes() for one in cli.directory.glob("*.log")))
        (log,) = cli.directory.glob("*.log")
        assert re.fullmatch(r"\d{4}\.log", log.name)
        os.truncate(log, 0)  # what logrotate does, with copytruncate
        answer.go.set()
        assert process.wait(WAIT_S) == 1
    told = log.read_text()
    assert re.match(r"\d{4}-\S+Z 200 .*/held", told)  # no hole, and nothing of before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stats", "0"], "--stats 0 must be more than 0 seconds"),
        (["--log-file", "{host}.log"], "--log-file '{host}.log' has a field other than {date}"),
    ],
)
def test_wrong_totals_and_names_are_said(words: list[str], said: str, cli: Command) -> None:
    ran = cli(*words, stdin="")
    assert (ran.status, ran.out) == (2, "")
    assert ran.errors[0] == f"scraper: {said}"
    assert cli.wrote == []
