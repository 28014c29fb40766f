"""Plain lines: fast ways for the commonest kinds of line, which are a URL and nothing else.

A *plain* line is its own `href` already. Its directories are their own names in a key by the rule
`url`: lower-case letters, nothing to decode. Its file is so too, or gets a mark because of a query
or because it has no extension. A *kept* line has any names, with capitals or `%20` say, that the
parser would leave as they are.

Owns: recognising such a line and making its target without parsing the URL. For a plain line it
takes a quarter of the time. Reading lines is a quarter of the work of a resumed run. Does not
know: any other line. It returns None for those, and `lists.py` reads them. The tests compare the
ways. Rejected: a faster URL parser; for an origin that was seen before, nothing is left to parse.
"""

import re
from functools import lru_cache

from scraper.model.errors import BadTarget
from scraper.model.records import Target
from scraper.model.urls import Origin, Url, parse
from scraper.source.keys import (
    MAX_READABLE_BYTES,
    MAX_SEGMENT_BYTES,
    PLAIN_DIRECTORIES,
    PLAIN_ENDING,
    PLAIN_NAME,
    host_segment,
    mark,
    url_key,
)

# What a query may have and keep: the special-query percent-encode set (URL standard 1.3) is left
# out, and what the parser drops.
_QUERY = r"[!$-&(-;=?-~]*+"
_PLAIN = re.compile(
    rf"(https?://[a-z0-9.:-]++)({PLAIN_DIRECTORIES})(?:({PLAIN_NAME})({PLAIN_ENDING})?)?"
).fullmatch
_IS_QUERY = re.compile(_QUERY).fullmatch
# A path that the parser would leave: no dot segment, nothing of the path percent-encode set.
_NAME = r"(?!(?:\.|%2[eE]){1,2}(?:[/?]|$))[!$-.0-;=@-Z_a-z~]*+"
_KEPT = re.compile(rf"(https?://[A-Za-z0-9.:-]++)((?:/{_NAME})++(?:\?{_QUERY})?)").fullmatch
_EXTENSION = re.compile(r"\.[a-z0-9]{1,10}").fullmatch
_MOST_CHARS = 499  # so short a line counts as one in the buffers


def plain_target(text: str, line: int, source: str) -> Target | None:
    """The target of a line by the rule `url`. None if the line has to be parsed."""
    if len(text) > _MOST_CHARS:
        return None
    above, has_query, query = text.partition("?")
    if has_query:
        if (place := _place(above)) is not None and _IS_QUERY(query):
            host, begin, end = place
            return Target(text, text, host, f"{begin}{mark(text)}{end}", line, source)
    elif (parts := _parts(text)) is not None:
        origin, first, directories, name, ending = parts
        if not name:
            key = f"{first}{directories}index.html"
            return Target(text, text, origin.host, key, line, source)
        if ending:
            key = f"{first}{directories}{name}{ending}"
            return Target(text, text, origin.host, key, line, source)
        key = f"{first}{directories}{name[:MAX_READABLE_BYTES]}{mark(text)}"
        return Target(text, text, origin.host, key, line, source)
    return _kept_target(text, line, source)


@lru_cache(maxsize=16384)
def _place(text: str) -> tuple[str, str, str] | None:
    """Of a plain URL before its query: the host, and its keys before and behind the mark."""
    if (parts := _parts(text)) is None:
        return None
    origin, first, directories, name, ending = parts
    if not name:
        return origin.host, f"{first}{directories}index", ".html"
    if ending and not _EXTENSION(ending):
        return None
    return origin.host, f"{first}{directories}{name[:MAX_READABLE_BYTES]}", ending or ""


def _parts(text: str) -> tuple[Origin, str, str, str | None, str | None] | None:
    """Of a plain URL without a query: origin and its segment, directories, name and ending."""
    if (found := _PLAIN(text)) is None:
        return None
    begin, directories, name, ending = found.groups()
    known = _origin(begin)
    if known is None or known[0].text != begin or text.find("--", len(begin)) >= 0:
        return None
    if len(text) > MAX_SEGMENT_BYTES:
        return None
    return *known, directories, name, ending


def _kept_target(text: str, line: int, source: str) -> Target | None:
    """The target of a line that the parser would leave as it is, but for its origin."""
    if (found := _KEPT(text)) is None or (known := _origin(found[1])) is None:
        return None
    origin = known[0]
    href = text if origin.text == found[1] else origin.text + found[2]
    return Target(text, href, origin.host, url_key(Url(href, origin)), line, source)


@lru_cache(maxsize=16384)
def _origin(begin: str) -> tuple[Origin, str] | None:
    """The origin that a URL with this beginning has, and the first part of its keys."""
    try:
        origin = parse(f"{begin}/").origin
    except BadTarget:
        return None
    return origin, host_segment(origin)
