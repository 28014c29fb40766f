"""The account: what became of each target, recorded first and told afterwards.

A Result goes into the manifest and is counted when it is recorded. The loop settles the
account once a turn: the manifest's new lines are handed over, and only then do receivers
hear of the Results. So a run that is killed never told of a Result that it then forgot.

Owns: that order, the counts, and what --fail-fast makes of them. Does not know: why a
Result is as it is, or who the receivers are. Rejected: telling each Result as it is
recorded. It costs a system call for each, and comes before the manifest has it.
"""

from collections.abc import Sequence
from typing import Protocol

from scraper.manifest import ManifestStore
from scraper.model.errors import DestinationError
from scraper.model.records import Result
from scraper.model.settings import Settings
from scraper.report.summary import Tally
from scraper.run.stopping import GRACE_S, Stop
from scraper.run.timeout import call_until

_JUDGED_FROM = 100  # targets; of fewer, a share of failures means nothing


class Receiver(Protocol):
    """Who hears of Results, of several in one call."""

    def __call__(self, *results: Result) -> None:
        """Take them, in this order."""


class Account:
    """The account of one run. `store` is set when the destination is open."""

    store: ManifestStore

    def __init__(
        self, settings: Settings, receivers: Sequence[Receiver], stop: Stop, begun: float
    ) -> None:
        self.tally = Tally(begun=begun)
        self._fails_fast = settings.fail_fast
        self._budget = settings.max_failures
        self._receivers = receivers
        self._stop = stop
        self._untold: list[Result] = []
        self._can_record = True

    def record(self, result: Result) -> None:
        """Put a Result into the manifest, and count it."""
        self.store(result)
        self.tally(result)
        self._untold.append(result)
        if self._fails_fast and self._stop.reason is None and result.failure is not None:
            judged = max(self.tally.targets, _JUDGED_FROM)
            if self._budget.exceeded(self.tally.failures, judged):
                self._stop.ask("--fail-fast: more failures than --max-failures", GRACE_S)

    def skip(self, results: Sequence[Result]) -> None:
        """Count Results that the manifest has from an earlier run."""
        if results:
            self.tally.skip(len(results))
            self._untold += results

    def settle(self) -> list[Result]:
        """Hand the manifest over, tell the receivers, and return what they were told.

        The run stops when the manifest can't be written. `finish` tries once more.
        """
        if self._can_record:
            try:
                self.store.flush()
            except DestinationError as error:
                self._can_record = False
                self._stop.because_of(error)
        return self._tell()

    def finish(self) -> list[Result]:
        """Close the manifest, and settle for the last time. A manifest that hangs is given up."""
        try:
            call_until(self.store.close, self._stop.last_moment())
        except TimeoutError:
            self._stop.abandoned = True
            message = f"the last records are not in the manifest: {self.store.place!r} is silent"
            self._stop.because_of(DestinationError(message))
        except DestinationError as error:
            self._stop.because_of(error)
        return self._tell()

    def _tell(self) -> list[Result]:
        told, self._untold = self._untold, []
        if told:
            for receiver in self._receivers:
                receiver(*told)
        return told
