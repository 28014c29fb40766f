"""What can be seen before a run has begun: a lock that is waited for, a list that is fetched.

Owns: a `Snapshot` of that. Does not know: when it is drawn, and why there is something to wait
for. A short wait is not shown.
"""

import time
from collections.abc import Callable

from scraper.report.figures import duration
from scraper.report.snapshot import Flight, Snapshot

_SHORT_S = 1.0


class Waiting:
    """A `Watched`. `what` is waited for, in words; `flight` looks at a body that comes meanwhile.

    Both are set from one thread and read from another. `begun`: monotonic seconds.
    """

    def __init__(self, what: str, flight: Callable[[], Flight | None] = lambda: None) -> None:
        self.what = what
        self.flight = flight
        self.begun = time.monotonic()

    def wake(self) -> None:
        """Nothing is held back here."""

    def snapshot(self) -> Snapshot:
        """What is to be seen now."""
        now = time.monotonic()
        waited_s = now - self.begun
        if waited_s < _SHORT_S:
            return Snapshot(now, has_begun=False)
        flight = self.flight()
        return Snapshot(
            now,
            flights=() if flight is None else (flight,),
            notes=(f"waiting {duration(waited_s)} for {self.what}",),
            has_begun=False,
        )
