"""Watching a program that runs: what it says, and what it does without saying so."""

import math
import os
import subprocess
import time
from collections.abc import Callable
from fcntl import F_SETPIPE_SZ, fcntl, ioctl
from pathlib import Path
from struct import unpack
from termios import FIONREAD

from tests.e2e.command import WAIT_S, Command, Ran

Process = subprocess.Popen[bytes]


def said(process: Process, text: str) -> str:
    """What stderr says, up to the line that has `text`; start with bufsize=0."""
    assert process.stderr is not None
    heard = b""
    while text.encode() not in heard:
        line = process.stderr.readline()
        assert line, f"ended without {text!r}: {heard.decode()}"
        heard += line
    return heard.decode()


def until(condition: Callable[[], bool]) -> None:
    """Look again and again until `condition` holds, where nothing reports it."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "what was waited for never came"
        time.sleep(0.01)


def time_to_start(cli: Command) -> int:
    """A `--max-run-time` in seconds that is not over before the first requests are answered.

    More on a busy machine: several times what a run of one line takes there.
    """
    begun = time.monotonic()
    cli("-", "--to", "elsewhere", "--retries", 0, stdin="http://127.0.0.1:1/\n")
    return max(2, math.ceil(6 * (time.monotonic() - begun)))


def is_idle(process: Process) -> bool:
    """Whether all its threads wait for something: it has done what there was to do."""
    states = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    return all(state.rpartition(")")[2].split()[0] == "S" for state in states)


def narrow_pipe() -> tuple[int, int]:
    """A pipe of 4 kB: its end to read, its end to write. Linux lets one choose."""
    heard, told = os.pipe()
    assert fcntl(told, F_SETPIPE_SZ, 4096) == 4096
    return heard, told


def until_full(heard: int, record: int) -> None:
    """Wait until a `narrow_pipe` takes no other write of `record` bytes."""
    until(lambda: unpack("i", ioctl(heard, FIONREAD, bytes(4)))[0] > 4096 - record)


def write(process: Process, data: str | bytes) -> None:
    """Into its stdin, at once; start with bufsize=0."""
    assert process.stdin is not None
    process.stdin.write(data.encode() if isinstance(data, str) else data)


def end(process: Process) -> Ran:
    """How it ends by itself, without a traceback; stdin is closed."""
    ran = Command.ended(process)
    assert "Traceback" not in ran.err
    return ran
