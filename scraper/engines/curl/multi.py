"""libcurl's multi handle, driven by epoll: one turn waits for events and lets libcurl act on them.

libcurl names the sockets that it waits for (`_watch`). `wait` asks epoll for events, and gives
each to libcurl (`socket_action`). libcurl's callbacks push bytes into the transfers meanwhile.
Connections, TLS sessions and HTTP/2 streams are shared by all transfers, since they have one
multi handle.

Owns: the multi handle, the poller, which sockets are watched, and a socket pair by which other
threads end the wait. Does not know: transfers, and what follows the end of a hop (`engine.py`).

Rejected: `perform` with `select`, whose cost grows with the number of transfers. `asyncio`, which
costs more for each event than libcurl itself. `selectors`, at twice the price of what it wraps.
libcurl's timer callback, which is called twice for each transfer, where one question before each
wait is enough.
"""

import contextlib
import math
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pycurl

from scraper.engines.curl.handle import Clock
from scraper.engines.curl.multiplexing import STREAMS

_FEW, _MANY = 4, 1024  # events taken from the poller at once; see `wait`
_IN, _OUT = select.POLLIN, select.POLLOUT
_EVENTS = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: _IN,
    pycurl.POLL_OUT: _OUT,
    pycurl.POLL_INOUT: _IN | _OUT,
}


class Multi:
    """See the module. `kept`: how many connections it may keep open. `add` and `remove`: libcurl's.

    Used by one thread. Only `interrupt` may be called from others.
    """

    def __init__(self, kept: int) -> None:
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_MAXCONNECTS, kept)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, STREAMS)
        self.add = self._multi.add_handle
        self.remove = self._multi.remove_handle
        self._watched: dict[int, int] = {}  # what libcurl waits for, by file descriptor
        self._resting: set[int] = set()  # of these, sockets that nothing is awaited from
        self._most = _FEW
        self._interrupted = False  # a byte is on its way to ourselves
        self._wake_up, self._waker = socket.socketpair()
        self._wake_up.settimeout(0.0)
        self._waker.settimeout(0.0)
        self._poller = _make_poller()
        self._poller.register(self._wake_up.fileno(), _IN)

    def pause_s(self) -> float:
        """For how long libcurl has nothing to do without an event: 0.0 to inf."""
        pause_ms = self._multi.timeout()
        return math.inf if pause_ms < 0 else pause_ms / 1000

    def act(self) -> None:
        """Let libcurl do what is due without an event."""
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def wait(self, wait_s: float, clock: Clock) -> bool:
        """Wait for events, at most so long, and let libcurl act; whether it was interrupted.

        Sets `clock.now` before libcurl's callbacks look at it.

        Few events are taken at a time while there are few, since a hop that has ended waits for
        them with its slot. Many are taken when there are many, which halves the cost of each.
        """
        events = self._poller.poll(None if wait_s == math.inf else max(0.0, wait_s), self._most)
        if len(events) == self._most:
            self._most = min(self._most * 2, _MANY)
        elif len(events) < self._most // 2 and self._most > _FEW:
            self._most //= 2
        clock.now = time.monotonic()
        interrupted = False
        action = self._multi.socket_action
        waker, resting = self._wake_up.fileno(), self._resting
        for fd, event in events:
            if fd == waker:
                interrupted = True
            elif fd in resting:  # most likely its server closed it: libcurl finds out by itself
                self.forget(fd)
            else:
                readable = pycurl.CSELECT_IN if event & ~_OUT else 0
                action(fd, readable | (pycurl.CSELECT_OUT if event & _OUT else 0))
        if interrupted:
            self._drain()
        return interrupted

    def ended(self) -> Iterator[tuple[Any, int, str]]:
        """Each easy handle whose hop has ended, with libcurl's error code (0: none) and message."""
        left = 1
        while left:
            left, done, failed = self._multi.info_read()
            for easy in done:
                yield easy, 0, ""
            yield from failed

    def interrupt(self) -> None:
        """End the wait. From any thread, and from a signal handler."""
        if not self._interrupted:
            self._interrupted = True
            with contextlib.suppress(OSError):  # it is closed: nobody waits
                self._waker.send(b"x")

    def forget(self, fd: int) -> None:
        """Watch `fd` no more: it is closed, or it is the number of another socket now."""
        self._resting.discard(fd)
        if self._watched.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # it was closed
                self._poller.unregister(fd)

    def close(self) -> None:
        """Close all connections."""
        self._multi.close()
        self._poller.close()
        self._wake_up.close()
        self._waker.close()

    def _drain(self) -> None:
        """Take the bytes that interrupted the wait. What is told from now on sends another."""
        with contextlib.suppress(BlockingIOError):
            while self._wake_up.recv(4096):
                pass
        self._interrupted = False

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """Libcurl waits for events of `fd`, or no longer does.

        The next transfer over a kept connection waits for the same events again. So the socket
        of a kept connection stays with the poller.
        """
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._resting.add(fd)
            return
        self._resting.discard(fd)
        if fd not in self._watched:
            self._poller.register(fd, _EVENTS[what])
            self._watched[fd] = what
        elif self._watched[fd] != what:
            self._poller.modify(fd, _EVENTS[what])
            self._watched[fd] = what


class _Poll:
    """`select.poll` with the interface of `select.epoll`, for systems without epoll."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, wait_s: float | None, most: int) -> list[tuple[int, int]]:
        return self._poll.poll(None if wait_s is None else math.ceil(wait_s * 1000))[:most]

    def close(self) -> None:
        """There is nothing to close."""


def _make_poller() -> Any:
    return select.epoll() if hasattr(select, "epoll") else _Poll()
