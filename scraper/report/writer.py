"""A writer that never waits for its reader: lines that can't be written yet are kept.

    writer = Writer(output, on_error)
    writer.write([b"one", ...])   # at once if the reader takes it, else kept
    writer.full                   # whether the caller should produce no more for now
    writer.finish(until)          # wait for the reader at the end, but not beyond `until()`

A pipe that nobody reads takes nothing, nor does a terminal that is stopped (Ctrl-S). A program
that writes to them waits, and hears neither a signal nor a limit of the run. So the caller only
tries to write. When the reader takes nothing, a thread waits for it instead.

Where every line has to be written and the output is no file, that thread is there from the
start. A log may lose lines, so its thread is started when it is needed first. If the system
gives none then, what can't be written at once is lost, and counted.

Lines stay whole. No write to a pipe holds more than PIPE_BUF bytes, unless one line is
longer, and a pipe takes such a write as a whole or not at all (POSIX, write()). A part
of a line at the end of a file that is full is taken back.

Owns: the output, the lines that are kept, the thread, the count of lost lines. Does not
know: what the lines say, or what follows an error. Tried and rejected: a thread that
writes every line; the two threads would wake each other for each page.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from scraper.model.errors import NoThread
from scraper.model.threads import start_thread
from scraper.report.outputs import Output

FULL_BYTES = 1 << 20
_LOOK_AGAIN_S = 0.1  # at the end, since a signal may change how long to wait


class Losses(NamedTuple):
    """For a log, which may lose lines: when it does, and the line that stands for them.

    Lines are lost while too many are kept and the reader has taken nothing for `after_s`
    seconds, or when a write fails. `line(n)` stands for `n` lines where they are missing.
    """

    after_s: float
    line: Callable[[int], bytes]


class _Piece(NamedTuple):
    """Lines for one write, or the line that stands for `missing` ones."""

    data: bytes
    missing: int = 0

    @property
    def lines(self) -> int:
        """How many lines are lost with it; it may begin within one."""
        return 0 if self.missing else self.data.count(b"\n")


class Writer:
    """Writes lines to one output. All methods may be called from any thread.

    Without `losses` every line is kept until it is written; after an error all later ones are
    lost. `on_error` is told of the first error, and `on_room` when `full` is over, each from
    any thread. `lost` counts the lines that will never be written. Raises NoThread.
    """

    def __init__(
        self,
        output: Output,
        on_error: Callable[[OSError], None],
        on_room: Callable[[], None] = lambda: None,
        *,
        full_bytes: int = FULL_BYTES,
        losses: Losses | None = None,
    ) -> None:
        self.lost = 0
        self._output = output
        self._on_error = on_error
        self._on_room = on_room
        self._full_bytes = full_bytes
        self._losses = losses
        self._missing = 0  # lost lines that no other line stands for yet
        self._failed = False
        self._kept: deque[_Piece] = deque()  # the thread writes the first one
        self._bytes = 0
        self._moved_at = 0.0  # when the reader last took something, monotonic seconds
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._closing = False
        if losses is None and not output.is_file:
            self._thread = start_thread("writer", self._work)

    @property
    def full(self) -> bool:
        """Whether the caller should produce no more lines for now."""
        if self._bytes < self._full_bytes:
            return False
        return self._losses is None or not self._is_stuck(self._losses)

    def write(self, lines: Sequence[bytes]) -> None:
        """Write lines, each with its end, or keep them."""
        error = None
        with self._changed:
            if self._closing or self._loses():
                self._lose(len(lines))
                return
            pieces = deque([*self._take_missing(), *self._pieces(lines)])
            if not self._kept and not self._output.may_block:
                error = self._write_now(pieces)
            if pieces and self._has_thread():
                self._keep(pieces)
            elif pieces:
                error = self._write_untaken(pieces)
        if error is not None:
            self._on_error(error)

    def finish(self, until: Callable[[], float] = lambda: float("inf")) -> bool:
        """Write what is kept, and close. False if that took longer than `until()`.

        `until` gives monotonic seconds. It is asked again and again.
        """
        with self._changed:
            while self._kept and (left_s := until() - time.monotonic()) > 0:
                self._changed.wait(min(left_s, _LOOK_AGAIN_S))
            written, self._closing = not self._kept, True
            self._lose_all(self._take_kept())
            self._changed.notify_all()
        if self._thread is None:
            self._close()
        elif written and self._thread is not threading.current_thread():
            self._thread.join()
        return written

    # ------------------------------------------------------------ under the lock

    def _is_stuck(self, losses: Losses) -> bool:
        return time.monotonic() - self._moved_at >= losses.after_s

    def _loses(self) -> bool:
        if self._losses is None:
            return self._failed
        return self._bytes >= self._full_bytes and self._is_stuck(self._losses)

    def _lose(self, lines: int) -> None:
        self.lost += lines
        self._missing += lines

    def _lose_all(self, pieces: Iterable[_Piece]) -> None:
        for piece in pieces:
            self._lose(piece.lines)
            self._missing += piece.missing

    def _take_missing(self) -> Sequence[_Piece]:
        """The line that stands for those that are missing here, if any are."""
        if self._losses is None or not self._missing:
            return ()
        missing, self._missing = self._missing, 0
        return (_Piece(self._losses.line(missing), missing),)

    def _pieces(self, lines: Sequence[bytes]) -> Sequence[_Piece]:
        """Lines, joined as far as one write takes them whole."""
        if self._output.is_file:
            return [_Piece(b"".join(lines))]
        joined: list[bytes] = []
        for line in lines:
            if joined and len(joined[-1]) + len(line) <= select.PIPE_BUF:
                joined[-1] += line
            else:
                joined.append(line)
        return [_Piece(data) for data in joined]

    def _write_now(self, pieces: deque[_Piece]) -> OSError | None:
        """Write what the output takes at once, and remove it. The error to tell of, if any."""
        torn = 0  # bytes of a line whose end is not written yet
        try:
            while pieces:
                data, missing = pieces[0]
                taken = os.write(self._output.fd, data)
                end = data.rfind(b"\n", 0, taken) + 1
                torn = taken - end if end else torn + taken
                if taken == len(data):
                    pieces.popleft()
                else:
                    pieces[0] = _Piece(data[taken:], missing)
        except BlockingIOError:
            return None
        except OSError as error:
            self._output.cut(torn)
            return self._fail(pieces, error)
        return None

    def _fail(self, pieces: deque[_Piece], error: OSError) -> OSError | None:
        """Lose `pieces`. The error, if it is the first."""
        self._lose_all(pieces)
        pieces.clear()
        first, self._failed = not self._failed, True
        return error if first else None

    def _keep(self, pieces: Iterable[_Piece]) -> None:
        if not self._kept:
            self._moved_at = time.monotonic()
        for piece in pieces:
            self._kept.append(piece)
            self._bytes += len(piece.data)
        self._changed.notify_all()

    def _has_thread(self) -> bool:
        """Whether there is a thread that can wait for the reader, now at the latest."""
        if self._thread is None:
            with suppress(NoThread):
                self._thread = start_thread("writer", self._work)
        return self._thread is not None

    def _write_untaken(self, pieces: deque[_Piece]) -> OSError | None:
        """Without a thread: write the pieces that a socket takes at once, and lose the others."""
        error = None
        while pieces and error is None and self._output.may_block and _is_writable(self._output.fd):
            first = deque([pieces.popleft()])
            error = self._write_now(first)
        self._lose_all(pieces)
        return error

    def _take_kept(self) -> deque[_Piece]:
        """Everything that is kept; nothing is then."""
        kept, self._kept, self._bytes = self._kept, deque(), 0
        return kept

    # ------------------------------------------------------------ on the thread

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            error = self._put(piece)
            with self._changed:
                was_full = self._bytes >= self._full_bytes
                first = self._done(piece, error)
                has_room = was_full and self._bytes < self._full_bytes
                self._changed.notify_all()
            if first is not None:
                self._on_error(first)
            if has_room:
                self._on_room()
        self._close()

    def _next(self) -> _Piece | None:
        with self._changed:
            while not self._kept and not self._closing:
                self._changed.wait()
            return self._kept[0] if self._kept else None

    def _put(self, piece: _Piece) -> OSError | None:
        """Write one piece, however long it takes."""
        left = memoryview(piece.data)
        try:
            self._output.open()
            while left:
                try:
                    left = left[os.write(self._output.fd, left) :]
                except BlockingIOError:
                    ready = select.poll()
                    ready.register(self._output.fd, select.POLLOUT)
                    ready.poll()
        except OSError as error:
            return error
        return None

    def _done(self, piece: _Piece, error: OSError | None) -> OSError | None:
        """Remove the first piece. The error to tell of, if any."""
        if not self._kept:  # `finish` has waited long enough
            return None
        self._kept.popleft()
        self._bytes -= len(piece.data)
        self._moved_at = time.monotonic()
        if error is not None:
            others = self._take_kept() if self._losses is None else ()
            return self._fail(deque([piece, *others]), error)
        if not self._kept and (missing := self._take_missing()):
            self._keep(missing)
        return None

    def _close(self) -> None:
        fd, self._output.fd = self._output.fd, -1
        if fd < 0:
            return
        try:
            os.close(fd)
        except OSError as error:  # of a file on NFS: what it took may be lost (close(2))
            if self._output.is_file and not self._failed:
                self._failed = True
                self._on_error(error)


def _is_writable(fd: int) -> bool:
    """Whether a write of PIPE_BUF bytes would not wait. A FIFO without a reader (-1) is not."""
    if fd < 0:
        return False
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    return bool(ready.poll(0))
