"""The sieve: which lines of the list need a request.

Owns: the order in which that is asked (is it a target, has the run had it, has an earlier
run done it), of many lines at once, and what the run had. Refuses to know: what is done
about the answers (`loop.py`). Where it can't be told any more, since the disk with the
answers fails, everything needs one: the run stops then, and records what it did not do.
"""

from collections.abc import Sequence
from typing import NamedTuple

from scraper.manifest import History
from scraper.model.errors import DestinationError
from scraper.model.records import PreviousRecord, Result, Skipped, Target
from scraper.source.duplicates import DuplicateFilter
from scraper.source.lists import Read


class Sifted(NamedTuple):
    """What becomes of lines: ends, ends because it was done before, or is left to be asked for.

    `left` has what is known of each. `error`: why nothing more can be told of them.
    """

    ended: list[Result]
    skipped: list[Result]
    left: list[tuple[Target, PreviousRecord | None]]
    error: DestinationError | None = None


class Prefilter:
    """Of one run, with its `memory` of earlier ones; `ignores_case` as `DuplicateFilter` has it."""

    def __init__(self, history: History, *, ignores_case: bool) -> None:
        self._history = history
        self._duplicates = DuplicateFilter(ignores_case=ignores_case)

    def sift(self, items: Sequence[Read]) -> Sifted:
        """What needs no request, as it ends, and the rest."""
        ended = [item for item in items if isinstance(item, Result)]
        targets = [item for item in items if not isinstance(item, Result)]
        try:
            verdicts = self._duplicates.judge_all(targets)
            if any(verdicts):
                ended += filter(None, verdicts)
                pairs = zip(targets, verdicts, strict=True)
                targets = [target for target, verdict in pairs if verdict is None]
            decided = list(zip(targets, self._history.recall(targets), strict=True))
        except DestinationError as error:
            return Sifted(ended, [], [(target, None) for target in targets], error)
        skipped = [Result(target, one) for target, one in decided if isinstance(one, Skipped)]
        left = [(target, one) for target, one in decided if not isinstance(one, Skipped)]
        return Sifted(ended, skipped, left)

    def close(self) -> None:
        """Forget what the run had."""
        self._duplicates.close()
