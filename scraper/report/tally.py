"""The tally: counts of Results while a run goes on.

Owns: counting. Does not know: the closing account (`summary.py`), which is made of it. Rejected:
counting the records of the manifest; it may hold those of earlier runs.
"""

import time
from collections import Counter
from collections.abc import Collection, Mapping

from scraper.model.records import (
    STATUSES,
    Deferred,
    Failed,
    NotReached,
    Result,
    Skipped,
    Stored,
)
from scraper.model.settings import Budget
from scraper.report.failures import FailureGroups, by_kind


class Tally:
    """Counts Results. `size`: bytes stored. `begun`: monotonic seconds.

    `groups`: the failures by reason. `new`: those of them that the run before did not have, None
    if nobody asks for that. `failed_for_good`: how many were skipped because of that;
    `unknown`: how many because no run had recorded them.
    """

    def __init__(self, new: FailureGroups | None = None, begun: float | None = None) -> None:
        self.statuses: Counter[str] = Counter()
        self.groups = FailureGroups()
        self.new = new
        self.size = self.attempts = self.failed_for_good = self.unknown = 0
        self.begun = time.monotonic() if begun is None else begun
        self._tried_in_vain = 0

    def __call__(self, result: Result, *, known: bool = False) -> None:
        """Count one result. `known`: the run before had this failure already."""
        outcome = result.outcome
        self.statuses[STATUSES[type(outcome)]] += 1
        self.attempts += result.attempts
        if isinstance(outcome, Stored):
            self.size += outcome.size
        elif isinstance(outcome, Failed | Deferred | NotReached):
            self._tried_in_vain += result.attempts > 0
            self.groups.add(result)
            if self.new is not None and not known:
                self.new.add(result)

    def skip(self, skipped: Collection[Result]) -> None:
        """Count targets that were skipped."""
        self.statuses["skipped"] += len(skipped)
        outcomes = [one.outcome for one in skipped if isinstance(one.outcome, Skipped)]
        self.failed_for_good += sum(one.failed_for_good for one in outcomes)
        self.unknown += sum(one.unknown for one in outcomes)

    @property
    def targets(self) -> int:
        """The number of results so far."""
        return self.statuses.total()

    @property
    def tried(self) -> int:
        """Targets for which there was a request."""
        return self.statuses["stored"] + self.statuses["not_modified"] + self._tried_in_vain

    @property
    def failures(self) -> int:
        """Targets that count against `--max-failures`: failed and deferred ones."""
        return self.statuses["failed"] + self.statuses["deferred"]

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many targets failed, by kind."""
        return by_kind(self.groups.frozen())

    def over(self, budget: Budget) -> bool:
        """Whether more failed than is tolerated."""
        reached = self.targets - self.statuses["not_reached"]
        return self.failures > 0 and budget.exceeded(self.failures, reached)

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun
