"""Plain lines: what most lines of most lists are, known in one look.

A plain line is a URL and nothing beside it, which is its own `href` already, and whose
path is its own key by the rule `url`: small letters, no query, nothing to decode.

Owns: telling such a line, and its target, without taking the URL apart: a third of the
time, and a quarter of all that a resumed run does for a line. Refuses to know: what any
other line is; that is None here, and goes the long way (`lists.py`), against which the
tests hold this one. Rejected: a faster parser of URLs; of an origin that was met before
there is nothing to parse.
"""

import re
from functools import lru_cache

from scraper.model import urls
from scraper.model.errors import BadTarget
from scraper.model.records import NO_HEADERS, Target
from scraper.source.keys import MAX_SEGMENT_BYTES, PLAIN_PATH, host_segment

_PLAIN = re.compile(rf"(https?://[a-z0-9.:-]++)({PLAIN_PATH})").fullmatch


def plain_target(text: str, line: int, source: str) -> Target | None:
    """The target of a line by the rule `url`, None if the line is not plain."""
    if len(text) > MAX_SEGMENT_BYTES or (found := _PLAIN(text)) is None:
        return None
    origin, path = found.groups()
    begin = _begin(origin)
    if begin is None or "--" in path:
        return None
    host, key = begin
    key += path
    if path[-1] == "/":
        key += "index.html"
    # So short a line takes one place.
    return Target._make((text, text, host, key, line, source, NO_HEADERS, "", 1))


@lru_cache(maxsize=4096)
def _begin(origin: str) -> tuple[str, str] | None:
    """Whom to ask, and where keys begin; None unless `origin` is as the URL standard has it."""
    try:
        url = urls.parse(f"{origin}/")
    except BadTarget:
        return None
    return (url.origin.host, host_segment(url.origin)) if url.origin.text == origin else None
