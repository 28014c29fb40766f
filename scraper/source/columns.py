"""Columns: which cells of a table hold the URL, the key, and what is expected of the body.

Owns: the look-up by name or by place, and the refusal of a table without such a column, which
names the columns that are there. Does not know: rows (`tables.py`), URLs (`lists.py`). Rejected:
a guess at the column whose cells look like URLs. A table may have several of them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scraper.model.errors import ListError
from scraper.source.fields import EXPECTED
from scraper.source.grammar import Column, Grammar
from scraper.source.tables import Row, Table

_SHOWN = 8  # columns in a message
_NOWHERE = 1 << 30  # the place of a column that is not there


class Columns(NamedTuple):
    """The rows below the header, and the places in them of URL and key, from 0 on.

    `expected`: the names and places of sizes and digests (`model/expected.py`).
    """

    rows: Iterator[Row]
    url: int
    key: int
    expected: tuple[tuple[str, int], ...] = ()


def columns_of(table: Table, grammar: Grammar, name: str) -> Columns:
    """Take the header, if there is one. Raises ListError if the list `name` has no such columns."""
    if isinstance(grammar.url_column, int):
        return _byplace_of(table, grammar.url_column, grammar.key_column, name)
    rows = table.rows()
    wanted = grammar.url_column or "url"
    names: list[str] = []
    for row in rows:
        if row.wrong:
            raise ListError(f"can't read the list {name!r}: {row.wrong}")
        names = _names(row, table.dialect)
        if place_of(names, wanted) is not None or not row.first.startswith(b"#"):
            break
    else:
        return Columns(rows, _NOWHERE, _NOWHERE)  # the list is empty
    url, key = place_of(names, wanted), place_of(names, str(grammar.key_column or "key"))
    if url is None:
        raise refusal(name, wanted, names, grammar)
    if key is None and grammar.key_column is not None:
        raise refusal(name, str(grammar.key_column), names, grammar)
    named = ((one, place_of(names, one)) for one in EXPECTED)
    expected = tuple((one, at) for one, at in named if at is not None and at not in {url, key})
    most = max(url, -1 if key is None else key, *(at for _, at in expected)) + 1
    return Columns(table.rows(most), url, _NOWHERE if key is None else key, expected)


def _byplace_of(table: Table, url: int, key: Column | None, name: str) -> Columns:
    places = [url, key] if isinstance(key, int) else [url]
    rows = table.rows(max(places))
    first = next(rows, None)
    if first is not None and not first.wrong:
        there = len(first.cells)
        for place in places:
            if place > there:
                have = "1 column" if there == 1 else f"{there:,} columns"
                raise ListError(
                    f"the list {name!r} has no column {place}: its first row has {have}",
                    hint="" if there > 1 else _other(table),
                )
    return Columns(_again(first, rows), url - 1, key - 1 if isinstance(key, int) else _NOWHERE)


def _again(first: Row | None, rows: Iterator[Row]) -> Iterator[Row]:
    if first is not None:
        yield first
        yield from rows


def _names(header: Row, dialect: str) -> list[str]:
    """The names of the columns. A header may stand in a comment: `#url,key`."""
    cells = [cell.strip() for cell in header.cells]
    if cells and cells[0].startswith("#"):
        cells[0] = cells[0].lstrip("# ")
    return [without_quotes(cell) for cell in cells] if dialect == "tsv" else cells


def without_quotes(cell: str) -> str:
    """A cell of TSV without the quotes around it, which Excel and R write.

    A URL does not begin with a quote, so it can mean nothing else. It can't reach beyond its cell.
    """
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def place_of(names: Sequence[str], wanted: str) -> int | None:
    """The place of a column: the exact name first, then without regard to case."""
    if wanted in names:
        return names.index(wanted)
    folded = [name.lower() for name in names]
    return folded.index(wanted.lower()) if wanted.lower() in folded else None


def refusal(name: str, wanted: str, names: Sequence[str], grammar: Grammar) -> ListError:
    """What to say of the list `name`, which has no column `wanted`."""
    hint = ""
    if any(place_of(one.replace('"', "").split(";"), wanted) is not None for one in names):
        hint = "its cells are separated by ';': write it with commas, or with TABs as a .tsv"
    elif any(one.lower().startswith(("http://", "https://")) for one in names):
        hint = "the first line names the columns; if there is no header, give --url-column N"
    else:
        shown = ", ".join(repr(one[:40]) for one in names[:_SHOWN])
        hint = f"it has {shown}" + (f" and {len(names) - _SHOWN} more" * (len(names) > _SHOWN))
        if grammar.url_column is None:
            hint += ": name the one with the URLs by --url-column"
    return ListError(f"the list {name!r} has no column named {wanted!r}", hint=hint)


def _other(table: Table) -> str:
    other = "tsv" if table.dialect == "csv" else "csv"
    return f"it was read as {table.dialect}; --list-format {other} reads it as that"
