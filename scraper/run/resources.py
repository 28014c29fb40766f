"""What a run holds while it runs: the destination, its lock, its manifest and its history.

Owns: the order in which they are opened and closed, also when one of them fails. Does not
know: what is fetched and recorded meanwhile (`loop.py`). Rejected: one ExitStack for all of
them. Only a manifest that could be closed may be compacted.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from scraper.manifest import (
    History,
    ManifestStore,
    StoreTimeouts,
    leaves_nothing,
    open_store,
    remember,
)
from scraper.model.errors import DestinationError, Held
from scraper.model.settings import Settings
from scraper.model.urls import redact
from scraper.report.summary_file import SummaryFile
from scraper.run.settling import adopt, all_recorded, settle
from scraper.run.stopping import Note
from scraper.run.timeout import call_until
from scraper.run.waits import Waits
from scraper.sinks.base import Sink, SinkOptions, find_sink
from scraper.sinks.beginning import insist
from scraper.sinks.exchanges import recover
from scraper.sinks.lock import Limit, Lock, hold, leave_nothing
from scraper.transfer import Quota

if TYPE_CHECKING:
    from scraper.model.shards import Shard
    from scraper.model.shared_numbers import SharedNumbers
    from scraper.run.shard_place import ShardPlace

T = TypeVar("T")
_LAST_S = 0.5  # for a lock that was waited for to say who holds it
_WITHDRAW_S = 1.0  # to take back what others would wait for


class RunResources:
    """See the module. `store` and `history` exist after `open`.

    `run`: the id of the run. `is_part`: it is that of a larger run, which this one is a part of.

    `summary`: the summary as it was kept, empty if it was not.

    `shard`: that of the run, once it is open.

    `abandoned`: the destination was silent, and a thread may still wait for it.
    Raises UsageError when no sink serves `destination`.
    """

    store: ManifestStore
    history: History

    def __init__(
        self, settings: Settings, destination: str, run: str, *, is_part: bool = False
    ) -> None:
        at_once, durable = settings.politeness.max_concurrency, settings.durable
        cacert = settings.http.cacert
        self.options = SinkOptions(at_once, settings.s3, durable=durable, cacert=cacert)
        self.options = self.options._replace(warc_size=settings.warc_size)
        self.destination = destination
        self._run = run
        self.sink: Sink = find_sink(destination, self.options)
        self.summary_file = SummaryFile(
            self.sink, destination, durable=durable, manifest=settings.manifest
        )
        self._settings, self._is_part = settings, is_part
        self.abandoned = False
        self.summary: Mapping[str, Any] = {}
        self._lock: Lock | None = None
        self.shard: Shard | None = None
        self._shard_place: ShardPlace | None = None
        self._on_lost: Callable[[str], None]
        self._left = threading.Event()
        self._locking = False
        self._opened = threading.Event()
        self._kept = ExitStack()

    def open(self, quota: Quota, on_lost: Callable[[str], None], note: Note) -> None:
        """Check the destination, lock it, read its manifest.

        `on_lost` is called, from another thread, when another run has taken the lock. Raises
        DestinationError, Held and UsageError; nothing stays open then.
        """
        self._on_lost = on_lost
        left_s = quota.left_s(time.monotonic())
        until = math.inf if left_s is None else time.monotonic() + left_s + _LAST_S
        try:
            self.wait_for(
                partial(self._open, quota, note),
                lambda: -math.inf if self._left.is_set() else until,
                self._undo,
            )
        except TimeoutError:
            self.abandoned = True
            if self._left.is_set():
                raise DestinationError(f"{redact(self.destination)} was not waited for") from None
            message = f"{redact(self.destination)} did not answer within --max-run-time"
            raise DestinationError(message) from None

    def leave(self) -> None:
        """Have `open` wait no longer, for a lock or for a silent destination. From any thread."""
        self._left.set()

    def withdraw(self) -> None:
        """Leave. A run that asks for its lock takes back what it put for that, within a second."""
        self.leave()
        if self._locking:
            self._opened.wait(_WITHDRAW_S)

    def check_lock(self) -> None:
        """Call `on_lost` if the lock ran out: this process or the machine was stopped meanwhile."""
        if not self.holds():
            name = redact(self.destination)
            self._on_lost(f"the lease of {name} ran out before it was renewed")

    def holds(self) -> bool:
        """Whether no other run can have the destination yet. Once false, it stays false."""
        return self._lock is None or self._lock.holds()

    def descriptors(self) -> tuple[int, ...]:
        """What another process of the run has to keep open to hold the destination as well."""
        return () if self._lock is None else self._lock.descriptors()

    def tell_lease(self, numbers: "SharedNumbers") -> bool:
        """Keep the end of the lease among `numbers` from now on; whether there is a lease."""
        return self._lock is not None and self._lock.tell(numbers)

    def close(self, until: Callable[[], float], *, whole: bool, recorded: bool = False) -> None:
        """Close everything, or give up at `until`. `whole`: the run came to its end.

        `recorded`: the manifest could be written. Raises DestinationError, Held.
        """
        try:
            self.wait_for(partial(self._close, whole=whole, recorded=recorded), until)
        except TimeoutError:
            self.abandoned = True

    def wait_for(
        self,
        work: Callable[[], T],
        until: Callable[[], float],
        undo: Callable[[T], None] = lambda _: None,
    ) -> T:
        """Do `work`, on a thread that can be given up where the destination is far away.

        Raises what `work` raises, and TimeoutError at `until`.
        """
        return work() if getattr(self.sink, "near", False) else call_until(work, until, undo)

    def _undo(self, _: None) -> None:
        """The destination has answered after all, and the run is over."""
        with suppress(DestinationError, Held):
            self._close(whole=False)

    def _open(self, quota: Quota, note: Note) -> None:
        with ExitStack() as opened, ExitStack() as stack:
            opened.callback(self._opened.set)
            stack.callback(self.sink.close)
            waits, retries = Waits(redact(self.destination), note), self._settings.retries
            insist(self.sink.check, retries, self._left.wait, waits.failing)
            quota.check_disk()
            left_s = quota.left_s(time.monotonic())
            until = math.inf if left_s is None else time.monotonic() + left_s
            most_s = math.inf if left_s is None else left_s
            limit = Limit(most_s, self._left.is_set, waits.held, retries, waits.failing)
            self._locking = True
            lock = self._hold(limit)
            if lock is not None:
                self._lock = lock
                stack.callback(lock.release)
                if leaves_nothing(self._settings.manifest, self.destination):
                    stack.callback(leave_nothing, lock, self.sink)
            self._locking = False

            def wait_s() -> float:
                return until - time.monotonic() if self._settings.lock == "wait" else 0.0

            recover(self.sink, limit._replace(most_s=wait_s()))
            self._check_summary()
            self._open_manifest(stack, wait_s())
            self._kept = stack.pop_all()

    def _hold(self, limit: Limit) -> Lock | None:
        """The lock of the destination, or of a shard of it."""
        shard, how = self._settings.shard, self._settings.lock
        if shard is None:
            return hold(self.sink, self.destination, how, self._on_lost, limit)
        from scraper.model.shards import Shard
        from scraper.run.shard_place import ShardPlace
        from scraper.sinks.division import LateDivision, as_planned
        from scraper.sinks.shard_lock import hold_shard

        given = Shard.parse(shard)
        lock = hold_shard(self.sink, self.destination, given, how, self._on_lost, limit)
        place = lock.kept.plan, self.sink, self.destination
        try:
            if self._is_part:  # its list was divided already
                given = given._replace(division=LateDivision(*place))
            else:
                given = as_planned(given, *place)
        except BaseException:
            lock.release()
            raise
        self.shard = given
        self._shard_place = ShardPlace(self.sink, self.destination, given, lock.kept)
        self.summary_file = self._shard_place.summary_file(durable=self._settings.durable)
        if not self._settings.earlier.retry_failed:
            self._shard_place.begin()
        return lock

    def _check_summary(self) -> None:
        """Raise DestinationError if something else has the name of the summary."""
        try:
            self.summary_file.check()
        except OSError as error:
            message = f"can't write {self.summary_file.place!r}: {error.strerror}"
            raise DestinationError(message) from None

    def _close(self, *, whole: bool, recorded: bool = False) -> None:
        try:
            self.store.close()
            if recorded:
                all_recorded(self.sink)
            if self._shard_place is not None and whole and not self._settings.earlier.retry_failed:
                self._shard_place.end(self.summary)
        except (DestinationError, Held):
            whole = False
            raise
        finally:
            self.history.close(self.store, whole=whole)
            self._kept.close()

    def _open_manifest(self, stack: ExitStack, wait_s: float) -> None:
        timeouts = StoreTimeouts(self._settings.retries.retry_max_time, wait_s)
        durable, place = self._settings.durable, (self.destination, self.sink, timeouts)
        if self._shard_place is None:
            self.store = open_store(
                self._settings.manifest,
                *place,
                durable=durable,
                moves_undone=not self._settings.earlier.retry_failed,
            )
        else:
            self.store = self._shard_place.open_store(timeouts, durable=durable)
        self.store.run = self._run
        stack.callback(self.store.release)
        with ExitStack() as undone:
            undone.callback(self.store.close)
            settle(self.sink, self.store, self._settings.manifest, self.destination)
            adopt(self.sink, self.store, self._settings.manifest, self.destination)
            self.history = remember(self._settings.earlier, self.store, self.sink)
            if self._is_part and self._shard_place is not None:
                self._shard_place.go_on(self.history, self.store, self._run)
            undone.pop_all()
