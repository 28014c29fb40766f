"""Sitemaps, and indexes of sitemaps: https://www.sitemaps.org/protocol.html.

`<loc>` is the URL; its host may be any. `<lastmod>` is recorded. Elements of other namespaces, such
as images and translations, say nothing here, as their URLs are no pages of the site.

Owns: these two. Does not know: XML (`xml_records.py`), how the sitemaps of an index are opened
(`list_index.py`).
"""

from collections.abc import Iterable, Iterator

from scraper.model.errors import BadTarget
from scraper.source.documents import Entry, ListAt
from scraper.source.xml_records import Shape, read_records

_SHAPE = Shape(
    "sitemap",
    roots=frozenset({"urlset", "sitemapindex"}),
    records=frozenset({"url", "sitemap"}),
    texts=frozenset({"loc", "lastmod"}),
)
_MAX_DATE_CHARS = 40


def read_sitemap(pieces: Iterable[bytes], name: str) -> Iterator[Entry]:
    """What the sitemap `name` says. See `read_entries`."""
    records = read_records(pieces, name, _SHAPE)
    root = next(records)
    is_index = root.name == "sitemapindex"
    for record in records:
        loc = next(iter(record.texts_of("loc")), "")
        if not loc:
            yield BadTarget(f"<{record.name}> has no <loc>")
        elif is_index:
            yield ListAt(loc)
        else:
            date = next(iter(record.texts_of("lastmod")), "")
            is_date = date.isprintable() and date.isascii() and len(date) <= _MAX_DATE_CHARS
            yield {"url": loc, "lastmod": date} if date and is_date else {"url": loc}
