"""The prefilter: which lines of a list need a request.

It asks four questions, of many lines at once. Is the line a target? Does it have a digest, if it
must (--require-digest)? Is it a repeat of an earlier line? Did an earlier run do it?

Owns: that order, and the filter of repeats. Does not know: what follows from the answers
(`loop.py`). When the disk with the answers fails, every line needs a request. The run then
stops, and records what it did not do.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from scraper.manifest import History
from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Failed, Failure, PreviousRecord, Result, Skipped, Target, Times
from scraper.sinks.base import Sink, has_directories, ignores_case
from scraper.source.duplicates import DuplicateFilter
from scraper.source.lists import Read
from scraper.transfer import Plan

_NO_DIGEST = Failed(
    Failure(Kind.MISMATCH, "its line has no digest (--require-digest)", transient=False)
)


class Sifted(NamedTuple):
    """Lines, sorted.

    `ended`: lines that need no request, each with its Result. `skipped`: the same for lines that
    an earlier run did. `left`: targets that need a request, each with what the manifest knows of
    it. `error`: why the questions could not be answered.
    """

    ended: list[Result]
    skipped: list[Result]
    left: list[tuple[Target, PreviousRecord | None]]
    error: DestinationError | None = None


class Prefilter:
    """The prefilter of one run, which fetches by `plan` and stores in `sink`.

    `history`: of earlier runs.
    """

    def __init__(self, history: History, plan: Plan, sink: Sink) -> None:
        self._history = history
        self._is_another = plan.asks_for_another
        self._needs_digest = plan.http.require_digest
        self._duplicates = DuplicateFilter(
            ignores_case=ignores_case(sink), has_directories=has_directories(sink)
        )

    def sift(self, items: Sequence[Read]) -> Sifted:
        """Sort `items`."""
        targets = [item for item in items if isinstance(item, Target)]
        ended: list[Result] = []
        if len(targets) < len(items):
            ended += [item for item in items if isinstance(item, Result)]
        try:
            verdicts = self._duplicates.judge_all(targets)
            if self._needs_digest:
                pairs = zip(targets, verdicts, strict=True)
                verdicts = [verdict or without_digest(target) for target, verdict in pairs]
            if any(verdicts):
                ended += filter(None, verdicts)
                pairs = zip(targets, verdicts, strict=True)
                targets = [target for target, verdict in pairs if verdict is None]
            decisions = self._history.recall(targets, self._is_another)
        except DestinationError as error:
            return Sifted(ended, [], [(target, None) for target in targets], error)
        skipped = self._left_alone(ended) if self._history.leaves_alone else []
        left: list[tuple[Target, PreviousRecord | None]] = []
        times = Times(time.time())
        for target, decision in zip(targets, decisions, strict=True):
            if isinstance(decision, Skipped):
                result = Result(target, decision, times=times)
                (skipped if decision.existing is None else ended).append(result)
            else:
                left.append((target, decision))
        return Sifted(ended, skipped, left)

    @staticmethod
    def _left_alone(ended: list[Result]) -> list[Result]:
        """Take out of `ended` the lines that name no target of their own: they are skipped."""
        rest, skipped = [], []
        for result in ended:
            failure = result.failure
            if failure is not None and failure.kind is Kind.BAD_URL:
                outcome = Skipped(f"bad_url: {failure.message}", failed_for_good=True)
                skipped.append(Result(result.target, outcome, times=Times(time.time())))
            else:
                rest.append(result)
        ended[:] = rest
        return skipped

    def close(self) -> None:
        """Remove the filter's file."""
        self._duplicates.close()


def without_digest(target: Target) -> Result | None:
    """The Result of a target that --require-digest refuses, None if its line has a digest."""
    has_one = target.expected is not None and target.expected.digests
    return None if has_one else Result(target, _NO_DIGEST)
