"""The web of the simulation: hosts, their lines in the list, and how long their answers take.

Lines follow Zipf's law by the rank of the host. An answer takes a median of 0.2 s: log-normal over
hosts (sigma 0.8) and over the requests to one host (0.3), and 5 s at one host of 200. How long the
n-th request to a host takes is the same whatever the plan.

Owns: these facts, and the time that no plan can beat. Does not know: workers, shards.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

_MEDIAN_S, _OVER_HOSTS, _OVER_REQUESTS = 0.2, 0.8, 0.3
_SLOW, _SLOW_S = 1 / 200, 5.0
_FACTORS = 4096


class World(NamedTuple):
    """Hosts by rank: their names, lines, and median seconds of an answer."""

    names: Sequence[str]
    lines: Sequence[int]
    median_s: Sequence[float]
    factors: Sequence[float]
    sums: Sequence[float]  # of so many factors

    def answer_s(self, host: int, number: int) -> float:
        """How long the request `number` to `host` takes, from 0."""
        return self.median_s[host] * self.factors[(host * 61 + number) % _FACTORS]

    def work_s(self, host: int) -> float:
        """How long all requests to `host` take, one after the other."""
        rounds, rest = divmod(self.lines[host], _FACTORS)
        first = host * 61 % _FACTORS
        last = first + rest
        more = self.sums[min(last, _FACTORS)] - self.sums[first]
        more += self.sums[max(0, last - _FACTORS)]
        return self.median_s[host] * (rounds * self.sums[-1] + more)

    def slowest_s(self, per_host: int, delay_s: float) -> float:
        """The least time of the host that takes longest, with so many requests to it at once."""
        hosts = range(len(self.lines))
        return max(
            max(self.work_s(host) / per_host, (self.lines[host] - 1) * delay_s) for host in hosts
        )


def make(urls: int, hosts: int, zipf: float, most: int, seed: int) -> World:
    """A world of so many URLs, at most `most` of one host."""
    rng = Random(seed)
    lines = by_zipf(urls, hosts, zipf, most)
    median_s = [
        _SLOW_S if rng.random() < _SLOW else _MEDIAN_S * rng.lognormvariate(0.0, _OVER_HOSTS)
        for _ in lines
    ]
    factors = [rng.lognormvariate(0.0, _OVER_REQUESTS) for _ in range(_FACTORS)]
    names = [f"host-{number}.example" for number in range(hosts)]
    return World(names, lines, median_s, factors, [0.0, *accumulate(factors)])


def by_zipf(urls: int, hosts: int, zipf: float, most: int) -> list[int]:
    """The lines of each host, from 1 to `most`, so many `urls` in all."""
    if not hosts <= urls <= hosts * most:
        raise ValueError(f"{urls:,} URLs of {hosts:,} hosts with 1 to {most:,} each")
    weights: list[float] = [rank**-zipf for rank in range(1, hosts + 1)]
    sums = [0.0, *accumulate(weights)]

    def total(scale: float) -> float:
        full = bisect_left(weights, -most / scale, key=lambda weight: -weight)
        single = bisect_left(weights, -1 / scale, key=lambda weight: -weight)
        return full * most + scale * (sums[single] - sums[full]) + hosts - single

    low, high = 0.0, 2.0 * most / weights[-1]
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) < urls else (low, middle)
    lines = [min(most, max(1, int(low * weight))) for weight in weights]
    left = urls - sum(lines)
    while left:
        for host, count in enumerate(lines):
            if left and count < most:
                lines[host] += 1
                left -= 1
    return lines
