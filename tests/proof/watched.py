"""A process that is watched while it runs: what it says, line by line, and whether it ended.

with watched(process, site.tell) as seen:
    site.wait_until(lambda: len(seen.results) >= 3 or seen.ended)
"""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TypeVar


@dataclass
class Watched:
    """What is seen of a process."""

    process: subprocess.Popen[bytes]
    results: list[bytes] = field(default_factory=list)  # lines of stdout: --results -
    said: list[bytes] = field(default_factory=list)  # lines of stderr

    @property
    def begun(self) -> bool:
        """Whether it has said what it is, which is just before its first request."""
        return self.said_any(b"scraper ")

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None

    def said_any(self, text: bytes) -> bool:
        """Whether a line of stderr holds `text`."""
        return any(text in line for line in list(self.said))


_Any = TypeVar("_Any", bound=Watched)


@contextmanager
def watched(seen: _Any, tell: Callable[[], None], *, stdout: bool = True) -> Iterator[_Any]:
    """Read what it says, and `tell` of each line and of its end.

    It is killed when the block is left, and read to its end. `stdout` False: nobody reads that.
    """
    process = seen.process
    streams = [(process.stderr, seen.said), *([(process.stdout, seen.results)] if stdout else [])]

    def read(stream: IO[bytes] | None, lines: list[bytes]) -> None:
        assert stream is not None
        for line in stream:
            lines.append(line)
            tell()

    def await_end() -> None:
        process.wait()
        tell()

    watchers = [threading.Thread(target=read, args=pair) for pair in streams]
    watchers.append(threading.Thread(target=await_end))
    for watcher in watchers:
        watcher.start()
    try:
        yield seen
    finally:
        process.kill()
        for watcher in watchers:
            watcher.join()
