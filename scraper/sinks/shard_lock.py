"""Locks of shards: runs of one plan hold a destination together, and keep all others out.

A shard has a lock of its own, below its `Plan.prefix_of`. A run without --shard, and runs of
another number of shards, must not go on at the same time: nobody would see to `--per-host`, and
targets would be fetched twice.

Elsewhere than in a directory everybody takes what is his own first, and then looks at what the
others have. Of two that come at once, at least one sees the other. In a directory shards share the
kernel lock that a run alone holds exclusively, so there the kernel decides between these two. Of
shards one at a time looks and then takes, so that one that is refused has made nothing.

A plan that never began decides nothing: see `plans.py`. Where the last plan is begun, nobody else
looks at what other shards have. Whoever began it has done so, and who came later saw that it is
begun. So the start of a shard costs the same however many shards there are.

Owns: who keeps out whom. Does not know: what a lock and a lease are (`file_lock.py`, `lease.py`),
where shards keep what (`plans.py`). Rejected: one lease that names the plan, renewed by whoever
sees that it is due. Its writers would need the store's conditions, which rclone ignores.
"""

import contextlib
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError, Held, ScraperError, SinkError, UsageError
from scraper.model.shards import Shard
from scraper.model.urls import redact
from scraper.sinks.base import ConditionalSink, ReadableSink, Sink
from scraper.sinks.beginning import insist
from scraper.sinks.directory.own_files import lock_own
from scraper.sinks.file_lock import FileHold, holder_of, is_held
from scraper.sinks.home import home_of
from scraper.sinks.lease import (
    LEASE_KEY,
    LEASE_NAME,
    LEASE_S,
    Lease,
    Patience,
    is_ours,
    judge,
    lease_holder,
    now_s,
    shown,
)
from scraper.sinks.lease_watch import LeaseWatch, Life
from scraper.sinks.lock import NO_LIMIT, Limit, Lock, OnLost
from scraper.sinks.mutex import Mutex
from scraper.sinks.network_mounts import local_lock
from scraper.sinks.own_store import make_directories
from scraper.sinks.plans import (
    COORDINATOR,
    LOCK,
    PLANS,
    Kept,
    Plan,
    current,
    kept,
    kept_by,
    last_begun,
    remove,
)
from scraper.sinks.process_identity import own_process

if TYPE_CHECKING:
    from scraper.model.shared_numbers import SharedNumbers

_COORDINATOR = f"{COORDINATOR}{LEASE_NAME}"
_NEAR_S, _FAR_S = 0.2, 1.0  # between two attempts, and between two looks at a lease


class ShardHold:
    """A shard that is held. See `lock.Lock`. `kept`: what it kept before."""

    def __init__(self, locks: Sequence[Lock], kept: Kept) -> None:
        self.kept = kept
        self._locks = locks

    def holds(self) -> bool:
        """See `Lock`."""
        return all(lock.holds() for lock in self._locks)

    def descriptors(self) -> tuple[int, ...]:
        """See `Lock`."""
        return tuple(fd for lock in self._locks for fd in lock.descriptors())

    def tell(self, numbers: "SharedNumbers") -> bool:
        """See `Lock`. It has one lease at most."""
        return any(lock.tell(numbers) for lock in self._locks)

    def release(self) -> None:
        """See `Lock`."""
        for lock in reversed(self._locks):
            lock.release()


