"""The live display, on a real terminal, of real runs."""

import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from scraper.model.errors import ListError
from scraper.model.settings import Settings
from scraper.report.progress import Display
from scraper.report.streams import forever
from scraper.run.loop import Run
from scraper.source.sources import RemoteList, Source, from_iterable, open_sources
from tests.screens import Screen
from tests.servers import WAIT_S, Reply, Request, Serve

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A terminal whose screen can be waited for. `told` is all that was ever written to it."""

    def __init__(self, columns: int, patch: pytest.MonkeyPatch) -> None:
        self.told = ""
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._ours, theirs = os.openpty()
        self.stream = os.fdopen(theirs, "w")
        patch.setattr(sys, "stderr", self.stream)
        for name, value in {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"}.items():
            patch.setenv(name, value)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, pattern: str) -> str:
        """What matched in the text so far, without colours."""
        found: list[str] = []

        def matches() -> bool:
            found[:] = re.findall(pattern, _CODES.sub("", self.told))
            return bool(found)

        with self._changed:
            assert self._changed.wait_for(matches, WAIT_S), repr(self.told)
        return found[-1]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """As after Ctrl-S: nothing is taken."""
        with self._taking:
            yield

    def close(self) -> str:
        """All that was told, when nothing more can come."""
        self.stream.close()
        self._reader.join(WAIT_S)
        os.close(self._ours)
        return self.told

    def _read(self) -> None:
        pieces: list[bytes] = []
        while True:
            select.select([self._ours], [], [])
            try:
                with self._taking:
                    pieces.append(os.read(self._ours, 65_536))
            except OSError:  # the other side is closed
                return
            with self._changed:
                self.told = b"".join(pieces).decode(errors="ignore")
                self._changed.notify_all()


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Terminal]]:
    made: list[Terminal] = []

    def make(columns: int) -> Terminal:
        made.append(Terminal(columns, monkeypatch))
        return made[-1]

    yield make
    for terminal in made:
        if not terminal.stream.closed:
            terminal.close()


Make = Callable[[int], Terminal]


class Pages:
    """A server's answers: those of the first `free` pages at once, the others when `go` is set."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.go = threading.Event()

    def __call__(self, request: Request) -> Reply:
        number = int(request.path[1:])
        return Reply(200 if number else 404, body=b"x" * 1000,
                     delay=None if number < self.free else self.go)  # fmt: skip


def run_of(sources: Iterable[Source], to: Path, **options: int) -> Run:
    return Run(Settings.of(to=to, **options), list(sources))


def no_remote(url: str) -> RemoteList:
    raise AssertionError(url)


def file_of(path: Path, lines: Iterable[str]) -> list[Source]:
    path.write_text("".join(f"{line}\n" for line in lines))
    return open_sources([str(path)], no_remote)


@contextmanager
def shown(run: Run, sources: Sequence[Source]) -> Iterator[Display]:
    """A display of `run` until the block ends and the terminal has taken all of it."""
    display = Display(run.view(), sources)
    with display:
        yield display
    assert display.finish(forever)


def finish(run: Run, act: Callable[[Display], None], sources: Iterable[Source] = ()) -> None:
    """Carry `run` out with a display, while another thread does `act`, which lets it end."""

    def watched(display: Display) -> None:
        try:
            act(display)
        except BaseException:
            run.stop("what was expected did not come", grace_s=0.0)
            raise

    with run, shown(run, list(sources)) as display, ThreadPoolExecutor(1) as other:
        acted = other.submit(watched, display)
        for _ in run:
            pass
        acted.result()


# ---------------------------------------------------------------- counts


