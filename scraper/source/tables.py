"""Tables: the rows of a CSV or TSV list.

CSV is RFC 4180: a cell in quotes may hold commas and line breaks. A row that can't be read costs
its first line alone; reading goes on with the line after that. TSV is
https://www.iana.org/assignments/media-types/text/tab-separated-values: each line is a row, and a
quote is a character like any other. No line of a table is a comment, but for lines above the
header.

Owns: rows and their line numbers. Does not know: what a URL or a key is (`lists.py`), which
columns hold them (`columns.py`). Rejected: csv.DictReader, which builds a dict for each row and
does not count lines; a lenient reader, for which a quote in the wrong place makes another URL;
csv.reader for lines without a quote, which `str.split` reads in half the time.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from scraper.model.errors import BadTarget
from scraper.source.lines import LINE_BREAK, MAX_LINE_BYTES, check_length

Dialect = Literal["csv", "tsv"]

MAX_ROW_BYTES = 1 << 20  # of a row of several lines
_SEPARATORS: dict[Dialect, str] = {"csv": ",", "tsv": "\t"}
_READ_AGAIN = 8  # bytes read again for each byte of rows with a quote, at most
_UNCLOSED = "a quote is never closed"


class Row(NamedTuple):
    """A row that is not blank. `number` and `first` are of its first line.

    `wrong`: why it can't be read, or "". `torn`: it is not UTF-8; such bytes are surrogates.
    """

    number: int
    first: bytes
    cells: list[str]
    wrong: str = ""
    torn: bool = False


class Table:
    """The rows of one list. csv.reader takes the lines of a row with quotes from this object."""

    def __init__(self, lines: Iterable[bytes], dialect: Dialect) -> None:
        self.dialect = dialect
        self._lines = iter(lines)
        self._again: deque[bytes] = deque()  # lines of a row that could not be read, but its first
        self.count = 0  # the number of the line last taken
        self._row: list[bytes] = []  # the lines of a row with quotes, so far
        self._row_bytes = 0
        self._alone = 0  # so many lines of `_again` are rows of one line
        self._fresh = self._read_again = 0  # bytes
        self._first = b""
        self._reader: Iterator[list[str]] | None = None

    def rows(self, most: int = -1) -> Iterator[Row]:
        """Every row in order.

        `most`: how many cells matter. Where a row has more, the rest of it may come as one cell.
        """
        separator, quotes = _SEPARATORS[self.dialect], self.dialect == "csv"
        again, lines = self._again, self._lines
        while (raw := again.popleft() if again else next(lines, None)) is not None:
            self.count += 1
            if quotes and b'"' in raw:
                row = self._quoted(raw)
            else:
                if self._alone:
                    self._alone -= 1
                row = _unquoted(self.count, raw, separator, most)
            if row.wrong or any(row.cells):
                yield row

    def _quoted(self, raw: bytes) -> Row:
        """The row that begins with the line `raw`, which has a quote."""
        import csv  # few lists are tables with quotes

        if self._reader is None:
            self._reader = csv.reader(self, strict=True)
        self._first, self._row, self._row_bytes = raw, [], 0
        number = self.count
        wrong, cells = "", []
        try:
            cells = next(self._reader)
        except csv.Error as error:
            wrong = _reason_of(str(error))
        except BadTarget as error:
            wrong = error.message
        if wrong:
            self._go_back(number)
        self._alone = max(0, self._alone - self.count + number - 1)
        torn = any(not cell.isascii() and not _is_text(cell) for cell in cells)
        return Row(number, raw, cells, wrong, torn)

    def _go_back(self, number: int) -> None:
        """Let the lines after the first one of this row, which is line `number`, come again.

        A list may be made so that each of its lines begins a row of a megabyte that can't be
        read. So lines that came again too often are rows of one line.
        """
        self._again.extendleft(reversed(self._row[1:]))
        self.count = number
        self._read_again += self._row_bytes
        if self._read_again > MAX_ROW_BYTES + _READ_AGAIN * self._fresh:
            self._alone = len(self._again) + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line of a row with quotes, for csv.reader. Raises BadTarget."""
        if not self._row:
            raw = self._first
        else:
            if self._alone:
                raise BadTarget(_UNCLOSED)
            if self._row_bytes > MAX_ROW_BYTES:
                raise BadTarget(f"{_UNCLOSED}, or a row is longer than {MAX_ROW_BYTES:,} bytes")
            is_fresh = not self._again
            raw = next(self._lines) if is_fresh else self._again.popleft()
            self.count += 1
            self._fresh += len(raw) if is_fresh else 0
        self._row.append(raw)
        self._row_bytes += len(raw)
        if len(raw) > MAX_LINE_BYTES:
            check_length(raw)
        return raw.decode("utf-8", "surrogateescape")


def _unquoted(number: int, raw: bytes, separator: str, most: int) -> Row:
    """The row that a line without quotes is, for this separator."""
    torn = False
    try:
        if len(raw) > MAX_LINE_BYTES:
            check_length(raw)
        text = raw.decode()
    except UnicodeDecodeError:
        text, torn = raw.decode("utf-8", "surrogateescape"), True
    except BadTarget as error:
        return Row(number, raw, [], error.message)
    text = text.rstrip("\r\n")
    if "\r" in text:
        return Row(number, raw, [], LINE_BREAK)
    return Row(number, raw, text.split(separator, most), "", torn)


def _is_text(cell: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in cell)


def _reason_of(message: str) -> str:
    """Csv's message in the words of the list's grammar."""
    if message.startswith("new-line character"):
        return LINE_BREAK
    return _UNCLOSED if message == "unexpected end of data" else f"no row: {message}"