def hold_shard(  # noqa: PLR0913, PLR0917 - as `lock.hold`, and the shard
    sink: Sink,
    destination: str,
    shard: Shard,
    how: str,
    on_lost: OnLost,
    limit: Limit = NO_LIMIT,
) -> ShardHold:
    """The lock of a shard of `destination`. The arguments are those of `lock.hold`.

    Raises Held if another run has the shard, or runs that must not go on beside it have the
    destination; DestinationError; UsageError where there are no locks.
    """
    home = home_of(destination)
    if home is None and not (isinstance(sink, ConditionalSink) and isinstance(sink, ReadableSink)):
        raise UsageError(
            "--shard: this destination has no locks: use a directory, S3 or a file server"
        )
    if home is not None and (why := local_lock(home)):
        raise DestinationError(
            f"--shard: {destination!r} is on {why}, where a lock keeps out no other machine"
        )
    until = time.monotonic() + (limit.most_s if how == "wait" else 0.0)
    while True:
        try:
            if home is not None:
                return _hold_near(sink, destination, home, shard)
            return _hold_far(sink, destination, shard, on_lost, limit)
        except Held:
            if time.monotonic() >= until or limit.left():
                raise
            limit.on_wait("")
        except OSError as error:
            raise DestinationError(f"can't lock {destination!r}: {error.strerror}") from None
        except SinkError as error:  # a wait outlives a store that is out of order for a moment
            if not error.transient or time.monotonic() >= until or limit.left():
                raise DestinationError(f"can't lock {redact(destination)}: {error}") from None
        # Two that keep each other out do not come back at the same moment.
        time.sleep((_FAR_S if home is None else _NEAR_S) * random.uniform(0.5, 1.5))  # noqa: S311


def is_held_now(sink: Sink, destination: str, shard: Kept) -> bool:
    """Whether a run has the shard, as far as can be seen. Raises SinkError, DestinationError."""
    if (home := home_of(destination)) is not None:
        return bool(holder_of(home / shard.prefix / LOCK))
    keys = _leases([shard])
    return bool(keys and isinstance(sink, ConditionalSink) and lease_holder(sink, keys[0]))


@contextmanager
def alone(sink: Sink, destination: str) -> Iterator[None]:
    """A `with` block that one run of a shard at a time is in, for what all shards share.

    Raises DestinationError, SinkError, OSError.
    """
    if (home := home_of(destination)) is not None:
        lock = lock_own(home / PLANS / LOCK, wait=True)
        assert lock is not None
        with open(lock, "rb"):
            yield
        return
    assert isinstance(sink, ConditionalSink)
    assert isinstance(sink, ReadableSink)
    holder = {"run": os.urandom(8).hex(), **own_process()}
    with Mutex(sink, holder, now_s, time.sleep, prefix=PLANS).alone(lambda: False):
        yield


def refuse_shards(lease: Lease, sink: Sink, destination: str, wait_s: float, limit: Limit) -> Lease:
    """`lease`, which a run without --shard has, once no shard is held.

    Raises Held, having released it, if that takes longer than `wait_s` seconds.
    """
    with ExitStack() as undone:
        undone.callback(lease.release)
        found = kept(sink, destination)
        held = _leases(found)
        if (
            found
            and isinstance(sink, ConditionalSink)
            and not is_ours(sink.get_small(_COORDINATOR))
        ):
            held.append(_COORDINATOR)
        if isinstance(sink, ConditionalSink) and (who := _holder(sink, held, wait_s, limit)):
            raise Held(f"runs of shards hold {redact(destination)} ({who})")
        undone.pop_all()
    return lease


def _hold_near(sink: Sink, destination: str, root: Path, shard: Shard) -> ShardHold:
    with ExitStack() as undone:
        together = FileHold(root, shared=True)
        undone.callback(together.release)
        make_directories(root, PLANS)
        with alone(sink, destination):
            plan = last_begun(sink, destination)
            if plan is None or plan.shards != shard.of:
                plan = _next_plan(sink, destination, root, shard)
            prefix = plan.prefix_of(shard.number)
            make_directories(root, prefix)
            try:
                own = FileHold(root, name=f"{prefix}{LOCK}")
            except Held:
                raise Held(f"another run holds shard {shard} of {str(root)!r}") from None
            undone.callback(own.release)
            ours = kept_by(sink, destination, plan, shard.number)
        undone.pop_all()
    return ShardHold([together, own], ours)


def _next_plan(sink: Sink, destination: str, root: Path, shard: Shard) -> Plan:
    """The plan of `shard` where all of them must be looked at. Those that never began are gone."""
    found = kept(sink, destination)
    plan = _free_plan(root, found, shard)
    for one in found:
        if one.plan != plan and not one.is_begun:
            with contextlib.suppress(DestinationError):  # it may be another user's
                remove(sink, destination, one)
    return plan


