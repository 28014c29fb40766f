"""Which plan a coordinator runs: one that an earlier coordinator, or `plan`, has left, or its own.

With --resume a plan of the same lists is taken up while a shard of it is not done. Its shards that
are done are not run again. Else the destination is held alone for a moment: what earlier shards
recorded is moved into its own manifest, the lists are divided, and a plan begins.

Owns: that choice. Does not know: how lists are divided (`run/planning.py`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from scraper.manifest import StoreTimeouts, open_store
from scraper.model.settings import Settings
from scraper.run import planning
from scraper.schedule.shard_plan import Pace, plan_shards
from scraper.sinks.base import Sink
from scraper.sinks.division import planned
from scraper.sinks.lock import Limit
from scraper.sinks.plans import Plan, kept
from scraper.source.sources import Source
from scraper.source.spooled import digest_of

_LATENCY_S = 0.2  # that a request is taken to last
Note = Callable[[str], None]


class Ready(NamedTuple):
    """A plan, the number of lines of each shard, and which shards are done."""

    plan: Plan
    lines: Sequence[int]
    done: frozenset[int] = frozenset()


NO_LINES = Ready(Plan(0, 0), ())  # for a list that is empty: it is kept nowhere


def taken_up(
    sink: Sink, destination: str, settings: Settings, sources: Sequence[Source]
) -> Ready | None:
    """The plan that is to be gone on with, None if there is none. Raises DestinationError."""
    if not settings.earlier.resume:
        return None
    found = kept(sink, destination)
    last = planned(sink, destination, found)
    if last is None or last.lists is None or last.lists.key != settings.key:
        return None
    done = frozenset(one.shard for one in found if one.plan == last.plan and one.is_done)
    if len(done) == last.plan.shards or last.lists.digest != digest_of(list(sources)):
        return None
    return Ready(last.plan, last.lists.lines, done)


def begun(
    settings: Settings, sources: Sequence[Source], slots: int, note: Note, limit: Limit
) -> Ready:
    """A plan for so many `slots`, which is begun now.

    It is NO_LINES for an empty list, which leaves what one run leaves. Raises Held,
    DestinationError, ListError, and UsageError for a list with a secret that others could read.
    """
    counted = planning.count(sources, settings, note)
    if not counted.lines + counted.bad:
        with planning.held(settings, limit) as place:
            _move_records(*place, settings)
        return NO_LINES
    asked = settings.politeness
    pace = Pace(asked.max_concurrency, asked.per_host, asked.delay, _LATENCY_S, asked.rate)
    divided = plan_shards(counted.hosts, counted.buckets, pace, workers=slots)
    with planning.held(settings, limit) as place:
        if not all(one.is_only_planned for one in kept(*place)):
            _move_records(*place, settings)
        made = planning.keep(divided, settings, sources, place, refuses_secrets=True)
    assert made.lists is not None
    return Ready(made.written.plan, made.lists.lines)


def _move_records(sink: Sink, destination: str, settings: Settings) -> None:
    """Move what shards of earlier plans recorded into the destination's own manifest.

    It is made where there was none.
    """
    timeouts = StoreTimeouts(settings.retries.retry_max_time)
    store = open_store(None, destination, sink, timeouts, durable=settings.durable)
    try:
        store.close()
    finally:
        store.release()
