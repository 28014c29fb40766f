"""The account: what became of each target, recorded first and told afterwards.

A Result is counted and given to the manifest when it is recorded. The loop settles the account
once a turn: new lines are written, and receivers hear of the Results that the manifest has. So
a run that is killed has told nobody of a Result that the next run does not know.

In a file that is the case within the turn. A manifest in a sink has a Result when its segment
was put, which is after 5 seconds at most, and at once when the run waits for lines only.

Owns: that order, the counts, and what --fail-fast makes of them. Does not know: why a
Result is as it is, or who the receivers are. Rejected: telling each Result as it is
recorded. It costs a system call for each, and a consumer that acts on it would act twice when
the run is killed and started again.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from scraper.manifest import ManifestStore
from scraper.model.errors import DestinationError, Held
from scraper.model.records import Deferred, Failed, Result
from scraper.model.settings import Settings
from scraper.report.failures import FailureGroups
from scraper.report.tally import Tally
from scraper.run.stopping import Stop
from scraper.run.timeout import call_until

_JUDGED_FROM = 100  # targets; of fewer, a share of failures means nothing


class Receiver(Protocol):
    """Who hears of Results, of several in one call."""

    def __call__(self, *results: Result) -> None:
        """Take them, in this order."""


class Account:
    """The account of one run. `store` is set when the destination is open.

    So is `has_failed`, which says whether a target had failed already when it was tried last.
    """

    store: ManifestStore
    has_failed: Callable[[Result], bool]

    def __init__(
        self, settings: Settings, receivers: Sequence[Receiver], stop: Stop, begun: float
    ) -> None:
        self.tally = Tally(begun=begun)
        if settings.earlier.new_failures:
            self.tally.new = FailureGroups()
        self._fails_fast = settings.fail_fast
        self._budget = settings.max_failures
        self._receivers = receivers
        self._stop = stop
        self._untold: deque[Result] = deque()
        self._told = 0  # of the recorded ones
        self._skipped: list[Result] = []
        self._can_record = True

    def record(self, result: Result) -> None:
        """Put a Result into the manifest, and count it."""
        if result.times.started is None:  # nothing was asked
            result = result._replace(times=result.times._replace(started=time.time()))
        self.store(result)
        self.tally(result, known=self.tally.new is not None and not self.is_news(result))
        self._untold.append(result)
        if self._fails_fast and self._stop.reason is None and result.failure is not None:
            judged = max(self.tally.targets, _JUDGED_FROM)
            if self._budget.exceeded(self.tally.failures, judged):
                self._stop.ask("--fail-fast: more failures than --max-failures")

    def is_news(self, result: Result) -> bool:
        """Whether people are told of `result`. With --new-failures an old failure is no news."""
        if self.tally.new is None or not isinstance(result.outcome, Failed | Deferred):
            return True
        return not self.has_failed(result)

    def skip(self, results: Sequence[Result]) -> None:
        """Count Results that the manifest has from an earlier run."""
        if results:
            self.tally.skip(results)
            self._skipped += results

    @property
    def has_untold(self) -> bool:
        """Whether recorded Results wait until the manifest has them."""
        return bool(self._untold)

    def settle(self, *, idle: bool) -> list[Result]:
        """Write what is due, tell receivers what the manifest has, and return that.

        `idle`: the run waits for lines only, so everything is due. The run stops when the
        manifest can't be written; `finish` tries once more.
        """
        if self._can_record:
            try:
                self.store.flush(idle=idle)
            except (DestinationError, Held) as error:
                self._stop_recording(error)
        return self._tell(self.store.recorded - self._told)

    def finish(self) -> list[Result]:
        """Close the manifest, tell the rest, and return it. A manifest that hangs is given up.

        When the manifest could not be written, the rest is told all the same: the run ends with
        an error, and nothing else says what became of these targets.
        """
        told = self.settle(idle=True)
        try:
            call_until(self.store.close, self._stop.last_moment())
        except TimeoutError:
            self._stop.abandoned = True
            message = f"the last records are not in the manifest: {self.store.place!r} is silent"
            self._stop.because_of(DestinationError(message))
        except (DestinationError, Held) as error:
            self._stop_recording(error)
        return told + self._tell(len(self._untold))

    def _stop_recording(self, error: DestinationError | Held) -> None:
        """The manifest takes no more. That is said also if the run ends for another reason."""
        if self._can_record:
            self._can_record = False
            lost = f"{len(self._untold):,} results are not in the manifest: {error}"
            self._stop.because_of(error, otherwise=lost)

    def _tell(self, ready: int) -> list[Result]:
        """Tell the first `ready` of the recorded Results, and the skipped ones."""
        told = self._skipped
        if ready:
            told = [self._untold.popleft() for _ in range(ready)] + told
            self._told += ready
        if told:
            self._skipped = []
            for receiver in self._receivers:
                receiver(*told)
        return told