def _free_plan(root: Path, found: list[Kept], shard: Shard) -> Plan:
    """The plan of `shard` in a directory. Raises Held while a shard of another plan is held."""
    held = {one for one in found if LOCK in one.names and is_held(root / one.prefix / LOCK)}
    plan = current([one for one in found if one.is_begun or one in held], shard.of)
    for one in found:
        if one.plan != plan and one in held:
            raise Held(_another(one, repr(str(root))))
    return plan


def _hold_far(
    sink: Sink, destination: str, shard: Shard, on_lost: OnLost, limit: Limit
) -> ShardHold:
    assert isinstance(sink, ConditionalSink)
    plan = last_begun(sink, destination)
    if plan is None or plan.shards != shard.of:
        plan = _current_begun(kept(sink, destination), shard)
    prefix, place = plan.prefix_of(shard.number), f"shard {shard} of {redact(destination)}"
    try:
        patience = Patience(0.0, *limit)
        lease = Lease(sink, place, on_lost, patience=patience, prefix=prefix)
    except (DestinationError, Held):
        raise
    except ScraperError as error:
        raise DestinationError(f"can't lock {place}: {error}") from None
    with ExitStack() as undone:
        undone.callback(lease.release)
        # Before plans are looked for: who has released it meanwhile may have begun one.
        if who := _holder(sink, [LEASE_KEY], 0.0, limit):
            raise Held(f"another run holds {redact(destination)} ({who})")
        if last_begun(sink, destination) != plan:
            _refuse_others(sink, destination, plan, shard, limit)
        ours = kept_by(sink, destination, plan, shard.number)
        undone.pop_all()
    return ShardHold([lease], ours)


def _refuse_others(sink: Sink, destination: str, plan: Plan, shard: Shard, limit: Limit) -> None:
    """Raise Held while a shard of another plan is held, or if another one is begun."""
    assert isinstance(sink, ConditionalSink)
    found = kept(sink, destination)
    _refuse_another_plan(plan, found, shard)
    for one in found:
        if one.plan != plan and (who := _holder(sink, _leases([one]), 0.0, limit)):
            raise Held(f"{_another(one, destination)} ({who})")


def _refuse_another_plan(plan: Plan, found: list[Kept], shard: Shard) -> None:
    """Raise Held if another plan was begun, and perhaps ended, since ours was chosen."""
    if _current_begun(found, shard) != plan:
        raise Held("runs of another number of shards began in this moment")


def _current_begun(found: list[Kept], shard: Shard) -> Plan:
    """The plan of `shard` by those that are begun. Others may be held: they are looked at later."""
    return current([one for one in found if one.is_begun], shard.of)


def _another(one: Kept, destination: str) -> str:
    return f"a run of shard {one.shard}/{one.plan.shards} holds {redact(destination)}"


def _leases(shards: Iterable[Kept]) -> list[str]:
    return [f"{one.prefix}{LEASE_NAME}" for one in shards if LEASE_NAME in one.names]


def _holder(sink: ConditionalSink, keys: Iterable[str], wait_s: float, limit: Limit) -> str:
    """Who holds one of the leases `keys`, in words; "" if nobody does.

    A lease that may be dead is watched. A dead one is deleted: whoever would take it over now
    finds ours. Raises SinkError, DestinationError.
    """
    begun = time.monotonic()
    watches = {key: LeaseWatch(LEASE_S) for key in keys}
    while watches:
        who, is_alive = "", False
        for key, watch in list(watches.items()):
            found = insist(partial(sink.get_small, key), limit.retries, tell=limit.tell)
            life = judge(watch, found)
            if life is Life.DEAD:
                del watches[key]
                if found is not None:
                    with contextlib.suppress(ScraperError):  # the permission may be missing
                        sink.remove(key)
                continue
            who, is_alive = shown(found), is_alive or life is Life.ALIVE
        waited_s = time.monotonic() - begun
        if watches and (limit.left() or (is_alive and waited_s >= wait_s)):
            return who
        if watches:
            limit.on_wait(who)
            time.sleep(_FAR_S)
    return ""
