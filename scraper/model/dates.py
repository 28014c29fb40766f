"""Dates: HTTP dates and RFC 3339 dates, both read and written; and `{date}` in names.

A pattern reads the usual form of HTTP dates (RFC 9110 5.6.7). The standard library reads the two
obsolete forms; it is slow, and they are rare.

Owns: both formats, and that field. Does not know: what is dated.
"""

import re
import time
from datetime import UTC, date, datetime
from functools import lru_cache

from scraper.model.errors import UsageError

# A text: few names have a field, and `re` compiles it on first use.
_FIELD = r"\{(?:date)?(?::([^{}]*))?\}"
_FIRST_S, _END_S = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999
_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_USUAL = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (0[1-9]|[12]\d|3[01]) ([A-Z][a-z]{2}) ([12]\d{3})"
    r" ([01]\d|2[0-3]):([0-5]\d):([0-5]\d) GMT",
    re.ASCII,
)


def parse_http_date(text: str | None) -> float | None:
    """Seconds since 1970 (UTC) of an HTTP date. None if `text` is no date."""
    if text is None:
        return None
    found = _USUAL.fullmatch(text)
    try:
        if found is not None and found[2] in _MONTHS:
            day, month, year, hour, minute, second = found.groups()
            days = date(int(year), _MONTHS[month], int(day)).toordinal() - _EPOCH
            return ((days * 24.0 + int(hour)) * 60 + int(minute)) * 60 + int(second)
        from email.utils import parsedate_to_datetime  # slow to import, and seldom needed

        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:  # the form of asctime is in UTC and does not say so
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def http_date(moment_s: int) -> str:
    """The usual form of an HTTP date. `moment_s`: whole seconds since 1970."""
    at = time.gmtime(moment_s)
    month = _MONTH_NAMES[at.tm_mon - 1]
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {month} {at.tm_year:04} {clock} GMT"


def has_date(moment: float) -> bool:
    """Whether `rfc3339` can write `moment`: the years 1 to 9999. A file may have any other time."""
    return _FIRST_S <= moment < _END_S


def rfc3339(moment: float) -> str:
    """`moment` (seconds since 1970) as an RFC 3339 date in UTC, with milliseconds.

    Raises ValueError and the like unless `has_date(moment)`.
    """
    second, rest = divmod(milliseconds(moment), 1000)
    return f"{_second(second)}.{rest:03}Z"


def rfc3339_second(milliseconds_: int) -> str:
    """The second of a moment (milliseconds since 1970) as an RFC 3339 date in UTC.

    jq's `fromdate` reads this form only: one with a fraction is an error there.
    """
    return f"{_second(milliseconds_ // 1000)}Z"


def milliseconds(moment: float) -> int:
    """Whole milliseconds of `moment` (seconds since 1970), the same that `rfc3339` writes."""
    return round(moment * 1e6) // 1000


def parse_rfc3339(text: object) -> int | None:
    """Milliseconds since 1970 of a date that `rfc3339` wrote. None if `text` is no date."""
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * 1000)


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()[:-6]


def expand_date(text: str, now: datetime, option: str = "--to") -> str:
    """`text` with `now` for `{date}`, `{date:%Y}`, `{:%Y}`. Raises UsageError for other braces."""
    if "{" not in text and "}" not in text:
        return text
    expanded = re.sub(_FIELD, lambda field_: now.strftime(field_[1] or "%Y-%m-%d"), text)
    left = re.sub(_FIELD, "", text)
    if "{" in left or "}" in left:
        raise UsageError(f"{option} {text!r} has a field other than {{date}}")
    return expanded
