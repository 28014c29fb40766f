"""The summary: the closing account of a run, as one frozen record.

The last screen, the log, `scraper.run` and the file `summary.json` all show this record.

Owns: what is in it, and its JSON. Does not know: how it looks as text (`closing.py`), where its
file lies (`summary_file.py`), how Results are counted (`tally.py`).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scraper.model.dates import rfc3339
from scraper.model.errors import is_permanent_failure
from scraper.model.records import STATUSES
from scraper.model.version import __version__
from scraper.report.failures import FailureGroup, HostFailures, by_code, by_kind
from scraper.report.tally import Tally
from scraper.schedule import HostStatistics

_SLOWEST = 5


class Places(NamedTuple):
    """Where a run writes: names for people, without secrets. `shard`: which one it is, if any."""

    destination: str
    manifest: str
    results: str | None = None
    log: str | None = None
    summary: str | None = None
    shard: str | None = None


class Invocation(NamedTuple):
    """The command that began a run, and those that do the rest of it. Without secrets.

    `resume` goes on with a list that was not read to its end; `retry_failed` fetches what is not
    done. `stopped` is the one for a run that was stopped, where that is another. All are "" for a
    run that no command began.
    """

    command: str = ""
    resume: str = ""
    retry_failed: str = ""
    stopped: str = ""

    def of_cluster(self) -> "Invocation":
        """The same for a run of all shards: `--resume` asks again for what failed."""
        return self._replace(retry_failed=self.resume)

    def of_shard(self) -> "Invocation":
        """The same for a run of one shard: it is done once a run has come to the end of its list.

        `--retry-failed` never makes it so.
        """
        return self._replace(stopped=self.resume)


NO_INVOCATION = Invocation()


class Ending(NamedTuple):
    """How a run ended. `exit_status` is None while it goes on.

    `stopped` says why nothing more was started, `error` what the run raised. `unread`: lines of
    the list were not read.
    """

    exit_status: int | None = None
    stopped: str | None = None
    error: str | None = None
    unread: bool = False


class Summary(NamedTuple):
    """The closing account. `start` and `end` are seconds since 1970 (UTC), `size` is bytes.

    `statuses` has every status, with 0 where there is none. `tried`: targets for which there was
    a request. `new`: failures that the run before did not have, None if nobody asked.
    `failed_for_good`: targets that were skipped because an earlier run found that they never work.
    `unknown`: targets that were skipped because no run has recorded them (--retry-failed).
    `earlier_runs`: the last few before this one, the latest first.
    """

    run: str
    start: float
    end: float
    ending: Ending
    statuses: Mapping[str, int]
    tried: int
    attempts: int
    size: int
    failures: tuple[FailureGroup, ...]
    failing_hosts: tuple[HostFailures, ...]
    slowest: Sequence[HostStatistics]
    places: Places
    new: tuple[FailureGroup, ...] | None = None
    invocation: Invocation = NO_INVOCATION
    earlier_runs: tuple[Mapping[str, Any], ...] = ()
    failed_for_good: int = 0
    unknown: int = 0
    version: str = __version__

    @property
    def targets(self) -> int:
        """The number of results."""
        return sum(self.statuses.values())

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.end - self.start

    @property
    def exit_status(self) -> int | None:
        """What the command ends with. None while the run goes on."""
        return self.ending.exit_status

    @property
    def stopped(self) -> str | None:
        """Why the run was stopped, None if it was not."""
        return self.ending.stopped

    @property
    def reason(self) -> str | None:
        """Why the run was stopped, or why its status is not 0. None if all is well."""
        found = self.ending.stopped or self.ending.error
        if found is None and self.ending.exit_status and self.failed:
            return "more failures than --max-failures"
        return found

    @property
    def failed(self) -> int:
        """Targets that failed or were deferred."""
        return self.statuses["failed"] + self.statuses["deferred"]

    @property
    def is_bad(self) -> bool:
        """Whether it is worth a mail: it was stopped, or something failed that is news."""
        return bool((self.failed if self.new is None else self.new) or self.stopped)

    @property
    def again(self) -> str:
        """The command that does the rest, "" if there is none or nothing can get better."""
        if self.ending.unread:
            return self.invocation.resume
        if (self.stopped or self.statuses["not_reached"]) and self.invocation.stopped:
            return self.invocation.stopped
        passing = any(_may_pass(group) for group in self.failures)
        return self.invocation.retry_failed if passing or self.statuses["not_reached"] else ""

    def as_record(self) -> dict[str, Any]:
        """The account as JSON. docs/results.md says what each field means."""
        seconds = max(self.seconds, 1e-3)
        return self.head() | {
            "seconds": round(self.seconds, 3),
            "tried": self.tried,
            "attempts": self.attempts,
            "bytes_per_second": round(self.size / seconds),
            "targets_per_second": round(self.tried / seconds, 3),
            "errors": by_kind(self.failures),
            "http_codes": by_code(self.failures),
            "failures": [group.as_record() for group in self.failures],
            "failing_hosts": [host._asdict() for host in self.failing_hosts],
            "slowest_hosts": [
                {"host": host.name, "mean_s": round(host.mean_s, 3), "attempts": host.attempts}
                for host in self.slowest
            ],
            **self._known(),
            "destination": self.places.destination,
            "manifest": self.places.manifest,
            "earlier_runs": [*self.earlier_runs],
        }

    def head(self) -> dict[str, Any]:
        """The main facts: what later summaries tell of this run."""
        facts = {
            "run": self.run,
            "version": self.version,
            "start": rfc3339(self.start),
            "end": rfc3339(self.end),
            "exit_status": self.ending.exit_status,
            "reason": self.reason,
            "targets": self.targets,
            "statuses": dict(self.statuses),
            "bytes": self.size,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _known(self) -> dict[str, Any]:
        """What not every run has."""
        optional = {
            "new_failures": None if self.new is None else [one.as_record() for one in self.new],
            "results": self.places.results,
            "log": self.places.log,
            "command": self.invocation.command or None,
            "again": self.again or None,
            "unread": self.ending.unread or None,
            "failed_for_good": self.failed_for_good or None,
            "unknown": self.unknown or None,
        }
        return {name: value for name, value in optional.items() if value is not None}

    def as_text(self) -> str:
        """The account for people: the last screen."""
        from scraper.report.closing import as_text

        return as_text(self)


def summed_up(
    run: str, tally: Tally, ending: Ending, places: Places, hosts: Iterable[HostStatistics]
) -> Summary:
    """The account of the run with this id, as far as `tally` has come. It ends now."""
    end = time.time()
    return Summary(
        run=run,
        start=end - tally.elapsed_s(),
        end=end,
        ending=ending,
        statuses={status: tally.statuses[status] for status in STATUSES.values()},
        tried=tally.tried,
        attempts=tally.attempts,
        size=tally.size,
        failures=tally.groups.frozen(),
        failing_hosts=tally.groups.worst_hosts(),
        slowest=slowest(hosts),
        places=places,
        new=None if tally.new is None else tally.new.frozen(),
        failed_for_good=tally.failed_for_good,
        unknown=tally.unknown,
    )


def slowest(hosts: Iterable[HostStatistics]) -> list[HostStatistics]:
    """The hosts whose attempts took longest on average, the slowest first."""
    return sorted(hosts, key=lambda host: -host.mean_s)[:_SLOWEST]


def _may_pass(group: FailureGroup) -> bool:
    """Whether another run may do better. `--retry-failed` leaves the others alone."""
    return not is_permanent_failure(group.kind, group.http_code)
