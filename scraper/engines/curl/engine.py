"""The curl engine: libcurl's multi interface, all transfers on the loop's own thread.

`poll` is the thread: it waits on epoll for whatever libcurl waits for, lets
libcurl act on it (`socket_action`), and takes what has ended. Callbacks push bytes
into the Transfer while libcurl acts (`handle.py`). Connections, TLS sessions
and HTTP/2 streams are shared by all transfers, since they have one multi handle.

Owns: handles, sockets' readiness, everything that takes too long. Refuses to know:
what a response means (`transfer.py`). All time limits are checked here, at the
earliest moment at which any of them can have passed: libcurl's own would be a
timer more for each transfer, and know nothing of the time between two bytes.

Rejected: `perform` with `select`, whose cost grows with the number of transfers;
`asyncio`, which costs more for each event than libcurl itself; `selectors`, at twice
the price of what it wraps; libcurl's timer callback, called twice for each transfer
where one question before each wait will do.
"""

import contextlib
import math
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import pycurl

from scraper.engines.base import conclude
from scraper.engines.curl.handle import Callbacks, Clock, CurlHandle
from scraper.engines.curl.offload import Offload
from scraper.engines.curl.options import make_easy
from scraper.engines.descriptors import connections_to_keep
from scraper.engines.proxies import Proxies
from scraper.engines.resolver import Found, Resolver
from scraper.engines.worker_pool import WorkerPool
from scraper.model.errors import Kind, TransferError
from scraper.model.settings import Http, Limits
from scraper.model.urls import origin_of
from scraper.sinks.base import Blocking
from scraper.transfer import Next, Transfer

_BLOCKED_AT_ONCE = 64  # threads for sinks that block, at most
_FEW, _MANY = 4, 1024  # sockets acted on between two looks at what has ended; see _turn
_IN, _OUT = select.POLLIN, select.POLLOUT
_WATCHED = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: _IN,
    pycurl.POLL_OUT: _OUT,
    pycurl.POLL_INOUT: _IN | _OUT,
}


