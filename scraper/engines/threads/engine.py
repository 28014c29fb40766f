"""The threads engine: requests, on a pool of worker threads.

Each transfer has a worker from its first hop to its commit. One adapter keeps the connections of
all workers. requests' timeouts limit one wait for bytes, not a body that drips. So `poll` looks
after each attempt's deadline, and breaks the socket of a transfer whose time is over.

Owns: workers, and the way of a transfer from its first hop to its end. Does not know: what a
response means (`transfer/`). Rejected: a requests.Session, whose `send` reads the bodies of
redirects and mixes the cookies of all targets. Its adapter is the part that moves bytes.
"""

import contextlib
import math
import queue
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.client import HTTPException
from typing import Any

import requests
import urllib3
from urllib3.exceptions import ReadTimeoutError

from scraper.engines import guard, tls
from scraper.engines.base import conclude
from scraper.engines.descriptors import connections_to_keep
from scraper.engines.minimum_speed import MinimumSpeed
from scraper.engines.names import Names
from scraper.engines.proxies import Proxies, is_socks, looks_up
from scraper.engines.rate_limit import Shared
from scraper.engines.threads.connections import CURRENT, InUse
from scraper.engines.threads.errors import GONE, cause, mapped
from scraper.engines.threads.handshakes import Handshakes
from scraper.engines.threads.pools import Adapter
from scraper.engines.threads.turns import Turns
from scraper.engines.worker_pool import WorkerPool
from scraper.model.errors import Kind, TransferError
from scraper.model.settings import Http, Limits
from scraper.transfer import Next, RawHead, Reply, Request, Transfer

_CHUNK = 64 * 1024  # bytes asked of a socket at once
_DRAINED = 16 * 1024  # bytes of an unwanted body that are read to keep its connection
_DRAIN_S = 0.5  # seconds that may take


class _SendAgain(Exception):
    """The server had closed the kept connection, and did not answer."""


class ThreadsEngine:
    """See `engines.base.Engine`. `max_concurrency` sizes the pools; it is not the cap.

    Raises UsageError when there are too few file descriptors. `shared`: see `RateLimit`.
    """

    name = "threads"

    def __init__(
        self, max_concurrency: int, limits: Limits, http: Http, shared: Shared = None
    ) -> None:
        connections_to_keep(max_concurrency)
        self._limits = limits
        self._verify = not http.insecure
        if http.insecure:
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
        self._proxies = Proxies(http.proxy)
        self._names = Names(http)
        self._handshakes = Handshakes(http)
        self._turns = (
            Turns(limits.limit_rate, max_concurrency, shared) if limits.limit_rate else None
        )
        self._pool = WorkerPool("transfer", max_concurrency)
        self._adapter = Adapter(max(64, 2 * max_concurrency), max_concurrency, http)
        if self._turns is not None:
            self._turns.prepare(self._adapter)
        self._live: dict[Transfer, InUse] = {}
        self._alarm = math.inf  # the earliest moment at which any transfer may be overdue
        self._done: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()

    # ------------------------------------------------------------ the seam

    @property
    def most(self) -> int:
        """Transfers that it can carry out at once: one for each thread that it has, or may have."""
        return self._pool.most

    def start(self, transfer: Transfer) -> None:
        """Give `transfer` to a worker."""
        in_use = self._live[transfer] = InUse(transfer, MinimumSpeed(self._limits), self._names)
        soonest = transfer.started + in_use.speed.soonest_s
        self._alarm = min(self._alarm, transfer.deadline, soonest)
        self._pool.do(partial(self._carry, transfer, in_use))

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """Transfers that have ended. Also breaks off those that are overdue."""
        now = time.monotonic()
        if now >= self._alarm:
            self._break_overdue(now)
        wait_s = min(math.inf if timeout_s is None else timeout_s, self._alarm - now)
        ended: list[Transfer] = []
        with contextlib.suppress(queue.Empty):
            item = self._done.get(timeout=None if wait_s == math.inf else max(0.0, wait_s))
            while True:
                if item is not None:
                    del self._live[item]
                    ended.append(item)
                item = self._done.get_nowait()
        return ended

    def unwritten(self, transfer: Transfer) -> int:
        """None: a worker gives on what it reads."""
        del transfer
        return 0

    def wake(self) -> None:
        """Make `poll` return."""
        self._done.put(None)

    def break_off(self, transfer: Transfer) -> None:
        """Abandon `transfer`, and break its connection."""
        if transfer in self._live:
            transfer.abandon()
            self._live[transfer].break_off()

    def give_up(self) -> None:
        """Abandon and break off all that is in flight."""
        if self._turns is not None:
            self._turns.end()
        for transfer in self._live:
            self.break_off(transfer)

    def close(self) -> None:
        """Close idle connections. Workers end when their transfer does."""
        self._pool.close()
        self._adapter.close()

    def _break_overdue(self, now: float) -> None:
        """Break off transfers whose time is over, or whose body comes too slowly."""
        self._alarm = math.inf
        for transfer, in_use in self._live.items():
            if (reason := in_use.why_slow(now)) is not None:
                in_use.speed.pause()
                transfer.expire(reason)
            if transfer.deadline <= now:
                in_use.break_off()
            else:
                soonest = min(in_use.speed.ends, now + in_use.speed.soonest_s)
                self._alarm = min(self._alarm, transfer.deadline, soonest)

    # ------------------------------------------------------------ on a worker's thread

    def _carry(self, transfer: Transfer, in_use: InUse) -> None:
        CURRENT.in_use = in_use
        try:
            while transfer.completion is None and (transfer.abandoned or not transfer.must_wait):
                self._hop(transfer, in_use)
        finally:
            CURRENT.in_use = None
            in_use.connection = None
            self._done.put(transfer)

    def _hop(self, transfer: Transfer, in_use: InUse) -> None:
        try:
            following = self._exchange(transfer, in_use)
        except _SendAgain:
            transfer.send_again()
        except Exception as error:  # noqa: BLE001 - `conclude` tells which is which
            conclude(transfer, error)
        else:
            if following is Next.READ:
                conclude(transfer, None)

    def _exchange(self, transfer: Transfer, in_use: InUse) -> Next:
        """One request and its response, body included."""
        transfer.check()
        raw = self._send(transfer, in_use)
        try:
            connection: Any = in_use.connection
            url = transfer.request.url
            proxy = self._proxies.of(url)
            reply = Reply(
                status=raw.status,
                headers=[(name.lower(), value) for name, value in raw.headers.iteritems()],
                remote_ip=None if proxy else connection.peer,
                time_connect=0.0 if in_use.reused else connection.connect_s,
                proxied=bool(proxy) and not is_socks(proxy) and url.startswith("http:"),
            )
            if transfer.archives:
                reply.raw = _raw_head(raw, connection)
            following = transfer.response(reply)
            if following is Next.READ:
                _read(raw, transfer, in_use, self._turns)
            else:
                _drain(raw, connection)
        finally:
            raw.close() if not raw.closed else raw.release_conn()
        return following

    def _send(self, transfer: Transfer, in_use: InUse) -> Any:
        """Send one request and return urllib3's response, its body unread."""
        request = transfer.request
        prepared = _prepared(request)
        in_use.url, in_use.fresh = request.url, request.fresh
        proxy = self._proxies.of(request.url)
        in_use.guarded = "" if looks_up(proxy) else request.guarded
        if request.guarded and proxy is not None:
            guard.check_proxied(request.url, request.guarded)
        left = max(0.001, transfer.deadline - time.monotonic())
        timeout = min(self._limits.connect_timeout, left), min(self._limits.read_timeout, left)
        try:
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=timeout,
                verify=self._verify,
                proxies={} if proxy is None else {"http": proxy, "https": proxy},
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # The server may have closed a kept connection meanwhile, which is no fault of the
            # target: send again, over a new connection (RFC 9112 9.3.1).
            if in_use.reused and cause(error, *GONE) and not transfer.abandoned:
                raise _SendAgain from None
            raise self._why(error, in_use, timeout[0]) from None
        except OSError as error:
            raise self._why(error, in_use, timeout[0]) from None
        if (pool := in_use.pool) is not None:
            pool.asks = False
        return response.raw

    def _why(self, error: Exception, in_use: InUse, timeout_s: float) -> TransferError:
        """The failure of a hop before its response."""
        found = mapped(error)
        closed = found.closed and not in_use.is_broken
        if closed and self._handshakes.ask_for_certificate(in_use, timeout_s):
            return tls.wants_certificate()
        return found


