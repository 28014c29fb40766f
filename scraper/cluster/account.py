"""The account of all shards: the sum of what each has left in the destination.

    account = Account(run)
    account.add(summary)                   # of a shard with one run, or that was done before
    account.add_records(lines, summary)    # of one that was begun more than once
    account.summary(...)

Each line of a list is in one shard, and each host too, so sums are exact: of targets, of failures
by reason, of hosts. A shard whose first run was lost with its worker has been run again: what the
first one stored was skipped by the second. Its account is what its manifest says of this run: the
last record of each line; all other lines of its list were skipped.

Owns: that sum. Does not know: where summaries and manifests lie. What tasks return is not part of
it: Dask runs some twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from scraper.manifest import status_of
from scraper.manifest.run_records import records_of_run
from scraper.model.records import STATUSES
from scraper.report.failures import FailureGroup, FailureGroups, HostFailures
from scraper.report.summary import Ending, Places, Summary, slowest
from scraper.schedule import HostStatistics

_REASONS = 8  # of one kind; the others have a group together
_URLS = 3
_WORST = 10
_FETCHED = ("stored", "not_modified")
_KEPT = ("status", "attempts", "size", "error", "http_code", "url", "url_effective", "mirror")
_Key = tuple[str, str, int | None, str]


class Groups:
    """Failures by reason, of several shards."""

    def __init__(self) -> None:
        self._groups: dict[_Key, FailureGroup] = {}

    def add(self, groups: Iterable[FailureGroup]) -> None:
        """Add those of one shard. Its hosts are in no other one."""
        for group in groups:
            key = group.status, group.kind, group.http_code, group.reason
            if key not in self._groups and self._is_full(group.kind):
                group = group._replace(http_code=None, reason=f"other ({group.kind})")  # noqa: PLW2901
                key = group.status, group.kind, None, group.reason
            known = self._groups.get(key)
            self._groups[key] = group if known is None else _together(known, group)

    def frozen(self) -> tuple[FailureGroup, ...]:
        """The groups, the largest first."""
        return tuple(sorted(self._groups.values(), key=lambda one: -one.failures))

    def _is_full(self, kind: str) -> bool:
        if kind == "http_status":
            return False
        return sum(one.kind == kind for one in self._groups.values()) >= _REASONS


class Account:
    """See the module. `run`: the id of the run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.statuses: Counter[str] = Counter()
        self.tried = self.attempts = self.size = 0
        self.failed_for_good = self.unknown = 0
        self._groups, self._new = Groups(), Groups()
        self._has_new = False
        self._hosts: list[HostFailures] = []
        self._slow: list[HostStatistics] = []

    @property
    def failures(self) -> int:
        """Targets that failed or were deferred."""
        return self.statuses["failed"] + self.statuses["deferred"]

    def add(self, told: Mapping[str, Any]) -> None:
        """Add the summary of a shard, of this run; of an earlier one what it stored is skipped."""
        is_ours = told.get("run") == self.run
        statuses = Counter({name: int(count) for name, count in told["statuses"].items()})
        if is_ours:
            self.tried += told["tried"]
            self.attempts += told["attempts"]
            self.size += told["bytes"]
        else:
            statuses["skipped"] += sum(statuses.pop(name, 0) for name in _FETCHED)
        self.statuses += statuses
        self._add_failures(told)

    def add_records(self, lines: Iterable[bytes], told: Mapping[str, Any] | None) -> None:
        """Add a shard of which there was more than one run, or whose run has left no summary.

        `lines`: its manifest. `told`: the summary of its last run, if that came to an end.
        """
        last: dict[tuple[str, int], dict[str, Any]] = {}
        for record in records_of_run(lines, self.run):
            place = str(record.get("source")), int(record.get("line") or 0)
            last[place] = {name: record[name] for name in _KEPT if name in record}
        groups = FailureGroups()
        for record in last.values():
            self._add_record(record)
            groups.add_record(record)
        self._groups.add(groups.frozen())
        self._hosts += groups.worst_hosts()
        if told is not None:
            listed = sum(int(count) for count in told["statuses"].values())
            self.statuses["skipped"] += max(0, listed - len(last))
            self._slow += _slow_hosts(told)

    def _add_record(self, record: Mapping[str, Any]) -> None:
        status, attempts = status_of(record) or "failed", int(record.get("attempts") or 0)
        self.statuses[status] += 1
        self.attempts += attempts
        self.tried += status in _FETCHED or (
            attempts > 0 and status in {"failed", "deferred", "not_reached"}
        )
        if status == "stored":
            self.size += int(record.get("size") or 0)

    def _add_failures(self, told: Mapping[str, Any]) -> None:
        self.failed_for_good += told.get("failed_for_good", 0)
        self.unknown += told.get("unknown", 0)
        self._groups.add(map(_group, told["failures"]))
        if "new_failures" in told:
            self._has_new = True
            self._new.add(map(_group, told["new_failures"]))
        self._hosts += [HostFailures(one["host"], one["failures"]) for one in told["failing_hosts"]]
        self._slow += _slow_hosts(told)

    def summary(self, start: float, end: float, ending: Ending, places: Places) -> Summary:
        """The account as it is now."""
        hosts = sorted(self._hosts, key=lambda one: -one.failures)[:_WORST]
        return Summary(
            run=self.run,
            start=start,
            end=end,
            ending=ending,
            statuses={status: self.statuses[status] for status in STATUSES.values()},
            tried=self.tried,
            attempts=self.attempts,
            size=self.size,
            failures=self._groups.frozen(),
            failing_hosts=tuple(hosts),
            slowest=slowest(self._slow),
            places=places,
            new=self._new.frozen() if self._has_new else None,
            failed_for_good=self.failed_for_good,
            unknown=self.unknown,
        )


def _together(one: FailureGroup, other: FailureGroup) -> FailureGroup:
    return one._replace(
        failures=one.failures + other.failures,
        hosts=one.hosts + other.hosts,
        urls=(*one.urls, *other.urls)[:_URLS],
    )


def _group(told: Mapping[str, Any]) -> FailureGroup:
    return FailureGroup(
        told["status"],
        told["kind"],
        told.get("http_code"),
        told["reason"],
        told["failures"],
        told["hosts"],
        tuple(told["urls"]),
    )


def _slow_hosts(told: Mapping[str, Any]) -> list[HostStatistics]:
    return [
        HostStatistics(one["host"], one["attempts"], 0, one["mean_s"] * one["attempts"])
        for one in told["slowest_hosts"]
    ]
