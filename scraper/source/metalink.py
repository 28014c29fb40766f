"""Metalink: files, each with its name, size, digests and URLs (RFC 5854).

The name is the key. The URLs are asked in the order of their priorities (4.2.14.1); one without a
priority comes last.

Owns: this format. Does not know: XML (`xml_records.py`), how mirrors are asked. Rejected: Metalink
3, which no RFC describes; digests of pieces, since the digest of the whole says as much.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from scraper.model.errors import BadTarget, ListError
from scraper.source.documents import Entry
from scraper.source.lines import Note
from scraper.source.option_lines import Others
from scraper.source.xml_records import Element, Shape, read_records

_SHAPE = Shape(
    "Metalink",
    roots=frozenset({"metalink"}),
    records=frozenset({"file"}),
    texts=frozenset({"url", "size", "hash"}),
)
NAMESPACE = "urn:ietf:params:xml:ns:metalink"
# The IANA's registry of hash function textual names, as far as we compute them.
_DIGESTS = {"md5": "md5", "sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
_LAST = 1_000_000  # behind all priorities


def read_metalink(pieces: Iterable[bytes], name: str, note: Note) -> Iterator[Entry]:
    """What the Metalink `name` says. See `read_entries`."""
    records, others = read_records(pieces, name, _SHAPE), Others(name, note)
    root = next(records)
    if root.namespace != NAMESPACE:
        raise ListError(
            f"the list {name!r} is no Metalink 4 (RFC 5854)", hint=f"its root has no {NAMESPACE}"
        )
    for number, record in enumerate(records, 1):
        try:
            yield _fields(record, others)
        except BadTarget as error:
            yield BadTarget(f"file {number}: {error.message}")


def _fields(record: Element, others: Others) -> Entry:
    own = [child for child in record.children if child.namespace == record.namespace]
    found = [(_priority(child), child.text.strip()) for child in own if child.name == "url"]
    urls = [url for _, url in sorted(found, key=lambda one: one[0]) if url]
    key = record.attributes.get("name", "").strip()
    if not key:
        raise BadTarget("<file> has no name")
    if not urls:
        raise BadTarget(f"<file> {key[:100]!r} has no <url>")
    fields: dict[str, Any] = {"url": urls[0], "key": key}
    if len(urls) > 1:
        fields["urls"] = urls[1:]
    for child in own:
        if child.name == "size":
            fields["size"] = child.text.strip()
        elif child.name == "metaurl":
            others.see("metaurl")
        elif child.name == "hash":
            kind = child.attributes.get("type", "").lower()
            if kind in _DIGESTS:
                fields[_DIGESTS[kind]] = child.text.strip()
            else:
                others.see(f"hash {kind}")
    return fields


def _priority(url: Element) -> int:
    text = url.attributes.get("priority", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else _LAST
