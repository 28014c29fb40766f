"""Planning: count the lines of a list by host, and begin a plan of shards in a destination.

Owns: the order: options are checked, the list is read to its end, then the destination is held and
the plan written. Nothing is fetched but lists. Does not know: how hosts are divided
(`schedule/shard_plan.py`), where a plan is kept (`sinks/division.py`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from scraper.model.dates import expand_date
from scraper.model.errors import DestinationError, Held, SinkError, UsageError
from scraper.model.settings import Settings
from scraper.schedule.shard_plan import ShardPlan
from scraper.sinks.base import ConditionalSink, SinkOptions, find_sink
from scraper.sinks.division import Written, write
from scraper.sinks.home import home_of
from scraper.sinks.lock import hold
from scraper.sinks.plans import kept
from scraper.source.host_counts import Counted, HostCounts
from scraper.source.keys import make_rule
from scraper.source.sources import Source


def count(sources: Sequence[Source], settings: Settings, note: Callable[[str], None]) -> Counted:
    """How many lines each host has. Raises ListError, and UsageError for a wrong key template."""
    rule = make_rule(settings.key, datetime.now().astimezone())
    counts = HostCounts()
    for source in sources:
        counts.read(source, rule, note)
    return counts.freeze()


def keep(plan: ShardPlan, settings: Settings) -> Written:
    """Begin `plan` in the destination of `settings`.

    Raises Held while a run has it, DestinationError, and UsageError where there are no locks.
    """
    destination = expand_date(settings.to, datetime.now().astimezone())
    sink = find_sink(destination, SinkOptions(s3=settings.s3, cacert=settings.http.cacert))
    lost: list[str] = []
    try:
        if home_of(destination) is None and not isinstance(sink, ConditionalSink):
            raise UsageError("this destination has no locks: use a directory or S3")
        sink.check()
        lock = hold(sink, destination, "fail", lost.append)
        try:
            found = kept(sink, destination)
            if lost:
                raise Held(lost[0])
            return write(sink, destination, found, len(plan.shards), plan.division)
        finally:
            if lock is not None:
                lock.release()
    except SinkError as error:
        raise DestinationError(f"can't look at the shards: {error}") from None
    finally:
        sink.close()
