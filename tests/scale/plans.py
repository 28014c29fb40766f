"""How a list may be divided: by the hash alone, or as `scraper plan` divides it.

The program's own code decides which shard a host is in. Owns: the choice of plans to compare. Does
not know: how shards are worked off.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from scraper.model.shards import bucket_of, shard_of
from scraper.schedule.shard_plan import Pace, plan_shards
from scraper.source.host_counts import BUCKETS
from tests.scale.world import World


class Plan(NamedTuple):
    """Shards as numbers of their hosts, in the order in which they begin.

    `at_once`: shards that a worker has open at most. They share its slots, or each `has_own` ones,
    as many as the others. `is_fixed`: shard I is for worker I. Without: they are taken in turn.
    `is_one`: all workers are one, which no machine could be.
    """

    name: str
    shards: Sequence[Sequence[int]]
    at_once: int = 1
    has_own: bool = False
    is_fixed: bool = False
    is_one: bool = False
    has_losses: bool = False


def plans(world: World, pace: Pace, workers: int, at_once: int, threads: int) -> Iterator[Plan]:
    """The plans that are compared, those of `--cluster` last.

    A worker has at most `at_once` shards open where they share its slots, else one in each thread.
    """
    yield Plan(
        "one frontier over everything (can't be had)", [range(len(world.names))], is_one=True
    )
    yield Plan("hash, one shard a worker (`--shard`)", by_hash(world, workers), is_fixed=True)
    yield Plan("hash, four a worker, one at a time", by_hash(world, 4 * workers))
    apart = planned(world, pace, workers)
    yield Plan("giants apart, longest first, one at a time (`scraper plan`)", apart)
    yield Plan(f"the same, up to {at_once} open share the slots", apart, at_once)
    each = pace._replace(at_once=pace.at_once // threads)
    cluster = planned(world, each, workers * threads)
    name = f"**{threads} open, each with its part of the slots (`--cluster`)**"
    yield Plan(name, cluster, threads, has_own=True)
    yield Plan("the same, workers are lost", cluster, threads, has_own=True, has_losses=True)


def by_hash(world: World, shards: int) -> list[list[int]]:
    """As `--shard I/N` divides a list that was not planned."""
    return _divided(world, shards, lambda name: shard_of(name, shards))


def planned(world: World, pace: Pace, workers: int) -> list[list[int]]:
    """As `scraper plan` divides it."""
    hosts = dict(zip(world.names, world.lines, strict=True))
    buckets = [0] * BUCKETS
    for name, count in hosts.items():
        buckets[bucket_of(name, BUCKETS)] += count
    found = plan_shards(hosts, buckets, pace, workers=workers)
    return _divided(world, len(found.shards), found.division.shard_of)


def _divided(world: World, shards: int, number_of: Callable[[str], int]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(shards)]
    for host, name in enumerate(world.names):
        found[number_of(name)].append(host)
    return found
