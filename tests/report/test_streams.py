"""Streams: what happens to words and records when the other end is odd."""

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scraper.manifest.record import encode
from scraper.model.errors import UsageError
from scraper.model.records import Result, Skipped, Target
from scraper.report.streams import Lines, ResultStream
from tests.results import FAILED, STORED, URL

LONG = Result(Target(URL, URL, "a", "k", 1, "l"), Skipped("x" * 300_000))  # more than a pipe holds


def never(error: OSError) -> None:
    raise AssertionError(error)


def opened(stream: ResultStream) -> ResultStream:
    stream.open()
    return stream


def to(path: object, on_lost: Callable[[OSError], None] = never) -> ResultStream:
    """A stream of results to a file, open."""
    return opened(ResultStream(str(path), on_lost))


def log_to(path: object) -> Lines:
    """Lines of a log for a file, open."""
    lines = Lines(str(path))
    lines.open()
    return lines


class Shown:
    """A display, which has the lines that it was to show."""

    full = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, *lines: str) -> None:
        self.lines.extend(lines)


class Pipe:
    """A small pipe that stands for stdout. `read` takes everything until the other end closes."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.pipe()
        fcntl.fcntl(self.theirs, fcntl.F_SETPIPE_SZ, 4096)

    def read(self) -> bytes:
        pieces = []
        while piece := os.read(self.ours, 65_536):
            pieces.append(piece)
        return b"".join(pieces)

    def results(self, on_lost: Callable[[OSError], None]) -> ResultStream:
        """A stream of results to stdout, which is this pipe."""
        with (
            pytest.MonkeyPatch.context() as patch,
            open(self.theirs, "w", closefd=False) as stdout,
        ):
            patch.setattr(sys, "stdout", stdout)
            return opened(ResultStream("-", on_lost))

    def close(self) -> None:
        for end in (self.ours, self.theirs):
            with suppress(OSError):
                os.close(end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


# ---------------------------------------------------------------- results


def test_no_results_are_wanted_by_default() -> None:
    stream = opened(ResultStream(None, never))
    stream(STORED)
    stream.close()


def test_each_record_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    stream = to(path)
    stream(STORED)
    assert path.read_bytes() == encode(STORED)
    stream(FAILED)
    assert path.read_bytes() == encode(STORED) + encode(FAILED)
    stream(STORED, FAILED)
    assert path.read_bytes() == (encode(STORED) + encode(FAILED)) * 2
    stream.close()


def test_results_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("old\n" * 1000)
    to(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("name", ["", ".", "no/such/directory"])
def test_results_that_cannot_be_written_are_wrong_usage(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"--results: can't write '{name}': ") as caught:
        ResultStream(name, never)
    assert "\n" not in str(caught.value)


def test_records_go_to_stdout_and_leave_it_open(pipe: Pipe) -> None:
    stream = pipe.results(never)
    stream(STORED)
    assert os.read(pipe.ours, 65_536) == encode(STORED)
    stream.close()
    os.write(pipe.theirs, b"still open")
    assert os.read(pipe.ours, 65_536) == b"still open"


@pytest.mark.parametrize("blocking", [True, False])
def test_a_record_that_goes_in_pieces_arrives_whole(pipe: Pipe, blocking: bool) -> None:
    os.set_blocking(pipe.theirs, blocking)
    stream = pipe.results(never)

    def write() -> None:
        for result in (STORED, LONG, FAILED):
            stream(result)
        stream.close()
        os.close(pipe.theirs)

    writer = threading.Thread(target=write)
    writer.start()
    told = pipe.read()
    writer.join()
    assert told == encode(STORED) + encode(LONG) + encode(FAILED)


def test_a_slow_reader_gets_every_record_in_order(pipe: Pipe) -> None:
    stream = pipe.results(never)
    results = [Result(Target(URL, URL, "a", "k", n, "l"), STORED.outcome) for n in range(2000)]

    def write() -> None:
        for result in results:
            stream(result)
        stream.close()
        os.close(pipe.theirs)

    writer = threading.Thread(target=write)
    writer.start()
    told = pipe.read()
    writer.join()
    assert [json.loads(line)["line"] for line in told.splitlines()] == list(range(2000))


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_leaves_is_told_once_and_then_nothing_is_written(
    pipe: Pipe, blocking: bool
) -> None:
    lost: list[OSError] = []
    os.set_blocking(pipe.theirs, blocking)
    stream = pipe.results(lost.append)
    os.close(pipe.ours)
    for _ in range(3):
        stream(STORED)
    assert [type(error) for error in lost] == [BrokenPipeError]
    stream.close()


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_leaves_in_a_record_is_told_too(pipe: Pipe, blocking: bool) -> None:
    lost: list[OSError] = []
    os.set_blocking(pipe.theirs, blocking)
    stream = pipe.results(lost.append)
    writer = threading.Thread(target=stream, args=(LONG,))
    writer.start()
    os.read(pipe.ours, 10)
    os.close(pipe.ours)
    writer.join()
    stream.close()
    assert [type(error) for error in lost] == [BrokenPipeError]


def test_a_full_disk_is_told_with_its_reason() -> None:
    lost: list[OSError] = []
    stream = to("/dev/full", lost.append)
    stream(STORED)
    stream(STORED)
    assert [error.errno for error in lost] == [errno.ENOSPC]
    stream.close()


WRITES = """
import sys
from scraper.report.streams import ResultStream
from tests.results import STORED
stream = ResultStream(sys.argv[1], lambda error: print(error.strerror))
stream.open()
for _ in range(5):
    stream(STORED)
