"""Mutual exclusion for the few requests in which a run takes a lease, by plain puts and lists.

Stores judge conditions each in its own way. rclone ignores them, Swift looks and then puts, others
answer 501, and clients send a put again whose answer was late. So no condition is needed here. It
is the one-bit algorithm of Burns and Lynch ("Bounds on Shared Memory for Mutual Exclusion", 1993):

    put a flag of our own; list the flags
    there is one with a smaller name: delete ours, wait until it is gone, begin again
    there are greater ones: wait until they are gone
    there is none: we are alone, until we delete our flag

Of two runs, the one whose put ended later sees the flag of the other, so both are never alone. The
smallest name stays, so somebody goes on. All that a store must do is to list what was put.

A flag counts for FLAG_S. Who put it does nothing more by it after that time, and others pass it
over when they have seen it for as long. A flag that is over is deleted: one whose process is known
to have ended, or that was put long before ours by the store's own times. Each flag has a name of
its own, so a put that arrives late renews nothing.

Who may not delete leaves flags behind, one with each run. They are passed over by the list alone.

Owns: the flags, in `.scraper/mutex/`; those of a shard lie beside its lease. Does not know: what is
done while a run is alone.

Rejected: to put the lease, to wait for longer than a put takes, and to look who wrote last.
botocore sends a failed put again two seconds later, and all runs would begin three seconds late.
Rejected: Lamport's bakery. It is fair, and takes two keys and two more requests.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from scraper.model.errors import DestinationError, ScraperError, SinkError
from scraper.sinks.base import ConditionalSink, Listed
from scraper.sinks.directory import OWN
from scraper.sinks.lease_watch import ROUNDED_S
from scraper.sinks.process_identity import has_ended

_NAME = "mutex/"
MUTEX_PREFIX = f"{OWN}/{_NAME}"
FLAG_S = 20.0  # some requests take it, each of which may be tried again
_POLL_S = 0.1
_CLEANING = 0.1  # of FLAG_S: how long a look may take to delete flags, and to read them
_SLOW_LOOKS = 3  # that outlasted our flag; more are of no use
_LOWERED = b"{}"  # a flag that could not be deleted


class FlagStore(ConditionalSink, Protocol):
    """What the flags need of a sink. All methods raise SinkError and DestinationError."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins with `prefix`."""


