"""The end of a run: its exit status, and its summary, which is kept in the destination.

The exit status is that of the error that ended the run. Without one it is 1 if the run was stopped
before all targets were tried, or if more failed than `--max-failures` allows. A caller may know
better: a signal came, or the reader of the results did not get them.

The summary is written while the run still has the lock, so it never replaces that of a later run.
A store that is silent is waited for SUMMARY_S at most. A run is not worse for a summary that could
not be written: its bodies and records are there.

Owns: these rules, and the summary of a run that is over. Does not know: what a summary says
(`report/summary.py`).
"""

import time
from typing import TYPE_CHECKING

from scraper.model.errors import EXIT_DESTINATION, EXIT_FAILED, EXIT_HELD, ScraperError, status_of
from scraper.model.settings import Budget
from scraper.model.urls import redact_text
from scraper.report.summary import Ending, Invocation, Places, Summary, summed_up
from scraper.report.tally import Tally
from scraper.run.resources import RunResources
from scraper.run.stopping import Note, Stop
from scraper.schedule import Frontier

if TYPE_CHECKING:
    from collections.abc import Callable

SUMMARY_S = 10.0  # at most, for a store to take the summary
_HOPELESS_S = 2.0  # the same, if the store has refused the bodies already


class RunEnding:
    """See the module. `summary` is None until the run is over. `begun`: there are Results to tell.

    Set `invocation` to the command that began the run. Set `final_status` to a function that is
    given the exit status of the run, and returns that of the process.
    """

    def __init__(self, run: str, tally: Tally, budget: Budget, stop: Stop) -> None:
        self.summary: Summary | None = None
        self.begun = False
        self.invocation = Invocation()
        self.final_status: Callable[[int], int] = lambda status: status
        self._run = run
        self._tally = tally
        self._budget = budget
        self._stop = stop

    def so_far(self, places: Places, frontier: Frontier, ending: Ending | None = None) -> Summary:
        """The account as it is now."""
        ending = ending or Ending(stopped=self._stop.reason)
        made = summed_up(self._run, self._tally, ending, places, frontier.statistics())
        return made._replace(invocation=self.invocation)

    def sum_up(self, error: BaseException | None, places: Places, frontier: Frontier) -> None:
        """The run is over, because of `error` if there is one. Nothing happens unless it began."""
        if not self.begun:
            return
        status = status_of(error)
        if not status and (self._stop.cut_short or self._tally.over(self._budget)):
            status = EXIT_FAILED
        said = redact_text(str(error)) if isinstance(error, ScraperError) else None
        unread = self._stop.unread or said is not None
        ending = Ending(self.final_status(status), self._stop.reason, said, unread)
        self.summary = self.so_far(places, frontier, ending)

    def keep(self, resources: RunResources, note: Note) -> None:
        """Write the summary into the destination, unless another run may have that by now.

        `note` hears of it if that fails.
        """
        summary, file = self.summary, resources.summary_file
        if summary is None or summary.exit_status == EXIT_HELD or not resources.holds():
            return
        hopeless = summary.exit_status == EXIT_DESTINATION
        at_most = time.monotonic() + (_HOPELESS_S if hopeless else SUMMARY_S)
        last_moment = self._stop.last_moment()

        def write() -> Summary:
            places = summary.places._replace(summary=file.place)
            whole = summary._replace(places=places, earlier_runs=file.earlier())
            resources.summary = whole.as_record()
            file.write(resources.summary)
            return whole

        try:
            self.summary = resources.wait_for(write, lambda: min(last_moment(), at_most))
        except TimeoutError:
            resources.abandoned = True
            reason = f"{file.place!r} is silent"
        except Exception as error:  # noqa: BLE001 - a sink of a plug-in may raise anything
            reason = getattr(error, "strerror", None) or str(error)
        else:
            return
        if not hopeless:
            text = redact_text(f"the summary was not written: {reason}")
            note("warning", "summary", {"message": text})
