"""Lines: the bytes of a list, cut into lines.

gzip is recognised by its first two bytes, and a byte order mark of UTF-8 is dropped. A line
that is too long is cut, so memory stays bounded whatever the list holds.

Owns: reading a list's bytes, and the longest line. Does not know: what is no list (`foreign.py`),
what a line means (`lists.py`), where the bytes come from (`sources.py`). Rejected: text mode,
which splits at more characters than the grammar has line ends.
"""

import contextlib
import gzip
import io
import zlib
from collections.abc import Callable, Generator
from functools import partial

from scraper.model.errors import BadTarget, ListBroken

MAX_LINE_BYTES = 65_536  # without the line end
GZIP = b"\x1f\x8b"
LINE_BREAK = "line break within a line: lines end with LF or CR LF"
BLANK = " \r\n\f\v"  # the URL standard strips these, and control characters, from a URL's ends

Note = Callable[[str], None]  # hears what is to be said of a list

_TAKEN_BYTES = MAX_LINE_BYTES + 2  # the most that is read of one line, with its end
_BOM = b"\xef\xbb\xbf"


class Unbuffered(io.RawIOBase):
    """A stream that returns what one call of `read` returns, and does not wait for more.

    Closing it closes nothing.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        """True: this is a stream to read from."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the start; the number of bytes, 0 at the end."""
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read_lines(file: io.BufferedReader, name: str) -> Generator[bytes, None, None]:
    """Every line of `file` with its end, gunzipped; `file` is closed afterwards.

    A line longer than MAX_LINE_BYTES is yielded up to its first `MAX_LINE_BYTES + 2` bytes, and
    the rest of it is dropped. Raises ListError if this is no list, and ListBroken if it breaks off.
    """
    try:
        yield from _lines_of(file, name)
    except (OSError, EOFError, zlib.error) as error:  # EOFError: a torn gzip file
        raise ListBroken(f"the list {name!r} broke off: {error}") from None
    finally:
        with contextlib.suppress(OSError):  # nothing is lost: it was read
            file.close()


def _lines_of(file: io.BufferedReader, name: str) -> Generator[bytes, None, None]:
    reader: io.BufferedReader | gzip.GzipFile = file
    head = file.peek(2)[:2]
    if head and head == GZIP[: len(head)]:  # a slow pipe may have given one byte so far
        reader = gzip.GzipFile(fileobj=Unbuffered(partial(_read_available, file)))
    taken = reader.readline(len(_BOM) + _TAKEN_BYTES)
    line = taken.removeprefix(_BOM)
    while line.isspace():
        yield line
        line = taken = reader.readline(_TAKEN_BYTES)
    if not line.startswith(b"http"):
        from scraper.source.foreign import check_beginning  # most lists begin with a URL

        check_beginning(line, name)
    while taken:
        yield line
        while len(taken) >= _TAKEN_BYTES and not taken.endswith(b"\n"):
            taken = reader.readline(_TAKEN_BYTES)
        line = taken = reader.readline(_TAKEN_BYTES)


def _read_available(file: io.BufferedReader, size: int) -> bytes:
    """Bytes for gzip. It asks for headers and trailers in a few bytes and needs all of them."""
    return file.read(size) if size < 16 else file.read1(size)


def check_length(line: bytes) -> None:
    """Raise BadTarget if `line` is longer than MAX_LINE_BYTES."""
    if len(line.removesuffix(b"\n").removesuffix(b"\r")) > MAX_LINE_BYTES:
        raise BadTarget(f"line is longer than {MAX_LINE_BYTES:,} bytes")


def nobody(_: str) -> None:
    """Hear no note."""


def in_one_line(url: str) -> str:
    """The URL without blanks around it. Raises BadTarget for a line break in it.

    The URL standard drops line breaks, so two URLs would become one.
    """
    url = url.strip(BLANK)
    if "\n" in url or "\r" in url:
        raise BadTarget("URL has a line break")
    return url
