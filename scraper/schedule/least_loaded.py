"""Least loaded first: which of the hosts that may start a target comes next.

Hosts with the fewest transfers in flight come first, and equals by round robin. So a host that
answers slowly has its share of the slots and no more while others have work, and all of them
when no other host has work.

Owns: that order. Does not know: whether a host may start (`frontier.py`). Rejected: round robin
alone. A host that takes a second for each answer gets as many turns as the others, keeps each
slot longer, and soon has them all.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

Host = TypeVar("Host")


class LeastLoaded(Generic[Host]):
    """Hosts in the order of their turns, each once."""

    def __init__(self) -> None:
        self._levels: list[OrderedDict[Host, None]] = []  # by transfers in flight
        self._at: dict[Host, int] = {}
        self._least = 0  # no level below has a host

    def __bool__(self) -> bool:
        """Whether there is any host."""
        return bool(self._at)

    def __contains__(self, host: Host) -> bool:
        """Whether `host` is here."""
        return host in self._at

    def put(self, host: Host, in_flight: int) -> None:
        """Put `host` behind the others that have as many `in_flight`, unless it is there."""
        before = self._at.get(host)
        if before == in_flight:
            return
        if before is not None:
            del self._levels[before][host]
        while in_flight >= len(self._levels):
            self._levels.append(OrderedDict())
        self._levels[in_flight][host] = None
        self._at[host] = in_flight
        self._least = min(self._least, in_flight)

    def move(self, host: Host, in_flight: int) -> bool:
        """Put `host` where its transfers `in_flight` belong, if it is here; whether it is."""
        if host not in self._at:
            return False
        self.put(host, in_flight)
        return True

    def first(self) -> Host:
        """The host whose turn it is; there must be one."""
        while not self._levels[self._least]:
            self._least += 1
        return next(iter(self._levels[self._least]))

    def drop(self, host: Host) -> None:
        """Take `host` out."""
        del self._levels[self._at.pop(host)][host]
