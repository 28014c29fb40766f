"""An export as Parquet, written by pyarrow (the extra `parquet`), some rows at a time.

Every column is there, with its type, whatever the records have: no reader guesses. `started` is a
timestamp in UTC, with the milliseconds.

Owns: this format. Does not know: columns (`export_columns.py`).
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, BinaryIO

from scraper.model.dates import has_date, parse_rfc3339
from scraper.model.errors import UsageError
from scraper.report.export_columns import COLUMNS, NUMBER, TEXT, cells

_ROWS = 16_384  # of a row group: more of them take more memory


def write_parquet(records: Iterable[Mapping[str, Any]], output: BinaryIO) -> None:
    """Write `records`. Raises OSError, UsageError without pyarrow, and what `records` raises."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow", hint="pip install 'scraper[parquet]'"
        ) from None
    moment = pa.timestamp("ms", tz="UTC")
    types = {TEXT: pa.string(), NUMBER: pa.float64()}
    fields = [(name, types.get(type_, pa.int64())) for name, type_ in COLUMNS.items()]
    schema = pa.schema([(name, moment if name == "started" else kind) for name, kind in fields])
    left = map(_row, records)
    with parquet.ParquetWriter(output, schema, compression="zstd") as writer:
        while rows := list(islice(left, _ROWS)):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(one, kind) for one, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    row = dict(zip(COLUMNS, cells(record), strict=True))
    at = row["started_at"]
    exact = at is not None and has_date(at)
    row["started"] = round(at * 1000) if exact else parse_rfc3339(row["started"])
    return tuple(_whole(value) if isinstance(value, str) else value for value in row.values())


def _whole(text: str) -> str:
    """`text` without lone surrogates, which are not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
