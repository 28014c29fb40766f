"""Least loaded first: which of the hosts that may start a target comes next.

Hosts with the fewest transfers in flight come first, and equals by round robin. So a host that
answers slowly has its share of the slots and no more while others have work, and all of them
when no other host has work.

Owns: that order. Does not know: whether a host may start (`frontier.py`). Rejected: round robin
alone. A host that takes a second for each answer gets as many turns as the others, keeps each
slot longer, and soon has them all.
"""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """What stands here. `level` is the queue's: None while it does not stand here."""

    in_flight: int
    level: int | None


Host = TypeVar("Host", bound=Queued)


class LeastLoaded(Generic[Host]):
    """Hosts in the order of their turns, each once."""

    def __init__(self) -> None:
        self._levels: list[OrderedDict[Host, None]] = [OrderedDict()]  # by transfers in flight
        self._least = 0  # no level below has a host
        self._count = 0

    def __len__(self) -> int:
        """How many hosts there are."""
        return self._count

    def put(self, host: Host) -> None:
        """Put `host` behind the others that have as many in flight, unless it stands there."""
        before, level = host.level, host.in_flight
        if before == level:
            return
        levels = self._levels
        if before is None:
            self._count += 1
        else:
            del levels[before][host]
        while level >= len(levels):
            levels.append(OrderedDict())
        levels[level][host] = None
        host.level = level
        self._least = min(self._least, level)

    def first(self) -> Host:
        """The host whose turn it is; there must be one."""
        while not (level := self._levels[self._least]):
            self._least += 1
        return next(iter(level))

    def drop(self, host: Host) -> None:
        """Take `host` out; it must stand here."""
        assert host.level is not None
        del self._levels[host.level][host]
        host.level = None
        self._count -= 1
