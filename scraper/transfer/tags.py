"""Entity tags that a content coding has changed.

Servers that code a body as they send it give the coded form a tag of its own (RFC 9110 8.8.3.3),
made of the other one: `"x"` becomes `"x-gzip"` (Apache's mod_deflate and mod_brotli, Caddy) or
`"x--gzip"` (Jetty). Apache answers such a tag with the whole body again. It compares before it
codes, and knows `"x"` only. Where the stored body is decoded, `"x"` is a tag of it as well. So both
are sent.

Owns: which tags these are. Does not know: when a condition is sent (`conditions.py`). Rejected: the
bare tag alone, which the servers that do know their own tag would have to answer with a 200.
"""

import re

# A text: few runs need it, and `re` compiles it on its first use.
_CHANGED = r'((?:W/)?"[^"]+?)(?:--|[-;:])(?:x-)?(?:gzip|br|zstd|deflate)"'


def with_bare(etag: str) -> str:
    """What If-None-Match says for a decoded body: its tag, and the one without coding."""
    found = re.fullmatch(_CHANGED, etag)
    return etag if found is None else f'{etag}, {found[1]}"'
