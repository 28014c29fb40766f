"""Responses of http.client, read strictly: what the standard library accepts is narrowed.

Owns: the end of a head, which headers are accepted, the length of a body, the framing of chunks
(RFC 9112). Does not know: connections, and what a response means.
"""

import re
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from urllib3.exceptions import HeaderParsingError
from urllib3.util.response import assert_header_parsing

from scraper.engines import heads
from scraper.transfer import OWS

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")


class _Head:
    """The lines of a response's head. Only an empty line ends it, not the end of the connection.

    http.client refuses a head of more than 100 lines, as it counts them. So header lines are
    given to it in batches, which it takes for lines.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._size = 0
        self._lines = 0
        self._interim = 0
        self._ahead = b""  # the line that did not go into the last batch
        self.lines: list[bytes] = []  # of the head that counts

    def readline(self, limit: int) -> bytes:
        """The status line, or a batch of header lines, or the empty line that ends the head."""
        if not (self._size or self._ahead):
            line = self._read(limit)
            self.lines = [line]
            return line
        batch, size = [], 0
        line = self._ahead or self._read(limit)
        while line and line not in heads.BLANK and size + len(line) < limit:
            batch.append(line)
            size += len(line)
            line = self._read(limit)
        self._ahead = line if batch else b""
        self.lines += batch
        return b"".join(batch) or line

    def _read(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        torn = len(line) < limit and not line.endswith(b"\n")
        if torn and (self._size or line[:5] == b"HTTP/"[: len(line)]):
            raise ConnectionResetError("closed within the headers")
        if line and not self._size:
            self._lines = 0
            self._interim += heads.is_interim(heads.status_of(line))
            heads.check_interim(self._interim)
        elif line and line not in heads.BLANK:
            heads.check_name(line)
            self._lines += 1
            if self._lines > heads.MOST_HEADERS:
                raise heads.too_many()
        self._size = 0 if line in heads.BLANK else self._size + len(line)
        heads.check_line(line, self._size)
        return line


class StrictResponse(HTTPResponse):
    """The standard library's response without its gaps.

    The standard library accepts a head that ends with the connection. It takes `103 Early Hints`
    for the response itself, and ignores the line `From me`. After a header line that it can't
    read it drops all others, the length of the body among them.
    """

    def begin(self) -> None:
        """Read the head. Raises HTTPException for one that is not accepted."""
        head = _Head(self.fp)
        stream, self.fp = self.fp, head  # type: ignore[assignment]
        try:
            super().begin()
            while heads.is_interim(self.status):
                self.headers = self.msg = None  # type: ignore[assignment]
                super().begin()
            assert_header_parsing(self.msg)
        except heads.NotHttp as error:
            raise HTTPException(str(error)) from None
        except HeaderParsingError:
            raise HTTPException("a line among the headers is none") from None
        finally:
            self.fp = stream
        self.raw_lines = head.lines
        self._frame()
        if self.msg.get_unixfrom():
            raise HTTPException("a line among the headers is none")
        if len(set(filter(None, self.msg.get_all("location", [])))) > 1:
            raise HTTPException("several Location headers that differ")

    def _frame(self) -> None:
        """Find the end of the body if the head gives it in a form that the library ignores.

        A value may be folded, or have a tab after it, or be `5, 5`. The transfer refuses values
        that make no sense.
        """
        if self.chunked or self.status in {204, 304}:
            return
        codings = {value.strip(OWS).lower() for value in self.msg.get_all("transfer-encoding", [])}
        lengths = {part.strip(OWS) for part in self.msg.get("content-length", "").split(",")}
        if codings == {"chunked"}:
            self.chunked, self.chunk_left, self.length = True, None, None
        elif self.length is None and len(lengths) == 1 and (said := lengths.pop()).isdecimal():
            self.length = int(said[:18])

    def _get_chunk_left(self) -> int | None:
        """Check the end of a chunk: the library drops any two bytes there (RFC 9112 7.1)."""
        if self.chunk_left == 0:
            if self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]
                raise IncompleteRead(b"")
            self.chunk_left = None
        return super()._get_chunk_left()  # type: ignore[misc,no-any-return]

    def _read_next_chunk_size(self) -> int:
        """Refuse sizes that only Python accepts: `+5`, ` 5`, `0_5` (RFC 9112 7.1)."""
        line = self.fp.readline(heads.MOST_LINE)
        found = _CHUNK_SIZE.match(line)
        if found is None or not line.endswith(b"\r\n"):
            self._close_conn()  # type: ignore[attr-defined]
            raise ValueError("no size of a chunk")
        return int(found[0], 16)

    def _read_and_discard_trailer(self) -> None:
        """Read headers up to an empty line. Without it the body is not complete."""
        size = 0
        while (line := self.fp.readline(heads.MOST_LINE)) != b"\r\n":
            size += len(line)
            if b":" not in line or not line.endswith(b"\r\n") or size > heads.MOST_BYTES:
                raise IncompleteRead(b"")
