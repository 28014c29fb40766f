"""Turns: workers wait until the next piece of their body may come (--limit-rate).

Owns: that wait, and what is given back when less came. Does not know: how turns are given
(`rate_limit.py`), sockets.
"""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from urllib3.connection import HTTPConnection

from scraper.engines.rate_limit import GROWS_AFTER, RateLimit, Shared, grow_window
from scraper.engines.threads.connections import InUse
from scraper.engines.threads.pools import Adapter


class Turns:
    """For all workers. `rate`: bytes a second, of all bodies together."""

    def __init__(self, rate: int, at_once: int, shared: Shared = None) -> None:
        self.limit = RateLimit(rate, at_once, shared)
        self.bodies = 0  # under way
        self._at_once = at_once
        self._lock = threading.Lock()
        self._over = threading.Event()

    def prepare(self, adapter: Adapter) -> None:
        """Have the sockets of `adapter` read little ahead from their beginning."""
        if (size := self.limit.window(self._at_once)) != math.inf:
            small = (socket.SOL_SOCKET, socket.SO_RCVBUF, int(size) // 2)
            options = [*HTTPConnection.default_socket_options, small]
            adapter.poolmanager.connection_pool_kw["socket_options"] = options

    @contextmanager
    def of(self, raw: Any, in_use: InUse) -> Iterator[Callable[[], int]]:
        """What waits for a turn of the body of `raw`, and tells how many bytes to read then."""
        body = _Body(self, raw, in_use)
        self._count(1)
        try:
            yield body.turn
        finally:
            body.settle()
            self._count(-1)

    def wait(self, wait_s: float) -> None:
        """Wait, or not if the end has come."""
        self._over.wait(wait_s)

    def end(self) -> None:
        """Let nobody wait any more: what is in flight is broken off. From any thread."""
        self._over.set()

    def _count(self, more: int) -> None:
        with self._lock:
            self.bodies += more


class _Body:
    """One body. Its worker uses it."""

    def __init__(self, turns: Turns, raw: Any, in_use: InUse) -> None:
        self._turns = turns
        self._limit = turns.limit
        self._raw = raw
        self._in_use = in_use
        self._pieces = 0
        self._expected = in_use.came  # so many bytes will have come after the last turn

    def settle(self) -> None:
        """Give back what was reserved and did not come."""
        if missing := self._expected - self._in_use.came:
            self._expected = self._in_use.came
            self._limit.give_back(missing)

    def turn(self) -> int:
        """Wait. The number of bytes to read."""
        self.settle()
        left = self._raw.length_remaining
        if left == 0:
            return 1  # there are no more bytes, and urllib3 finds that out
        size = self._limit.piece if left is None else min(self._limit.piece, left)
        self._expected = self._in_use.came + size
        now = time.monotonic()
        wait_s = self._limit.reserve(size, now) - now
        if wait_s > 0:
            self._in_use.speed.hold(wait_s)  # we ourselves hold the body back
            self._in_use.transfer.deadline += wait_s
            self._turns.wait(wait_s)
        self._share()
        return size

    def _share(self) -> None:
        """Let the system read ahead what is the share of this body, if it is a large one."""
        self._pieces += 1
        wire: Any = self._in_use.connection.wire
        if self._pieces % GROWS_AFTER == 0 and wire is not None:
            grow_window(wire, self._limit.window(self._turns.bodies))
