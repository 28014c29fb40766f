"""A writer whose reader does not read: the caller goes on, lines stay whole, losses are counted."""

import errno
import math
import os
import pty
import socket
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import F_GETFL, F_SETPIPE_SZ, fcntl
from pathlib import Path

import pytest

from scraper.report.outputs import Output, of_descriptor, to_append
from scraper.report.writer import Losses, Writer
from tests.servers import WAIT_S

LINES = [f"{number:04} {'x' * 90}\n".encode() for number in range(2_000)]  # 192 kB


def now() -> float:
    """A time that is past when it is asked for: nobody is waited for."""
    return -math.inf


def never(error: OSError) -> None:
    raise AssertionError(error)


def losing(after_s: float) -> Losses:
    return Losses(after_s, lambda lost: f"{lost} lost\n".encode())


class Ends:
    """Two descriptors: what is written to `theirs` is read from `ours`."""

    def __init__(self, ours: int, theirs: int) -> None:
        self.ours, self.theirs = ours, theirs

    def read(self) -> bytes:
        """Everything until nobody writes any more."""
        pieces = []
        with suppress(OSError):  # a terminal that nobody has open
            while piece := os.read(self.ours, 65_536):
                pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        for end in (self.ours, self.theirs):
            with suppress(OSError):
                os.close(end)


def a_pipe() -> Ends:
    ours, theirs = os.pipe()
    fcntl(theirs, F_SETPIPE_SZ, 4096)
    return Ends(ours, theirs)


def a_socket() -> Ends:
    """It can't be opened once more, so a thread writes every line."""
    one, other = socket.socketpair()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return Ends(one.detach(), other.detach())


def a_terminal() -> Ends:
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST  # a line feed stays one byte
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    return Ends(ours, theirs)


