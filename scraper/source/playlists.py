"""Playlists: M3U, and those of HTTP Live Streaming (RFC 8216).

A line that is no tag and no comment is a URI: a segment, or a playlist of a master playlist. A tag
may name one by its attribute URI: a key, the beginning of segments (EXT-X-MAP), a rendition. A
playlist within a playlist is a target as any other: it is stored, and not read.

Owns: what such a line says. Does not know: what its URI is relative to (`lists.py`). Rejected: the
m3u8 package, which reads a whole list at once, and gives more than its URIs. A byte range
(EXT-X-BYTERANGE) says nothing here: a file is fetched once, and whole.
"""

import re
from collections.abc import Mapping

# A text: few runs need it. An attribute: RFC 8216 4.2.
_ATTRIBUTE = r'([A-Z0-9-]+)=(?:"([^"]*)"|[^",]*)(?:,\s*|$)'
_OTHER_SCHEME = r"(?i)(?!https?:)[a-z][a-z0-9+.-]*:"  # of a key: skd:, data:


def of_playlist(text: str) -> Mapping[str, str] | None:
    """The fields of a line of a playlist, None if it names nothing to fetch."""
    text = text.strip()
    if not text.startswith("#"):
        return {"url": text} if text else None
    if not text.startswith("#EXT-X-"):
        return None
    uri = ""
    for found in re.finditer(_ATTRIBUTE, text.partition(":")[2]):
        if found[1] == "URI":
            uri = (found[2] or "").strip()
    return {"url": uri} if uri and not re.match(_OTHER_SCHEME, uri) else None
