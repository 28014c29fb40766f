"""Lines: the bytes of a list, cut into lines.

gzip is recognised by its first two bytes, and a byte order mark of UTF-8 is dropped. A line
that is too long is cut, so memory stays bounded whatever the list holds. A list that is no text of
lines, such as a sitemap, is read in pieces.

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
from typing import TYPE_CHECKING

from scraper.model.errors import BadTarget, ListBroken

if TYPE_CHECKING:
    from scraper.source.grammar import Format

MAX_LINE_BYTES = 65_536  # without the line end
GZIP = b"\x1f\x8b"
LINE_BREAK = "line break within a line: lines end with LF or CR LF"
BLANK = " \r\n\f\v"  # the URL standard strips these, and control characters, from a URL's ends

Note = Callable[[str], None]  # hears what is to be said of a list

_TAKEN_BYTES = MAX_LINE_BYTES + 2  # the most that is read of one line, with its end
_BOM = b"\xef\xbb\xbf"
_PIECE_BYTES = 65_536


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


class Beginning(bytes):
    """The first piece of a list that turned out to be none of lines. Further pieces follow.

    `form`: its format (`grammar.py`).
    """

    form: "Format"


def read_lines(
    file: io.BufferedReader, name: str, *, is_known: bool = False
) -> Generator[bytes, None, None]:
    """Every line of `file` with its end, gunzipped; `file` is closed afterwards.

    A line longer than MAX_LINE_BYTES is yielded up to its first `MAX_LINE_BYTES + 2` bytes, and
    the rest of it is dropped. Raises ListError if this is no list, and ListBroken if it breaks off.
    A sitemap comes as Beginning and in pieces, unless it `is_known` that the list is one of lines.
    """
    return _told(file, name, _lines_of(file, name, is_known=is_known))


def read_pieces(file: io.BufferedReader, name: str) -> Generator[bytes, None, None]:
    """Every byte of `file`, gunzipped, in pieces. See `read_lines`."""
    return _told(file, name, _pieces_of(_gunzipped(file)))


def _told(
    file: io.BufferedReader, name: str, parts: Generator[bytes, None, None]
) -> Generator[bytes, None, None]:
    try:
        yield from parts
    except (OSError, EOFError, zlib.error) as error:  # EOFError: a torn gzip file
        raise ListBroken(f"the list {name!r} broke off: {error}") from None
    finally:
        with contextlib.suppress(OSError):  # nothing is lost: it was read
            file.close()


def _lines_of(
    file: io.BufferedReader, name: str, *, is_known: bool
) -> Generator[bytes, None, None]:
    reader = _gunzipped(file)
    taken = reader.readline(len(_BOM) + _TAKEN_BYTES)
    line = taken.removeprefix(_BOM)
    while line.isspace():
        yield line
        line = taken = reader.readline(_TAKEN_BYTES)
    if not line.startswith(b"http"):
        if not is_known and line.lstrip().startswith((b"<", b"PAR1")):
            from scraper.source.markup import beginning_of  # most lists begin with a URL

            if (first := beginning_of(line, partial(reader.readline, _TAKEN_BYTES))) is not None:
                yield first
                yield from _pieces_of(reader)
                return
        from scraper.source.foreign import check_beginning

        check_beginning(line, name)
    while taken:
        yield line
        while len(taken) >= _TAKEN_BYTES and not taken.endswith(b"\n"):
            taken = reader.readline(_TAKEN_BYTES)
        line = taken = reader.readline(_TAKEN_BYTES)


def _gunzipped(file: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    head = file.peek(2)[:2]
    if head and head == GZIP[: len(head)]:  # a slow pipe may have given one byte so far
        return gzip.GzipFile(fileobj=Unbuffered(partial(_read_available, file)))
    return file


def _pieces_of(reader: io.BufferedReader | gzip.GzipFile) -> Generator[bytes, None, None]:
    while piece := reader.read1(_PIECE_BYTES):
        yield piece


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
