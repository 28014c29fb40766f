"""Feeds: the enclosures of RSS (https://www.rssboard.org/rss-specification) and Atom (RFC 4287).

An enclosure is what an item brings along: the audio file of a podcast. Its `length` is not what is
expected of the body, since it is wrong in many feeds. Pages of items are no enclosures.

Owns: these two. Does not know: XML (`xml_records.py`). Rejected: feedparser, which reads a whole
feed into memory, and mends one that has broken off.
"""

from collections.abc import Iterable, Iterator

from scraper.model.errors import BadTarget
from scraper.model.urls import Url, join
from scraper.source.documents import Entry
from scraper.source.xml_records import Element, Shape, read_records

_SHAPE = Shape(
    "feed of RSS or Atom",
    roots=frozenset({"rss", "feed", "RDF"}),
    records=frozenset({"item", "entry"}),
    texts=frozenset(),
)
_BASE = "http://www.w3.org/XML/1998/namespace base"  # https://www.w3.org/TR/xmlbase/


def read_feed(pieces: Iterable[bytes], name: str, base: Url | None) -> Iterator[Entry]:
    """What the feed `name` says; `base`: what its relative URLs are relative to."""
    records = read_records(pieces, name, _SHAPE)
    root = next(records)
    for record in records:
        for element in record.children:
            url = _enclosure(element)
            if url is None:
                continue
            if not url:
                yield BadTarget(f"<{element.name}> of an enclosure has no URL")
                continue
            try:
                yield {"url": _whole(url, base, (root, record, element))}
            except BadTarget as error:
                yield error


def _enclosure(element: Element) -> str | None:
    """The URL of an enclosure, None if `element` is none."""
    if element.name == "enclosure":  # of RSS; of RSS 1.0 with a namespace
        found = element.attributes
        return (found.get("url") or found.get("href") or "").strip()
    if element.name == "link" and element.attributes.get("rel") == "enclosure":
        return element.attributes.get("href", "").strip()
    return None


def _whole(url: str, base: Url | None, elements: Iterable[Element]) -> str:
    """The URL, relative to the `xml:base` of these, from the outermost on. Raises BadTarget."""
    for element in elements:
        if found := element.attributes.get(_BASE):
            base = join(base, found) if base else _parsed(found)
    return url if base is None else join(base, url).href


def _parsed(url: str) -> Url:
    from scraper.model.urls import parse

    return parse(url)
