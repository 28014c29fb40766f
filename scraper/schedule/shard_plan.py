"""ShardPlan: hosts divided into shards of about the same size, and how long each will take.

    plan = plan_shards(counted.lines, counted.hosts, counted.buckets, pace, workers=8)
    plan.division, plan.shards[0].seconds

There are about five shards for each worker, so that none waits long for the last one, and more
where a shard would have over 50,000 lines. A host of many lines is a shard of its own, or nearly.
It is never split: no more than `--per-host` requests at once may go to it, however many workers
there are, so it takes as long as it takes. The shard that takes longest is number 0 and should
begin first.

The seconds are lower bounds by what is given: answers may be slower, and robots.txt or Retry-After
may ask for more. Bins are filled by the largest item first, each into the emptiest bin (Graham,
Bounds on Multiprocessing Timing Anomalies, 1969).

Owns: that division. Pure. Does not know: how lines are counted (`source/host_counts.py`), where a
plan is kept (`sinks/division.py`).
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scraper.model.shards import MOST, Division, bucket_of

PER_WORKER = 5  # shards
MOST_LINES = 50_000  # of a shard, but of one that is a single host
_BUCKETS_A_SHARD = 16


class Pace(NamedTuple):
    """How fast requests go: `latency_s` seconds each, in a run of `at_once`.

    To one host at most `per_host` at once (0: no cap), begun at least `delay_s` seconds apart. In
    each run at most `rate` requests begin a second (None: no limit).
    """

    at_once: int
    per_host: int
    delay_s: float
    latency_s: float
    rate: float | None = None

    @property
    def at_one_host(self) -> int:
        """Requests to one host at once."""
        return min(self.per_host or self.at_once, self.at_once)

    def host_s(self, lines: int) -> float:
        """The seconds that a host takes at least for so many `lines`."""
        return lines * max(self.delay_s, self.latency_s / self.at_one_host)

    def shard_s(self, lines: int, longest_s: float) -> float:
        """The seconds that a shard takes at least, whose longest host takes `longest_s`."""
        by_rate = lines / self.rate if self.rate else 0.0
        return max(longest_s, lines * self.latency_s / self.at_once, by_rate)


class PlannedShard(NamedTuple):
    """One shard: its lines, how long it takes at least, and its longest host, if that is known."""

    lines: int
    seconds: float
    host: str | None


class ShardPlan(NamedTuple):
    """The shards, the longest first, and who is in which."""

    division: Division
    shards: Sequence[PlannedShard]


class _Bin(NamedTuple):
    lines: int
    apart: tuple[str, ...]
    buckets: tuple[int, ...]
    of_others: int  # lines beside those of its largest item

    @property
    def can_be_less(self) -> bool:
        """Whether more bins would make it less."""
        return self.of_others > 0


def plan_shards(
    hosts: Mapping[str, int],
    buckets: Sequence[int],
    pace: Pace,
    *,
    workers: int,
    shards: int | None = None,
) -> ShardPlan:
    """The plan for `hosts` with so many lines each; `buckets`: the lines of each bucket.

    `shards`: exactly so many, else as many as is good for so many `workers`.
    """
    most = shards or max(1, min(MOST, len(hosts)))
    wanted = min(most, shards or max(PER_WORKER * workers, -(-sum(buckets) // MOST_LINES)))
    while True:
        bins = _filled(hosts, buckets, wanted)
        too_long = sum(one.lines > MOST_LINES and one.can_be_less for one in bins)
        if not too_long or wanted == most:
            return _numbered(bins, hosts, pace)
        wanted = min(most, wanted + too_long)


def finish_s(plan: ShardPlan, workers: int) -> float:
    """The seconds until the last of so many `workers` is done, each with one shard at a time."""
    ends = [0.0] * workers
    for shard in plan.shards:
        heapq.heapreplace(ends, ends[0] + shard.seconds)
    return max(ends)


def _filled(hosts: Mapping[str, int], buckets: Sequence[int], shards: int) -> list[_Bin]:
    """So many bins, filled with hosts of many lines and with what is left in the buckets."""
    few = min(len(buckets), 1 << (shards * _BUCKETS_A_SHARD - 1).bit_length())
    left = [sum(buckets[number::few]) for number in range(few)]
    # A host of less lines makes no shard much longer than another.
    least = max(2, min(MOST_LINES, sum(buckets) // shards) // 4)
    apart = {host: count for host, count in hosts.items() if count >= least}
    for host, count in apart.items():
        left[bucket_of(host, few)] -= count
    items: list[tuple[int, str | int]] = [(count, host) for host, count in apart.items()]
    items += [(count, number) for number, count in enumerate(left)]
    items.sort(key=lambda item: (-item[0], str(item[1])))
    bins: list[list[str | int]] = [[] for _ in range(shards)]
    heap = [(0, number) for number in range(shards)]
    sizes = [[0] for _ in range(shards)]
    for count, item in items:
        size, number = heap[0]
        bins[number].append(item)
        sizes[number].append(count)
        heapq.heapreplace(heap, (size + count, number))
    return [
        _Bin(
            sum(of_bin),
            tuple(item for item in found if isinstance(item, str)),
            tuple(item for item in found if isinstance(item, int)),
            sum(of_bin) - max(of_bin),
        )
        for of_bin, found in zip(sizes, bins, strict=True)
    ]


def _numbered(bins: Sequence[_Bin], hosts: Mapping[str, int], pace: Pace) -> ShardPlan:
    """The bins as shards, the longest first."""
    few = sum(len(one.buckets) for one in bins)
    place = {number: at for at, one in enumerate(bins) for number in one.buckets}
    place_of_host = {host: at for at, one in enumerate(bins) for host in one.apart}
    longest: dict[int, tuple[int, str]] = {}
    for host, count in hosts.items():
        at = place_of_host.get(host)
        at = place[bucket_of(host, few)] if at is None else at
        longest[at] = max(longest.get(at, (0, "")), (count, host))

    def planned(at: int) -> PlannedShard:
        count, host = longest.get(at, (0, ""))
        return PlannedShard(
            bins[at].lines, pace.shard_s(bins[at].lines, pace.host_s(count)), host or None
        )

    found = [(planned(at), at) for at in range(len(bins))]
    found.sort(key=lambda one: (-one[0].seconds, -one[0].lines, one[1]))
    number_of = {at: number for number, (_, at) in enumerate(found)}
    buckets = [0] * few
    for number, at in place.items():
        buckets[number] = number_of[at]
    apart = {host: number_of[at] for host, at in place_of_host.items()}
    return ShardPlan(Division(apart, buckets), tuple(shard for shard, _ in found))
