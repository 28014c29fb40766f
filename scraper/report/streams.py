"""Streams: the lines of the log and the records of results, on their way to their readers.

Both write through `Writer`, so neither waits for a reader. The log may lose lines, and
says how many where they are missing. Results lose none while the run goes: `full` tells the
run to start nothing more until the reader has caught up.

Owns: what is written where, and what a reader that is slow, stopped or gone costs. Does not
know: what the lines say. A reader that leaves (`| head`) is not an error.
"""

import contextlib
import fcntl
import math
import os
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from scraper.manifest import encode
from scraper.model.errors import UsageError
from scraper.model.records import Result
from scraper.model.urls import printable
from scraper.report import outputs
from scraper.report.writer import Losses, Writer

_LOG_BYTES = 8 << 20  # of a log that wait for a reader: 50,000 lines and more
_LOG_PATIENCE_S = 10.0  # then lines are lost, if the reader has taken nothing


class Write(Protocol):
    """Where lines go."""

    def __call__(self, *lines: str) -> None:
        """Take lines without their ends."""


class Shows(Protocol):
    """A live display: shows lines above itself. `full` as `Lines` has it."""

    @property
    def full(self) -> bool: ...  # noqa: D102 - see above

    def print(self, *lines: str) -> None: ...  # noqa: D102 - see above


def forever() -> float:
    """A time that never comes: a reader is waited for as long as it takes."""
    return math.inf


def lines_lost(count: int) -> str:
    """The line that stands for lost ones, where nobody gives another."""
    return f"{count:,} lines of the log are missing here: they could not be written"


class Lines:
    """Lines of the log: for a file if there is one, else for stderr, or for a display.

    A file is opened by `open`, when the run holds its destination. Lines that come earlier
    wait for that. `on_error` is told when the file can't be written, `on_room` when `full` is
    over. `failed`: it could not be written; a reader that leaves is no failure. `lost_line` gives
    the line that stands for a number of lost ones.
    """

    def __init__(
        self,
        path: str | None,
        on_error: Callable[[OSError], None] = lambda _error: None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.lost_line: Callable[[int], str] = lines_lost
        self.failed = False
        self._path = path
        self._on_error = on_error
        self._on_room = on_room
        self._early: list[str] = []
        self._display: Shows | None = None
        self._file: Writer | None = None
        self._stderr: Writer | None = None
        self._opening = threading.Lock()  # totals come from a thread of their own
        if path is not None:
            outputs.check("--log-file", path)

    def open(self) -> None:
        """Open the file, and append the lines that waited. Raises UsageError."""
        if self._path is not None and self._file is None:
            output = outputs.to_append("--log-file", self._path)
            self._file = self._writer(output, self._on_file_error)
            early, self._early = self._early, []
            if early:
                self.write(*early)

    @property
    def full(self) -> bool:
        """Whether the reader of the log is so far behind that the run should wait for it."""
        readers = (self._file, self._stderr, self._display)
        return any(reader is not None and reader.full for reader in readers)

    def write(self, *lines: str) -> None:
        """Lines, at once, or as soon as their reader takes them."""
        if self._file is not None:
            self._file.write([f"{line}\n".encode() for line in lines])
        elif self._path is not None:
            self._early += lines
        else:
            self.to_stderr(*lines)

    def divert(self, display: Shows | None) -> None:
        """Let what stderr would get stand above a live display from now on, or no longer."""
        self._display = display

    def to_stderr(self, *lines: str) -> None:
        """Lines for stderr, whatever the log's file is."""
        self.show(*map(printable, lines))

    def show(self, *lines: str) -> None:
        """Printable lines for stderr. They may have colours."""
        if self._display is not None:
            self._display.print(*lines)
            return
        with self._opening:
            if self._stderr is None:
                self._stderr = self._of_stderr()
        if self._stderr is not None:
            encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
            self._stderr.write([f"{line}\n".encode(encoding, "backslashreplace") for line in lines])
        elif sys.stderr is not None:  # one that a caller put there, without a descriptor
            with contextlib.suppress(OSError):
                sys.stderr.write("".join(f"{line}\n" for line in lines))
                sys.stderr.flush()

    def close(self, until: Callable[[], float] = forever) -> bool:
        """Wait for the readers, not beyond `until()`, and go back to stderr.

        The return value says whether all that waited was written.
        """
        self._display = None
        written = True
        if self._file is not None:
            written &= self._file.finish(until)
            if self._file.lost:
                self.to_stderr(f"scraper: --log-file: {self._file.lost:,} lines were not written")
        if self._stderr is not None:
            written &= self._stderr.finish(until)
        self._file = self._stderr = self._path = None
        return written

    def _on_file_error(self, error: OSError) -> None:
        self.failed = self.failed or not isinstance(error, BrokenPipeError)
        self._on_error(error)

    def _of_stderr(self) -> Writer | None:
        try:
            return self._writer(outputs.of_descriptor(sys.stderr.fileno()), lambda _error: None)
        except (AttributeError, OSError, ValueError):
            return None

    def _writer(self, output: outputs.Output, on_error: Callable[[OSError], None]) -> Writer:
        losses = Losses(_LOG_PATIENCE_S, lambda lost: f"{self.lost_line(lost)}\n".encode())
        return Writer(output, on_error, self._on_room, full_bytes=_LOG_BYTES, losses=losses)


class ResultStream:
    """A receiver that writes records to stdout (`-`) or a file, when it hears of them.

    Nothing is opened or changed before `open`. `on_lost` is told when nothing more can be
    written; later results go nowhere. `on_room` is told when `full` is over. `run` is the id of
    the run.
    """

    def __init__(
        self,
        path: str | None,
        on_lost: Callable[[OSError], None],
        on_room: Callable[[], None] = lambda: None,
        run: str = "",
    ) -> None:
        self._path = path
        self._run = run
        self._on_lost = on_lost
        self._on_room = on_room
        self._writer: Writer | None = None
        if path == "-":
            if fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise UsageError("--results: can't write '-': stdout is closed")
        elif path is not None:
            outputs.check("--results", path)

    def open(self) -> None:
        """Open stdout or the file; a file is a new one from now on. Raises UsageError."""
        if self._path is not None:
            if self._path == "-":
                output = outputs.of_descriptor(sys.stdout.fileno())
            else:
                output = outputs.to_replace("--results", self._path)
            self._writer = Writer(output, self._on_lost, self._on_room)

    @property
    def full(self) -> bool:
        """Whether the reader is so far behind that the run should wait for it."""
        return self._writer is not None and self._writer.full

    def __call__(self, *results: Result) -> None:
        """Write the records of `results`."""
        if self._writer is not None:
            self._writer.write([encode(result, run=self._run) for result in results])

    def close(self, until: Callable[[], float] = forever) -> int:
        """Wait for the reader, not beyond `until()`. The number of records it did not get."""
        if self._writer is None:
            return 0
        writer, self._writer = self._writer, None
        writer.finish(until)
        return writer.lost
