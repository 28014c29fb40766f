"""What is stored beside an object's bytes, and how much of it a store takes.

It must never cost the bytes: the manifest has all of it. So what is too long is cut or left out.
How long is too long differs. Swift allows 256 bytes a value by default, rclone counts more than
the metadata, and a long Content-Type takes Swift's disks out of service. So the first object, the
probe, carries the longest that there can be (`longest`), and a store that refuses it gets less.

The names are those that every store gives back as it got them. radosgw makes an underscore a
hyphen, Azure refuses hyphens, and most stores make capitals small.

Some of it is read back: the digest, and when the bytes were changed last. That is the Last-Modified
of their response, else the time of the fetch, or that of the file that another program stored.

Owns: these names and lengths, also those of other programs. Does not know: requests.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from scraper.model.codings import only_codings
from scraper.model.dates import parse_rfc3339, rfc3339
from scraper.sinks.base import Body
from scraper.sinks.object_stat import ObjectStat, given_ms

DIGEST = "sha256"
_SOURCE, _FETCHED, _CHANGED = "sourceurl", "fetchedat", "lastmodified"
_FETCHED_BEFORE = "fetched-at"  # its name until 0.1
_SECONDS = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
# All metadata may have 2,048 bytes (S3 user guide, UsingMetadata), a value of Swift 256.
URL_BYTES = (1024, 256, 0)
_MEDIA_TYPE_BYTES = 255  # type and subtype have at most 127 each (RFC 6838 section 4.2)
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_VISIBLE_URL = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is stored beside an object's bytes, in printable ASCII. `sha256` is hexadecimal."""

    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None
    storage_class: str | None = None


def facts_of(body: Body, url_bytes: int, storage_class: str | None) -> Facts:
    """The facts of a body. `url_bytes`: how long its URL may be; a longer one is cut."""
    metadata = {_FETCHED: rfc3339(body.fetched_at), DIGEST: body.sha256}
    changed_ms = given_ms(body.response.last_modified)
    if changed_ms is not None:
        metadata[_CHANGED] = rfc3339(changed_ms / 1000)
    if body.source_url and url_bytes:
        metadata[_SOURCE] = _visible(body.source_url, url_bytes)
    return Facts(
        body.sha256,
        metadata,
        content_type=_media_type(body.response.content_type),
        content_encoding=_field(only_codings(body.response.content_encoding)),
        storage_class=storage_class,
    )


def longest(sha256: str, storage_class: str | None) -> Sequence[tuple[int, Facts]]:
    """For a probe: the longest facts there can be, with each length that a URL may have."""
    return [
        (
            url_bytes,
            Facts(
                sha256,
                {_FETCHED: rfc3339(0), _CHANGED: rfc3339(0), DIGEST: sha256}
                | ({_SOURCE: "x" * url_bytes} if url_bytes else {}),
                content_type="text/" + "x" * (_MEDIA_TYPE_BYTES - len("text/")),
                storage_class=storage_class,
            ),
        )
        for url_bytes in URL_BYTES
    ]


def stat_of(size: int, metadata: Mapping[str, str]) -> ObjectStat:
    """What is known of an object. Endpoints write the names of metadata in different case."""
    told = {name.lower(): value for name, value in metadata.items()}
    at = told.get(_CHANGED, told.get(_FETCHED, told.get(_FETCHED_BEFORE)))
    own_ms = _own_ms(at, told.get("mtime"))
    return ObjectStat(size, told.get(DIGEST), own_ms=own_ms)


def _visible(url: str, most: int) -> str:
    """The URL in visible ASCII, cut to `most` bytes."""
    if len(url) <= most and _VISIBLE_URL.fullmatch(url):  # nearly always, and much quicker
        return url
    quoted = quote(url, safe=_VISIBLE)
    cut = quoted[:most]
    return re.sub("%.?$", "", cut) if len(cut) < len(quoted) else quoted


def _media_type(value: str | None) -> str | None:
    """The Content-Type; without its parameters where it is too long with them."""
    if value and len(value) > _MEDIA_TYPE_BYTES and value.isascii():
        value = value.partition(";")[0].strip()
    return _field(value)


def _field(value: str | None) -> str | None:
    """The value, if a header may contain it and every store takes its length.

    Azure's signature has no blank at an end of a value; so such a put would be denied.
    """
    value = value and value.strip()
    if value and value.isascii() and value.isprintable() and len(value) <= _MEDIA_TYPE_BYTES:
        return value
    return None


def _own_ms(told_at: str | None, mtime: str | None) -> int | None:
    """When an object was changed or fetched (`told_at`), or its file, in milliseconds since 1970.

    `mtime` is seconds since 1970, as rclone and file systems on S3 write it
    (https://rclone.org/s3/#modification-times-and-hashes).
    """
    if told_at is not None:
        return parse_rfc3339(told_at)
    found = _SECONDS.fullmatch(mtime or "")
    return int(found[1]) * 1000 + int((found[2] or "0")[:3].ljust(3, "0")) if found else None
