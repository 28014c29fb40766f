"""What a terminal shows of one target: the reason first, then the URL, in columns that align.

    HTTP 404         https://example.com/a
    connect          https://example.org/b  connection refused, after 4 attempts

Owns: these words. Does not know: which targets are shown (`log.py`), colours, the live display
(`progress.py`). Where the target was listed is said only for a line that is no URL; the URL finds
every other. The key is said only where it can't be worked out from the URL.
"""

from scraper.model import urls
from scraper.model.errors import BadTarget, Kind
from scraper.model.records import (
    Deferred,
    Duplicate,
    Failed,
    NotModified,
    NotReached,
    Result,
    Skipped,
    Stored,
)
from scraper.report.units import human_size
from scraper.source.keys import url_key

_COLUMN = 15  # where no good target is shown; the longest name of a kind that is used often
_WIDE_COLUMN = 22  # code, size and seconds
_SHORT = {Kind.TOO_MANY_REDIRECTS: "redirects"}  # names that are wider than the column


def screen_line(result: Result, *, wide: bool) -> str:
    """The line. `wide`: lines of good targets, which need a wider column, stand beside it."""
    width = _WIDE_COLUMN if wide else _COLUMN
    detail = _detail(result)
    url = urls.redact(result.target.listed)
    return f"{_reason(result):<{width}}  {url}" + (f"  {detail}" if detail else "")


def _reason(result: Result) -> str:
    match result.outcome:
        case Stored(response, size, _):
            took = f"{result.times.total or 0.0:.3f}s"
            return f"{response.http_code} {human_size(size):>9} {took:>8}"
        case NotModified(response):
            return f"{response.http_code} unchanged"
        case Failed(failure) if failure.kind is Kind.HTTP_STATUS:
            return failure.message
        case Failed(failure):
            return _SHORT.get(failure.kind, failure.kind.value)
        case Skipped() | Duplicate() | Deferred() | NotReached():
            return result.status.replace("_", " ")


def _detail(result: Result) -> str:
    parts: list[str] = []
    match result.outcome:
        case Stored():
            if not _says_nothing(result):
                parts.append(f"-> {result.target.key}")
        case Skipped(reason, _):
            parts.append(reason)
        case Duplicate(of_line):
            parts.append(f"same as line {of_line}")
        case Deferred(failure) | Failed(failure) | NotReached(failure):
            if failure.message != _reason(result):
                parts.append(failure.message)
            if not result.target.url:
                parts[-1:] = [f"{failure.message} ({result.target.source}:{result.target.line})"]
        case NotModified():
            pass
    if result.attempts > 1:
        parts.append(f"after {result.attempts} attempts")
    return ", ".join(parts + _by_mirror(result))


def _by_mirror(result: Result) -> list[str]:
    mirror = result.mirror
    return [] if mirror is None else [f"by its mirror {urls.redact(mirror.listed)}"]


def _says_nothing(result: Result) -> bool:
    """Whether the key is the one that the URL gives by itself."""
    try:
        return url_key(urls.parse(result.target.url)) == result.target.key
    except BadTarget:
        return False
