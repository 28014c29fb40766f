"""One run of one tool: time, processor, memory, and whether all bodies arrived.

Owns: running a command and its account. Processor time is what the kernel
counted for the process and all it waited for (wait4); memory is the largest sum
over the tree of its processes that was seen (a forked child's own peak begins
with its parent's, so rusage can't tell). The servers'
processor time is that of all other children of this process. Refuses to know:
which tool it is.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

SAMPLE_S = 0.02  # between looks at the process itself
_TREE_EVERY = 5  # at its descendants, which takes milliseconds, every so many looks


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took. `status` is its exit status, negative for a signal."""

    status: int
    wall_s: float
    cpu_s: float
    servers_cpu_s: float
    peak_bytes: int
    started: float
    said: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """What lies in a directory afterwards."""

    count: int
    bytes: int


def run(command: Sequence[str], directory: Path, env: Mapping[str, str], timeout_s: float) -> Usage:
    """Run `command` in `directory`; its output goes to a file there. Killed after `timeout_s`."""
    servers_before = _servers_cpu_s()
    output = directory / "output"
    with output.open("wb") as file:
        started, begun = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        watch = _Watch(process.pid, timeout_s)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - begun
        except BaseException:
            _kill(process.pid)
            raise
        finally:
            watch.end()
        process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(
        status=process.returncode,
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        servers_cpu_s=_servers_cpu_s() - servers_before,
        peak_bytes=watch.peak_bytes,
        started=started,
        said=output.read_text(errors="replace")[-2000:].strip(),
    )


class _Watch:
    """Samples the memory of a process and its descendants, and ends them when time is up."""

    def __init__(self, pid: int, timeout_s: float) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._until = time.monotonic() + timeout_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The process has ended."""
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        below = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._pid)
            for number in count():
                if number % _TREE_EVERY == 0:
                    below = sum(map(_memory, root.children(recursive=True)))
                self.peak_bytes = max(self.peak_bytes, _memory(root) + below)
                if self._ended.wait(SAMPLE_S):
                    return
                if time.monotonic() > self._until:
                    _kill(self._pid)


def _kill(pid: int) -> None:
    """End a process, not reaped yet, with its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _memory(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _servers_cpu_s() -> float:
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def arrived(directory: Path) -> Arrived:
    """All files below `directory`, but for scraper's own record."""
    count = size = 0
    for path in stored(directory):
        count += 1
        size += path.stat().st_size
    return Arrived(count, size)


def stored(directory: Path) -> list[Path]:
    """The bodies below `directory`."""
    return [
        Path(place) / name
        for place, _, names in os.walk(directory)
        if ".scraper" not in place.removeprefix(str(directory)).split("/")
        for name in names
    ]


def last_stored(directory: Path, names: frozenset[str]) -> float:
    """When the last of the files of these names got there, in seconds since 1970.

    By the time of the last change of its entry: a rename counts, a set mtime does not.
    """
    return max(path.stat().st_ctime for path in stored(directory) if path.name in names)
