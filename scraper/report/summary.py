"""The summary: the closing account of a run, as numbers and as text.

Owns: counting Results, and the closing words. Does not know: where the words are
written (`log.py`). Tried and rejected: counting the records of the manifest; it may hold
those of earlier runs.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scraper.model.records import STATUSES, Failed, Result, Stored
from scraper.model.settings import Budget
from scraper.schedule import HostStatistics

_SLOWEST = 5


class Places(NamedTuple):
    """Where a run writes: names for people, without secrets."""

    destination: str
    manifest: str
    results: str | None = None
    log: str | None = None


@dataclass(slots=True)
class Tally:
    """Counts Results. `size`: bytes stored. `begun`: monotonic seconds."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    size: int = 0
    attempts: int = 0
    begun: float = field(default_factory=time.monotonic)

    def __call__(self, result: Result) -> None:
        """Count one result."""
        outcome = result.outcome
        self.statuses[STATUSES[type(outcome)]] += 1
        self.attempts += result.attempts
        if isinstance(outcome, Stored):
            self.size += outcome.size
        elif isinstance(outcome, Failed):
            self.kinds[outcome.failure.kind.value] += 1

    def skip(self, targets: int) -> None:
        """Count `targets` that were skipped."""
        self.statuses["skipped"] += targets

    @property
    def targets(self) -> int:
        """The number of results so far."""
        return self.statuses.total()

    @property
    def failures(self) -> int:
        """Targets that count against `--max-failures`: failed and deferred ones."""
        return self.statuses["failed"] + self.statuses["deferred"]

    def over(self, budget: Budget) -> bool:
        """Whether more failed than is tolerated."""
        reached = self.targets - self.statuses["not_reached"]
        return self.failures > 0 and budget.exceeded(self.failures, reached)

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun


class Summary(NamedTuple):
    """The closing account. `stopped`: why the run was stopped, if it was."""

    tally: Tally
    elapsed_s: float
    slowest: Sequence[HostStatistics]
    places: Places
    stopped: str | None = None

    def as_record(self) -> dict[str, Any]:
        """The account for a JSON log."""
        record: dict[str, Any] = {
            "targets": self.tally.targets,
            "statuses": dict(self.tally.statuses),
            "errors": dict(self.tally.kinds),
            "attempts": self.tally.attempts,
            "bytes": self.tally.size,
            "seconds": round(self.elapsed_s, 3),
            "slowest_hosts": [
                {"host": host.name, "mean_s": round(host.mean_s, 3), "attempts": host.attempts}
                for host in self.slowest
            ],
            "destination": self.places.destination,
            "manifest": self.places.manifest,
        }
        optional = {
            "results": self.places.results,
            "log": self.places.log,
            "stopped": self.stopped,
        }
        return record | {name: value for name, value in optional.items() if value}

    def as_text(self) -> str:
        """The account for people: a few lines."""
        tally, seconds = self.tally, max(self.elapsed_s, 1e-9)
        if tally.targets:
            head = f"{tally.targets:,} target{'s' if tally.targets > 1 else ''}"
            counts = f"{_counts(tally.statuses)} in {_duration(seconds)}"
            rate = f"{human_size(tally.size)}, {tally.targets / seconds:,.1f}/s"
            lines = [f"{head}: {counts}, {rate}"]
        else:
            lines = ["0 targets" if self.stopped else "0 targets: the list is empty, nothing to do"]
        if self.stopped:
            lines.insert(0, f"stopped: {self.stopped}")
        if tally.kinds:
            lines.append(f"  failed:    {_counts(tally.kinds)}")
        if len(self.slowest) > 1:
            hosts = ", ".join(f"{host.name} {host.mean_s:.2f} s" for host in self.slowest)
            lines.append(f"  slowest:   {hosts} (mean of an attempt)")
        lines.append(f"  stored in: {self.places.destination}")
        lines.append(f"  manifest:  {self.places.manifest}")
        if self.places.results:
            lines.append(f"  results:   {self.places.results}")
        if self.places.log:
            lines.append(f"  log:       {self.places.log}")
        return "\n".join(lines)


def slowest(hosts: Iterable[HostStatistics]) -> list[HostStatistics]:
    """The hosts whose attempts took longest on average, the slowest first."""
    return sorted(hosts, key=lambda host: -host.mean_s)[:_SLOWEST]


def human_size(size: float) -> str:
    """Bytes in units of 1000, as `ls --si` shows them."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:  # more would be shown as 1000.0
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counter.most_common())


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"
