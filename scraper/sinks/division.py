"""`plan.json`: which shard of a plan each host is in, as `scraper plan` has divided them.

It lies with what shard 0 keeps, so that the plan has begun when it is there, and goes with it. It
is written by who holds the destination alone, before a run of a shard can begin, and never changes:
a host that was in two shards of one plan would be asked by two machines at once.

Owns: that file. Does not know: how hosts are divided well (`schedule/shard_plan.py`). Rejected: a
plan without the file, or with one that can't be read, is divided by the hash alone. The second is
an error.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from scraper.model.errors import DestinationError, SinkError
from scraper.model.shards import MOST, Division, Shard
from scraper.sinks.base import ConditionalSink, Sink
from scraper.sinks.directory.own_files import open_own, replace_own
from scraper.sinks.home import home_of
from scraper.sinks.plans import PLAN, Kept, Plan, current, kept, make_directories, remove

RULE = "host/1"  # what a host and its bucket are; of another rule nothing is known
_MOST_BUCKETS = 1 << 22
_MOST_BYTES = 64 << 20


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
    prefix = plan.prefix_of(0)
    place = f"{destination.rstrip('/')}/{prefix}{PLAN}"
    record = {
        "rule": RULE,
        "shards": plan.shards,
        "apart": dict(division.apart),
        "buckets": list(division.buckets),
    }
    if lists is not None:
        record["lists"] = lists._asdict()
    data = orjson.dumps(record)
    try:
        if (home := home_of(destination)) is not None:
            path = make_directories(home, prefix) / PLAN
            with replace_own(path, f"{PLAN}.new") as file:
                file.write(data)
        else:
            assert isinstance(sink, ConditionalSink)
            if sink.put_if(prefix + PLAN, data, None) is None:
                raise DestinationError(f"{place!r} is there already: run it again")
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't write {place!r}: {error}") from None
    return Written(plan, place)


def planned(sink: Sink, destination: str, found: Sequence[Kept]) -> Planned | None:
    """The last plan, if it was written. Raises DestinationError."""
    begun = [one.plan for one in found if one.is_begun]
    if not begun:
        return None
    plan = begun[-1]
    place = f"{destination.rstrip('/')}/{plan.prefix_of(0)}{PLAN}"
    try:
        data = _data(sink, destination, plan.prefix_of(0) + PLAN)
        if data is None:
            return None
        record = orjson.loads(data)
        _division(record, plan.shards)
        told = record.get("lists")
        lists = told and Lists(str(told["digest"]), str(told["key"]), told["lines"])
        if lists and len(lists.lines) != plan.shards:
            raise ValueError  # noqa: TRY301 - told below
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't read {place!r}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DestinationError(f"{place!r} is no plan of {plan.shards} shards") from None
    return Planned(plan, lists)


def as_planned(shard: Shard, plan: Plan, sink: Sink, destination: str) -> Shard:
    """`shard`, divided as its plan says. Raises DestinationError."""
    key = plan.prefix_of(0) + PLAN
    place = f"{destination.rstrip('/')}/{key}"
    try:
        data = _data(sink, destination, key)
        if data is None:
            return shard
        return shard._replace(division=_division(orjson.loads(data), shard.of))
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't read {place!r}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DestinationError(f"{place!r} is no plan of {shard.of} shards that is known") from None


def as_planned_now(shard: Shard, sink: Sink, destination: str) -> Shard:
    """`shard`, divided as a run of it would divide hosts if it began now.

    Raises DestinationError, SinkError.
    """
    plan = current([one for one in kept(sink, destination) if one.is_begun], shard.of)
    return as_planned(shard, plan, sink, destination)


def _data(sink: Sink, destination: str, key: str) -> bytes | None:
    if (home := home_of(destination)) is not None:
        try:
            with open(open_own(home / key, os.O_RDONLY), "rb") as file:
                return file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
    assert isinstance(sink, ConditionalSink)
    found = sink.get_small(key)
    return None if found is None else found.data


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
