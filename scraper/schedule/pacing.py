"""The pace of a host that pushes back (429, 503): a gap between its starts, and a cap.

A server that limits says so by a status, and seldom what its limit is. There are two kinds. Some
count requests in time. So each push-back makes the gap between starts longer, and each answer
makes it a little shorter: the gap stays near the fastest that is let through. While nothing at
all gets through the gap doubles, so that a slow limiter is found in a few steps. Other servers
count requests at once. When such a server pushes one back, as many are in flight as it takes, so
that this number is the cap. The cap grows again with each answer.

What was sent before the last change says nothing about it, and is not counted again. Neither does
an answer to a request that something else kept back for longer than the gap. And a longer gap has
to help: if as large a share is pushed back with it as before, some pages are always pushed back,
and the gap stays.

Owns: this gap and this cap, as plain state. Does not know: clocks, targets, a server that names a
time (`frontier.py` pauses its host). Rejected: half as many at once at each push-back. One at a
time is still 1,000 a second where an answer takes a millisecond.
"""

import math

_FIRST_S = 0.01  # the first gap, if an answer takes less than eight times as long
_LONGEST_S = 4.0
_SHORTEST_S = 0.002  # a shorter gap is none
_SEARCHED_S = 2.0  # a host that pushes back more slowly than that has another reason
_LONGER = {1: 1.15, 2: 1.3}  # by push-backs in a row; then double
_CROWDED = 1.5
_MORE = 0.1  # of a request at once, for each answer
_NO_GAP = -20  # as an octave
_ALL = 4  # targets in a row, none of them tried before: nothing gets through
_SURE = 8  # answers and push-backs, before they say anything
_BETTER = 0.6  # a longer gap helps if so small a part of the push-backs is left


class Pace:
    """Of one host, which pushed back what was sent at `started`. Times are monotonic seconds.

    `cap`: transfers at once that it may have otherwise.
    """

    __slots__ = (
        "_all_denied",
        "_bad_s",
        "_bound",
        "_cap",
        "_changed",
        "_denied",
        "_last",
        "_mean_s",
        "_row",
        "_shares",
        "_slow_start",
        "gap_s",
        "limit",
        "since",
    )

    def __init__(self, cap: float, started: float) -> None:
        self.gap_s = 0.0  # between starts
        self.limit = cap  # transfers at once
        self.since = math.inf  # of the first push-back after the last answer
        self._cap = cap
        self._slow_start = cap  # below, the limit grows by one for each answer
        self._changed = -math.inf  # when the gap became longer
        self._last = started  # the last start
        self._mean_s = 0.0  # between starts
        self._bound = True  # whether the gap kept the last start back
        self._bad_s = 0.0  # the gap that was pushed back last, or nearly so
        self._row = 0  # answers since the gap became longer
        self._denied = 2  # push-backs in a row that made it longer; a search begins
        self._all_denied = 0  # targets in a row that were pushed back when they were first tried
        self._shares: dict[int, list[int]] = {}  # answers and push-backs, by octave of the gap

    @property
    def is_needed(self) -> bool:
        """Whether it still keeps anything back."""
        return self.gap_s > 0 or self.limit < self._cap

    @property
    def next_start(self) -> float:
        """When the next start may follow the last."""
        return self._last + self.gap_s

    def is_stale(self, started: float) -> bool:
        """Whether a request of `started` says nothing about the gap, since that is younger."""
        return started < self._changed

    def may_help(self, started: float) -> bool:
        """Whether a push-back of a request of `started` says only that the gap was too short."""
        return self._row > 0 or self.gap_s <= _SEARCHED_S or self.is_stale(started)

    def is_overdue(self, now: float, patience_s: float) -> bool:
        """Whether nothing has got through for `patience_s`; 0: it may be for ever."""
        self.since = min(self.since, now)
        return 0 < patience_s <= now - self.since

    def started(self, now: float) -> float:
        """Note a start; when the next one may follow."""
        between_s = now - self._last
        self._last = now
        self._bound = between_s <= 1.5 * self.gap_s
        self._mean_s += 0.1 * (min(between_s, _LONGEST_S) - self._mean_s)
        return now + self.gap_s

    def pushed_back(
        self, started: float, now: float, in_flight: int, *, by_gap: bool, first: bool = True
    ) -> None:
        """Note a push-back; `in_flight` others are under way.

        `by_gap`: no time was named. `first`: of a target that was never tried before.
        """
        if self.is_stale(started):
            return
        crowded = 1 <= in_flight < self.limit - 0.5  # there may be too many at once
        self._slow_start = max(1.0, min(self.limit, in_flight + 1) / 2)
        self.limit = max(1.0, min(self.limit, in_flight))
        helps = self._helps(pushed_back=True)
        self._all_denied += first
        if by_gap and (helps or self._all_denied >= _ALL):
            self._lengthen(now - started, crowded=crowded)
        self._changed = now
        self._row = 0

    def got_through(self, started: float, in_flight: int) -> None:
        """Note an answer; `in_flight` others are under way."""
        self.since = math.inf
        self._all_denied = 0
        if self.limit < self._cap:
            more = min(1.0, _MORE * (1 + self._row // 4)) / self.limit
            more = 1.0 if self.limit < self._slow_start else more
            self.limit = min(self._cap, self.limit + more)
        if self.is_stale(started) or not self.gap_s:
            return
        self._row += 1
        self._denied = 0
        if self._bound:
            self._helps(pushed_back=False)
            self._shorten(in_flight)

    def _lengthen(self, took_s: float, *, crowded: bool) -> None:
        """Make the gap longer, after a push-back that took `took_s`."""
        if self._row or self._denied == 1:
            self._bad_s = self.gap_s
        elif self._denied == 2:
            self._bad_s = min(self.gap_s, 1.3 * self._bad_s)
        if not self.gap_s:
            self.gap_s = max(_FIRST_S, took_s / 8)
        elif crowded:  # as long as it is between starts that get through, at the most
            self.gap_s = max(self.gap_s, min(_CROWDED * self.gap_s, 0.9 * self._mean_s))
        else:
            self._denied += 1
            self.gap_s = min(_LONGEST_S, self.gap_s * _LONGER.get(self._denied, 2.0))

    def _shorten(self, in_flight: int) -> None:
        """Make the gap shorter: fast down to one that was bad, then slowly, then faster again."""
        if self.gap_s > 1.4 * self._bad_s:
            step = 0.3
        elif self.gap_s > 1.04 * self._bad_s:
            step = 0.03
        else:
            step = min(0.3, 0.003 * (1 + self._row // 8) ** 2)
        self.gap_s *= 1 - step / (1 + in_flight)  # so many will be answered before it is felt
        if self.gap_s < _SHORTEST_S:
            self.gap_s = 0.0

    def _helps(self, *, pushed_back: bool) -> bool:
        """Note an answer or a push-back at this gap; whether longer gaps have helped so far.

        They have not if nearly as large a share is pushed back now as with a quarter of the gap.
        """
        octave = math.frexp(self.gap_s)[1] if self.gap_s else _NO_GAP
        here = self._shares.setdefault(octave, [0, 0])
        here[pushed_back] += 1
        if sum(here) > 64:
            here[:] = [number // 2 for number in here]
        now, shorter = [0, 0], [0, 0]
        for one, counts in self._shares.items():
            into = now if one >= octave - 1 else shorter
            into[0] += counts[0]
            into[1] += counts[1]
        if min(sum(now), sum(shorter)) < _SURE:
            return True
        return now[1] / sum(now) < _BETTER * shorter[1] / sum(shorter)
