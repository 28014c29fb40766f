"""Numbers in bins, so that any number of them takes little memory: of durations, sizes, moments.

Owns: the bins, and percentiles by them. Does not know: what is counted.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_LEAST, _MOST = 1e-4, 1e15
MOST_BINS = 180  # of time; with more they become twice as wide


class Bar(NamedTuple):
    """One bin: so many numbers from `low` to below `high`."""

    low: float
    high: float
    number: int


class LogHistogram:
    """Counts positive numbers in bins, `per_decade` of them from 1 to 10. `most`: the largest."""

    def __init__(self, per_decade: int = 20) -> None:
        self._per_decade = per_decade
        self._bins: Counter[int] = Counter()
        self.most = 0.0

    def add(self, value: float) -> None:
        """Count one number. What is smaller than any bin is in the smallest."""
        self.most = max(self.most, value)
        exponent = math.log10(min(max(value, _LEAST), _MOST))
        self._bins[math.floor(exponent * self._per_decade)] += 1

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return self._bins.total()

    def update(self, other: "LogHistogram") -> None:
        """Count those of `other` too."""
        self._bins.update(other._bins)  # noqa: SLF001 - of this class
        self.most = max(self.most, other.most)

    def percentile(self, percent: float) -> float:
        """The number that so many percent are not above, as near as the bins are. 0: no numbers."""
        left = self.count * percent / 100
        for number in sorted(self._bins):
            left -= self._bins[number]
            if left <= 0:
                return min(self.most, 10 ** ((number + 0.5) / self._per_decade))
        return self.most

    def bars(self, per_decade: int) -> list[Bar]:
        """The bins, so many for a decade, without gaps."""
        merged: Counter[int] = Counter()
        for number, count in self._bins.items():
            merged[math.floor(number * per_decade / self._per_decade)] += count
        if not merged:
            return []
        return [
            Bar(10 ** (number / per_decade), 10 ** ((number + 1) / per_decade), merged[number])
            for number in range(min(merged), max(merged) + 1)
        ]


@dataclass(slots=True)
class Moment:
    """What ended in one stretch of time."""

    done: int = 0
    failed: int = 0
    size: int = 0
    durations: LogHistogram = field(default_factory=LogHistogram)

    def update(self, other: "Moment") -> None:
        """Count what `other` has too."""
        self.done += other.done
        self.failed += other.failed
        self.size += other.size
        self.durations.update(other.durations)


class Series:
    """Moments of a run, by time. Their width grows with the run, so that they stay few.

    `width_s`: of each, in seconds.
    """

    def __init__(self) -> None:
        self.width_s = 1
        self._bins: dict[int, Moment] = {}
        self._low = self._high = 0

    def at(self, when: float) -> Moment:
        """The moment to which `when` (seconds since 1970) belongs."""
        number = int(when // self.width_s)
        found = self._bins.get(number)
        if found is not None:
            return found
        self._low = min(self._low, number) if self._bins else number
        self._high = max(self._high, number) if self._bins else number
        while self._high - self._low >= MOST_BINS:
            self._widen()
            number //= 2
            self._low, self._high = self._low // 2, self._high // 2
        return self._bins.setdefault(number, Moment())

    def _widen(self) -> None:
        self.width_s *= 2
        before, self._bins = self._bins, {}
        for number, moment in before.items():
            if number // 2 in self._bins:
                self._bins[number // 2].update(moment)
            else:
                self._bins[number // 2] = moment

    def moments(self) -> Iterator[tuple[float, Moment]]:
        """Each stretch of time from the first to the last, empty ones too, with its beginning."""
        if self._bins:
            for number in range(self._low, self._high + 1):
                yield float(number * self.width_s), self._bins.get(number, Moment())