def test_what_is_done_of_how_many_and_in_flight_is_shown(
    on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    pages = Pages(free=7)
    server = serve(pages)
    sources = file_of(tmp_path / "list", (f"{server.url}/{number}" for number in range(10)))
    terminal = on_terminal(80)

    def act(_: Display) -> None:
        terminal.wait_for(r"7 of 10  1 failed  [\d,]+/s  6\.0 kB  \S+ k?B/s  3 in flight")
        pages.go.set()

    finish(run_of(sources, tmp_path / "out"), act, sources)


def test_the_total_and_the_time_left_are_known_before_the_list_was_read(
    on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    pages = Pages(free=200)
    server = serve(pages)
    noise = ["", "# a comment", "   # another", " \t"] * 10
    targets = [f"{server.url}/{number}" for number in range(12_000)]  # more than the window
    sources = file_of(tmp_path / "list", [*noise, *targets, *noise])
    run = run_of(sources, tmp_path / "out")
    terminal = on_terminal(80)

    def act(_: Display) -> None:
        terminal.wait_for(r"200 of 12,000 .* \d+ (?:s|min|h \d\d min) left")
        assert run.view().snapshot().lines is None
        run.stop("seen enough", grace_s=0.0)
        pages.go.set()

    finish(run, act, sources)


def test_without_a_known_length_there_is_no_total_and_no_time_left(
    on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Pages(free=99))
    go_on = threading.Event()

    def lines() -> Iterator[str]:
        for number in range(1, 6):
            yield f"{server.url}/{number}"
        assert go_on.wait(WAIT_S)

    terminal = on_terminal(80)

    def act(_: Display) -> None:
        told = terminal.wait_for(r"5  0 failed  [^\r]*in flight[^\r]*\r")
        assert " of " not in told
        assert "left" not in told
        go_on.set()
        terminal.wait_for(r"5 of 5  0 failed")

    sources = [from_iterable(lines())]
    finish(run_of(sources, tmp_path / "out"), act, sources)


def test_an_empty_list_is_drawn_too(on_terminal: Make, tmp_path: Path) -> None:
    sources = file_of(tmp_path / "list", [])
    run = run_of(sources, tmp_path / "out")
    terminal = on_terminal(80)
    with run, shown(run, sources):
        assert list(run) == []
        terminal.wait_for(r"0  0 failed  0/s  0 B  0 B/s  0 in flight")


def test_a_list_that_vanishes_is_told_by_the_run_and_not_by_the_display(
    on_terminal: Make, tmp_path: Path
) -> None:
    sources = file_of(tmp_path / "list", ["http://127.0.0.1:1/"])
    (tmp_path / "list").unlink()
    run = run_of(sources, tmp_path / "out")
    terminal = on_terminal(80)
    with run, shown(run, sources):
        for thread in threading.enumerate():
            if thread.name == "counter":
                thread.join(WAIT_S)
        with pytest.raises(ListError, match="No such file"):
            list(run)
    assert "Traceback" not in terminal.close()


# ---------------------------------------------------------------- drawing


def most_rows(told: str) -> int:
    """How many rows were wiped at once, at the most."""
    return max(len(found) for found in re.findall(r"\r((?:\x1b\[1A\x1b\[2K)+)", told)) // 8


@pytest.mark.parametrize("columns", [80, 60, 40, 20])
def test_it_is_two_rows_however_narrow_the_terminal_is(
    columns: int, on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    pages = Pages(free=4)
    server = serve(pages)
    sources = file_of(tmp_path / "list", (f"{server.url}/{number}" for number in range(9)))
    terminal = on_terminal(columns)

    def act(_: Display) -> None:
        terminal.wait_for(r"4 (?:of|…|o…)")
        pages.go.set()

    finish(run_of(sources, tmp_path / "out"), act, sources)
    drawn = [_CODES.sub("", line) for line in re.split(r"[\r\n]+", terminal.close())]
    assert max(map(len, drawn)) <= columns
    assert most_rows(terminal.told) == 2  # the bar and the counts


def test_lines_of_the_log_stand_above_it_as_they_are(
    on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    pages = Pages(free=0)
    server = serve(pages)
    terminal = on_terminal(80)
    line = f"200  http://a/[bold]x[/bold]/[/]{'y' * 100}/'1.5' -> key:smile:"
    run = run_of(file_of(tmp_path / "list", [f"{server.url}/1"]), tmp_path / "out")

    def act(display: Display) -> None:
        terminal.wait_for("1 in flight")
        display.print(line)
        terminal.wait_for(re.escape(line) + r"\r\n(?:[^\r]*\r\n){0,2}[^\r]*1 in flight")
        pages.go.set()

    finish(run, act)
    assert line in terminal.close()


def test_a_terminal_that_takes_nothing_holds_up_neither_the_run_nor_its_log(
    on_terminal: Make, tmp_path: Path
) -> None:
    terminal = on_terminal(80)
    lines = [f"line {number} {'x' * 60}" for number in range(5_000)]
    with run_of([from_iterable([])], tmp_path / "out") as run, shown(run, []) as display:
        with terminal.stopped():
            display.print(*lines[:2_000])
            for line in lines[2_000:]:
                display.print(line)
            assert "line 4999" not in terminal.told
        terminal.wait_for("line 4999")
    told = re.findall(r"line \d+ x{60}(?=\r\n)", terminal.close())
    assert told == lines


def test_it_is_wiped_at_the_end_and_the_cursor_was_never_hidden(
    on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Pages(free=9))
    sources = file_of(tmp_path / "list", [f"{server.url}/1"])
    terminal = on_terminal(80)
    run = run_of(sources, tmp_path / "out")
    with run:
        display = Display(run.view(), sources)
        with display:
            assert len(list(run)) == 1
        assert display.finish(forever)
        print("the closing words", file=terminal.stream)
    told = terminal.close()
    seen = Screen(80)
    seen.feed(told)
    assert seen.rows == ["the closing words", *[""] * (len(seen.rows) - 1)]
    assert "\x1b[?25" not in told  # who is killed could not bring it back


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], True),
        (["--progress", "-q"], True),
        (["--log-format", "text"], True),
        (["--no-progress"], False),
        (["-q"], False),
        (["--log-format", "json"], False),
    ],
)
def test_the_command_shows_it_on_a_terminal_unless_words_are_unwanted(
    arguments: list[str], shown: bool, on_terminal: Make, serve: Serve, tmp_path: Path
) -> None:
    pages = Pages(free=0)
    server = serve(pages)
    (tmp_path / "list").write_text(f"{server.url}/1\n")
    terminal = on_terminal(80)
    command = [sys.executable, "-m", "scraper", "./list", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stderr=terminal.stream) as process:
        if shown:
            terminal.wait_for("1 in flight")
        pages.go.set()
    assert process.returncode == 0
    assert ("in flight" in terminal.close()) == shown


def test_the_command_shows_none_where_there_is_no_terminal(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/1": b"x"})
    (tmp_path / "list").write_text(f"{server.url}/1\n")
    command = [sys.executable, "-m", "scraper", "./list", "--progress"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert b"1 target: 1 stored" in ended.stderr
    assert b"\x1b" not in ended.stderr
    assert b"in flight" not in ended.stderr