class CurlEngine:
    """See `engines.base.Engine`. `max_concurrency` sizes the crews; it is not the cap.

    Raises UsageError when the system has not enough file descriptors for it.
    """

    name = "curl"

    def __init__(self, max_concurrency: int, limits: Limits, http: Http) -> None:
        kept = connections_to_keep(max_concurrency)
        self._limits = limits
        self._http = http
        self._clock = Clock()
        self._proxies = Proxies(http.proxy)
        self._resolver = Resolver(self._stir)
        self._pool = WorkerPool("commit", min(_BLOCKED_AT_ONCE, max_concurrency), daemon=False)
        self._idle: list[CurlHandle] = []
        self._all: list[CurlHandle] = []
        self._live: dict[Transfer, CurlHandle] = {}
        self._waiting: dict[str, list[tuple[CurlHandle, Transfer]]] = {}  # see _send; by origin
        self._arrived: list[CurlHandle] = []  # scouts whose connection stands
        self._callbacks = Callbacks(self._arrived.append, self._forget, self._offload)
        self._ending: set[Transfer] = set()  # with the crew, without a carrier
        self._told: deque[Offload] = deque()
        self._ended: list[Transfer] = []
        self._given: list[Found] = []  # to libcurl, when it acts next
        self._woken = False
        self._most = _FEW
        self._stirred = False  # a byte is on its way to ourselves
        self._wake_up, self._waker = socket.socketpair()
        self._wake_up.settimeout(0.0)
        self._waker.settimeout(0.0)
        self._watched: dict[int, int] = {}
        self._resting: set[int] = set()  # of these, what nothing is awaited from; see _watch
        self._poller = _make_poller()
        self._poller.register(self._wake_up.fileno(), _IN)
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_MAXCONNECTS, kept)

    # ------------------------------------------------------------ the seam

    def start(self, transfer: Transfer) -> None:
        """Carry out the first hop of `transfer`."""
        handle = self._idle.pop() if self._idle else self._make_carrier()
        handle.transfer = transfer
        handle.offload = self._offload(transfer) if transfer.blocking is Blocking.WRITE else None
        self._live[transfer] = handle
        self._begin(handle, transfer)

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """What has ended. Everything happens in here."""
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            pause_s = self._let_act()
            self._turn(0.0 if self._ended else min(pause_s, until - time.monotonic()))
            if self._ended or self._woken or self._clock.now >= until:
                self._woken = False
                ended, self._ended = self._ended, []
                return ended

    def wake(self) -> None:
        """Note it, and send a byte to ourselves."""
        self._woken = True
        self._stir()

    def give_up(self) -> None:
        """Abandon and break off all that is in flight."""
        for transfer, handle in list(self._live.items()):
            transfer.abandon()
            self._end(handle, transfer, TransferError(Kind.INTERRUPTED, "given up"))
        for transfer in self._ending:
            transfer.abandon()

    def close(self) -> None:
        """Close all connections; threads end when what they wait for does."""
        self._pool.close()
        self._resolver.close()
        self._multi.close()
        for handle in self._all:
            handle.easy.close()
        for kept in (self._all, self._idle, self._live, self._waiting):
            kept.clear()
        self._poller.close()
        self._wake_up.close()
        self._waker.close()

    # ------------------------------------------------------------ from start to end

    def _make_carrier(self) -> CurlHandle:
        easy = make_easy(self._limits)
        handle = CurlHandle(easy, self._limits, self._http, self._clock, self._callbacks)
        self._all.append(handle)
        return handle

    def _begin(self, handle: CurlHandle, transfer: Transfer) -> None:
        """Carry out the hop that `transfer` asks for, once its host's address is known."""
        try:
            transfer.check()
            request = transfer.request
            proxy = self._proxies.of(request.url)
            handle.begin_hop(request, proxy, transfer.deadline)
            origin = proxy or origin_of(request.url)
            found = self._resolver.find(origin, time.monotonic())
        except Exception as error:  # noqa: BLE001 - `conclude` tells which is which
            self._end(handle, transfer, error)
            return
        if found is None:
            self._waiting.setdefault(origin, []).append((handle, transfer))
        else:
            self._send(handle, transfer, found)

    def _send(self, handle: CurlHandle, transfer: Transfer, found: Found) -> None:
        """Give the hop to libcurl, its origin being `found`.

        Of the first hops to a TLS server one goes ahead: its connection may be an HTTP/2 one,
        which then carries the others too. (libcurl's PIPEWAIT makes them wait for its end.)
        """
        if found.error is not None:
            self._end(handle, transfer, found.error)
            return
        if not found.met:
            if found.scouted:
                self._waiting.setdefault(found.origin, []).append((handle, transfer))
                return
            found.scouted = True
            handle.scouts = found
        if found.entry and not found.given:
            handle.easy.setopt(pycurl.RESOLVE, [found.entry])
            self._given.append(found)
        self._multi.add_handle(handle.easy)
        handle.added = True

    def _follow(self, found: Found) -> None:
        """Send whatever waits for its origin."""
        for handle, transfer in self._waiting.pop(found.origin, ()):
            if self._live.get(transfer) is handle and not handle.added:  # else it was given up
                self._send(handle, transfer, found)

    def _end_scouting(self, handle: CurlHandle) -> None:
        """The way is known, or it does not lead anywhere: all for themselves."""
        found, handle.scouts = handle.scouts, None
        if found is not None:
            found.met = True
            self._follow(found)

    def _end(self, handle: CurlHandle, transfer: Transfer, error: Exception | None) -> None:
        """No more hops: finish the transfer, or fail it."""
        self._let_go(handle, transfer)
        offload, handle.offload = handle.offload, None
        if offload is None and error is None and transfer.blocking is Blocking.COMMIT:
            offload = self._offload(transfer)
        if offload is not None:
            self._ending.add(transfer)
            offload.end(error)
        else:
            conclude(transfer, error)
            self._take_concluded(transfer)

    def _take_concluded(self, transfer: Transfer) -> None:
        if transfer.completion is None:  # what was to be unchanged is not there
            self.start(transfer)
        else:
            self._ended.append(transfer)

    def _let_go(self, handle: CurlHandle, transfer: Transfer) -> None:
        if handle.added:
            self._multi.remove_handle(handle.easy)
            handle.added = False
        handle.transfer = None
        del self._live[transfer]
        self._idle.append(handle)
        if handle.scouts is not None:
            self._end_scouting(handle)

    def _offload(self, transfer: Transfer) -> Offload:
        return Offload(transfer, self._pool.do, self._hear)

    def _hear(self, offload: Offload) -> None:
        """From a thread of the crew."""
        self._told.append(offload)
        self._stir()

    def _stir(self) -> None:
        """End the wait, from any thread."""
        if not self._stirred:
            self._stirred = True
            with contextlib.suppress(OSError):  # closed: nobody waits
                self._waker.send(b"x")

    # ------------------------------------------------------------ what happens

    def _let_act(self) -> float:
        """Let libcurl do what is due, and say how long it has nothing to do."""
        pause_ms = self._multi.timeout()
        if pause_ms == 0:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            for found in self._given:
                found.given = True
            self._given.clear()
            self._take_ended()
            pause_ms = self._multi.timeout()
        return math.inf if pause_ms < 0 else pause_ms / 1000

    def _turn(self, wait_s: float) -> None:
        """Wait for something to happen, and act on it.

        On few things at a time while there are few, since what has ended waits for them with
        its slot; on many when there are, which costs half as much for each.
        """
        now = time.monotonic()
        wait_s = min(wait_s, self._clock.alarm - now)
        events = self._poller.poll(None if wait_s == math.inf else max(0.0, wait_s), self._most)
        if len(events) == self._most:
            self._most = min(self._most * 2, _MANY)
        elif len(events) < self._most // 2 and self._most > _FEW:
            self._most //= 2
        now = self._clock.now = time.monotonic()
        action = self._multi.socket_action
        waker, resting = self._wake_up.fileno(), self._resting
        for fd, event in events:
            if fd == waker:
                self._awake()
            elif fd in resting:  # closed by the server, most likely: libcurl finds out by itself
                self._forget(fd)
            else:
                readable = pycurl.CSELECT_IN if event & ~_OUT else 0
                action(fd, readable | (pycurl.CSELECT_OUT if event & _OUT else 0))
        self._take_ended()
        if now >= self._clock.alarm:
            self._break_overdue(now)

    def _take_ended(self) -> None:
        """Go on after whatever libcurl has done."""
        while self._arrived:
            self._end_scouting(self._arrived.pop())
        left = 1
        while left:
            left, done, failed = self._multi.info_read()
            for easy in done:
                self._take(easy.handle, 0, "")
            for easy, code, message in failed:
                self._take(easy.handle, code, message)

    def _take(self, handle: CurlHandle, code: int, message: str) -> None:
        transfer = handle.transfer
        assert transfer is not None
        if code and handle.may_be_stale(code):
            self._multi.remove_handle(handle.easy)
            handle.begin_again()
            self._multi.add_handle(handle.easy)
            return
        error = handle.why_ended(code, message)
        if error is not None or handle.following is Next.READ:
            self._end(handle, transfer, error)
        elif handle.following is Next.HOP:
            self._multi.remove_handle(handle.easy)
            handle.added = False
            self._end_scouting(handle)
            self._begin(handle, transfer)
        else:
            self._let_go(handle, transfer)
            self._ended.append(transfer)

    def _awake(self) -> None:
        """Take what other threads have to tell."""
        with contextlib.suppress(BlockingIOError):
            while self._wake_up.recv(4096):
                pass
        self._stirred = False  # between the two: who tells something from now on sends again
        for found in self._resolver.answers():
            self._follow(found)
        while self._told:
            self._listen(self._told.popleft())

    def _listen(self, offload: Offload) -> None:
        transfer = offload.transfer
        handle = self._live.get(transfer)
        if offload.ended:
            if transfer in self._ending:  # it may have told twice: of an error, and of its end
                self._ending.remove(transfer)
                self._take_concluded(transfer)
        elif handle is not None and offload.error is not None:
            self._end(handle, transfer, offload.error)
        elif handle is not None:
            handle.easy.pause(pycurl.PAUSE_CONT)

    def _break_overdue(self, now: float) -> None:
        self._clock.alarm = math.inf
        for transfer, handle in list(self._live.items()):
            due = handle.due(now)
            if due > now:
                self._clock.ring_at(due)
            elif (error := handle.why_overdue()) is not None:
                self._end(handle, transfer, error)
            else:
                self._take(handle, 0, "")

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """For libcurl, which wants to hear of `fd`, or no more for now.

        A kept connection's next transfer wants to hear of the same again, so its socket stays
        with the poller in between.
        """
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._resting.add(fd)
            return
        self._resting.discard(fd)
        if fd not in self._watched:
            self._poller.register(fd, _WATCHED[what])
            self._watched[fd] = what
        elif self._watched[fd] != what:
            self._poller.modify(fd, _WATCHED[what])
            self._watched[fd] = what

    def _forget(self, fd: int) -> None:
        """Watch `fd` no more: it is closed, or it is another socket now."""
        self._resting.discard(fd)
        if self._watched.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # it was closed
                self._poller.unregister(fd)


class _Poll:
    """`select.poll` in the words of `select.epoll`, where there is no epoll."""

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
