"""The lease: how a run holds a destination that is no directory.

It is an object in the destination, `.scraper/lock.json`. A run that finds none makes it. Of
several runs one at a time does that (`mutex.py`). A thread rewrites it every quarter of its
length. The run deletes it at its end. If the run is killed, the next run takes it over: at once if
it can see that the process has ended (`process_identity.py`), else when the lease has not changed
for its length (`lease_watch.py`).

Every write has a condition (S3: If-None-Match, If-Match). It is a second guard, where the store
judges it: a run that slept between its last look and its write overwrites no lease of another run.

The holder keeps a fence too. `holds()` is true until one lease's length after the last successful
write was sent. So it becomes false before another run may take the lease. Its clock counts the
time that the machine sleeps, and it is no wall clock. A lease that ran out is never renewed.

A put that arrives late may write over the lease of another run, where the store judges no
conditions. So a run that is not sure to have been alone until its put had ended does not hold: it
writes a lease of nobody, which says so and counts until it has not changed for its length. A holder
writes over that one, and over a late lease of a run that it has taken over from or passed over.

This module owns the lease object: taking, renewing and deleting it. It does not know what a run
does when it is refused, or when it loses the lease.

Rejected: the end that the lease gives, compared with our clock. A clock that is 90 s fast would
take a live lease. The end is written for versions before 0.2, which compare it.
"""

import contextlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from scraper.model.errors import DestinationError, Fenced, Held, NoThread, ScraperError, SinkError
from scraper.model.settings import Retries
from scraper.model.threads import start_thread
from scraper.sinks.base import ConditionalSink, ReadableSink, SmallObject
from scraper.sinks.beginning import insist
from scraper.sinks.directory import OWN
from scraper.sinks.lease_watch import RENEWALS, LeaseWatch, Life
from scraper.sinks.mutex import Mutex
from scraper.sinks.process_identity import has_ended, own_process

if TYPE_CHECKING:
    from scraper.model.shared_numbers import SharedNumbers

_PREFIX = f"{OWN}/"
LEASE_NAME = "lock.json"
LEASE_KEY = f"{_PREFIX}{LEASE_NAME}"  # of a destination that one run holds
LEASE_S = 60.0
_LOOK_AGAIN_S = 1.0  # while waiting
_POLL_S = 0.1
_BEGINNING = "another run that begins"
_NO_LEASE = b"{}"
_NOBODY = ""  # the run of a lease that somebody wrote, and gave back
_RELEASE_S = 5.0  # for the store to delete it, when the run is over
# Linux has a clock that counts sleep. On macOS CLOCK_MONOTONIC does (and time.monotonic does not).
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Patience(NamedTuple):
    """Seconds: how long another run is waited for; how long a lease is watched that may be dead.

    `left`: whether nobody wants the lease any more. `on_wait` is called with the holder, in words,
    again and again while it is waited for. `retries`: how long a store that fails is insisted on,
    and `tell` is given why it is asked again.
    """

    wait_s: float = 0.0
    watch_s: float = math.inf
    left: Callable[[], bool] = lambda: False
    on_wait: Callable[[str], None] = lambda _holder: None
    retries: Retries = Retries()
    tell: Callable[[str], None] = lambda _why: None


NO_WAIT = Patience()


