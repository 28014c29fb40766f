"""Watching a program that runs: what it says, and what it does without saying so."""

import math
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl, ioctl
from pathlib import Path
from struct import unpack
from termios import FIONREAD
from typing import Any

from tests.e2e.command import MANIFEST, WAIT_S, Command, Ran, parsed
from tests.e2e.places import Bucket, Directory, Place

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


def time_to_start(cli: Command, place: Place | None = None) -> int:
    """A `--max-run-time` in seconds that is not over before the first requests are answered.

    More on a busy machine: several times what a run of one line takes there, to a destination of
    the kind of `place`. Most of what a run to S3 takes is its start. At most a third of WAIT_S,
    since that is how long a test waits for the end of such a run.
    """
    elsewhere: Place = Directory(cli, "elsewhere")
    if isinstance(place, Bucket):
        elsewhere = Bucket(place.server, place.server.make_bucket())
    words = ["-", *elsewhere.words, "--retries", 0]
    begun = time.monotonic()
    cli(*words, stdin="http://127.0.0.1:1/\n", env=elsewhere.environment)
    times = 3 if isinstance(place, Bucket) else 6
    took = math.ceil(times * (time.monotonic() - begun))
    return max(2, min(took, int(WAIT_S / 3)))


def records_so_far(place: Place) -> list[dict[str, Any]]:
    """Its records while a run writes them; a line that is half written does not count."""
    if not isinstance(place, Directory):
        return place.records()  # segments come whole
    manifest = place.cli.directory / place.name / MANIFEST
    data = manifest.read_bytes() if manifest.exists() else b""
    return parsed(data[: data.rfind(b"\n") + 1])


def is_idle(process: Process) -> bool:
    """Whether all its threads wait for something: it has done what there was to do."""
    states = of_threads(process.pid, "stat")
    return all(state.rpartition(")")[2].split()[0] == "S" for state in states)


def of_threads(pid: int, name: str) -> list[str]:
    """That file of /proc of each of its threads, without those that end meanwhile."""
    told = []
    for path in Path(f"/proc/{pid}/task").glob(f"*/{name}"):
        with suppress(OSError):
            told.append(path.read_text())
    return told


def open_files(pid: int) -> list[str]:
    """What it has open at this moment, without what it closes meanwhile."""
    opened = []
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            opened.append(os.readlink(path))
    return opened


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
