"""The threads engine: requests in a ThreadPoolExecutor.

Each transfer has a worker thread from its first hop to its commit; the loop's
semaphore caps how many there are. One adapter keeps the connections of all
workers. A deadline of our own bounds each attempt: requests' timeouts bound one
wait for bytes, not a body that drips, so `poll` breaks the socket of a transfer
whose time is over.

Owns: workers, connections, mapping foreign exceptions to kinds. Refuses to
know: what a response means (`transfer.py`). Rejected: a requests.Session, whose
`send` reads the bodies of redirects and keeps cookies of strangers together;
its adapter is the part that moves bytes.
"""

import contextlib
import errno
import math
import queue
import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, RemoteDisconnected
from typing import Any

import requests
import urllib3
from urllib3.exceptions import LocationParseError, NewConnectionError, ReadTimeoutError

from scraper.engines import guard, resolver
from scraper.engines.base import conclude
from scraper.engines.descriptors import connections_to_keep
from scraper.engines.minimum_speed import MinimumSpeed
from scraper.engines.proxies import Proxies
from scraper.engines.threads.connections import CURRENT, Adapter, Carriage
from scraper.model.errors import Kind, TransferError
from scraper.model.settings import Http, Limits
from scraper.transfer import Next, Reply, Request, Transfer

_CHUNK = 64 * 1024  # bytes asked of a socket at once
_DRAINED = 16 * 1024  # bytes of an unwanted body that are read to keep its connection
_DRAIN_S = 0.5  # and the time that is worth
_GONE = (
    RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ConnectionAbortedError,
    ssl.SSLEOFError,
)
_OUR_FAULT = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL}


class ThreadsEngine:
    """See `engines.base.Engine`. `max_concurrency` sizes the pools; it is not the cap.

    Raises UsageError when the system has not enough file descriptors for it.
    """

    name = "threads"

    def __init__(self, max_concurrency: int, limits: Limits, http: Http) -> None:
        connections_to_keep(max_concurrency)
        self._limits = limits
        self._verify: bool | str = False if http.insecure else (http.cacert or True)
        if http.insecure:
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
        self._proxies = Proxies(http.proxy)
        self._workers = ThreadPoolExecutor(max_concurrency, thread_name_prefix="transfer")
        hosts = max(64, 2 * max_concurrency)
        self._adapter = Adapter(hosts, max_concurrency)
        self._live: dict[Transfer, Carriage] = {}  # in order of start, so of deadline
        self._look_at = math.inf  # when a body may be found too slow
        self._done: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()

    def start(self, transfer: Transfer) -> None:
        """Give `transfer` to a worker."""
        carriage = self._live[transfer] = Carriage(MinimumSpeed(self._limits))
        self._look_at = min(self._look_at, transfer.started + carriage.speed.soonest_s)
        self._workers.submit(self._carry, transfer, carriage)

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """What has ended. Also breaks off what has outlived its deadline."""
        now = time.monotonic()
        if now >= self._look_at:
            self._find_slow(now)
        self._break_overdue(now)
        due = next((t.deadline - now for t in self._live if t.deadline > now), None)
        look = None if self._look_at == math.inf else self._look_at - now
        waits = [max(0.0, wait) for wait in (timeout_s, due, look) if wait is not None]
        ended: list[Transfer] = []
        with contextlib.suppress(queue.Empty):
            item = self._done.get(timeout=min(waits) if waits else None)
            while True:
                if item is not None:
                    del self._live[item]
                    ended.append(item)
                item = self._done.get_nowait()
        return ended

    def wake(self) -> None:
        """Put nothing into the queue of ends."""
        self._done.put(None)

    def give_up(self) -> None:
        """Abandon and break off all that is in flight."""
        for transfer, carriage in self._live.items():
            transfer.abandon()
            carriage.break_off()

    def close(self) -> None:
        """Close idle connections; workers end when their transfer does."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._adapter.close()

    def _find_slow(self, now: float) -> None:
        """Let the time of bodies that come too slowly be over, and say when to look again."""
        self._look_at = math.inf
        for transfer, carriage in self._live.items():
            if (reason := carriage.why_slow(now)) is not None:
                carriage.speed.pause()
                transfer.expire(reason)
                carriage.break_off()
            soonest = min(carriage.speed.ends, now + carriage.speed.soonest_s)
            self._look_at = min(self._look_at, soonest)

    def _break_overdue(self, now: float) -> None:
        for transfer, carriage in self._live.items():
            if transfer.deadline > now:
                return
            carriage.break_off()

    def _carry(self, transfer: Transfer, carriage: Carriage) -> None:
        CURRENT.carriage = carriage
        try:
            while transfer.completion is None:
                self._hop(transfer, carriage)
        finally:
            CURRENT.carriage = None
            carriage.connection = None
            self._done.put(transfer)

    def _hop(self, transfer: Transfer, carriage: Carriage) -> None:
        try:
            following = self._exchange(transfer, carriage)
        except Exception as error:  # noqa: BLE001 - `conclude` tells which is which
            conclude(transfer, error)
        else:
            if following is Next.READ:
                conclude(transfer, None)

    def _exchange(self, transfer: Transfer, carriage: Carriage) -> Next:
        """One request and its answer, body included."""
        transfer.check()
        raw = self._send(transfer, carriage)
        try:
            connection: Any = carriage.connection
            reply = Reply(
                status=raw.status,
                headers=[(name.lower(), value) for name, value in raw.headers.iteritems()],
                remote_ip=None if self._proxies.of(transfer.request.url) else connection.peer,
                time_connect=0.0 if carriage.reused else connection.connect_s,
            )
            following = transfer.response(reply)
            if following is Next.READ:
                _read(raw, transfer, carriage)
            else:
                _drain(raw, connection)
        finally:
            raw.close() if not raw.closed else raw.release_conn()
        return following

    def _send(self, transfer: Transfer, carriage: Carriage) -> Any:
        """Carry one request and return urllib3's response, its body unread."""
        request = transfer.request
        prepared = _prepared(request)
        carriage.url = request.url
        proxy = self._proxies.of(request.url)
        carriage.guarded = request.guarded if proxy is None else ""
        if request.guarded and proxy is not None:
            guard.check_proxied(request.url, request.guarded)
        left = max(0.001, transfer.deadline - time.monotonic())
        timeout = min(self._limits.connect_timeout, left), min(self._limits.read_timeout, left)
        while True:
            transfer.check()
            try:
                response = self._adapter.send(
                    prepared,
                    stream=True,
                    timeout=timeout,
                    verify=self._verify,
                    proxies={} if proxy is None else {"http": proxy, "https": proxy},
                )
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                # A kept connection that its server closed meanwhile says nothing about the
                # target: send again, at the latest over a fresh one (RFC 9112 9.3.1).
                if carriage.reused and _cause(error, *_GONE) and not transfer.abandoned:
                    continue
                raise _mapped(error) from None
            except OSError as error:
                raise _mapped(error) from None
            return response.raw


