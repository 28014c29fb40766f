"""The curl engine: libcurl's multi interface, all transfers on the loop's own thread.

`poll` is that thread: it lets libcurl act (`multi.py`), whose callbacks push bytes into the
transfers (`handle.py`), and takes the hops that have ended. A hop begins once its origin is
known (`origins.py`). What takes long is done by a pool of threads (`offload.py`).

Owns: easy handles, and the way of a transfer from its first hop to its end. Does not know: what
a response means (`transfer/`), sockets. All time limits are checked here, at the earliest moment
at which any of them can have passed. Rejected: libcurl's own limits, which are one more timer for
each transfer, and know nothing of the time between two bytes.
"""

import math
import time
from collections import deque
from collections.abc import Sequence

import pycurl

from scraper.engines.base import conclude
from scraper.engines.curl.handle import Callbacks, Clock, CurlHandle
from scraper.engines.curl.multi import Multi
from scraper.engines.curl.multiplexing import OriginPool
from scraper.engines.curl.offload import Offload
from scraper.engines.curl.options import make_easy
from scraper.engines.curl.origins import Origins
from scraper.engines.curl.puts import Puts
from scraper.engines.curl.turns import Turns
from scraper.engines.descriptors import connections_to_keep
from scraper.engines.names import Names
from scraper.engines.proxies import Proxies
from scraper.engines.rate_limit import Shared
from scraper.engines.resolver import Resolved
from scraper.engines.worker_pool import WorkerPool
from scraper.model.errors import Kind, NoThread, TransferError
from scraper.model.settings import Http, Limits
from scraper.sinks.base import Blocking
from scraper.transfer import Next, Transfer

_BLOCKED_AT_ONCE = 64  # threads for sinks that block, at most


