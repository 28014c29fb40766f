"""An export as CSV (RFC 4180, in UTF-8, with a header), safe to open in a spreadsheet.

A text that begins as a formula does (`=`, `+`, `-`, `@`, TAB, CR) gets an apostrophe before it, as
OWASP's page on CSV injection says. Servers choose many of these texts. Who needs them exactly takes
another format.

Owns: this format. Does not know: columns (`export_columns.py`).
"""

import csv
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from typing import Any, BinaryIO

from scraper.report.export_columns import COLUMNS, cells

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(records: Iterable[Mapping[str, Any]], output: BinaryIO) -> None:
    """Write `records`. Raises OSError, and what `records` raises."""
    text = TextIOWrapper(output, "utf-8", errors="backslashreplace", newline="")
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(_safe, map(cells, records)))
        text.flush()
    finally:
        text.detach()


def _safe(row: list[Any]) -> list[Any]:
    return [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row
    ]
