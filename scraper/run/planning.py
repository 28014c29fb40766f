"""Planning: count the lines of lists by host, divide them, and begin a plan in a destination.

Owns: the order: options are checked, lists are read to their end, then the destination is held, the
lists of the shards are written, what is known already of their hosts, and the plan last. Nothing is
fetched but lists. Does not know: how hosts are divided (`schedule/shard_plan.py`), where a plan is
kept (`sinks/division.py`), what is in the list of a shard (`source/shard_list.py`).

A list of which a line has a secret is not written where others may read it: into a store. Then the
plan has no lists, and each shard reads the whole one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from scraper.manifest import earlier_lines
from scraper.manifest.known import write_known
from scraper.model.dates import expand_date
from scraper.model.errors import DestinationError, Held, SinkError, UsageError
from scraper.model.settings import Settings
from scraper.schedule.shard_plan import ShardPlan
from scraper.sinks.base import (
    ConditionalSink,
    ReadableSink,
    Sink,
    SinkOptions,
    find_sink,
    may_have_objects,
)
from scraper.sinks.beginning import insist
from scraper.sinks.division import Lists, Written, begin, write
from scraper.sinks.home import home_of
from scraper.sinks.lock import NO_LIMIT, Limit, hold
from scraper.sinks.plans import kept
from scraper.sinks.shard_lists import ListsOfPlan
from scraper.source.host_counts import Counted, HostCounts
from scraper.source.keys import KeyRule, make_rule
from scraper.source.shard_list import ShardLists
from scraper.source.sources import Source
from scraper.source.spooled import digest_of, spooled

Note = Callable[[str], None]


def again_readable(sources: Sequence[Source]) -> list[Source]:
    """The same lists, which can be read several times. Raises ListError."""
    return [spooled(source) for source in sources]


def count(sources: Sequence[Source], settings: Settings, note: Note) -> Counted:
    """How many lines each host has. Keys that two shards could make are told to `note`.

    Raises ListError, and UsageError for a wrong key template.
    """
    rule, counts = _rule(settings), HostCounts()
    for source in sources:
        counts.read(source, rule, note)
    counted = counts.freeze()
    if counted.shared:
        note(
            f"the keys of {counted.shared:,} lines ({counted.first_shared}) do not begin with the"
            " directory of their host: two shards could make one key, so these lines will fail"
        )
    return counted


class Kept(NamedTuple):
    """A plan that was begun. `secret`: the line with a secret, for which it has no lists, or ""."""

    written: Written
    lists: Lists | None
    secret: str


@contextmanager
def held(settings: Settings, limit: Limit = NO_LIMIT) -> Iterator[tuple[Sink, str]]:
    """The sink and the name of the destination of `settings`, which is held alone meanwhile.

    Raises Held while a run has it, DestinationError, and UsageError where there are no locks.
    """
    destination = expand_date(settings.to, datetime.now().astimezone())
    sink = find_sink(destination, SinkOptions(s3=settings.s3, cacert=settings.http.cacert))
    lost: list[str] = []
    try:
        if home_of(destination) is None and not isinstance(sink, ConditionalSink):
            raise UsageError("this destination has no locks: use a directory or S3")
        insist(sink.check, settings.retries)
        lock = hold(sink, destination, settings.lock, lost.append, limit)
        try:
            yield sink, destination
            if lost:
                raise Held(lost[0])
        finally:
            if lock is not None:
                lock.release()
    except SinkError as error:
        raise DestinationError(f"can't look at the shards: {error}") from None
    finally:
        sink.close()


def keep(
    plan: ShardPlan,
    settings: Settings,
    sources: Sequence[Source],
    place: tuple[Sink, str],
    *,
    refuses_secrets: bool = False,
) -> Kept:
    """Begin `plan` in the destination `place`, which is `held`. Raises ListError, DestinationError.

    `sources`: the lists that were counted, to be read once more. `refuses_secrets`: raise
    UsageError, and begin nothing, where the shards would get no lists.
    """
    sink, destination = place
    shards = len(plan.shards)
    nothing_there = isinstance(sink, ReadableSink) and not sink.near and not may_have_objects(sink)
    begun = begin(sink, destination, kept(sink, destination), shards)
    with ListsOfPlan(sink, destination, begun) as lists:
        is_private = home_of(destination) is not None
        given = plan.division, shards, _rule(settings), lists.append
        divided = ShardLists(*given, looks=not is_private)
        for source in sources:
            divided.read(source)
        divided.finish()
        parts = earlier_lines(destination, sink, begun)
        if parts or nothing_there:
            earlier = chain.from_iterable(part() for part in parts)
            write_known(earlier, plan.division.shard_of, lists)
        found = None
        secret = "" if is_private else divided.secret
        if secret and refuses_secrets:
            raise UsageError(
                f"--cluster: {secret} has a secret, and whoever reads DEST could read it there:"
                " use a directory, or --shard on each machine"
            )
        if not secret:
            lists.finish()
            found = Lists(digest_of(list(sources)), settings.key, divided.lines)
    return Kept(write(sink, destination, begun, plan.division, found), found, secret)


def _rule(settings: Settings) -> KeyRule:
    return make_rule(settings.key, datetime.now().astimezone())