def _prepared(request: Request) -> requests.PreparedRequest:
    """The request as it is: requests' own preparation would parse the URL again, in its way."""
    prepared = requests.PreparedRequest()
    prepared.method = "GET"
    prepared.url = request.url
    prepared.headers = dict(request.fields())  # type: ignore[assignment] # it is read only
    return prepared


def _raw_head(raw: Any, connection: Any) -> RawHead:
    """The head of urllib3's response `raw`, as it came."""
    return RawHead(raw._original_response.raw_lines, connection.tls)  # noqa: SLF001


def _read(raw: Any, transfer: Transfer, in_use: InUse, turns: Turns | None) -> None:
    """Push the body into `transfer`, with `turns` if the rate is limited."""
    if turns is None:
        _push(_chunks(raw), transfer, in_use)
    else:
        with turns.of(raw, in_use) as turn:
            _push(_chunks(raw, turn), transfer, in_use)


def _push(chunks: Iterator[bytes], transfer: Transfer, in_use: InUse) -> None:
    in_use.speed.begin(time.monotonic(), in_use.came)
    for chunk in chunks:
        in_use.came += len(chunk)
        in_use.storing = True
        transfer.data(chunk)
        in_use.storing = False
    in_use.speed.pause()


def _chunks(raw: Any, most: Callable[[], int] = lambda: _CHUNK) -> Iterator[bytes]:
    """The body as it comes, each read of the socket by itself, of `most` bytes."""
    if raw.chunked and raw.status in {204, 304}:
        return  # there is no body (RFC 9112 6.3), but urllib3 would look for chunks
    try:
        while chunk := raw.read1(most(), decode_content=False):
            yield chunk
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        if cause(error, ReadTimeoutError, TimeoutError):
            raise TransferError(Kind.TIMEOUT, "no bytes came for too long") from None
        why = str(cause(error, HTTPException, OSError) or error)  # urllib3 says it once more
        raise TransferError(Kind.TRUNCATED, f"connection broke in the body: {why}") from None


def _drain(raw: Any, connection: Any) -> None:
    """Read an unwanted body if it is short and there at once, so that its connection is kept."""
    length = raw.length_remaining
    if length is None or length > _DRAINED:
        return
    until = time.monotonic() + _DRAIN_S
    if connection.sock is not None:
        connection.sock.settimeout(_DRAIN_S)  # the next request sets it again
    with contextlib.suppress(TransferError):
        for _ in _chunks(raw):
            if time.monotonic() > until:
                return
