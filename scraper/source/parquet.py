"""Parquet: rows of a table in columns, read by pyarrow (the extra `parquet`).

Columns are named as those of CSV are: `url`, `key`, sizes and digests, or what --url-column and
--key-column say. Rows come in batches, so memory does not grow with them. A file that comes from a
pipe is put into a temporary file first, since Parquet is read from its end.

Owns: that reading. Does not know: what fields mean (`fields.py`). pyarrow is imported here only.
"""

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO

from scraper.model.errors import BadTarget, ListBroken, ListError
from scraper.source.columns import place_of, refusal
from scraper.source.documents import Entry
from scraper.source.fields import EXPECTED

if TYPE_CHECKING:
    from scraper.source.sources import Source

_ROWS = 1_000  # of one batch
_BUFFER_BYTES = 1 << 16  # of one column; without it a column of a row group is read whole
_REASON_CHARS = 200


def read_parquet(source: "Source") -> Generator[Entry, None, None]:
    """What the rows say. Raises ListError if there is no such file, or no such column."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise ListError(
            f"the list {source.name!r} is Parquet: it needs pyarrow",
            hint="pip install 'scraper[parquet]', or write its columns as CSV",
        ) from None
    number = 0
    with _opened(source) as file:
        try:
            table = parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            wanted = _columns(table.schema_arrow.names, source)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            reason = _reason(error)
            raise ListError(
                f"the list {source.name!r} is no Parquet file that can be read: {reason}"
            ) from None
        try:
            for batch in table.iter_batches(_ROWS, columns=[*wanted], use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield _entry({wanted[name]: value for name, value in row.items()})
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            reason = f"row {number + 1:,}: {_reason(error)}"
            raise ListBroken(f"the list {source.name!r} broke off: {reason}") from None


def _opened(source: "Source") -> BinaryIO:
    """The bytes of the list, from its beginning to its end."""
    if source.path and not source.path.lower().endswith(".gz"):
        return open(source.path, "rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    with closing(source.open()) as pieces:
        for piece in pieces:
            file.write(piece)
    file.seek(0, os.SEEK_SET)
    return file


def _columns(names: Sequence[str], source: "Source") -> dict[str, str]:
    """The columns that say something, and what they are here. Raises ListError."""
    url, key = source.grammar.url_column or "url", source.grammar.key_column
    if not isinstance(url, str):
        raise ListError(
            f"the list {source.name!r} is Parquet, and names its columns",
            hint="give --url-column as a name",
        )
    wanted: dict[str, str] = {}
    for ours, name in (("url", url), ("key", str(key or "key")), *((one, one) for one in EXPECTED)):
        at = place_of(names, name)
        if at is None and (ours == "url" or (ours == "key" and key is not None)):
            raise refusal(source.name, name, names, source.grammar)
        if at is not None:
            wanted.setdefault(names[at], ours)
    return wanted


def _entry(row: dict[str, Any]) -> Entry:
    for name, value in row.items():
        if isinstance(value, bytes):
            row[name] = value.hex() if name in EXPECTED else value.decode("utf-8", "replace")
    if not isinstance(row["url"], str) or not row["url"]:
        return BadTarget("row has no URL")
    if isinstance(row.get("key"), int):
        row["key"] = str(row["key"])
    return row


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0][:_REASON_CHARS] or type(error).__name__
