"""Dates: those of HTTP read, ours written.

Owns: reading HTTP's (RFC 9110 5.6.7), the usual form at a glance, the two obsolete
ones by the standard library; writing RFC 3339's. Refuses to know: what they date.
"""

import calendar
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_USUAL = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (0[1-9]|[12]\d|3[01]) ([A-Z][a-z]{2}) ([12]\d{3})"
    r" ([01]\d|2[0-3]):([0-5]\d):([0-5]\d) GMT",
    re.ASCII,
)


def parse_http_date(text: str | None) -> float | None:
    """Seconds since 1970 (UTC) of an HTTP date; None if it is none."""
    if text is None:
        return None
    found = _USUAL.fullmatch(text)
    if found is not None and found[2] in _MONTHS:
        day, month, year, hour, minute, second = found.groups()
        parts = (int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second))
        return float(calendar.timegm(parts))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:  # asctime's form is in UTC without saying so
        date = date.replace(tzinfo=UTC)
    return date.timestamp()


def rfc3339(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
