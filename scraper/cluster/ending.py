"""The end of a run on a cluster: its exit status, and its summary, kept in the destination.

The status is that of the error that ended the run. Without one it is 1 if a shard is not done, or
if more targets failed than `--max-failures` allows.

Owns: these rules. Does not know: how an account is added up (`account.py`).
"""

import time
from typing import TYPE_CHECKING

from scraper.cluster.account import Account
from scraper.cluster.view import Pulses
from scraper.model.errors import EXIT_FAILED, ScraperError, SinkError, status_of
from scraper.model.settings import Budget, Settings
from scraper.model.urls import redact_text
from scraper.report.summary import Ending, Invocation, Places, Summary
from scraper.report.summary_file import SummaryFile
from scraper.run.stopping import Note
from scraper.sinks.base import Sink

if TYPE_CHECKING:
    from collections.abc import Callable


class ClusterEnding:
    """See `RunEnding`, whose names these are."""

    def __init__(self) -> None:
        self.summary: Summary | None = None
        self.begun = False
        self.invocation = Invocation()
        self.final_status: Callable[[int], int] = lambda status: status

    def judged(
        self,
        account: Account,
        error: BaseException | None,
        budget: Budget,
        stopped: str | None,
        not_done: str,
    ) -> Ending:
        """How a run with this account has ended. `not_done`: which shards are not, or ""."""
        status = status_of(error)
        reached = account.statuses.total() - account.statuses["not_reached"]
        over = account.failures > 0 and budget.exceeded(account.failures, reached)
        if not status and (not_done or over or account.statuses["not_reached"]):
            status = EXIT_FAILED
        said = redact_text(str(error)) if isinstance(error, ScraperError) else None
        reason = stopped or (not_done or None)
        return Ending(self.final_status(status), reason, said, unread=bool(not_done))

    def sum_up(self, summary: Summary) -> None:
        """The run is over."""
        self.summary = summary._replace(invocation=self.invocation)

    def so_far(self, run: str, start: float, pulses: Pulses, places: Places) -> Summary:
        """What messages of workers come to."""
        account = Account(run)
        account.statuses["failed"] = pulses.count("failures")
        account.size = pulses.count("size")
        return account.summary(start, time.time(), Ending(), places)

    def keep(self, sink: Sink, destination: str, settings: Settings, note: Note) -> None:
        """Write the summary into the destination."""
        summary = self.summary
        assert summary is not None
        file = SummaryFile(sink, destination, durable=settings.durable)
        places = summary.places._replace(summary=file.place)
        whole = summary._replace(places=places, earlier_runs=file.earlier())
        try:
            file.write(whole.as_record())
        except (OSError, SinkError, ScraperError) as error:
            text = redact_text(f"the summary was not written: {error}")
            note("warning", "summary", {"message": text})
            return
        self.summary = whole
