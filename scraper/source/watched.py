"""WatchedFile: a list in a file, which may change while it is read.

A run reads its list over hours. If the file is written anew in place meanwhile (`> urls.txt`, an
editor that keeps the file), the run gets the beginning of one list and the end of another. That
is found out at the end: where size or times of the file are not those of the beginning, what was
read is read once more and compared by its CRC-32. A file that has only grown is fine, and so is
one that was replaced (`mv`), since the old file stays open.

Owns: that comparison. Does not know: lines. Rejected: a copy of the list before the run, which
would read it twice every time; a lock, which no editor asks for.
"""

import io
import os
import stat
import zlib
from collections.abc import Callable, Generator

from scraper.model.errors import ListChanged
from scraper.source.lines import read_lines

_PIECE = 1 << 16
Read = Callable[[io.BufferedReader, str], Generator[bytes, None, None]]


def watched_lines(fd: int, name: str, read: Read = read_lines) -> Generator[bytes, None, None]:
    """Every line of the open file `fd`, which is closed then. See `lines.read_lines`.

    `read`: that, or `lines.read_pieces`.

    Raises ListChanged after the last line if these were not the lines of one file.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        yield from read(open(fd, "rb"), name)  # noqa: SIM115 - closed by `read`
        return
    file = _WatchedFile(fd)
    yield from read(io.BufferedReader(file, _PIECE), name)
    if file.change:
        raise ListChanged(f"the list {name!r} {file.change}, so lines may be missing or mixed up")


class _WatchedFile(io.FileIO):
    """A file that is read from where it is to its end. `change` is set when it is closed."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "rb")
        self.change = ""
        self._first = self.tell()
        self._size = self._crc = 0  # of what was read
        self._state = _state(self.fileno())
        self._at_end = False

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        """See `io.RawIOBase`."""
        size = super().readinto(buffer)
        self._crc = zlib.crc32(buffer[:size], self._crc)
        self._size += size or 0
        self._at_end = not size
        return size

    def close(self) -> None:
        """See what has become of the file, and close it."""
        if not self.closed and self._at_end and _state(self.fileno()) != self._state:
            self.change = self._changed()
        super().close()

    def _changed(self) -> str:
        size_before = self._state[0]
        if os.fstat(self.fileno()).st_size < max(size_before, self._first + self._size):
            return "was cut short while it was read"
        crc, at, end = 0, self._first, self._first + self._size
        while at < end and (piece := os.pread(self.fileno(), min(_PIECE, end - at), at)):
            crc, at = zlib.crc32(piece, crc), at + len(piece)
        return "" if crc == self._crc else "was rewritten while it was read"


def _state(fd: int) -> tuple[int, int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