@pytest.fixture(params=[a_pipe, a_socket, a_terminal], ids=["pipe", "socket", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[Ends]:
    made = a_pipe()
    yield made
    made.close()


def writer_to(ends: Ends, **options: object) -> Writer:
    """A writer that has the other end for itself."""
    given = {"on_error": never, **options}
    made = Writer(of_descriptor(ends.theirs), **given)  # type: ignore[arg-type]
    os.close(ends.theirs)
    return made


# ---------------------------------------------------------------- a reader that is late


def test_nobody_reads_and_the_caller_goes_on_and_nothing_is_lost(ends: Ends) -> None:
    writer = writer_to(ends)
    for line in LINES:
        writer.write([line])  # more than the other end holds
    reader = threading.Thread(target=lambda: read.append(ends.read()))
    read: list[bytes] = []
    reader.start()
    assert writer.finish()
    reader.join(WAIT_S)
    assert read == [b"".join(LINES)]
    assert writer.lost == 0


def test_a_line_is_there_at_once_and_the_thread_has_nothing_to_do(pipe: Ends) -> None:
    writer = writer_to(pipe)
    writer.write(LINES[:3])
    assert not writer._kept
    assert os.read(pipe.ours, 4096) == b"".join(LINES[:3])
    assert writer.finish()


def test_who_shares_the_stream_finds_it_as_it_was(ends: Ends) -> None:
    writer = Writer(of_descriptor(ends.theirs), never)
    writer.write(LINES)
    assert not fcntl(ends.theirs, F_GETFL) & os.O_NONBLOCK
    assert not writer.finish(now)


def test_who_writes_too_much_is_told_and_told_when_there_is_room(ends: Ends) -> None:
    room = threading.Event()
    writer = writer_to(ends, on_room=room.set, full_bytes=50_000)
    assert not writer.full
    writer.write(LINES)
    assert writer.full
    reader = threading.Thread(target=ends.read)
    reader.start()
    assert room.wait(WAIT_S)
    assert not writer.full
    assert writer.finish()
    reader.join(WAIT_S)


def test_a_fifo_is_written_when_its_reader_comes(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = Writer(to_append("--results", str(path)), never)
    writer.write(LINES)
    with open(path, "rb") as reader:
        text: list[bytes] = []
        reading = threading.Thread(target=lambda: text.append(reader.read()))
        reading.start()
        assert writer.finish()
        reading.join(WAIT_S)
    assert text == [b"".join(LINES)]


# ---------------------------------------------------------------- a reader that never reads


def test_the_end_does_not_wait_for_ever_and_says_how_many_are_lost(ends: Ends) -> None:
    writer = writer_to(ends)
    writer.write(LINES)
    assert not writer.finish(now)
    os.set_blocking(ends.ours, False)
    got = b""
    with suppress(OSError):
        while piece := os.read(ends.ours, 65_536):
            got += piece
    whole = got.count(b"\n")
    assert got[: got.rfind(b"\n") + 1] == b"".join(LINES[:whole])
    assert abs(len(LINES) - whole - writer.lost) <= 50  # one piece was on its way


def test_a_pipe_has_whole_lines_however_early_the_end_comes(pipe: Ends) -> None:
    writer = writer_to(pipe)
    writer.write(LINES)
    assert not writer.finish(now)
    first = os.read(pipe.ours, 4096)
    assert first.endswith(b"\n")
    assert first == b"".join(LINES[: first.count(b"\n")])


def test_a_fifo_without_a_reader_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = Writer(to_append("--results", str(path)), never)
    writer.write(LINES)
    assert not writer.finish(now)
    assert writer.lost == len(LINES)
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # so that its thread ends


# ---------------------------------------------------------------- a log, which may lose lines


def test_lines_that_a_log_lost_are_counted_where_they_are_missing(ends: Ends) -> None:
    writer = writer_to(ends, full_bytes=50_000, losses=losing(after_s=0.0))
    for line in LINES:
        writer.write([line])
    assert not writer.full  # it is too late to wait
    text: list[bytes] = []
    reader = threading.Thread(target=lambda: text.append(ends.read()))
    reader.start()
    assert writer.finish()
    reader.join(WAIT_S)
    lines = text[0].splitlines(keepends=True)
    kept = [line for line in lines if not line.endswith(b" lost\n")]
    lost = [int(line.split()[0]) for line in lines if line.endswith(b" lost\n")]
    assert writer.lost == sum(lost) == len(LINES) - len(kept) > 0
    at = 0
    for line in lines:  # each count stands exactly where its lines are missing
        if line.endswith(b" lost\n"):
            at += int(line.split()[0])
        else:
            assert line == LINES[at]
            at += 1
    assert at == len(LINES)


def test_a_log_waits_for_a_slow_reader_before_it_loses_lines(pipe: Ends) -> None:
    writer = writer_to(pipe, full_bytes=50_000, losses=losing(after_s=WAIT_S))
    writer.write(LINES)
    assert writer.full
    writer.write(LINES[:1])
    assert writer.lost == 0
    assert not writer.finish(now)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("make", [a_pipe, a_socket], ids=["pipe", "socket"])
@pytest.mark.parametrize("before", [True, False])
def test_a_reader_that_leaves_is_told_once(make: Callable[[], Ends], before: bool) -> None:
    ends = make()
    errors: list[int | None] = []
    if before:
        os.close(ends.ours)
    writer = writer_to(ends, on_error=lambda error: errors.append(error.errno))
    writer.write(LINES)
    if not before:
        os.close(ends.ours)
    for _ in range(3):
        writer.write(LINES[:1])
    writer.finish()
    assert set(errors) <= {errno.EPIPE, errno.ECONNRESET}
    assert len(errors) == 1
    assert writer.lost > 0
    ends.close()


def test_a_log_on_a_full_disk_counts_every_line() -> None:
    errors: list[OSError] = []
    output = to_append("--log-file", "/dev/full")
    writer = Writer(output, errors.append, losses=losing(after_s=0.0))
    for line in LINES[:100]:
        writer.write([line])
    assert writer.finish()
    assert [error.errno for error in errors] == [errno.ENOSPC]
    assert writer.lost == 100


def test_a_log_goes_on_when_the_disk_has_room_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    full = os.open("/dev/full", os.O_WRONLY)
    kept, errors = os.dup(fd), list[OSError]()
    writer = Writer(Output(fd, is_file=True), errors.append, losses=losing(after_s=0.0))
    writer.write(LINES[:1])
    os.dup2(full, fd)
    writer.write(LINES[1:3])
    writer.write(LINES[3:4])
    os.dup2(kept, fd)
    writer.write(LINES[4:5])
    assert writer.finish()
    assert path.read_bytes() == LINES[0] + b"3 lost\n" + LINES[4]
    assert (len(errors), writer.lost) == (1, 3)
    for one in (full, kept):
        os.close(one)


# ---------------------------------------------------------------- an output that can't be closed


def test_a_file_that_can_not_be_closed_is_told_of_since_lines_may_be_lost(tmp_path: Path) -> None:
    errors: list[OSError] = []
    output = to_append("--log-file", str(tmp_path / "log"))
    writer = Writer(output, errors.append)
    writer.write(LINES[:1])
    os.close(output.fd)  # so that the writer's own call fails, as it may on NFS
    assert writer.finish()
    assert [error.errno for error in errors] == [errno.EBADF]


def test_a_pipe_that_can_not_be_closed_has_all_lines_and_nothing_is_told(pipe: Ends) -> None:
    output = of_descriptor(pipe.theirs)
    uncaught: list[object] = []
    threading.excepthook, before = uncaught.append, threading.excepthook
    try:
        writer = Writer(output, never)
        writer.write(LINES[:1])
        os.close(output.fd)
        assert writer.finish()
    finally:
        threading.excepthook = before
    assert uncaught == []
    assert os.read(pipe.ours, 65_536) == LINES[0]
