"""The pace of a host that pushes back (429, 503): a gap between its starts, and a cap.

A server that limits says so by a status, and seldom what its limit is. Some limiters count
requests in time. They differ in what a refusal costs: a bucket (nginx's limit_req) does not count
what it refuses, a window (haproxy's stick tables) counts it as well. There, a client that stays a
little above the limit gets nothing at all through. So the rate is found, kept, and seldom tried.

- The search. From the first push-back on the gap grows until something gets through. What got
  through so far, by the time that it took, is a rate that the host bears. With the refusals added,
  it is the most that a window may allow.
- The ramp. The rate grows from a low to a high in the way of TCP's CUBIC (RFC 9438): fast at
  first, hardly at all near the high, then faster and faster beyond it. The high is the rate that
  was refused last.
- An incident is a row of refusals. The first one costs little, so that the next start follows
  soon. More of them make pauses, which let a window forget. Then the ramp begins anew, a little
  below the rate that was refused. It lasts the longer, the longer the incident was: what costs much
  is not risked again soon.

A refusal may take as long as an answer, or come at once. A request that is not refused in the time
that refusals take has got through, however long its answer takes. What was sent before the last
refusal says nothing about the gap since then. And a longer gap has to help: if as large a share is
pushed back with it as before, some pages are always pushed back, and the gap stays.

Other limiters count requests at once: `crowding.py` knows their cap. Some count connections, and
close those that are too many: `congestion.py`.

Owns: this gap and this cap, as plain state. Does not know: clocks, targets. Rejected: half as many
at once at each push-back (one at a time is still 1,000 a second where an answer takes a
millisecond); a gap that grows by each push-back and shrinks by each answer (a window that counts
refusals lets nothing through half of the time).
"""

import math
from typing import Self

from scraper.schedule.congestion import Congestion
from scraper.schedule.crowding import Crowding

_FIRST_S = 0.01  # the first gap, if an answer takes less than eight times as long
_LONGEST_S = 4.0
_SHORTEST_S = 0.002  # a shorter gap is none
_SEARCHED_S = 2.0  # a host that pushes back more slowly than that has another reason
_MORE = 0.1  # of a request at once, for each answer

_COARSE_S = 0.05  # shorter gaps grow threefold
_FINE = 2.0  # longer ones the more slowly, the more a window lets through
_PAUSES = (0.0, 1.0, 1.5, 1.5, 2.0, 2.0)  # in an incident, by refusals; then 1.4
_STOPPED_S = 1.0  # no more is waited for what a refusal says

_BELOW = 0.85  # of the rate that was refused
_ABOVE = 1.15  # of what got through and what was refused together: the search takes too long
_SEEN = 1.2  # times the rate since the last incident: no higher rate was really tried
_FASTER = 2.0  # the high where the cap is the reason
# How long the ramp takes to its high: in gaps, refusals, incidents and searches.
_GAPS, _REFUSALS, _INCIDENTS, _SEARCHES = 16.0, 10.0, 12.0, 1.5
_FOUND = 6.0  # in gaps, if a search has found the gap

_NO_GAP = -20  # as an octave
_ALL = 4  # targets in a row, none of them tried before: nothing gets through
_SURE = 12  # answers and push-backs, before they say anything
_BETTER = 0.6  # a longer gap helps if so small a part of the push-backs is left
_FEW = 3  # answers between two incidents, which say no rate yet
_NOTHING = (0.0, 0, 0.0)


