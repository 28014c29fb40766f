"""Hosts, as the frontier tells of them: what each did, and what changes for one.

Owns: these facts, and which changes are told, for logs. Does not know: how they are decided
(`frontier.py`), who is told. Rejected: telling of each failure that asks for patience. A burst
of them is one wait.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from scraper.model.records import Failure


class HostStatistics(NamedTuple):
    """What a host did in this run: attempts ended, failures, and seconds they took together."""

    name: str
    attempts: int
    failures: int
    total_s: float

    @property
    def mean_s(self) -> float:
        """Seconds an attempt took on average."""
        return self.total_s / self.attempts if self.attempts else 0.0


class HostState(NamedTuple):
    """What keeps requests from a host. Times are monotonic seconds."""

    paused_until: float
    deferred_until: float
    is_down: bool


class HostChange(NamedTuple):
    """A change that is told. `event` is `wait`, `deferred`, `host_down` or `host_up`."""

    event: str
    record: Mapping[str, Any]


def change_of(
    host: str, before: HostState, after: HostState, failure: Failure | None, now: float
) -> HostChange | None:
    """What changed for `host` with an attempt that ended with `failure`, None if nothing did."""
    if after.is_down != before.is_down:
        event, until = "host_down" if after.is_down else "host_up", None
    elif after.deferred_until > before.deferred_until:
        event, until = "deferred", after.deferred_until
    elif after.paused_until > max(now, before.paused_until + 1.0):
        event, until = "wait", after.paused_until
    else:
        return None
    record: dict[str, Any] = {"host": host}
    if until is not None:
        record["delay_s"] = round(until - now, 3)
    if failure is not None:
        record["reason"] = failure.message
    return HostChange(event, record)


class HostWait(NamedTuple):
    """A host whose `targets` wait for `left_s` seconds more.

    `reason`: the failure that they wait after. None: requests to the host have gaps. `is_down`:
    its breaker is open, and the next target that the list names is tried then.
    """

    host: str
    left_s: float
    targets: int
    reason: Failure | None = None
    is_down: bool = False