class Lease:
    """A destination that is held by a lease, while this object is used. See `lock.Lock`.

    `on_lost` is called once, from another thread, with the reason when the lease is lost.
    `lease_s` is the length of the lease, None for LEASE_S. `prefix` is the beginning of the keys of
    the lease and of its mutex: those of a shard are its own. Raises Held, SinkError,
    DestinationError; NoThread when nobody would renew it.
    """

    def __init__(  # noqa: PLR0913 - facts of one lease
        self,
        sink: ConditionalSink,
        place: str,
        on_lost: Callable[[str], None],
        *,
        patience: Patience = NO_WAIT,
        lease_s: float | None = None,
        prefix: str = _PREFIX,
    ) -> None:
        self._numbers: SharedNumbers | None = None
        self.good_until = -math.inf  # by `now_s`
        self._sink = sink
        self._place = place
        self._on_lost = on_lost
        self._lease_s = LEASE_S if lease_s is None else lease_s
        self._run = os.urandom(8).hex()
        self._holder = {"run": self._run, "host": socket.gethostname(), **own_process()}
        self._writes = 0
        self._sent = -math.inf  # when the last write was sent
        self._over = threading.Event()
        self._key = f"{prefix}{LEASE_NAME}"
        self._replaced = {_NOBODY}  # runs whose lease we found dead
        self._mutex: Mutex | None = None
        if isinstance(sink, ReadableSink):
            self._mutex = Mutex(sink, self._holder, now_s, self._over.wait, prefix=prefix)
        self._acquire(patience)
        if isinstance(sink, FencedSink):
            sink.fence(self.holds)
        try:
            self._keeper = start_thread("lease", self._keep)
        except NoThread:
            self._delete()
            raise

    @property
    def good_until(self) -> float:
        """Until when no other run can have it, by `now_s`."""
        return self._good_until

    @good_until.setter
    def good_until(self, moment: float) -> None:
        self._good_until = moment
        if self._numbers is not None:
            self._numbers[self._numbers.GOOD_UNTIL] = moment

    def descriptors(self) -> tuple[int, ...]:
        """None: a lease is held by who renews it."""
        return ()

    def tell(self, numbers: "SharedNumbers") -> bool:
        """Keep `good_until` among `numbers` from now on."""
        self._numbers = numbers
        numbers[numbers.GOOD_UNTIL] = self._good_until
        return True

    def holds(self) -> bool:
        """Whether no other run can have the lease yet. Once false, it stays false."""
        return now_s() < self.good_until

    def release(self) -> None:
        """Delete the lease, if it is ours. A store that does not answer is not waited for."""
        self._over.set()
        self._keeper.join(_RELEASE_S)

    def _acquire(self, patience: Patience) -> None:
        """Make the lease. Raises Held if another run has it all the time."""
        watch, begun = LeaseWatch(self._lease_s), time.monotonic()
        pause = partial(self._pause, patience.left)
        while True:
            ask = partial(self._try, watch, patience)
            found, life = insist(ask, patience.retries, pause, patience.tell)
            if life is None:
                return
            most_s = patience.wait_s
            if life is Life.DOUBTFUL:
                most_s = max(most_s, patience.watch_s)
            left_s = begun + most_s - time.monotonic()
            if left_s <= 0 or patience.left():
                raise Held(f"another run holds {self._place} ({shown(found)})")
            patience.on_wait(shown(found))
            self._over.wait(min(_LOOK_AGAIN_S, self._lease_s / 20, left_s))

    def _pause(self, left: Callable[[], bool], delay_s: float) -> bool:
        """Wait so long, or until `left()`. Returns whether it is."""
        until = time.monotonic() + delay_s
        while not left() and (rest_s := until - time.monotonic()) > 0:
            self._over.wait(min(_POLL_S, rest_s))
        return left()

    def _try(self, watch: LeaseWatch, patience: Patience) -> tuple[SmallObject | None, Life | None]:
        """The lease that was found, and what is known of its holder. None: we hold it now.

        Dead: we have left before we could take it.
        """
        found, life = self._look(watch)
        if life is not Life.DEAD:
            return found, life
        if self._mutex is None:
            return self._take(watch)

        def left() -> bool:
            patience.on_wait(_BEGINNING)
            return patience.left()

        with self._mutex.alone(left) as alone:
            return self._take_surely(watch) if alone else (found, life)

    def _look(self, watch: LeaseWatch) -> tuple[SmallObject | None, Life | None]:
        """What `_try` returns, as far as it is known without a write.

        Raises SinkError for a lease of ours that we may have written too late, and gives it back.
        """
        found = self._sink.get_small(self._key)
        if found is not None and self._is_ours(found):  # also by a write whose answer was lost
            if not self._is_alone():
                self._give_back(found.etag)
                raise self._late()
            self.good_until = self._sent + self._lease_s
            return found, None
        return found, judge(watch, found)

    def _take_surely(self, watch: LeaseWatch) -> tuple[SmallObject | None, Life | None]:
        """What `_take` returns. Others may not enter for some time after a failure without a word.

        A put without an answer may arrive yet.
        """
        until = math.inf
        while True:
            try:
                return self._take(watch)
            except SinkError as error:
                until = min(until, time.monotonic() + self._lease_s / 12)
                told = not error.transient or error.retry_after_s is not None
                if told or time.monotonic() >= until or not self._is_alone():
                    raise
            self._over.wait(min(_LOOK_AGAIN_S, self._lease_s / 20))

    def _take(self, watch: LeaseWatch) -> tuple[SmallObject | None, Life | None]:
        """Look once more, write it if the old one is dead, and look whether it is ours.

        Returns what `_try` does. Raises SinkError where the store refuses a condition that holds,
        and where it takes too long.
        """
        found, life = self._look(watch)
        if life is not Life.DEAD:
            return found, life
        if not self._is_alone():
            raise self._late()
        self._replaced.add(_said(found).get("run", _NOBODY))
        self._write(found and found.etag)
        found, life = self._look(watch)
        if life is Life.DEAD:
            raise SinkError(f"the store refuses to write {self._key!r}", transient=True)
        return found, life

    def _is_alone(self) -> bool:
        """Whether no other run that begins may write the lease now, as far as that is known."""
        return self._mutex is None or self._mutex.counts()

    def _late(self) -> SinkError:
        return SinkError(f"the store takes too long to write {self._key!r}", transient=True)

    def _give_back(self, etag: str) -> None:
        """Write a lease of nobody in the place of ours. Another run may hold, and writes it again.

        It names no process that could be seen to have ended.
        """
        said = {"run": _NOBODY, "host": "", "pid": 0, "until": time.time() + self._lease_s}
        self._sink.put_if(self._key, json.dumps(said).encode(), etag)

    def _keep(self) -> None:
        """Renew it until the run is over, then delete it. Runs in a thread."""
        interval_s = self._lease_s / RENEWALS
        trouble, wait_s = "", interval_s
        while not self._over.wait(min(wait_s, max(0.0, self.good_until - now_s()))):
            try:
                renewed = self._renew(trouble)
            except Held as lost:
                self._on_lost(str(lost))
                return
            except Fenced:  # it has just run out; what was in the way before is the reason
                wait_s = interval_s / 3
            except ScraperError as error:
                trouble, wait_s = f": {error}", interval_s / 3
            else:
                trouble, wait_s = "", interval_s if renewed else interval_s / 3
        self._delete()

    def _delete(self) -> None:
        with contextlib.suppress(ScraperError):  # then it ends by itself
            found = self._sink.get_small(self._key)
            if found is None or not (self._may_replace(found) and self.holds()):
                return
            try:
                self._sink.remove(self._key)
            except DestinationError:  # the permission to delete may be missing
                self._sink.put_if(self._key, _NO_LEASE, found.etag)

    def _renew(self, trouble: str) -> bool:
        """Write it again. False: it has to be looked at again.

        Raises Held if it is lost, and ScraperError.
        """
        if self.holds():
            found = self._sink.get_small(self._key)
            if found is None or not self._may_replace(found):
                raise Held(f"another run has taken {self._place} over")
            if self.holds():
                written = self._write(found.etag)
                if written and self.holds():
                    self.good_until = self._sent + self._lease_s
                return written
        why = f"could not be renewed{trouble}" if trouble else "ran out before it was renewed"
        raise Held(f"the lease of {self._place} {why}")

    def _write(self, etag: str | None) -> bool:
        """Write it on the condition that its etag is `etag` (None: there is none)."""
        self._writes += 1  # so that the content always changes
        said = {**self._holder, "until": time.time() + self._lease_s, "writes": self._writes}
        self._sent = now_s()
        return self._sink.put_if(self._key, json.dumps(said).encode(), etag) is not None

    def _is_ours(self, found: SmallObject | None) -> bool:
        """A write that seemed to fail may have succeeded, so the etag does not tell."""
        return _said(found).get("run") == self._run

    def _may_replace(self, found: SmallObject) -> bool:
        """Whether it is ours, or of a run that no longer had the right to write it. We hold."""
        passed = self._replaced if self._mutex is None else self._replaced | self._mutex.passed
        return self._is_ours(found) or _said(found).get("run") in passed


