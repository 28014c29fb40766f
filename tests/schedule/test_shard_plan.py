"""ShardPlan: every host in one shard, giants apart, none too long, the longest first."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.shards import bucket_of
from scraper.schedule.shard_plan import MOST_LINES, Pace, ShardPlan, finish_s, plan_shards

BUCKETS = 1 << 10
PACE = Pace(16, 4, 0.0, 0.2)


def plan_of(
    hosts: Mapping[str, int], workers: int, pace: Pace = PACE, shards: int | None = None
) -> ShardPlan:
    buckets = [0] * BUCKETS
    for host, lines in hosts.items():
        buckets[bucket_of(host, BUCKETS)] += lines
    return plan_shards(hosts, buckets, pace, workers=workers, shards=shards)


def lines_of(plan: ShardPlan, hosts: Mapping[str, int]) -> Counter[int]:
    """The lines of each shard, as a run would find them."""
    found: Counter[int] = Counter()
    for host, lines in hosts.items():
        found[plan.division.shard_of(host)] += lines
    return found


@given(
    st.lists(st.integers(1, 200_000), min_size=1, max_size=60),
    st.integers(1, 12),
    st.none() | st.integers(1, 30),
)
def test_every_line_is_in_one_shard_and_the_longest_is_first(
    sizes: list[int], workers: int, shards: int | None
) -> None:
    hosts = {f"h{number}.example": lines for number, lines in enumerate(sizes)}
    plan = plan_of(hosts, workers, shards=shards)
    found = lines_of(plan, hosts)
    assert [found[number] for number in range(len(plan.shards))] == [
        one.lines for one in plan.shards
    ]
    assert sum(one.lines for one in plan.shards) == sum(sizes)
    seconds = [one.seconds for one in plan.shards]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] >= PACE.host_s(max(sizes))
    assert shards in {None, len(plan.shards)}


def test_there_are_five_shards_a_worker_and_more_for_a_long_list() -> None:
    hosts = {f"h{number}.example": 100 for number in range(2_000)}
    assert len(plan_of(hosts, 8).shards) == 40
    assert max(one.lines for one in plan_of(hosts, 8).shards) < 1.5 * 200_000 / 40
    long = dict.fromkeys(hosts, 1000)
    plan = plan_of(long, 1)
    assert len(plan.shards) >= 2_000_000 / MOST_LINES
    assert max(one.lines for one in plan.shards) <= MOST_LINES
    assert len(plan_of({"a.example": 9, "b.example": 1}, 8).shards) == 2


def test_a_giant_is_apart_whole_and_first() -> None:
    hosts = {"giant.example": 365_250} | {f"h{number}.example": 50 for number in range(5_000)}
    plan = plan_of(hosts, 8)
    first = plan.shards[0]
    assert (first.host, first.lines) == ("giant.example", 365_250)
    assert first.seconds == pytest.approx(365_250 * 0.2 / 4)
    assert max(one.lines for one in plan.shards[1:]) <= MOST_LINES
    assert finish_s(plan, 8) == finish_s(plan, 1_000) == first.seconds


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        (Pace(16, 4, 0.0, 0.2), 50.0),
        (Pace(16, 0, 0.0, 0.2), 12.5),  # no cap of its own: what the run has
        (Pace(2, 4, 0.0, 0.2), 100.0),
        (Pace(16, 4, 1.0, 0.2), 1_000.0),
        (Pace(16, 4, 0.0, 0.2, rate=2.0), 500.0),
    ],
)
def test_what_is_given_bounds_a_shard(pace: Pace, seconds: float) -> None:
    (shard,) = plan_of({"a.example": 1_000}, 1, pace).shards
    assert shard.seconds == pytest.approx(seconds)
