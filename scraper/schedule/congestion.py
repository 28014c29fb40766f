"""A host that closes connections without a word: how many at once it seems to take.

Apache's mod_qos and haproxy's `tcp-request connection reject` do so with those that are too many.
It may have other reasons, and of several requests nobody can tell which one was too many. So the
number is found in the way of TCP (RFC 5681): less by a part when several are closed, a little more
with each answer. One that is closed now and then changes nothing.

Owns: this evidence. Does not know: gaps, targets. Rejected: evidence as of `crowding.py`. Nobody
knows the order in which a server takes connections that are opened at the same moment.
"""

import math

_CLOSES = 3.0  # closed connections that are too many
_ANSWER = 0.25  # of a closed connection is forgotten with each answer
_FEWER = 0.7  # times as many at once


class Congestion:
    """What was closed lately. `alive`: something has got through since one was closed alone."""

    __slots__ = ("_closes", "_fewer_since", "is_alive")

    def __init__(self, *, alive: bool) -> None:
        self.is_alive = alive
        self._closes = 0.0
        self._fewer_since = -math.inf

    @property
    def is_noted(self) -> bool:
        """Whether anything is remembered."""
        return self._closes > 0

    @property
    def is_many(self) -> bool:
        """Whether more are closed than by chance."""
        return self._closes >= _CLOSES

    def closed(self, limit: float, started: float, now: float, others: int) -> float:
        """Note that a connection was closed, `others` being in flight; how many may be at once.

        `limit`: so far. `started`: when its request did, in monotonic seconds. Beside nobody it was
        closed for another reason.
        """
        if not others:
            self._closes, self.is_alive = 0.0, False
            return limit
        self._closes += 1
        if not self.is_many or started < self._fewer_since:
            return limit
        self._fewer_since = now
        return max(1.0, _FEWER * min(limit, others + 1))

    def answered(self) -> None:
        """Note an answer."""
        self.is_alive = True
        self._closes = max(0.0, self._closes - _ANSWER)
