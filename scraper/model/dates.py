"""Dates: those of HTTP read, ours written.

Owns: reading HTTP's (RFC 9110 5.6.7), the usual form at a glance, the two obsolete
ones by the standard library; writing RFC 3339's. Refuses to know: what they date.
"""

import re
from datetime import UTC, date, datetime
from functools import lru_cache

_EPOCH = date(1970, 1, 1).toordinal()
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
    try:
        if found is not None and found[2] in _MONTHS:
            day, month, year, hour, minute, second = found.groups()
            days = date(int(year), _MONTHS[month], int(day)).toordinal() - _EPOCH
            return ((days * 24.0 + int(hour)) * 60 + int(minute)) * 60 + int(second)
        from email.utils import parsedate_to_datetime  # seldom, and slow to import

        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:  # asctime's form is in UTC without saying so
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def rfc3339(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    second, rest = divmod(round(moment * 1e6), 1_000_000)
    return f"{_second(second)}.{rest // 1000:03}Z"


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()[:-6]
