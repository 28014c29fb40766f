"""`plan.json`: what was written is what every shard goes by, or nothing goes."""

import os
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError
from scraper.model.shards import Division, Shard
from scraper.sinks.division import as_planned, as_planned_now, begin, write
from scraper.sinks.plans import PLAN, Plan, kept, missing
from tests.sinks.test_shard_lock import Destination, place

__all__ = ["place"]

pytestmark = pytest.mark.usefixtures("aws")

DIVISION = Division({"giant.example": 0}, [2, 1, 1, 2])


def planned(place: Destination, shards: int = 3, division: Division = DIVISION) -> Plan:
    sink = place.sink()
    plan = begin(sink, place.name, kept(sink, place.name), shards)
    return write(sink, place.name, plan, division).plan


def test_a_shard_is_divided_as_it_was_planned(place: Destination) -> None:
    plan = planned(place)
    assert plan == Plan(1, 3)
    sink = place.sink()
    shard = as_planned(Shard(0, 3), plan, sink, place.name)
    assert shard.division == DIVISION
    assert shard.has("giant.example")
    assert not shard.has("other.example")
    assert missing(kept(sink, place.name)) == (0, 1, 2)
    assert as_planned_now(Shard(0, 3), sink, place.name) == shard
    assert as_planned_now(Shard(0, 4), sink, place.name) == Shard(0, 4)
    with place_held(place, "1/3") as kept_by_it:
        assert kept_by_it == plan


def test_a_plan_gives_way_only_while_nobody_has_begun_it(place: Destination) -> None:
    planned(place)
    again = planned(place, 2, Division({}, [0, 1]))
    assert again == Plan(1, 2)
    assert place.plans() == {again}
    lock = place.shard("1/2")
    place.leave(lock)
    lock.release()
    assert planned(place) == Plan(2, 3)
    assert place.plans() == {again, Plan(2, 3)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"rule":"host/2","shards":3,"apart":{},"buckets":[0]}',
        '{"rule":"host/1","shards":4,"apart":{},"buckets":[0]}',
        '{"rule":"host/1","shards":3,"apart":{},"buckets":[]}',
        '{"rule":"host/1","shards":3,"apart":{},"buckets":[3]}',
        '{"rule":"host/1","shards":3,"apart":{"a":-1},"buckets":[0]}',
        '{"rule":"host/1","shards":3,"apart":{"a":true},"buckets":[0]}',
    ],
)
def test_what_is_no_plan_stops_every_shard(tmp_path: Path, text: str) -> None:
    from scraper.sinks.directory.sink import DirectorySink

    plan = Plan(1, 3)
    path = tmp_path / plan.prefix_of(0) / PLAN
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DestinationError, match="is no plan of 3 shards"):
        as_planned(Shard(1, 3), plan, DirectorySink(tmp_path), str(tmp_path))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    from scraper.sinks.directory.sink import DirectorySink

    plan = Plan(1, 3)
    path = tmp_path / plan.prefix_of(0) / PLAN
    path.parent.mkdir(parents=True)
    os.symlink("/dev/null", path)
    with pytest.raises(DestinationError):
        as_planned(Shard(1, 3), plan, DirectorySink(tmp_path), str(tmp_path))


class place_held:  # noqa: N801 - it reads as a function
    """The plan that a run of this shard takes part in, while it is held."""

    def __init__(self, place: Destination, text: str) -> None:
        self._place, self._text = place, text

    def __enter__(self) -> Plan:
        self._lock = self._place.shard(self._text)
        return self._lock.kept.plan

    def __exit__(self, *_: object) -> None:
        self._lock.release()
