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
from scraper.engines.curl.handle import Carrier, Clock, Ears
from scraper.engines.curl.offload import Relay
from scraper.engines.curl.options import make_easy
from scraper.engines.curl.worker_pool import Crew
from scraper.engines.descriptors import connections_to_keep
from scraper.engines.proxies import Proxies
from scraper.engines.resolver import Found, Lookups
from scraper.model.errors import Kind, TransferError
from scraper.model.settings import Http, Limits
from scraper.model.urls import origin_of
from scraper.sinks.base import Blocking
from scraper.transfer.exchange import Next
from scraper.transfer.transfer import Transfer

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
        self._lookups = Lookups(self._stir)
        self._crew = Crew("commit", min(_BLOCKED_AT_ONCE, max_concurrency), daemon=False)
        self._idle: list[Carrier] = []
        self._all: list[Carrier] = []
        self._live: dict[Transfer, Carrier] = {}
        self._waiting: dict[str, list[tuple[Carrier, Transfer]]] = {}  # see _send; by origin
        self._arrived: list[Carrier] = []  # scouts whose connection stands
        self._ears = Ears(self._arrived.append, self._forget, self._relay)
        self._ending: set[Transfer] = set()  # with the crew, without a carrier
        self._told: deque[Relay] = deque()
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
        carrier = self._idle.pop() if self._idle else self._make_carrier()
        carrier.transfer = transfer
        carrier.relay = self._relay(transfer) if transfer.blocking is Blocking.WRITE else None
        self._live[transfer] = carrier
        self._begin(carrier, transfer)

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
        for transfer, carrier in list(self._live.items()):
            transfer.abandon()
            self._end(carrier, transfer, TransferError(Kind.INTERRUPTED, "given up"))
        for transfer in self._ending:
            transfer.abandon()

    def close(self) -> None:
        """Close all connections; threads end when what they wait for does."""
        self._crew.close()
        self._lookups.close()
        self._multi.close()
        for carrier in self._all:
            carrier.easy.close()
        for kept in (self._all, self._idle, self._live, self._waiting):
            kept.clear()
        self._poller.close()
        self._wake_up.close()
        self._waker.close()

    # ------------------------------------------------------------ from start to end

    def _make_carrier(self) -> Carrier:
        easy = make_easy(self._limits)
        carrier = Carrier(easy, self._limits, self._http, self._clock, self._ears)
        self._all.append(carrier)
        return carrier

    def _begin(self, carrier: Carrier, transfer: Transfer) -> None:
        """Carry out the hop that `transfer` asks for, once its host's address is known."""
        try:
            transfer.check()
            request = transfer.request
            proxy = self._proxies.of(request.url)
            carrier.begin_hop(request, proxy, transfer.deadline)
            origin = proxy or origin_of(request.url)
            found = self._lookups.find(origin, time.monotonic())
        except Exception as error:  # noqa: BLE001 - `conclude` tells which is which
            self._end(carrier, transfer, error)
            return
        if found is None:
            self._waiting.setdefault(origin, []).append((carrier, transfer))
        else:
            self._send(carrier, transfer, found)

    def _send(self, carrier: Carrier, transfer: Transfer, found: Found) -> None:
        """Give the hop to libcurl, its origin being `found`.

        Of the first hops to a TLS server one goes ahead: its connection may be an HTTP/2 one,
        which then carries the others too. (libcurl's PIPEWAIT makes them wait for its end.)
        """
        if found.error is not None:
            self._end(carrier, transfer, found.error)
            return
        if not found.met:
            if found.scouted:
                self._waiting.setdefault(found.origin, []).append((carrier, transfer))
                return
            found.scouted = True
            carrier.scouts = found
        if found.entry and not found.given:
            carrier.easy.setopt(pycurl.RESOLVE, [found.entry])
            self._given.append(found)
        self._multi.add_handle(carrier.easy)
        carrier.added = True

    def _follow(self, found: Found) -> None:
        """Send whatever waits for its origin."""
        for carrier, transfer in self._waiting.pop(found.origin, ()):
            if self._live.get(transfer) is carrier and not carrier.added:  # else it was given up
                self._send(carrier, transfer, found)

    def _end_scouting(self, carrier: Carrier) -> None:
        """The way is known, or it does not lead anywhere: all for themselves."""
        found, carrier.scouts = carrier.scouts, None
        if found is not None:
            found.met = True
            self._follow(found)

    def _end(self, carrier: Carrier, transfer: Transfer, error: Exception | None) -> None:
        """No more hops: finish the transfer, or fail it."""
        self._let_go(carrier, transfer)
        relay, carrier.relay = carrier.relay, None
        if relay is None and error is None and transfer.blocking is Blocking.COMMIT:
            relay = self._relay(transfer)
        if relay is not None:
            self._ending.add(transfer)
            relay.end(error)
        else:
            conclude(transfer, error)
            self._take_concluded(transfer)

    def _take_concluded(self, transfer: Transfer) -> None:
        if transfer.completion is None:  # what was to be unchanged is not there
            self.start(transfer)
        else:
            self._ended.append(transfer)

    def _let_go(self, carrier: Carrier, transfer: Transfer) -> None:
        if carrier.added:
            self._multi.remove_handle(carrier.easy)
            carrier.added = False
        carrier.transfer = None
        del self._live[transfer]
        self._idle.append(carrier)
        if carrier.scouts is not None:
            self._end_scouting(carrier)

    def _relay(self, transfer: Transfer) -> Relay:
        return Relay(transfer, self._crew.do, self._hear)

    def _hear(self, relay: Relay) -> None:
        """From a thread of the crew."""
        self._told.append(relay)
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
                self._take(easy.carrier, 0, "")
            for easy, code, message in failed:
                self._take(easy.carrier, code, message)

    def _take(self, carrier: Carrier, code: int, message: str) -> None:
        transfer = carrier.transfer
        assert transfer is not None
        if code and carrier.may_be_stale(code):
            self._multi.remove_handle(carrier.easy)
            carrier.begin_again()
            self._multi.add_handle(carrier.easy)
            return
        error = carrier.why_ended(code, message)
        if error is not None or carrier.following is Next.READ:
            self._end(carrier, transfer, error)
        elif carrier.following is Next.HOP:
            self._multi.remove_handle(carrier.easy)
            carrier.added = False
            self._end_scouting(carrier)
            self._begin(carrier, transfer)
        else:
            self._let_go(carrier, transfer)
            self._ended.append(transfer)

    def _awake(self) -> None:
        """Take what other threads have to tell."""
        with contextlib.suppress(BlockingIOError):
            while self._wake_up.recv(4096):
                pass
        self._stirred = False  # between the two: who tells something from now on sends again
        for found in self._lookups.answers():
            self._follow(found)
        while self._told:
            self._listen(self._told.popleft())

    def _listen(self, relay: Relay) -> None:
        transfer = relay.transfer
        carrier = self._live.get(transfer)
        if relay.ended:
            if transfer in self._ending:  # it may have told twice: of an error, and of its end
                self._ending.remove(transfer)
                self._take_concluded(transfer)
        elif carrier is not None and relay.error is not None:
            self._end(carrier, transfer, relay.error)
        elif carrier is not None:
            carrier.easy.pause(pycurl.PAUSE_CONT)

    def _break_overdue(self, now: float) -> None:
        self._clock.alarm = math.inf
        for transfer, carrier in list(self._live.items()):
            due = carrier.due(now)
            if due > now:
                self._clock.ring_at(due)
            elif (error := carrier.why_overdue()) is not None:
                self._end(carrier, transfer, error)
            else:
                self._take(carrier, 0, "")

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
