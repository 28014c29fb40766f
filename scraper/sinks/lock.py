"""The lock: one run at a time holds a destination.

A directory is held by a kernel lock (`file_lock.py`). Where objects can be written on a condition
(S3) a destination is held by a lease (`lease.py`). Another sink has no lock.

This module owns the choice between them. It does not know what a run does when it is refused. The
lease is imported where there is one: a run into a directory begins sooner.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from scraper.model.errors import DestinationError, Held, ScraperError
from scraper.model.settings import Retries
from scraper.model.urls import redact
from scraper.sinks.base import ConditionalSink, Sink
from scraper.sinks.directory import OWN
from scraper.sinks.file_lock import FileHold, holder_of
from scraper.sinks.home import home_of

if TYPE_CHECKING:
    from scraper.model.shared_numbers import SharedNumbers

OnLost = Callable[[str], None]


class Lock(Protocol):
    """A destination that is held."""

    def holds(self) -> bool:
        """Whether no other run can have the destination yet. Once false, it stays false."""

    def descriptors(self) -> tuple[int, ...]:
        """What another process of the run has to keep open to hold the lock as well."""

    def tell(self, numbers: "SharedNumbers") -> bool:
        """Keep the end of the lease among `numbers` from now on; whether it has an end."""

    def release(self) -> None:
        """Give it to the next run. Never raises."""


class Limit(NamedTuple):
    """How long a lock may be waited for: at most `most_s` seconds, and until `left()`.

    `on_wait` is called with the holder, in words, again and again while it is waited for. A store
    that fails is asked again as `retries` say, and `tell` is given why.
    """

    most_s: float = math.inf
    left: Callable[[], bool] = lambda: False
    on_wait: Callable[[str], None] = lambda _holder: None
    retries: Retries = Retries()
    tell: Callable[[str], None] = lambda _why: None


NO_LIMIT = Limit()
AT_ONCE = Limit(0.0)


def leave_nothing(lock: Lock | None, sink: Sink) -> None:
    """Close `sink` and have nothing of ours stay in a directory, before `lock` is released."""
    if isinstance(lock, FileHold):
        sink.close()
        lock.remove_files()
        remove_home: Callable[[], None] | None = getattr(sink, "remove_home", None)
        if remove_home is not None:
            remove_home()


def hold(
    sink: Sink,
    destination: str,
    how: str,
    on_lost: OnLost,
    limit: Limit = NO_LIMIT,
) -> Lock | None:
    """The lock of `destination`. None if its sink has none.

    `how` is `wait`, `skip` or `fail`. `on_lost` is called from another thread with the reason when
    the lock is lost. Raises Held if another run has it, and DestinationError.
    """
    wait_s = limit.most_s if how == "wait" else 0.0
    if (home := home_of(destination)) is not None:
        return FileHold(home, wait_s, limit.left, limit.on_wait)
    if not isinstance(sink, ConditionalSink):
        return None
    from scraper.sinks.lease import Lease, Patience

    try:
        lease = Lease(sink, redact(destination), on_lost, patience=Patience(wait_s, *limit))
        from scraper.sinks.shard_lock import refuse_shards

        return refuse_shards(lease, sink, destination, wait_s, limit)
    except (DestinationError, Held):
        raise
    except ScraperError as error:
        raise DestinationError(f"can't lock {redact(destination)}: {error}") from None


def keep_to_fence(sink: Sink, numbers: "SharedNumbers") -> None:
    """Have `sink` change nothing once the lease ran out that `Lock.tell` keeps among `numbers`."""
    from scraper.sinks.lease import FencedSink, now_s

    if isinstance(sink, FencedSink):
        sink.fence(lambda: now_s() < numbers[numbers.GOOD_UNTIL])


def holder(sink: Sink, destination: str) -> str:
    """Who holds `destination` now, in words; "" if nobody does, or nobody can tell.

    It only looks: a run that comes at this moment is not refused. `sink` has been reached. Raises
    SinkError, DestinationError.
    """
    if (home := home_of(destination)) is not None:
        return holder_of(home / OWN / "lock")
    if not isinstance(sink, ConditionalSink):
        return ""
    from scraper.sinks.lease import lease_holder

    return lease_holder(sink)
