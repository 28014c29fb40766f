"""Documents: lists that are read as a whole, not line by line.

A reader of a document takes its bytes in pieces. It yields what each place of it says: the fields
that a JSON line would have (`fields.py`), why there is no target, or another list that it names.

Owns: which reader a format has. Does not know: what is in a document (`sitemaps.py` and others),
what fields mean. A place has a number, from 1 on, as a line has: the first target, the second one.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from scraper.model.errors import BadTarget
from scraper.source.lines import Note, nobody

if TYPE_CHECKING:
    from scraper.source.sources import Source


class ListAt(NamedTuple):
    """Another list, at a URL, or beside the file of this one."""

    url: str


Entry = Mapping[str, Any] | BadTarget | ListAt


def read_entries(source: "Source", note: Note = nobody) -> Generator[Entry, None, None]:
    """What the list `source` says. `note` hears what is not read.

    Raises ListError if it is no such list, and ListBroken where it breaks off.
    """
    if source.format == "parquet":
        from scraper.source.parquet import read_parquet

        return read_parquet(source)
    return _of_pieces(source, note)


def _of_pieces(source: "Source", note: Note) -> Generator[Entry, None, None]:
    with closing(source.open()) as pieces:
        yield from _reader(source, pieces, note)


def _reader(source: "Source", pieces: Iterable[bytes], note: Note) -> Iterator[Entry]:
    name, base = source.name, source.grammar.base
    if source.format in {"aria2", "curl", "metalink"}:
        return _foreign(pieces, source, note)
    if source.format == "feed":
        from scraper.source.feeds import read_feed

        return read_feed(pieces, name, base)
    if source.format == "html":
        from scraper.source.html_links import read_html

        return read_html(pieces, name, base)
    from scraper.source.sitemaps import read_sitemap

    return read_sitemap(pieces, name)


def _foreign(pieces: Iterable[bytes], source: "Source", note: Note) -> Iterator[Entry]:
    """The same for a list of another program that fetches."""
    if source.format == "aria2":
        from scraper.source.aria2_input import read_aria2

        return read_aria2(pieces, source.name, note)
    if source.format == "curl":
        from scraper.source.curl_config import read_curl

        return read_curl(pieces, source.name, note)
    from scraper.source.metalink import read_metalink

    return read_metalink(pieces, source.name, note)


def check(source: "Source") -> None:
    """Raise ListError if this is no such list."""
    with closing(read_entries(source)) as entries:
        next(entries, None)