class Mutex:
    """One run's part in the mutual exclusion. One thread uses it.

    `holder` is what `own_process` says of it, and `run`, which no other run has. `clock` gives
    seconds and counts the time that the machine sleeps. `wait` waits for a number of seconds.
    `prefix`: the beginning of the keys of what is excluded. The store may have a `listing`, as a
    `ReadableSink` may.
    """

    def __init__(
        self,
        store: FlagStore,
        holder: Mapping[str, Any],
        clock: Callable[[], float],
        wait: Callable[[float], object],
        prefix: str = f"{OWN}/",
    ) -> None:
        self._store = store
        self._data = json.dumps(holder).encode()
        self._clock = clock
        self._wait = wait
        self._flag_s = FLAG_S
        self._all = f"{prefix}{_NAME}"  # so all flags begin
        self._ours = f"{self._all}{holder['run']}-"  # and ours
        self._flags = 0
        self._key = ""  # of our flag; "" if there is none
        self._until = 0.0  # by the clock: how long our flag counts
        self._seen: dict[str, float] = {}  # keys of others' flags, and since when by the clock
        self._read: dict[str, Listed] = {}  # those that were read, as they were listed then
        self._put_ms: int | None = None  # when one of our flags was, by the store
        self._removed: set[str] = set()
        self._may_remove = True
        self.passed: set[str] = set()  # runs whose flags counted no more

    @contextmanager
    def alone(self, left: Callable[[], bool]) -> Iterator[bool]:
        """A `with` block that one run at a time is in.

        It gives False if `left()` became true while others were waited for: it is asked again and
        again meanwhile. Raises SinkError, DestinationError.
        """
        try:
            yield self._enter(left)
        finally:
            with contextlib.suppress(ScraperError):  # then it ends by itself
                self._lower()

    def counts(self) -> bool:
        """Whether we may still act by our flag."""
        return bool(self._key) and self._clock() < self._until

    def _enter(self, left: Callable[[], bool]) -> bool:
        slow = 0
        while True:
            self._raise()
            others = self._others()
            if not self.counts():
                slow += 1
                if left():
                    return False
            if slow == _SLOW_LOOKS:
                text = f"the store needs more than {self._flag_s:.0f} s to list {self._all!r}"
                raise SinkError(text, transient=False)
            while others and min(others) > self._key and self.counts():
                if left():
                    return False
                self._wait(_POLL_S)
                others = self._others()
            if not others and self.counts():
                return True
            key = self._key
            self._lower()
            while any(other < key for other in self._others()):
                if left():
                    return False
                self._wait(_POLL_S)

    def _raise(self) -> None:
        self._flags += 1
        self._key = f"{self._ours}{self._flags}"
        self._until = self._clock() + self._flag_s
        self._store.put_if(self._key, self._data, None)

    def _lower(self) -> None:
        if not self._key:
            return
        key, self._key = self._key, ""
        if self._may_remove:
            try:
                self._store.remove(key)
            except DestinationError:  # the permission to delete may be missing
                self._may_remove = False
        if not self._may_remove:
            found = self._store.get_small(key)
            self._store.put_if(key, _LOWERED, found and found.etag)

    def _others(self) -> list[str]:
        """The flags of others that count, in any order."""
        listed = self._listed()
        if self._key in listed:
            self._put_ms = listed[self._key].modified_ms
        keys = [key for key in listed if not key.startswith(self._ours)]
        now = self._clock()
        self._seen = {key: self._seen.get(key, now) for key in keys}
        counting = []
        for key in keys:
            if self._is_over(key, now, listed[key]):
                self.passed.add(key.removeprefix(self._all).rpartition("-")[0])
                self._remove(key, now)
            else:
                counting.append(key)
        return counting

    def _listed(self) -> dict[str, Listed]:
        """All flags."""
        ask: Callable[[str], Iterator[Listed]] | None = getattr(self._store, "listing", None)
        if ask is None:
            return {key: Listed(key, 0) for key in self._store.keys(self._all)}
        return {one.key: one for one in ask(self._all)}

    def _is_over(self, key: str, now: float, listed: Listed) -> bool:
        """Whether this flag of another run counts no more. It is read when it is another."""
        if now - self._seen[key] >= self._flag_s:
            return True
        age_ms = (self._put_ms or 0) - (listed.modified_ms or math.inf)
        if age_ms >= 1000 * (self._flag_s + ROUNDED_S):
            self._seen[key] = -math.inf
        elif self._read.get(key) != listed and self._has_time(now):
            self._read[key] = listed
            if self._is_left_behind(key):
                self._seen[key] = -math.inf
        return now - self._seen[key] >= self._flag_s

    def _remove(self, key: str, now: float) -> None:
        """Delete a flag that is over, if there is time. The next run deletes it else."""
        if not self._may_remove or key in self._removed or not self._has_time(now):
            return
        self._removed.add(key)
        try:
            self._store.remove(key)
        except DestinationError:  # the permission to delete may be missing
            self._may_remove = False
        except ScraperError:
            pass

    def _has_time(self, now: float) -> bool:
        """Whether a look that began at `now` may make further requests."""
        return self._clock() - now <= self._flag_s * _CLEANING

    def _is_left_behind(self, key: str) -> bool:
        """Whether what a flag says, or its age by the store's own clock, shows that it is over."""
        try:
            found = self._store.get_small(key)
        except SinkError:  # some stores fail for what is being deleted; it counts for its time
            return False
        if found is None:
            return True
        old = found.age_s is not None and found.age_s >= self._flag_s + ROUNDED_S
        return old or found.data == _LOWERED or has_ended(_process(found.data))


def _process(data: bytes) -> Mapping[str, Any]:
    """What is said of the process that put a flag; empty if nothing is."""
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
