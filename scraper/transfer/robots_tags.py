"""X-Robots-Tag: which of the rules that the user minds a response says, to us or to all.

    said(["noai, nofollow", "otherbot: noindex"], {"noindex"}, "scraper")     # None

A field is `[name:] rule, rule: value, ...`. The form is that of Google's page "Robots meta tag,
data-nosnippet, and X-Robots-Tag specifications"; there is no RFC. A name is for the rest of its
field, up to the next name. `none` is `noindex, nofollow`.

Owns: how these fields are read. Does not know: what follows (`transfer.py`).
"""

import re
from collections.abc import Collection, Iterable

_NAME = re.compile(r"[A-Za-z0-9_.*-]+")
_WITH_VALUE = frozenset(
    {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}
)
_NONE = frozenset({"noindex", "nofollow"})


def said(fields: Iterable[str], minded: Collection[str], token: str) -> str | None:
    """The first rule of `minded` (in lower case) that a field has for `token` or for everyone."""
    for field in fields:
        is_for_us = True
        for part in field.split(","):
            name, colon, rest = part.partition(":")
            name = name.strip()
            if colon and _NAME.fullmatch(name) and name.lower() not in _WITH_VALUE:
                is_for_us = name == "*" or name.lower() == token.lower()
                rule = rest
            else:
                rule = name
            rule = rule.partition(":")[0].strip().lower()
            if is_for_us and (rule in minded or (rule == "none" and not _NONE.isdisjoint(minded))):
                return rule
    return None