def is_ours(found: SmallObject | None) -> bool:
    """Whether this process holds the lease that was found."""
    return own_process().items() <= _said(found).items()


def lease_holder(sink: ConditionalSink, key: str = LEASE_KEY) -> str:
    """Who holds the lease `key` in `sink`, in words; "" if nobody does. Nothing is written.

    A lease that was not renewed in time may be of a run that was killed, and says so. Raises
    SinkError, DestinationError.
    """
    found = sink.get_small(key)
    said = _said(found)
    if found is None or not said or has_ended(said):
        return ""
    late = said["until"] <= time.time() if found.age_s is None else found.age_s > LEASE_S
    return f"{shown(found)}{' (it has not renewed its lease in time)' if late else ''}"


def judge(watch: LeaseWatch, found: SmallObject | None) -> Life:
    """Whether the holder of the lease that was found is alive. No lease is a dead one."""
    said = _said(found)
    if found is None or not said or has_ended(said):
        return Life.DEAD
    expired = said["until"] <= time.time()
    state = (found.etag, found.data)
    life = watch.judge(state, found.age_s, expired=expired, now=time.monotonic())
    return Life.DOUBTFUL if life is Life.ALIVE and said["run"] == _NOBODY else life


@runtime_checkable
class FencedSink(Protocol):
    """A sink that asks before each request that changes something whether it may."""

    def fence(self, holds: Callable[[], bool]) -> None:
        """From now on change nothing more once `holds()` is false."""


def now_s() -> float:
    """The clock of `Lease.good_until`, in seconds. It counts the time that the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def _said(found: SmallObject | None) -> dict[str, Any]:
    """The content of a lease. Empty if there is none, or if it is no lease of a run."""
    if found is None:
        return {}
    try:
        said = json.loads(found.data)
    except ValueError:
        return {}
    if not isinstance(said, dict) or not {"run", "host", "pid"} <= said.keys():
        return {}
    until = said.get("until")
    return said if isinstance(until, int | float) else {}


def shown(found: SmallObject | None) -> str:
    """The holder of a lease, in words."""
    said = _said(found)
    if said.get("run") == _NOBODY:
        return "perhaps a run whose lease was written over"
    return f"process {said.get('pid', '?')} on {said.get('host', '?')}"