def _prepared(request: Request) -> requests.PreparedRequest:
    """The request as it is: requests' own preparation would parse the URL once more, its way."""
    prepared = requests.PreparedRequest()
    prepared.method = "GET"
    prepared.url = request.url
    prepared.headers = requests.structures.CaseInsensitiveDict(request.headers)
    return prepared


def _read(raw: Any, transfer: Transfer, carriage: Carriage) -> None:
    """Push the body into `transfer`."""
    carriage.speed.begin(time.monotonic(), carriage.came)
    for chunk in _chunks(raw):
        carriage.came += len(chunk)
        carriage.storing = True
        transfer.data(chunk)
        carriage.storing = False
    carriage.speed.pause()


def _chunks(raw: Any) -> Iterator[bytes]:
    """The body as it comes, what one read of the socket gives at a time."""
    if raw.chunked and raw.status in {204, 304}:
        return  # there is no body (RFC 9112 6.3), but urllib3 would have chunks there
    try:
        while chunk := raw.read1(_CHUNK, decode_content=False):
            yield chunk
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        if _cause(error, ReadTimeoutError, TimeoutError):
            raise TransferError(Kind.TIMEOUT, "no bytes came for too long") from None
        raise TransferError(Kind.TRUNCATED, f"connection broke in the body: {error}") from None


def _drain(raw: Any, connection: Any) -> None:
    """Read an unwanted body if it is short and there at once, so that its connection is kept."""
    length = raw.length_remaining
    if length is None or length > _DRAINED:
        return
    until = time.monotonic() + _DRAIN_S
    if connection.sock is not None:
        connection.sock.settimeout(_DRAIN_S)  # the next request sets it anew
    with contextlib.suppress(TransferError):
        for _ in _chunks(raw):
            if time.monotonic() > until:
                return


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was made of, outermost first."""
    pending: list[object] = [error]
    met: set[int] = set()
    while pending:
        one = pending.pop(0)
        if not isinstance(one, BaseException) or id(one) in met:
            continue
        met.add(id(one))
        yield one
        pending += [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]


def _cause(error: BaseException, *types: type[BaseException]) -> BaseException | None:
    return next((one for one in _causes(error) if isinstance(one, types)), None)


def _mapped(error: Exception) -> TransferError:  # noqa: PLR0911 - a table, read downwards
    """What requests or urllib3 raised before there was a response, as one of our kinds."""
    if found := _cause(error, TransferError):
        assert isinstance(found, TransferError)
        return found
    if found := next((one for one in _causes(error) if _is_ours(one)), None):
        return TransferError(Kind.CONNECT, f"can't connect: {_short(found)}")
    if found := _cause(error, socket.gaierror, UnicodeError):
        assert isinstance(found, OSError | UnicodeError)
        return resolver.failure(found)
    if found := _cause(error, LocationParseError):
        message = f"no name to look up: {_short(found)}"
        return TransferError(Kind.DNS, message, transient=False, unreachable=True)
    if isinstance(error, requests.ConnectTimeout):
        return TransferError(Kind.TIMEOUT, "no connection within the time", unreachable=True)
    if isinstance(error, requests.ReadTimeout):
        return TransferError(Kind.TIMEOUT, "no response within the time")
    if found := _cause(error, *_GONE):
        return TransferError(Kind.CONNECT, "connection was closed before a response")
    if found := _cause(error, ssl.SSLError, requests.exceptions.SSLError):
        return TransferError(Kind.TLS, f"TLS: {_short(found)}", transient=False, unreachable=True)
    if _cause(error, NewConnectionError, requests.exceptions.ProxyError) or (
        isinstance(error, OSError) and not isinstance(error, requests.RequestException)
    ):
        found = next((one for one in _causes(error) if getattr(one, "errno", None)), error)
        return TransferError(Kind.CONNECT, f"can't connect: {_short(found)}", unreachable=True)
    return TransferError(Kind.PROTOCOL, f"not HTTP: {_short(error)}", transient=False)


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _OUR_FAULT


def _short(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    deepest = list(_causes(error))[-1]
    return str(deepest) or type(deepest).__name__
