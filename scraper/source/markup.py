"""Markup: which list in XML this is, by its root element; and Parquet, by its first bytes.

Owns: that look at its first lines. Does not know: how such a list is read (`documents.py`).
Rejected: its name or its media type. They say XML, which may be anything.
"""

import re
from collections.abc import Callable

from scraper.source.foreign import is_markup
from scraper.source.grammar import Format
from scraper.source.lines import Beginning

_LOOKED_AT = 8192  # bytes
_FORMS: dict[bytes, Format] = {
    b"urlset": "sitemap",
    b"sitemapindex": "sitemap",
    b"metalink": "metalink",
}
# Texts: few runs need them. What stands before the root is matched atomically, in linear time.
_BEFORE = rb"\s*+(?:(?><\?(?:[^?]|\?(?!>))*+\?>|<!--(?:[^-]|-(?!->))*+-->|<![A-Z][^>\[]*+>)\s*+)*+"
_ROOT = _BEFORE + rb"<(?:[\w.-]{1,80}:)?([\w.-]{1,80})[\s/>]"


def beginning_of(line: bytes, next_line: Callable[[], bytes]) -> Beginning | None:
    """The first lines of a list in XML, with its format; `line` is the first one.

    None if they tell no format. Lines that were taken then are of a file that is refused.
    """
    if line.startswith(b"PAR1"):  # https://parquet.apache.org/docs/file-format/
        return _beginning(line, "parquet")
    if not is_markup(line):
        return None
    lead = line
    while not (found := re.match(_ROOT, lead)) and len(lead) < _LOOKED_AT:
        if not (more := next_line()):
            break
        lead += more
    form = _FORMS.get(found[1]) if found else None
    return None if form is None else _beginning(lead, form)


def _beginning(lead: bytes, form: Format) -> Beginning:
    first = Beginning(lead)
    first.form = form
    return first
