"""Figures in words: what the display and the lines of totals say.

Owns: these words, and which of them a narrow terminal has room for. Does not know: how they are
drawn (`progress.py`), when they are written (`totals.py`).
"""

from collections.abc import Sequence
from typing import NamedTuple

from scraper.model.records import Failure
from scraper.model.urls import printable, redact
from scraper.report.snapshot import Figures, Shown
from scraper.report.units import human_size
from scraper.schedule import HostWait

_MOST_HOSTS = 3
_LEAST_WAIT_S = 1.0  # a shorter one is over before it is read


class Count(NamedTuple):
    """A part of the line of counts. `rank`: those of a higher one are left out first."""

    text: str
    rank: int


def counts(figures: Figures) -> list[Count]:
    """How far the run is, in the order in which it is shown."""
    seen = figures.seen
    limit = f" (limit {human_size(seen.limit_rate)}/s)" if seen.limit_rate is not None else ""
    of = f" of {figures.total:,}" if figures.total is not None else ""
    found = [
        Count(f"{seen.targets:,}{of}", 0),
        Count(f"{seen.failures:,} failed", 1),
        Count(f"{figures.targets_rate:,.0f}/s", 6),
        Count(human_size(seen.size), 5),
        Count(f"{human_size(figures.bytes_rate)}/s{limit}", 3),
        Count(f"{len(seen.flights):,} in flight", 4),
    ]
    if figures.left_s is not None:
        found.append(Count(f"{duration(figures.left_s)} left", 2))
    return found


def fitting(found: Sequence[Count], width: int) -> list[Count]:
    """As many of them as `width` columns hold, with two spaces between them."""
    kept = list(found)
    while len(kept) > 1 and sum(len(one.text) + 2 for one in kept) - 2 > width:
        kept.remove(max(kept, key=lambda one: one.rank))
    return kept


def transfer(shown: Shown, *, short: bool) -> tuple[str, str]:
    """A transfer: its URL, and how far it is. `short`: for a narrow terminal."""
    flight, rate = shown
    came, speed = human_size(flight.received), f"{human_size(rate)}/s"
    if flight.share is None:
        told = f"{came}  {speed}"
    elif short:
        told = f"{flight.share:4.0%}  {speed}"
    else:
        told = f"{came} of {human_size(flight.expected or 0)}  {flight.share:4.0%}  {speed:>10}"
    return printable(redact(flight.listed).partition("://")[2] or flight.listed), told


def waits(figures: Figures) -> list[str]:
    """What is waited for, a line each."""
    lines = [printable(note) for note in figures.seen.notes]
    hosts = [host for host in figures.seen.hosts if host.left_s >= _LEAST_WAIT_S]
    hosts.sort(key=lambda host: (-host.targets, host.left_s))
    lines += [printable(_wait(host)) for host in hosts[:_MOST_HOSTS]]
    if more := hosts[_MOST_HOSTS:]:
        lines.append(f"waiting for {len(more):,} more host{'s' if len(more) > 1 else ''}")
    return lines


def duration(seconds: float) -> str:
    """Seconds in words, as short as they are read at a glance."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{round(whole / 60)} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours:,} h {minutes:02} min"


def _wait(host: HostWait) -> str:
    urls = f", {host.targets:,} URL{'s' if host.targets > 1 else ''}" if host.targets else ""
    if host.is_down:
        return f"{host.host} is down, next try in {duration(host.left_s)}{urls}"
    return f"waiting {duration(host.left_s)} for {host.host} ({_why(host.reason)}){urls}"


def _why(reason: Failure | None) -> str:
    if reason is None:
        return "gap between requests"
    if reason.retry_after_s is not None:
        return f"{reason.http_code} Retry-After"
    return reason.message
