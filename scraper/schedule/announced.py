"""Limits that a server announces: how many requests are left, and until when.

Four forms are read. `RateLimit-Remaining` and `RateLimit-Reset` of the IETF's drafts up to 06
(draft-ietf-httpapi-ratelimit-headers), the single `RateLimit: limit=9, remaining=8, reset=7` of
draft 07, `RateLimit: "name";r=8;t=7` since draft 08, and the `X-RateLimit-*` that they grew out
of (GitHub, GitLab; X-Rate-Limit-* too). Drafts count the seconds that are left. GitHub and many
others give seconds since 1970, some milliseconds: numbers so large are dates.

Owns: reading these headers. Does not know: what follows (`frontier.py`). Rejected: `limit`, and
policies. What is left says when to wait; how much there is at all does not.
"""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from scraper.model.dates import parse_http_date

_FAMILIES = tuple(
    (f"{family}-remaining", f"{family}-reset")
    for family in ("x-ratelimit", "ratelimit", "x-rate-limit")
)
_EPOCH_S = 1e9  # a number as large is a date, in seconds
_EPOCH_MS = 1e12  # in milliseconds
# Compiled when a server announces something: few do, and each start would pay for it.
_NUMBER = r"(?a:\d{1,15}(?:\.\d{1,9})?)"
_OLD_ITEM = r"(?ai:(?:^|[,;\s])(remaining|reset)\s*=\s*(\d{1,15}))"
_NEW_ITEM = r"(?a:;\s*([rt])\s*=\s*(\d{1,15}))"


class Announced(NamedTuple):
    """`remaining` requests may follow within the next `reset_s` seconds."""

    remaining: int
    reset_s: float


def announced(get: Callable[[str], str | None]) -> Announced | None:
    """What a response announces; `get` gives a header's value (lower-case name).

    None if it says nothing, or not until when.
    """
    combined = get("ratelimit")
    if combined is not None and (found := _combined(combined, get("ratelimit-policy"))) is not None:
        return found
    for remaining, reset in _FAMILIES:
        value = get(remaining)
        if value is None:
            continue
        left, reset_s = _number(value), _reset_s(get(reset), get("date"))
        if left is not None and reset_s is not None:
            return Announced(int(left), reset_s)
    return None


def _combined(value: str, policy: str | None) -> Announced | None:
    """Of drafts 07 and 08; of several limits the one that ends first."""
    if policy is not None and "qu=" in policy and 'qu="requests"' not in policy:
        return None  # it counts something else, such as bytes
    old = {name.lower(): int(number) for name, number in re.findall(_OLD_ITEM, value)}
    if old.keys() == {"remaining", "reset"}:
        return Announced(old["remaining"], float(old["reset"]))
    found = []
    for item in value.split(","):
        new = {name: int(number) for name, number in re.findall(_NEW_ITEM, item)}
        if new.keys() == {"r", "t"}:
            found.append(Announced(new["r"], float(new["t"])))
    return min(found, default=None)


def _number(value: str) -> float | None:
    """The first number of a value, which may have been sent twice."""
    found = re.match(_NUMBER, value.strip())
    return None if found is None else float(found[0])


def _reset_s(value: str | None, date: str | None) -> float | None:
    """Seconds from now on. A date is measured from the response's own `date`."""
    if value is None:
        return None
    moment = _number(value)
    if moment is None:
        moment = parse_http_date(value.strip())
        if moment is None:
            return None
    elif moment < _EPOCH_S:
        return moment
    elif moment >= _EPOCH_MS:
        moment /= 1000
    sent = parse_http_date(date)
    return max(0.0, moment - (time.time() if sent is None else sent))
