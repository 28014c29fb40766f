"""Slots: how the shards that are open at one worker share what all of them may have together.

    slots = Slots()                                     # of this worker
    with slots.take(run, shares(threads, 16), wait_s=0.5) as slot:
        ...                                             # one shard
        slot.next_start = ...                           # the next shard here begins with that

A slot has one shard at a time, a share of -c, and the pace of --rate: it outlives its shards. So a
list of many hosts with a page each is as slow as one of few hosts.

Owns: that. Does not know: Dask, runs. Rejected: a pace that begins anew with each shard. The first
request of each would be free, and there may be thousands of them.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_KEPT = 50  # runs whose slots are remembered


def slots_of(threads: int, max_concurrency: int) -> int:
    """How many shards a worker has open at once: each needs a transfer."""
    return max(1, min(threads, max_concurrency))


def shares(threads: int, max_concurrency: int) -> list[int]:
    """How many transfers at once each slot has. Together they are -c."""
    count = slots_of(threads, max_concurrency)
    each, more = divmod(max(1, max_concurrency), count)
    return [each + (number < more) for number in range(count)]


class Slot:
    """One of them. `next_start`: nothing starts there before (monotonic)."""

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self.next_start = math.nan  # until its first shard


class Slots:
    """Those of one worker, for each run apart. From any thread."""

    def __init__(self) -> None:
        self._free: dict[str, deque[Slot]] = {}
        self._changed = threading.Condition()

    @contextmanager
    def take(self, run: str, at_once: Sequence[int], wait_s: float) -> Iterator[Slot]:
        """A slot of this run, once one is free. `at_once`: the transfers of each.

        The first shard of a slot begins after `wait_s`.
        """
        with self._changed:
            free = self._free_of(run, at_once)
            self._changed.wait_for(lambda: free)
            slot = free.popleft()
        if math.isnan(slot.next_start):
            slot.next_start = time.monotonic() + wait_s
        try:
            yield slot
        finally:
            with self._changed:
                free.append(slot)
                self._changed.notify_all()

    def _free_of(self, run: str, at_once: Sequence[int]) -> deque[Slot]:
        if run not in self._free:
            self._free[run] = deque(map(Slot, at_once))
            if len(self._free) > _KEPT:
                del self._free[next(iter(self._free))]
        return self._free[run]
