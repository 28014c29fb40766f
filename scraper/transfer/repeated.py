"""Header fields that come more than once in a response.

The values of most fields may be joined (RFC 9110 5.3). A field that has one value only must not
come twice, and does so all the same: an application and the proxy before it both set it. Alike
they are one. Where they differ, a validator or a date says nothing, since nobody knows which of
them is of this body, and of several media types the last counts, as it does in browsers (the Fetch
standard, "extract a MIME type").

Owns: that table (docs/servers.md). Does not know: lengths and framing (`exchange.py`, `engines/`),
Location (the engines refuse two that differ), Retry-After (the longest, `schedule/retry.py`).
"""

from collections.abc import Sequence

_UNKNOWN_IF_THEY_DIFFER = frozenset({"content-range", "date", "etag", "last-modified"})
_SINGLE = _UNKNOWN_IF_THEY_DIFFER | {
    "content-type",
    "location",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
}


def combined(name: str, values: Sequence[str]) -> str | None:
    """The one value that these `values` of the field `name` (lower case) come to; None: none."""
    if name in _SINGLE:
        if len({value.strip() for value in values}) == 1:
            return values[0]
        if name == "content-type":
            return values[-1]
        if name in _UNKNOWN_IF_THEY_DIFFER:
            return None
    return ", ".join(values)
