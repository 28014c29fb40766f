"""Stdout, which one body at a time is written to.

A pipe may be full for hours. It is written to only when it has room, so a run that is told to end
does not hang. A reader that has left, as `head` does, ends the run: it has what it wanted.

A file takes back what it took of a body when its disk is full. With `>>` the kernel puts each write
at the end of the file, whatever the offset of the descriptor is: so a body begins at that end.
Bytes of others behind it are not cut off: then a part of the body stays, and nothing follows.

Owns: these rules. Does not know: bodies. Rejected: a descriptor that does not block; that is a
property of the open file, and other programs may share it.
"""

import fcntl
import os
import select
import stat
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress

from scraper.model.errors import READER_LEFT, DestinationError, ReaderLeft, SinkError
from scraper.sinks.archives.packed import in_groups

_AT_ONCE = 4096  # PIPE_BUF of Linux: a pipe that is ready takes that much without a wait
_LOOK_MS = 200


class Stdout:
    """See the module. Any thread. `begun`: whether anything was written."""

    def __init__(self) -> None:
        self.begun = False
        self._writing = threading.Lock()
        self._over = False
        self._broken: DestinationError | None = None  # nothing more is written
        self._fd = -1
        self._is_file = False
        self._wrote = 0  # bytes so far

    def check(self) -> bool:
        """Look at it; whether it is a terminal. Raises DestinationError."""
        try:
            self._fd = -1 if sys.stdout is None else sys.stdout.fileno()
            found, flags = os.fstat(self._fd), fcntl.fcntl(self._fd, fcntl.F_GETFL)
        except (OSError, ValueError):
            raise DestinationError("stdout is closed") from None
        if flags & os.O_ACCMODE == os.O_RDONLY:  # with `>&-` the command line puts such a one there
            raise DestinationError("stdout is closed")
        self._is_file = stat.S_ISREG(found.st_mode)
        return os.isatty(self._fd)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write all of them, or nothing that counts. Raises OSError, DestinationError, SinkError.

        What a pipe took of them can't be taken back: then nothing more is written.
        """
        with self._writing:
            if self._broken is not None:
                raise self._broken
            if self._over:
                raise SinkError("can't write to stdout: the run is over", transient=False)
            start, wrote = self._start() if self._is_file else 0, self._wrote
            self._broken = DestinationError("stdout has a part of a body: nothing may follow")
            try:
                for piece in in_groups(pieces):
                    self._put(piece)
            except BrokenPipeError:
                self._broken = ReaderLeft(READER_LEFT)
                raise self._broken from None
            except OSError as error:
                why = DestinationError(f"stdout takes no more: {error.strerror or error}")
                self._broken = why
                self._take_back(start, self._wrote - wrote)
                raise why from None
            self._broken, self.begun = None, True

    def sync(self) -> None:
        """Return when a file is on the disk. Raises DestinationError."""
        if self._is_file:
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise DestinationError(f"stdout takes no more: {error.strerror}") from None

    def close(self) -> None:
        """Nothing is written any more. A write that waits for a reader is given up."""
        self._over = True

    def _start(self) -> int:
        """Where the next write of a file goes. Raises OSError."""
        if fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_APPEND:
            return os.fstat(self._fd).st_size
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def _put(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            if not self._is_file:
                self._wait()
            took = os.write(self._fd, left if self._is_file else left[:_AT_ONCE])
            self._wrote += took
            left = left[took:]

    def _wait(self) -> None:
        room = select.poll()
        room.register(self._fd, select.POLLOUT)
        while not room.poll(_LOOK_MS):
            if self._over:
                raise SinkError("nobody reads stdout, and the run is over", transient=False)

    def _take_back(self, start: int, size: int) -> None:
        """Cut off the `size` bytes from `start` on, if they are the last ones of a file."""
        with suppress(OSError):
            if self._is_file and os.fstat(self._fd).st_size == start + size:
                os.ftruncate(self._fd, start)
                os.lseek(self._fd, start, os.SEEK_SET)
                self._broken = None
