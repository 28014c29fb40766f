"""Turns: handles that are paused until the next piece of their body may come (--limit-rate).

libcurl has read a piece when it hands it over. A handle whose turn has not come refuses the piece,
and is paused with it. It reads no more from its server meanwhile.

Owns: which handles are paused, and until when; the buffers of their sockets. Does not know: how
turns are given (`rate_limit.py`), and how a handle goes on (`engine.py`).
"""

import contextlib
import heapq
import socket
import time
from collections.abc import Callable
from typing import Any

import pycurl

from scraper.engines.curl.handle import CurlHandle
from scraper.engines.rate_limit import GROWS_AFTER, RateLimit, Shared, first_window, grow_window
from scraper.transfer import Next, Request, Transfer

_Waiting = tuple[float, int, "LimitedHandle", Transfer]


class Turns:
    """For all handles. `rate`: bytes a second, of all bodies together. Used by one thread."""

    def __init__(self, rate: int, at_once: int, shared: Shared = None) -> None:
        self.limit = RateLimit(rate, at_once, shared)
        self.at_first = self.limit.window(at_once)
        self._waiting: list[_Waiting] = []  # a heap
        self._number = 0

    def handle(self, easy: Any, *given: Any) -> "LimitedHandle":
        """A handle whose bodies wait for their turns. `given`: as for any handle."""
        return LimitedHandle(self, easy, *given)

    @property
    def next_at(self) -> float:
        """When a handle goes on, in monotonic seconds. There must be one that waits."""
        return self._waiting[0][0]

    def __bool__(self) -> bool:
        """Whether any handle waits."""
        return bool(self._waiting)

    def wait_s(self, handle: "LimitedHandle", transfer: Transfer, size: int) -> float:
        """Seconds until `size` bytes may come. 0.0: now, else `due` tells of `handle` then."""
        now = time.monotonic()
        turn = self.limit.reserve(size, now)
        if turn <= now:
            return 0.0
        self._number += 1
        heapq.heappush(self._waiting, (turn, self._number, handle, transfer))
        return turn - now

    def due(self, now: float) -> list[tuple[CurlHandle, Transfer]]:
        """Handles whose turn has come, in order."""
        found: list[tuple[CurlHandle, Transfer]] = []
        while self._waiting and self._waiting[0][0] <= now:
            _, _, handle, transfer = heapq.heappop(self._waiting)
            if handle.transfer is transfer:
                handle.share(self.limit.window(len(self._waiting) + 1))
                found.append((handle, transfer))
        return found


class LimitedHandle(CurlHandle):
    """See the module. It has a callback more for bodies, so that other handles pay nothing."""

    def __init__(self, turns: Turns, easy: Any, *given: Any) -> None:
        self._turns = turns
        self._paid = 0  # bytes that may come, since their turn was waited for
        self._pieces = 0  # of this body, so far
        super().__init__(easy, *given)
        easy.setopt(pycurl.BUFFERSIZE, turns.limit.piece)
        easy.setopt(pycurl.WRITEFUNCTION, self._take_piece)

    def begin_hop(self, request: Request, proxy: str | None, deadline: float) -> None:
        """See CurlHandle."""
        self._paid = self._pieces = 0
        super().begin_hop(request, proxy, deadline)

    def share(self, size: float) -> None:
        """Let the system read about `size` bytes of the body ahead, if it is a large one."""
        self._pieces += 1
        if self._pieces % GROWS_AFTER == 0:
            _with_socket(self.easy.getinfo(pycurl.ACTIVESOCKET), grow_window, size)

    def _open_socket(self, purpose: int, wanted: Any) -> int:
        fd = super()._open_socket(purpose, wanted)
        if fd != pycurl.SOCKET_BAD:
            _with_socket(fd, first_window, self._turns.at_first)
        return fd

    def _take_piece(self, chunk: bytes) -> int | None:
        """Take bytes of a body, or be paused until their turn."""
        size, transfer = len(chunk), self.transfer
        if self.following is not Next.READ or transfer is None:
            return self._take_body(chunk)
        if self._paid:
            self._turns.limit.give_back(self._paid - size)
        elif wait_s := self._turns.wait_s(self, transfer, size):
            self._paid = size
            transfer.deadline += wait_s  # we ourselves hold the body back
            self._speed.hold(wait_s)
            self._moved = time.monotonic() + wait_s
            return pycurl.WRITEFUNC_PAUSE  # type: ignore[no-any-return]
        taken = self._take_body(chunk)
        self._paid = size if taken == pycurl.WRITEFUNC_PAUSE else 0
        return taken


def _with_socket(fd: int, work: Callable[[socket.socket, float], None], size: float) -> None:
    with contextlib.suppress(OSError, ValueError):  # it is closed
        sock = socket.socket(fileno=fd)
        work(sock, size)
        sock.detach()
