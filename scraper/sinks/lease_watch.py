"""Whether the holder of a lease is alive, judged by what it does.

The clocks of two machines may differ by any amount, so the time that a lease gives for its own
end proves nothing. Two other clocks can be trusted:

- Our monotonic clock. A live holder rewrites its lease every quarter of the lease's length. A
  lease that does not change for its whole length while we watch is dead.
- The clock of the store. It wrote the object (`Last-Modified`) and it sent the answer (`Date`),
  so the difference is the age of the lease, whatever our clock says. A lease that is older than
  its length is dead if it also does not change while we watch for a third of it. The watch is
  there because the clock of a store may be set, or be that of several machines.

A lease has a sign of death if it was not rewritten in time by the store's clock, or if its end
has passed by ours. A run that does not want to wait watches only such a lease.

This module owns that decision. It is pure: it does not read clocks, and it does not know S3.
"""

from enum import Enum, auto

RENEWALS = 4  # renewals in the length of a lease
_WATCHED = 1 / 3  # of the length: a renewal's interval, and some time for the request itself
ROUNDED_S = 2.0  # HTTP dates are whole seconds, and Swift rounds one of the two up


class Life(Enum):
    """What is known of the holder of a lease."""

    ALIVE = auto()  # as far as can be seen
    DOUBTFUL = auto()  # there is a sign of death
    DEAD = auto()


class LeaseWatch:
    """What was seen of one lease so far. Times are seconds."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._seen: tuple[str, bytes] | None = None
        self._since = 0.0

    def judge(
        self, state: tuple[str, bytes], age_s: float | None, *, expired: bool, now: float
    ) -> Life:
        """Whether the holder is alive.

        `state` is the lease's etag and content. `age_s` is its age by the store's clock, None if
        the store does not tell. `expired`: whether its end has passed by our clock. `now` is our
        monotonic clock.
        """
        if state != self._seen:
            first, self._seen, self._since = self._seen is None, state, now
            if not first:
                return Life.ALIVE
        still_s = now - self._since
        old = age_s is not None and age_s >= self._lease_s + ROUNDED_S
        if still_s >= self._lease_s or (old and still_s >= self._lease_s * _WATCHED):
            return Life.DEAD
        overdue = age_s is not None and age_s >= self._lease_s * _WATCHED + ROUNDED_S
        return Life.DOUBTFUL if overdue or expired else Life.ALIVE
