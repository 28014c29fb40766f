"""What a manifest comes to: targets by their last word, objects, and the last runs by its records.

Owns: these counts. Does not know: how they are shown (`cli/status_screen.py`), what a run said of
itself (`report/summary_file.py`). A manifest that was compacted has not every record, so the
summary of a run knows more of it. Rejected: a set of all targets; the index takes 16 MB.
"""

import contextlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from scraper.manifest.codec import Reading, is_of_fetch, started_ms, status_of
from scraper.manifest.index import Index, Totals
from scraper.manifest.not_done import absorbed
from scraper.model.dates import rfc3339

_RUNS = 11  # as many as a summary tells
_NOT_DONE = ("failed", "deferred", "not_reached")


@dataclass
class RunRecords:
    """The records of one run. `start`, `end`: when its first and last request began, "" if unknown.

    `run` is "" for those of versions before 0.2, which had no ids: they count as one run.
    """

    run: str
    start: str = ""
    end: str = ""
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any], status: str) -> None:
        """Count one record."""
        self.statuses[status] += 1
        at_ms = started_ms(record)
        if at_ms is not None:
            started = rfc3339(at_ms / 1000)  # `started` itself has whole seconds
            self.start = min(self.start or started, started)
            self.end = max(self.end, started)


class Survey(NamedTuple):
    """`not_done` counts targets by status, zeros included. `runs`: the latest first."""

    totals: Totals
    not_done: Mapping[str, int]
    runs: tuple[RunRecords, ...]


def survey(
    lines: Callable[[], Iterator[bytes]],
    reading: Reading,
    on_not_done: Callable[[Mapping[str, Any]], None],
) -> Survey:
    """What the manifest comes to. `on_not_done` is given the last record of each such target.

    `lines` gives the manifest's lines from the start; it is called twice. Raises what
    `not_done.not_done` raises.
    """
    runs: OrderedDict[str, RunRecords] = OrderedDict()
    not_done: Counter[str] = Counter(dict.fromkeys(_NOT_DONE, 0))
    with contextlib.closing(Index("", reading)) as index:
        for record in absorbed(index, lines, partial(_note, runs)):
            status = status_of(record)
            if status in not_done:  # not if a run rewrote the manifest meanwhile
                not_done[status] += 1
                on_not_done(record)
        return Survey(index.totals(), not_done, tuple(reversed(runs.values())))


def _note(runs: "OrderedDict[str, RunRecords]", record: dict[str, Any]) -> None:
    """Count `record`. The last few runs are kept in `runs`."""
    with contextlib.suppress(ValueError, LookupError, TypeError):  # not a record of ours
        run, status = str(record.get("run", "")), status_of(record)
        if is_of_fetch(record):
            _of(run, runs).add(record, status)


def _of(run: str, runs: "OrderedDict[str, RunRecords]") -> RunRecords:
    if run not in runs:
        runs[run] = RunRecords(run)
        if len(runs) > _RUNS:
            runs.popitem(last=False)
    return runs[run]
