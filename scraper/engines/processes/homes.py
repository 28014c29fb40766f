"""Homes: which child has which host.

A host stays with its child, for its connections. A new host goes to the child with the fewest
transfers in flight. Hosts that were not asked for long are forgotten, so memory does not grow with
the list.

Owns: that table. Does not know: why a child is lost.
Rejected: a hash of the host. Of 8 hosts one child of two got 7.
"""

from collections import OrderedDict
from collections.abc import Mapping

from scraper.engines.processes.children import Child

_MOST = 10_000  # hosts


class Homes:
    """See the module. Used by one thread."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Child] = OrderedDict()

    def of(self, host: str, children: Mapping[int, Child]) -> Child:
        """The child of `host`, one of `children`."""
        found = self._of.get(host)
        if found is not None:
            self._of.move_to_end(host)
            return found
        found = min(children.values(), key=lambda child: (child.in_flight, child.hosts))
        self._of[host] = found
        found.hosts += 1
        if len(self._of) > _MOST:
            _, left = self._of.popitem(last=False)
            left.hosts -= 1
        return found

    def forget(self, child: Child) -> None:
        """It is lost: its hosts go to others."""
        for host in [host for host, its in self._of.items() if its is child]:
            del self._of[host]
