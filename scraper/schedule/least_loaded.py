"""Turns: whose turn it is, of the hosts that may start a target.

Those with the fewest transfers in flight come first, in turn among equals. So a
host that is slow to answer holds its share of the slots and no more while
others have work, and all of them when nobody else has.

Owns: that order. Refuses to know: whether a host may start (`frontier.py`).
Rejected: turns alone; a host that takes a second for each answer gets as many
of them as the others, keeps what it gets, and soon has every slot.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

Host = TypeVar("Host")


class LeastLoaded(Generic[Host]):
    """Hosts that stand here, each once, by what they have in flight."""

    def __init__(self) -> None:
        self._levels: list[OrderedDict[Host, None]] = []  # by transfers in flight
        self._at: dict[Host, int] = {}
        self._least = 0  # no level below has a host

    def __bool__(self) -> bool:
        """Whether any host stands here."""
        return bool(self._at)

    def __contains__(self, host: Host) -> bool:
        """Whether `host` does."""
        return host in self._at

    def put(self, host: Host, in_flight: int) -> None:
        """Let `host` stand behind those that have `in_flight` too, unless it does."""
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

    def first(self) -> Host:
        """The host whose turn it is; there must be one."""
        while not self._levels[self._least]:
            self._least += 1
        return next(iter(self._levels[self._least]))

    def drop(self, host: Host) -> None:
        """It does not stand here any more."""
        del self._levels[self._at.pop(host)][host]