class Shares:
    """Answers and push-backs of one host, by octave of the gap; kept longer than its pace."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, list[int]] = {}

    def helps(self, gap_s: float, *, pushed_back: bool) -> bool:
        """Note an answer or a push-back at this gap; whether longer gaps have helped so far.

        They have not if nearly as large a share is pushed back now as with a quarter of the gap.
        """
        octave = math.frexp(gap_s)[1] if gap_s else _NO_GAP
        here = self._found.setdefault(octave, [0, 0])
        here[pushed_back] += 1
        if sum(here) > 64:
            here[:] = [number // 2 for number in here]
        now, shorter = [0, 0], [0, 0]
        for one, counts in self._found.items():
            into = now if one >= octave - 1 else shorter
            into[0] += counts[0]
            into[1] += counts[1]
        if min(sum(now), sum(shorter)) < _SURE:
            return True
        return now[1] / sum(now) < _BETTER * shorter[1] / sum(shorter)


class Pace:
    """Of one host, which refused what was sent at `started`. Times are monotonic seconds.

    `cap`: transfers at once that it may have otherwise. `passed` requests got through within
    `busy_s` before that. `shares`: what is known of longer gaps.
    """

    def __init__(
        self, cap: float, started: float, passed: int, busy_s: float, shares: Shares
    ) -> None:
        self.gap_s = 0.0  # between starts
        self.limit = cap  # transfers at once
        self.since = math.inf  # of the first push-back after the last answer
        self._cap = cap
        self._crowding = Crowding()
        self._shares = shares
        self._congestion = Congestion(alive=passed > 0)
        self._last = started  # the last start
        self._bound = True  # whether the gap kept the last start back
        self._mean_s = 0.0  # between starts
        self._open: dict[float, int] = {}  # starts, with others in flight; not known to be admitted
        self._known_from = math.inf  # the first push-back: earlier starts are not in `_open`
        self._refusal_s = 0.0  # how long a refusal takes
        # The incident, or the search
        self._searching = self._first_search = True
        self._denied = 0  # refusals, each of a request that started after the last one
        self._begun = started
        self._changed = -math.inf  # the last refusal
        self._bad_s = 0.0  # the gap that was refused last
        self._row = 0  # admissions since
        self._all_denied = 0  # targets in a row that were pushed back when they were first tried
        # Since the last incident but for few admissions
        self._passed = float(passed)
        self._refused = 0
        self._busy_s = busy_s
        self._before = _NOTHING  # the same, of the time before: a search counts that too
        # The ramp
        self._low = self._high = 0.0  # requests a second
        self._ramp_s, self._ramped_s = 1.0, 0.0

    @classmethod
    def gone_on(cls, cap: float, gap_s: float, at_once: int, now: float, shares: Shares) -> Self:
        """The pace of a host that another run has found: its gap and its cap, and a ramp anew."""
        pace = cls(cap, now, 0, 0.0, shares)
        pace.gap_s, pace.limit = min(gap_s, _LONGEST_S), min(cap, at_once)
        pace._searching = pace._first_search = False
        if pace.gap_s:
            pace._ramp(1 / pace.gap_s, 0.0, _GAPS * pace.gap_s)
        return pace

    @property
    def is_needed(self) -> bool:
        """Whether it still keeps anything back."""
        return self.gap_s > 0 or self.limit < self._cap or self._congestion.is_noted

    @property
    def next_start(self) -> float:
        """When the next start may follow the last.

        In an incident: as soon as the last one would have been refused, if it were.
        """
        wait_s = self.gap_s
        if self._denied and self._last > self._changed:
            wait_s = min(wait_s, max(self._late_s, 1 / self._rate_after()[0]))
        return self._last + wait_s

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

    def started(self, now: float, others: int, paused_until: float = -math.inf) -> float:
        """Note a start beside `others` in flight; when the next one may follow.

        `paused_until`: the end of a pause that the host asked for.
        """
        self._busy_s += min(now - self._last, max(1.0, 2 * self.gap_s))  # not without work
        between_s = now - max(self._last, min(now, paused_until))
        self._last = now
        self._bound = between_s <= 1.5 * self.gap_s
        self._mean_s += 0.2 * (min(between_s, _LONGEST_S) - self._mean_s)
        if self._bound and self._low and not self._denied:
            self._ramped_s += between_s
            self._follow_ramp()
        for at in [at for at in self._open if now - at >= self._late_s]:
            self._admit(at, self._open.pop(at), now)
        while len(self._open) > others:  # some have ended in another way
            del self._open[next(iter(self._open))]
        self._open[now] = others
        return self.next_start

    def pushed_back(self, started: float, now: float, *, by_gap: bool, first: bool = True) -> None:
        """Note a push-back. `by_gap`: a longer gap may help. `first`: of a target's first try."""
        self._refusal_s = max(now - started, 0.9 * self._refusal_s)
        self._refused += 1
        self._known_from = min(self._known_from, now)
        others = self._open.pop(started, None)
        if self.is_stale(started):
            return
        helps = self._shares.helps(self.gap_s, pushed_back=True)
        self._all_denied += first
        if others is not None and self._crowding.refused(others, searching=self._searching):
            self._be_crowded()
        elif by_gap and (helps or self._all_denied >= _ALL):
            self._lengthen(now - started, now)
        self._changed = now
        self._row = 0

    def closed(self, started: float, now: float, others: int) -> bool:
        """Note that a connection was closed, `others` being in flight; whether it was too many."""
        self.limit = self._congestion.closed(self.limit, started, now, others)
        return self._congestion.is_alive and (self._congestion.is_many or self.limit < self._cap)

    def got_through(self, started: float, now: float) -> None:
        """Note an answer to a request of `started`."""
        self._congestion.answered()
        self.since = math.inf
        self._all_denied = 0
        self.limit = min(self._cap, self.limit + _MORE)
        if started in self._open:
            self._admit(started, self._open.pop(started), now)
        elif started < self._known_from:
            self._passed += 1

    @property
    def _late_s(self) -> float:
        """A request that is not refused for so long has got through."""
        return 2 * self._refusal_s + 0.005

    def _admit(self, started: float, others: int, now: float) -> None:
        """Note that the host has let a request through, which started beside `others`."""
        self._passed += 1
        if self._crowding.admitted(others):
            self.limit = self._cap
        if self.is_stale(started) or not self.gap_s:
            return
        self._row += 1
        if self._denied or self._bound:
            self._shares.helps(self.gap_s, pushed_back=False)
        if self._denied:
            self._end_incident(now)

    def _be_crowded(self) -> None:
        """The cap is the reason, or the gap: let it grow as far as that costs nothing."""
        self.limit = min(self.limit, self._crowding.cap)
        if self.gap_s and not self._crowding.is_sure:
            self.gap_s = max(self.gap_s, min(1.3 * self.gap_s, 0.9 * self._mean_s))
            self._ramp(1 / self.gap_s, _FASTER / self.gap_s, _GAPS * self.gap_s)

    def _lengthen(self, took_s: float, now: float) -> None:
        """Make the gap longer, after a refusal that took `took_s`."""
        self._denied += 1
        if not self.gap_s:
            self.gap_s = max(_FIRST_S, took_s / 8)
            self._searching, self._begun = True, now
        elif self._denied == 1:
            self._begin_incident(now)
        else:
            self._bad_s = self.gap_s
            if not self._searching:
                more = _PAUSES[self._denied] if self._denied < len(_PAUSES) else 1.4
            elif self._first_search and self.gap_s < _COARSE_S:
                more = 3.0
            else:
                more = 1 + min(1.0, _FINE / math.sqrt(self._passed + 1))
            self.gap_s = min(_LONGEST_S, max(self.gap_s * more, min(took_s, _STOPPED_S)))

    def _begin_incident(self, now: float) -> None:
        """A rate was refused: it is the next high."""
        self._begun = now
        self.gap_s = min(_LONGEST_S, max(self.gap_s, 0.9 * self._mean_s))
        self._high = 1 / self.gap_s
        self._bad_s = self.gap_s
        if self._passed > _FEW:
            seen = (self._passed + self._refused) / max(self._busy_s, self.gap_s)
            self._high = min(self._high, _SEEN * seen)
            self._before = self._passed, self._refused, self._busy_s
            self._passed = self._busy_s = 0.0
            self._refused = 0
        else:
            self._searching = True
        self.gap_s = min(_LONGEST_S, 1 / (_BELOW * self._high))

    @property
    def _has_searched(self) -> bool:
        """Whether what got through says more than the rate that was refused."""
        return self._searching and (self._first_search or self._denied > 2)

    def _rate_after(self) -> tuple[float, float]:
        """The low and the high of the ramp, if the last start ends the incident."""
        if not self._has_searched:
            return _BELOW * self._high, self._high
        passed, refused, busy_s = self._before
        passed, refused = passed + self._passed, refused + self._refused
        busy_s = max(busy_s + self._busy_s, self.gap_s)
        low = max(passed - self._first_search, 1) / busy_s
        if self._bad_s * low <= 1:  # no burst: the gap that was refused says more
            return max(low, 0.5 / self.gap_s), 1 / (self._bad_s or self.gap_s / 2)
        return low, _ABOVE * (passed + refused) / busy_s

    def _end_incident(self, now: float) -> None:
        """Something got through again: the ramp begins."""
        spent_s = now - self._begun
        low, high = self._rate_after()
        if self._has_searched:
            self._crowding.search_ended()
            self._first_search = False
            self._before = _NOTHING
            is_burst = self._bad_s * low > 1
            ramp_s = _SEARCHES * spent_s if is_burst else _FOUND / low
        else:
            ramp_s = max(_INCIDENTS * spent_s * (self._denied > 1), _GAPS / high)
        ramp_s = max(ramp_s, _REFUSALS * self._refusal_s)
        self._searching = False
        self._denied = 0
        self._ramp(low, high, ramp_s)
        self._follow_ramp()

    def _ramp(self, low: float, high: float, ramp_s: float) -> None:
        self._low, self._high = low, max(high, low / _BELOW)  # else it would never grow
        self._ramp_s, self._ramped_s = ramp_s, 0.0

    def _follow_ramp(self) -> None:
        """Set the gap by the time since the ramp began."""
        left = 1 - self._ramped_s / self._ramp_s
        self.gap_s = min(_LONGEST_S, 1 / (self._high - (self._high - self._low) * left**3))
        if self.gap_s < _SHORTEST_S:
            self.gap_s = self._low = 0.0
