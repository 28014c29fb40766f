"""`plan.json`: which shard of a plan each host is in, as `scraper plan` has divided them.

It lies with what shard 0 keeps, so that the plan has begun when it is there, and goes with it. It
is written by who holds the destination alone, before a run of a shard can begin, and never changes:
a host that was in two shards of one plan would be asked by two machines at once.

Owns: that file. Does not know: how hosts are divided well (`schedule/shard_plan.py`). Rejected: a
plan without the file, or with one that can't be read, is divided by the hash alone. The second is
an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson

from scraper.model.errors import DestinationError
from scraper.model.shards import MOST, Division, Shard
from scraper.sinks.base import Sink
from scraper.sinks.own_store import OwnStore
from scraper.sinks.plans import PLAN, Kept, Plan, current, kept, remove

RULE = "host/1"  # what a host and its bucket are; of another rule nothing is known
_MOST_BUCKETS = 1 << 22


class Lists(NamedTuple):
    """What a plan knows of the lists of its shards: what they were made of, and their `lines`.

    `digest` tells the lists, and how they were read, from others. `key`: the rule of the keys.
    """

    digest: str
    key: str
    lines: Sequence[int]


class Planned(NamedTuple):
    """A plan that was written. `lists`: None if its shards have none."""

    plan: Plan
    lists: Lists | None


class Written(NamedTuple):
    """A division that was written: its plan, and the file."""

    plan: Plan
    place: str


def begin(sink: Sink, destination: str, found: Sequence[Kept], shards: int) -> Plan:
    """The plan that is to be written. The destination is held alone; `found` is what is kept.

    A plan of which no run has begun gives way. Raises DestinationError.
    """
    begun = {one.plan for one in found if not one.is_only_planned}
    for one in found:
        if one.plan not in begun:
            remove(sink, destination, one)
    return Plan(max((plan.number for plan in begun), default=0) + 1, shards)


def write(
    sink: Sink, destination: str, plan: Plan, division: Division, lists: Lists | None = None
) -> Written:
    """Write `plan`. What its shards have is there. Raises DestinationError."""
    own, key = OwnStore(sink, destination), plan.prefix_of(0) + PLAN
    record = {
        "rule": RULE,
        "shards": plan.shards,
        "apart": dict(division.apart),
        "buckets": list(division.buckets),
    }
    if lists is not None:
        record["lists"] = lists._asdict()
    if not own.create(key, orjson.dumps(record)):
        raise DestinationError(f"{own.place(key)!r} is there already: run it again")
    return Written(plan, own.place(key))


def planned(sink: Sink, destination: str, found: Sequence[Kept]) -> Planned | None:
    """The last plan, if it was written. Raises DestinationError."""
    begun = [one.plan for one in found if one.is_begun]
    if not begun:
        return None
    plan, lists = begun[-1], None
    record = _record(sink, destination, plan)
    if record is None:
        return None
    with _understood(sink, destination, plan):
        _division(record, plan.shards)
        if told := record.get("lists"):
            lists = Lists(str(told["digest"]), str(told["key"]), told["lines"])
            if len(lists.lines) != plan.shards:
                raise ValueError
    return Planned(plan, lists)


def as_planned(shard: Shard, plan: Plan, sink: Sink, destination: str) -> Shard:
    """`shard`, divided as its plan says. Raises DestinationError."""
    record = _record(sink, destination, plan)
    if record is None:
        return shard
    with _understood(sink, destination, plan):
        return shard._replace(division=_division(record, plan.shards))


class LateDivision:
    """That of a plan which was written. It is read when it is asked for the first time.

    A shard that has its lists asks for nothing, and the division grows with the shards.
    """

    def __init__(self, plan: Plan, sink: Sink, destination: str) -> None:
        self._place = plan, sink, destination
        self._found: Shard | None = None

    def shard_of(self, host: str) -> int:
        """See `Division`. Raises DestinationError."""
        if self._found is None:
            plan = self._place[0]
            self._found = as_planned(Shard(0, plan.shards), *self._place)
        return self._found.shard_of(host)


def as_planned_now(shard: Shard, sink: Sink, destination: str) -> Shard:
    """`shard`, divided as a run of it would divide hosts if it began now.

    Raises DestinationError, SinkError.
    """
    plan = current([one for one in kept(sink, destination) if one.is_begun], shard.of)
    return as_planned(shard, plan, sink, destination)


def _record(sink: Sink, destination: str, plan: Plan) -> Any:
    """What `plan.json` says, None if there is none. Raises DestinationError."""
    data = OwnStore(sink, destination).read(plan.prefix_of(0) + PLAN)
    with _understood(sink, destination, plan):
        return None if data is None else orjson.loads(data)


@contextmanager
def _understood(sink: Sink, destination: str, plan: Plan) -> Iterator[None]:
    """A `with` block in which what is no plan is told as one."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError):
        place = OwnStore(sink, destination).place(plan.prefix_of(0) + PLAN)
        raise DestinationError(
            f"{place!r} is no plan of {plan.shards} shards that is known"
        ) from None


def _division(record: Mapping[str, Any], shards: int) -> Division:
    """Raises ValueError, KeyError, TypeError, AttributeError."""
    apart, buckets = record["apart"], record["buckets"]
    numbers = [*apart.values(), *buckets]
    is_right = (
        record["rule"] == RULE
        and record["shards"] == shards <= MOST
        and 0 < len(buckets) <= _MOST_BUCKETS
        and all(type(number) is int and 0 <= number < shards for number in numbers)
    )
    if not is_right:
        raise ValueError
    return Division(apart, buckets)
