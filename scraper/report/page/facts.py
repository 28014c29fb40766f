"""What the records of a run come to, counted as they pass: in memory that does not grow with them.

Owns: these counts. A record may say anything, since it is read from a file: what is no number is
not counted. Does not know: how they are shown.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scraper.manifest import status_of
from scraper.manifest.not_done import host_of
from scraper.model.urls import printable
from scraper.report.failures import FailureGroups
from scraper.report.page.bins import LogHistogram, Series

MOST_HOSTS = 20_000  # that are counted each by itself
MOST_TYPES = 1_000
_DONE = ("stored", "not_modified")
_FAILED = ("failed", "deferred")
_MOST_NUMBER = 1e18
_NAME_CHARS = 100
_LAST_MOMENT = 253_402_300_799.0  # of the year 9999
OTHER = "(other)"


@dataclass(slots=True)
class HostFacts:
    """One host: its targets, those that failed, bytes stored, and seconds that attempts took."""

    name: str
    targets: int = 0
    failed: int = 0
    size: int = 0
    seconds: float = 0.0
    timed: int = 0

    @property
    def mean_s(self) -> float:
        """Seconds of an attempt, on average."""
        return self.seconds / self.timed if self.timed else 0.0


@dataclass(slots=True)
class TypeFacts:
    """One media type: its bodies and their bytes."""

    name: str
    bodies: int = 0
    size: int = 0


@dataclass
class RunFacts:
    """See the module. `start` and `end`: of its records, seconds since 1970, 0 if unknown."""

    records: int = 0
    size: int = 0
    attempts: int = 0
    redirects: int = 0
    start: float = 0.0
    end: float = 0.0
    other_hosts: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    failures: FailureGroups = field(default_factory=FailureGroups)
    hosts: dict[str, HostFacts] = field(default_factory=dict)
    types: dict[str, TypeFacts] = field(default_factory=dict)
    series: Series = field(default_factory=Series)
    times: dict[str, LogHistogram] = field(default_factory=dict)
    sizes: LogHistogram = field(default_factory=LogHistogram)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one record. Raises LookupError, TypeError or ValueError for what is none."""
        status = status_of(record)
        self.records += 1
        self.statuses[status] += 1
        self.attempts += int(number(record, "attempts") or 0)
        self.redirects += int(number(record, "redirects") or 0)
        self.failures.add_record(record)
        code, size = number(record, "http_code"), 0
        if code is not None and 100 <= code < 1000:
            self.codes[int(code)] += 1
        if status == "stored":
            size = int(number(record, "size") or 0)
            self.size += size
            self.sizes.add(size)
            self._add_type(record.get("content_type"), size)
        took = number(record, "time_total")
        self._add_times(record, took)
        self._add_host(record, status, size, took)
        self._add_moment(record, status, size, took)

    def _add_times(self, record: Mapping[str, Any], took: float | None) -> None:
        for name in ("time_connect", "time_starttransfer"):
            value = number(record, name)
            if value:
                self.times.setdefault(name, LogHistogram()).add(value)
        if took is not None:
            self.times.setdefault("time_total", LogHistogram()).add(took)

    def _add_type(self, given: object, size: int) -> None:
        name = given.partition(";")[0].strip().lower() if isinstance(given, str) else ""
        name = printable(name)[:_NAME_CHARS] or "(none)"
        if name not in self.types and len(self.types) >= MOST_TYPES:
            name = OTHER
        found = self.types.setdefault(name, TypeFacts(name))
        found.bodies += 1
        found.size += size

    def _add_host(
        self, record: Mapping[str, Any], status: str, size: int, took: float | None
    ) -> None:
        name = host_of(record)[0]
        if not name:
            return
        found = self.hosts.get(name)
        if found is None:
            if len(self.hosts) >= MOST_HOSTS:
                self.other_hosts += 1  # targets of theirs
                return
            found = self.hosts[name] = HostFacts(printable(name))
        found.targets += 1
        found.failed += status in _FAILED
        found.size += size
        if took is not None:
            found.seconds += took
            found.timed += 1

    def _add_moment(
        self, record: Mapping[str, Any], status: str, size: int, took: float | None
    ) -> None:
        start = moment_of(record)
        if start is None:
            return
        end = min(start + (took or 0.0), _LAST_MOMENT)
        self.start = min(self.start or start, start)
        self.end = max(self.end, end)
        moment = self.series.at(end)
        if status in _DONE:
            moment.done += 1
        elif status in _FAILED:
            moment.failed += 1
        moment.size += size
        if took is not None:
            moment.durations.add(took)


def number(record: Mapping[str, Any], name: str) -> float | None:
    """The number of that name, None if there is none, or it makes no sense."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < _MOST_NUMBER else None


def moment_of(record: Mapping[str, Any]) -> float | None:
    """When its attempt began, in seconds since 1970. None if it does not say.

    Older records have it as text alone.
    """
    at = number(record, "started_at")
    if at is not None:
        return min(at, _LAST_MOMENT)
    text = record.get("started")
    if not isinstance(text, str):
        return None
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return None
