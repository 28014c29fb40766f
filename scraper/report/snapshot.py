"""What is seen of a run at one moment, and what follows from several moments: rates, time left.

    watch = Watch(time.monotonic())
    figures = watch.see(snapshot)       # again and again

Owns: this arithmetic. It is pure, since a snapshot has its time. Does not know: how a snapshot is
taken (`run/view.py`), how figures are shown (`figures.py`). Rejected: the rates of
rich.progress.Task. They stay what they were when nothing comes any more.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from scraper.schedule import HostWait

MOST_SHOWN = 3  # transfers
_LONG_S = 1.0  # a transfer that is younger is not shown by itself
_BYTES_OVER_S = 5.0  # how far back rates look
_TARGETS_OVER_S = 30.0


class Flight(NamedTuple):
    """One transfer in flight. `identity` tells it from others; `started` is monotonic seconds.

    `received` of `expected` bytes came on the wire; `size` bytes of the object are there.
    """

    identity: object
    listed: str
    started: float
    received: int
    expected: int | None
    size: int

    @property
    def share(self) -> float | None:
        """How much of the body is there, from 0 to 1. None if its length is not known."""
        return min(1.0, self.received / self.expected) if self.expected else None


class Snapshot(NamedTuple):
    """What is seen of a run `at` a moment (monotonic seconds).

    `size`: bytes stored, and those of bodies in flight. `lines`: of the whole list, None until it
    is read. `notes`: what the whole run waits for, in words. `has_begun` is false while it waits
    to begin. `limit_rate`: bytes a second of all transfers, None if they are not limited.
    """

    at: float
    targets: int = 0
    failures: int = 0
    size: int = 0
    lines: int | None = None
    flights: Sequence[Flight] = ()
    hosts: Sequence[HostWait] = ()
    notes: Sequence[str] = ()
    has_begun: bool = True
    limit_rate: int | None = None


class Load(NamedTuple):
    """How busy a run is: transfers now, targets in memory that wait, and hosts by state.

    States are `paused`, `deferred` and `down`. `is_refused`: the destination takes no objects.
    """

    in_flight: int = 0
    waiting: int = 0
    hosts: Mapping[str, int] = {}
    is_refused: bool = False


class Watched(Protocol):
    """What can be watched. `wake` is called when a reader has room for more lines again."""

    def snapshot(self) -> Snapshot:
        """What is to be seen now. May be asked from any thread."""

    def wake(self) -> None: ...  # noqa: D102 - see above


class Shown(NamedTuple):
    """A transfer that is shown by itself, and its bytes a second."""

    flight: Flight
    rate: float


class Figures(NamedTuple):
    """What is shown. `total`: targets of the list, None if unknown. `done`: targets, with parts.

    Rates are a second. `left_s` is None if it can't be told.
    """

    seen: Snapshot
    total: int | None
    done: float
    bytes_rate: float
    targets_rate: float
    left_s: float | None
    shown: Sequence[Shown] = ()


class Rate:
    """How fast a number grows, over the last `over_s` seconds. It falls while nothing comes."""

    def __init__(self, over_s: float, at: float, value: float = 0) -> None:
        self._over_s = over_s
        self._points = deque([(at, value)])

    def see(self, now: float, value: float) -> float:
        """Note `value`. Returns how much it grew a second."""
        points = self._points
        points.append((now, value))
        while len(points) > 2 and points[1][0] <= now - self._over_s:
            points.popleft()
        since, before = points[0]
        return max(0.0, value - before) / max(now - since, 1e-3)


class Watch:
    """Turns snapshots into figures. `begun`: since when, in monotonic seconds."""

    def __init__(self, begun: float) -> None:
        self._bytes = Rate(_BYTES_OVER_S, begun)
        self._targets = Rate(_TARGETS_OVER_S, begun)
        self._flights: dict[object, Rate] = {}

    def see(self, seen: Snapshot, total: int | None = None) -> Figures:
        """The figures of `seen`. `total`: targets of the list, where somebody has counted them."""
        total = total if seen.lines is None else seen.lines
        shown = self._shown(seen)
        done = seen.targets + sum(flight.share or 0.0 for flight in seen.flights)
        targets_rate = self._targets.see(seen.at, done)
        bytes_rate = self._bytes.see(seen.at, seen.size)
        left_s = None
        if total is not None and total > seen.targets:
            left_s = _left_s(total - done, targets_rate)
            if total - seen.targets == len(seen.flights) == len(shown):
                left_s = _last_left_s(shown)
        return Figures(seen, total, done, bytes_rate, targets_rate, left_s, shown)

    def _shown(self, seen: Snapshot) -> list[Shown]:
        """The transfers with the largest bodies, else those that last longest."""
        long = [flight for flight in seen.flights if seen.at - flight.started >= _LONG_S]
        long.sort(key=lambda one: (-max(one.received, one.expected or 0), one.started))
        before, self._flights = self._flights, {}
        found = []
        for flight in sorted(long[:MOST_SHOWN], key=lambda one: one.started):
            rate = before.get(flight.identity) or Rate(_BYTES_OVER_S, flight.started)
            self._flights[flight.identity] = rate
            found.append(Shown(flight, rate.see(seen.at, flight.received)))
        return found


def _left_s(targets: float, rate: float) -> float | None:
    return targets / rate if rate > 0 else None


def _last_left_s(shown: Sequence[Shown]) -> float | None:
    """When the last of these transfers, which are all that is left, will be done."""
    lefts = []
    for flight, rate in shown:
        if flight.expected is None or not rate:
            return None
        lefts.append((flight.expected - flight.received) / rate)
    return max(lefts)