"""


def test_a_disk_that_fills_up_in_a_record_leaves_whole_ones_before_it(tmp_path: Path) -> None:
    path, room = tmp_path / "results", 2 * len(encode(STORED)) + 10
    ended = subprocess.run(
        [sys.executable, "-c", WRITES, path],
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "File too large\n"
    assert path.read_bytes() == encode(STORED) * 2


def test_a_stream_can_be_closed_by_who_is_told_that_it_is_lost() -> None:
    streams: list[ResultStream] = []
    closed: list[int] = []
    streams.append(to("/dev/full", lambda _: closed.append(streams[0].close())))
    streams[0](STORED)
    streams[0].close()


def test_no_program_that_is_started_later_holds_the_results_open(
    tmp_path: Path, pipe: Pipe
) -> None:
    for stream in (to(tmp_path / "results"), pipe.results(never)):
        assert stream._writer is not None
        assert fcntl.fcntl(stream._writer._output.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        stream.close()


# ---------------------------------------------------------------- lines of the log


def test_lines_are_appended_to_the_log_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    lines = log_to(path)
    lines.write("one")
    assert path.read_text() == "before\none\n"
    lines.write("zwölf")
    lines.close()
    assert path.read_text(encoding="utf-8") == "before\none\nzwölf\n"


def test_lines_that_come_together_are_lines_all_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = log_to(tmp_path / "log")
    lines.write("one", "two")
    lines.close()
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    Lines(None).write("three", "fo\nur")
    assert capfd.readouterr().err == "three\nfo\\u000aur\n"


@pytest.mark.parametrize("name", ["", ".", "no/such/directory"])
def test_a_log_file_that_cannot_be_written_is_wrong_usage(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"--log-file: can't write '{name}': ") as caught:
        Lines(name)
    assert "\n" not in str(caught.value)


def test_a_full_disk_costs_the_lines_and_not_the_run() -> None:
    lines = log_to("/dev/full")
    for number in range(1000):
        lines.write(f"line {number} " + "x" * 100)
    lines.close()


def test_without_a_log_file_lines_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    lines = Lines(None)
    lines.write("one")
    assert capfd.readouterr().err == "one\n"
    lines.close()


def test_a_display_gets_the_lines_until_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    shown = Shown()
    lines = Lines(None)
    lines.divert(shown)
    lines.write("above")
    lines.close()
    lines.write("after")
    assert shown.lines == ["above"]
    assert capfd.readouterr().err == "after\n"


def test_a_log_file_is_not_for_the_display(tmp_path: Path) -> None:
    shown = Shown()
    lines = log_to(tmp_path / "log")
    lines.divert(shown)
    lines.write("one")
    lines.close()
    assert shown.lines == []
    assert (tmp_path / "log").read_text() == "one\n"


def test_what_goes_to_stderr_drives_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    Lines(None).to_stderr("scraper: \x1b[2J\x9b31m caf\udce9 ü\nnext")
    assert capfd.readouterr().err == "scraper: \\u001b[2J\\u009b31m caf\\udce9 ü\\u000anext\n"


TELLS = """
import sys
from scraper.report.streams import Lines
lines = Lines(None)
for number in range(1000):
    lines.write(f"line {number} ü")
lines.close()
print("done")
"""


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "2> >(exit)"])
def test_a_stderr_that_takes_nothing_costs_the_lines_and_not_the_run(how: str) -> None:
    command = f'"$0" -c "$1" {how}'
    ended = subprocess.run(
        ["bash", "-c", command, sys.executable, TELLS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "done\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_stderr_of_any_encoding_takes_every_line(encoding: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TELLS],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    assert ended.stdout.strip() == b"done"
    assert len(ended.stderr.splitlines()) == 1000
