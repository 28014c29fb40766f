"""Tables: the rows of a CSV or TSV list, and which columns hold the URL and the key.

The first row names the columns. A list needs a column `url` and may have a column `key`.

Owns: rows, their line numbers, the look-up of columns. Does not know: what a URL or a key is
(`lists.py`). Rejected: csv.DictReader, which builds a dict for each row and does not count
lines; a lenient reader, for which a quote in the wrong place makes another URL.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from scraper.model.errors import BadTarget, ListError
from scraper.source.lines import LINE_BREAK, MAX_LINE_BYTES, check_length

Dialect = Literal["excel", "excel-tab"]  # as csv calls them


def dialect_of(name: str) -> Dialect | None:
    """How the list of this name is written: CSV or TSV; None if it is no table."""
    stem = name.lower().removesuffix(".gz")
    if stem.endswith(".csv"):
        return "excel"
    return "excel-tab" if stem.endswith(".tsv") else None


class Table:
    """Rows of CSV or TSV. `number` and `first` are of the first line of the row last taken.

    csv.reader takes its lines from this object. So after a BadTarget the next row can still be
    taken.
    """

    def __init__(self, lines: Iterable[bytes], dialect: Dialect) -> None:
        import csv  # few lists are tables

        self.number = 0
        self.first = b""
        self._lines = iter(lines)
        self._count = 0
        self._begun = False  # the row that is being read
        self._error = csv.Error
        self._rows = csv.reader(self, dialect, strict=True)

    def row(self) -> list[str] | None:
        """The next row that is not blank, None after the last one. Raises BadTarget."""
        while True:
            self._begun = False
            try:
                row = next(self._rows, None)
            except self._error as error:
                raise BadTarget(_reason_of(str(error))) from None
            if row is None or any(row):
                return row

    def columns(self, name: str) -> tuple[int, int | None]:
        """Take the first row; the places of URL and key in it, None for a key that is not there.

        Raises ListError if the list `name` has no column of URLs.
        """
        try:
            header = self.row()
        except BadTarget as error:
            raise ListError(f"can't read the list {name!r}: {error}") from None
        if header is None:
            return 0, None  # the list is empty
        names = [column.strip().lower() for column in header]
        if "url" not in names:
            raise ListError(
                f"the list {name!r} has no column named 'url' in its first line",
                hint=_columns_there(names),
            )
        return names.index("url"), names.index("key") if "key" in names else None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while True:
            raw = next(self._lines)
            self._count += 1
            if not self._begun:
                self.number, self.first = self._count, raw
            if len(raw) > MAX_LINE_BYTES:
                check_length(raw)
            if self._begun or not raw.startswith(b"#"):  # a comment may hold a quote
                self._begun = True
                return raw.decode("utf-8", "surrogateescape")


def _columns_there(names: Sequence[str]) -> str:
    """The hint for a table without a column `url`: what it has instead."""
    if any(name.startswith(("http://", "https://")) for name in names):
        return "the first line names the columns: url, or url and key"
    shown = ", ".join(repr(name[:40]) for name in names[:8])
    return f"it has {shown}: call the column with the URLs url"


def _reason_of(message: str) -> str:
    """Csv's message in the words of the list's grammar."""
    if message.startswith("new-line character"):
        return LINE_BREAK
    return (
        "a quote is never closed" if message == "unexpected end of data" else f"no row: {message}"
    )