class CurlEngine:
    """See `engines.base.Engine`. `max_concurrency` sizes the pools; it is not the cap.

    Raises UsageError when there are too few file descriptors. `shared`: see `RateLimit`.
    """

    name = "curl"

    def __init__(
        self, max_concurrency: int, limits: Limits, http: Http, shared: Shared = None
    ) -> None:
        self.most = max_concurrency
        self._multi = Multi(connections_to_keep(max_concurrency))
        self._limits, self._http, self._clock = limits, http, Clock()
        self._proxies = Proxies(http.proxy)
        self._pool = WorkerPool("commit", min(_BLOCKED_AT_ONCE, max_concurrency))
        try:
            names, interrupt = Names(http), self._multi.interrupt
            self._origins = Origins(max_concurrency, interrupt, names, http1_1=http.http1_1)
        except NoThread:
            self._pool.close()
            raise
        self._all: list[CurlHandle] = []
        self._idle: list[CurlHandle] = []
        self._live: dict[Transfer, CurlHandle] = {}
        self._moved: list[OriginPool] = []  # where hops that wait may find a connection
        self._callbacks = Callbacks(self._moved.append, self._multi.forget, self._offload, {})
        rate = limits.limit_rate
        self._turns = Turns(rate, max_concurrency, shared) if rate else None
        self._puts = Puts(self._multi)
        self._ending: set[Transfer] = set()  # with the pool or being put, without a handle
        self._reports: deque[Offload] = deque()  # from threads of the pool
        self._ended: list[Transfer] = []
        self._woken = False

    # ------------------------------------------------------------ the seam

    def start(self, transfer: Transfer) -> None:
        """Carry out the first hop of `transfer`."""
        handle = self._idle.pop() if self._idle else self._make_handle()
        handle.transfer = transfer
        handle.offload = self._offload(transfer) if transfer.blocking is Blocking.WRITE else None
        self._live[transfer] = handle
        self._begin(handle, transfer)

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """Transfers that have ended. Everything happens in here."""
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            pause_s = self._multi.pause_s()
            if not pause_s:
                self._multi.act()
                self._origins.taken_over()
                self._take_ended()
                pause_s = self._multi.pause_s()
            self._turn(0.0 if self._ended else min(pause_s, until - time.monotonic()))
            if self._ended or self._woken or self._clock.now >= until:
                self._woken = False
                ended, self._ended = self._ended, []
                return ended

    def unwritten(self, transfer: Transfer) -> int:
        """Bytes that wait for another thread."""
        handle = self._live.get(transfer)
        offload = None if handle is None else handle.offload
        return 0 if offload is None else offload.waiting

    def wake(self) -> None:
        """Make `poll` return."""
        self._woken = True
        self._multi.interrupt()

    def break_off(self, transfer: Transfer) -> None:
        """Abandon `transfer`, and end its hop."""
        transfer.abandon()
        if transfer in self._live:
            error = TransferError(Kind.INTERRUPTED, "given up")
            self._end(self._live[transfer], transfer, error)

    def give_up(self) -> None:
        """Abandon and break off all that is in flight."""
        for transfer in (*self._live, *self._ending):
            self.break_off(transfer)

    def close(self) -> None:
        """Close all connections. Threads end when what they wait for does."""
        self._pool.close()
        self._origins.close()
        self._multi.close()
        self._puts.close()
        for handle in self._all:
            handle.easy.close()
        for kept in (self._all, self._idle, self._live):
            kept.clear()

    # ------------------------------------------------------------ a hop begins

    def _make_handle(self) -> CurlHandle:
        easy = make_easy(self._limits)
        make = CurlHandle if self._turns is None else self._turns.handle
        handle = make(easy, self._limits, self._http, self._clock, self._callbacks)
        self._all.append(handle)
        return handle

    def _begin(self, handle: CurlHandle, transfer: Transfer) -> None:
        """Carry out the hop that `transfer` asks for, once its origin is known."""
        try:
            transfer.check()
            if transfer.must_wait:
                self._give_back(handle, transfer)
                return
            request = transfer.request
            proxy = self._proxies.of(request.url)
            if request.url.startswith("https:"):
                handle.place = self._origins.place(handle, request, proxy)
            handle.begin_hop(request, proxy, transfer.deadline)
            handle.origin = proxy or request.origin
            first = request.origin if _gives_addresses(handle) else handle.origin
            resolved = self._origins.find(first, handle, transfer)
        except Exception as error:  # noqa: BLE001 - `conclude` tells which is which
            self._end(handle, transfer, error)
        else:
            if resolved is not None:
                self._send(handle, transfer, resolved)

    def _send(self, handle: CurlHandle, transfer: Transfer, resolved: Resolved) -> None:
        """Give the hop to libcurl, unless it has to wait for a connection.

        For a proxy that is given addresses those of the host are `resolved` first, then its own.
        """
        if resolved.origin != handle.origin:
            its = self._choose_address(handle, transfer, resolved)
            if its is None:
                return
            resolved = its
        try:
            admitted = self._origins.admit(resolved, handle)
        except TransferError as error:
            self._end(handle, transfer, handle.why_no_address(error))
        else:
            if admitted:
                self._multi.add(handle.easy)
                handle.added = True

    def _choose_address(
        self, handle: CurlHandle, transfer: Transfer, host: Resolved
    ) -> Resolved | None:
        """Choose an address of `host`, and return what is known of the proxy.

        None: the hop waits, or has ended.
        """
        assert handle.proxy is not None
        assert handle.proxy.addresses is not None
        try:
            handle.proxy.addresses.choose(handle.easy, host, transfer.request.guarded)
        except TransferError as error:
            self._end(handle, transfer, error)
            return None
        return self._origins.find(handle.origin, handle, transfer)

    def _send_waiting(self, resolved: Resolved) -> None:
        """Send the hops that waited for this look-up."""
        for handle, transfer in self._origins.release(resolved):
            if self._live.get(transfer) is handle and not handle.added:  # else it was given up
                self._send(handle, transfer, resolved)

    def _send_moved(self, pool: OriginPool) -> None:
        """Send the hops that waited for a connection and have one to open or to join."""
        for place in pool.released():
            handle = place.handle
            transfer = handle.transfer
            assert transfer is not None
            resolved = self._origins.find(handle.origin, handle, transfer)
            if resolved is not None:
                self._send(handle, transfer, resolved)

    def _leave(self, handle: CurlHandle) -> None:
        """The hop has left its place."""
        place, handle.place = handle.place, None
        assert place is not None
        place.over()
        if place.pool.has_waiting:
            self._moved.append(place.pool)

    # ------------------------------------------------------------ something happens

    def _turn(self, wait_s: float) -> None:
        """Wait for something to happen, and go on after it."""
        wait_s = min(wait_s, self._clock.alarm - time.monotonic())
        if self._turns:
            wait_s = min(wait_s, self._turns.next_at - time.monotonic())
        if self._multi.wait(wait_s, self._clock):
            self._take_reports()
        if self._turns:
            for handle, transfer in self._turns.due(self._clock.now):
                self._go_on(handle, transfer)
        self._take_ended()
        if self._clock.now >= self._clock.alarm:
            self._break_overdue(self._clock.now)

    def _take_ended(self) -> None:
        """Go on after what libcurl has done."""
        for easy, code, message in self._multi.ended():
            carried = easy.handle
            if isinstance(carried, CurlHandle):
                self._take(carried, code, message)
            else:
                self._take_committed(self._puts.take(carried, code, message))
        while self._moved:
            self._send_moved(self._moved.pop())

    def _take(self, handle: CurlHandle, code: int, message: str) -> None:
        """A hop has ended: carry out the next one, or end the transfer."""
        transfer = handle.transfer
        assert transfer is not None
        if code and handle.may_be_sent_again(code, message):
            transfer.send_again()
            self._begin_next(handle, transfer)
            return
        host = handle.proxy and handle.proxy.next_address(handle.easy, code)
        if host:
            self._multi.remove(handle.easy)
            handle.added = False
            self._send(handle, transfer, host)
            return
        error = handle.why_ended(code, message)
        if error is not None or handle.following is Next.READ:
            self._end(handle, transfer, error)
        elif handle.following is Next.HOP:
            self._begin_next(handle, transfer)
        else:
            self._let_go(handle, transfer)
            self._ended.append(transfer)

    def _begin_next(self, handle: CurlHandle, transfer: Transfer) -> None:
        """Carry out another hop with the handle of the last one."""
        self._multi.remove(handle.easy)
        handle.added = False
        if handle.place is not None:
            self._leave(handle)
        self._begin(handle, transfer)

    def _take_reports(self) -> None:
        """Take what other threads have to tell."""
        for resolved in self._origins.answers():
            self._send_waiting(resolved)
        while self._reports:
            self._take_report(self._reports.popleft())

    def _take_report(self, offload: Offload) -> None:
        transfer = offload.transfer
        handle = self._live.get(transfer)
        if offload.ended:
            if transfer in self._ending:  # it may report twice: an error, and its end
                self._take_committed(transfer)
        elif handle is not None and offload.error is not None:
            self._end(handle, transfer, offload.error)
        elif handle is not None:
            self._go_on(handle, transfer)

    def _go_on(self, handle: CurlHandle, transfer: Transfer) -> None:
        """Let libcurl give `handle` the bytes that it refused, if it still has this transfer."""
        if handle.transfer is not transfer or not handle.added:
            return
        try:
            handle.easy.pause(pycurl.PAUSE_CONT)
        except pycurl.error:
            if handle.error is None:
                raise
            self._end(handle, transfer, handle.error)

    def _break_overdue(self, now: float) -> None:
        self._clock.alarm = math.inf
        for transfer, handle in list(self._live.items()):
            due = handle.due(now)
            if due > now:
                self._clock.ring_at(due)
            elif now < transfer.deadline and handle.may_wait_in_a_queue():
                transfer.send_again()
                self._begin_next(handle, transfer)
            elif (error := handle.why_overdue()) is not None:
                self._end(handle, transfer, error)
            else:
                self._take(handle, 0, "")

    # ------------------------------------------------------------ a transfer ends

    def _end(self, handle: CurlHandle, transfer: Transfer, error: Exception | None) -> None:
        """No hop follows: finish the transfer, or fail it."""
        if isinstance(error, TransferError) and (error.unreachable or error.proxy):
            self._origins.forget(handle.origin)
            if _gives_addresses(handle):
                self._origins.forget(transfer.request.origin)
        self._let_go(handle, transfer)
        offload, handle.offload = handle.offload, None
        if offload is not None:
            self._ending.add(transfer)
            offload.end(error)
        elif transfer.blocking is Blocking.COMMIT and (error is None or transfer.is_whole(error)):
            self._commit(transfer, error)
        else:
            conclude(transfer, error)
            self._take_concluded(transfer)

    def _commit(self, transfer: Transfer, error: Exception | None) -> None:
        """Commit the body without waiting: by a put beside the fetches, else by another thread."""
        self._ending.add(transfer)
        try:
            request = transfer.put_request()
            if request is not None:
                self._puts.begin(transfer, request)
        except Exception as raised:  # noqa: BLE001 - `conclude` tells which is which
            conclude(transfer, raised)
            self._take_committed(transfer)
        else:
            if request is None:
                self._offload(transfer).end(error)

    def _take_committed(self, transfer: Transfer) -> None:
        self._ending.remove(transfer)
        self._take_concluded(transfer)

    def _take_concluded(self, transfer: Transfer) -> None:
        if transfer.completion is None:  # a 304, but the object is gone: ask for all of it
            self.start(transfer)
        else:
            self._ended.append(transfer)

    def _give_back(self, handle: CurlHandle, transfer: Transfer) -> None:
        """The next request of `transfer` needs another permit to be sent."""
        self._let_go(handle, transfer)
        handle.offload = None
        self._ended.append(transfer)

    def _let_go(self, handle: CurlHandle, transfer: Transfer) -> None:
        """The handle is free for another transfer."""
        if handle.added:
            self._multi.remove(handle.easy)
            handle.added = False
        handle.transfer = None
        del self._live[transfer]
        self._idle.append(handle)
        if handle.place is not None:
            self._leave(handle)

    def _offload(self, transfer: Transfer) -> Offload:
        return Offload(transfer, self._pool.do, self._report)

    def _report(self, offload: Offload) -> None:
        """Called by a thread of the pool."""
        self._reports.append(offload)
        self._multi.interrupt()


def _gives_addresses(handle: CurlHandle) -> bool:
    """Whether the proxy of its hop is given addresses: SOCKS 4 and 5."""
    return handle.proxy is not None and handle.proxy.addresses is not None
