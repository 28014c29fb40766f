"""Streams: where the words of a run go, and what happens when nobody listens.

Owns: stderr or the log file, and the stream of results. Refuses to know: what
the words say. A reader that goes away (`| head`) is no error of ours.
"""

import contextlib
import os
import select
import sys
from collections.abc import Callable
from fcntl import F_GETFL, fcntl
from typing import Protocol

from scraper.manifest import encode
from scraper.model.errors import UsageError
from scraper.model.records import Result
from scraper.model.urls import printable


class Write(Protocol):
    """Where lines go."""

    def __call__(self, *lines: str) -> None:
        """Take lines without their ends."""


class Lines:
    """Lines of the log: to a file if there is one, else to stderr or to what shows a display."""

    def __init__(self, path: str | None) -> None:
        self._write: Write = self.to_stderr
        self._file = None
        if path is not None:
            try:
                self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
            except OSError as error:
                raise UsageError(f"--log-file: can't write {path!r}: {error.strerror}") from None

    def write(self, *lines: str) -> None:
        """Lines, at once. A full disk or a closed stderr costs the lines, not the run."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.write("\n".join(lines) + "\n")
            else:
                self._write(*lines)

    def divert(self, write: Write) -> None:
        """Print above a live display from now on."""
        self._write = write

    @staticmethod
    def to_stderr(*lines: str) -> None:
        """Straight to stderr, if there is one."""
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.write("\n".join(map(printable, lines)) + "\n")
                sys.stderr.flush()

    def close(self) -> None:
        """Back to stderr."""
        self._write = self.to_stderr
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


class ResultStream:
    """A receiver that writes records to stdout (`-`) or a file, when it hears of them.

    `on_lost` is told when nothing more can be written; later results go nowhere.
    """

    def __init__(self, path: str | None, on_lost: Callable[[OSError], None]) -> None:
        self._on_lost = on_lost
        self._fd = -1
        if path == "-":
            self._fd = os.dup(sys.stdout.fileno())
            if fcntl(self._fd, F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise UsageError("--results: can't write '-': stdout is closed")
        elif path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            except OSError as error:
                raise UsageError(f"--results: can't write {path!r}: {error.strerror}") from None

    def __call__(self, *results: Result) -> None:
        """Write the records of `results`."""
        if self._fd < 0:
            return
        view = memoryview(b"".join(map(encode, results)))
        try:
            while view:
                try:
                    view = view[os.write(self._fd, view) :]
                except BlockingIOError:  # somebody who shares this pipe made it so
                    select.select([], [self._fd], [])
        except OSError as error:
            self.close()
            self._on_lost(error)

    def close(self) -> None:
        """Write no more."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
