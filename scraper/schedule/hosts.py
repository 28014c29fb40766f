"""Hosts, as the frontier tells of them: what each did, and what changes for one.

Owns: these facts, and which changes are told, for logs. Does not know: how they are decided
(`frontier.py`), who is told. Rejected: telling of each failure that asks for patience. A burst
of them is one wait.
"""

import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from scraper.model.records import Failure


class Charge(Enum):
    """What a failed attempt costs its target."""

    ATTEMPT = auto()  # one of its attempts
    NOTHING = auto()  # its host is to blame, and is tried again
    LAST = auto()  # all that are left: its host is given up


class HostState(NamedTuple):
    """What keeps requests from a host. Times are monotonic seconds.

    `down_until`: the next try while no connection can be made, None if one can. `given_up`: its
    targets are not waited with any more.
    """

    paused_until: float
    deferred_until: float
    down_until: float | None
    given_up: bool

    def in_a_word(self, now: float) -> str:
        """`down`, `deferred` or `paused`; "" if requests may be sent."""
        if self.down_until is not None or self.given_up:
            return "down"
        if now < self.deferred_until:
            return "deferred"
        return "paused" if now < self.paused_until else ""


_FREE = HostState(-math.inf, -math.inf, None, given_up=False)


class HostStatistics(NamedTuple):
    """What a host did in this run: attempts ended, failures, and seconds they took together.

    `state`: what keeps requests from it now.
    """

    name: str
    attempts: int
    failures: int
    total_s: float
    state: HostState = _FREE

    @property
    def mean_s(self) -> float:
        """Seconds an attempt took on average."""
        return self.total_s / self.attempts if self.attempts else 0.0


class HostChange(NamedTuple):
    """A change that is told.

    `event` is `wait`, `deferred`, `host_down`, `host_given_up` or `host_up`.
    """

    event: str
    record: Mapping[str, Any]


def change_of(
    host: str, before: HostState, after: HostState, failure: Failure | None, now: float
) -> HostChange | None:
    """What changed for `host` with an attempt that ended with `failure`, None if nothing did."""
    until: float | None = None
    if (after.down_until is None) != (before.down_until is None):
        event = "host_up" if after.down_until is None else "host_down"
        until = None if after.given_up else after.down_until
    elif after.given_up and not before.given_up:
        event = "host_given_up"
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
    no connection can be made, and one target is tried then.
    """

    host: str
    left_s: float
    targets: int
    reason: Failure | None = None
    is_down: bool = False


def together(waits: Sequence[HostWait]) -> list[HostWait]:
    """One for each name: all hosts behind a proxy that is down wait for the proxy."""
    by_name: dict[str, HostWait] = {}
    for one in waits:
        known = by_name.get(one.host)
        targets = one.targets + (known.targets if known else 0)
        by_name[one.host] = one._replace(targets=targets)
    return list(by_name.values())
