"""What a terminal shows: the display and the failures, in colours where it has them."""

import os
import pty
import re
import signal
import struct
import termios
import threading
from fcntl import ioctl

import pytest

from tests.e2e.command import WAIT_S, Command, lines
from tests.servers import Reply, Serve


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
    assert text.rstrip().endswith("manifest:  out/.scraper/manifest.jsonl")  # wiped at the end
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
    assert ran.err == "scraper: no list: give FILE, or pipe URLs into stdin (see --help)\n"
