"""One easy handle of libcurl, its callbacks, and the hop that it carries now.

Owns: what libcurl's callbacks report (the address, the head, the body), which is passed on to
the Transfer; and when the hop has taken too long. Does not know: when a hop begins, and what
follows its end (`engine.py`). A callback may neither raise nor ask its handle anything. So it
keeps an error here, and makes libcurl stop.

The head comes one line a call, which takes a quarter of a microsecond. Any other way to find out
that the head is complete before the first byte of the body costs more. Rejected:
`use_memoryview`, which costs more than the copy that it saves.
"""

import math
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pycurl

from scraper.engines import guard, heads, tls
from scraper.engines.curl.errors import (
    HTTP2_STREAM,
    Moment,
    mapped,
    not_http,
    timed_out,
)
from scraper.engines.curl.handshake import HandshakeWatch, Versions
from scraper.engines.curl.multiplexing import Role
from scraper.engines.curl.options import HopOptions
from scraper.engines.curl.proxy_errors import ProxiedHop
from scraper.engines.curl.second_request import Ending, may_be_sent_again
from scraper.engines.minimum_speed import MinimumSpeed
from scraper.engines.proxies import is_socks
from scraper.engines.proxy_errors import unreachable
from scraper.model.addresses import is_public
from scraper.model.errors import TransferError, was_closed
from scraper.model.settings import Http, Limits
from scraper.transfer import Next, RawHead, Reply, Request

if TYPE_CHECKING:
    from scraper.engines.curl.multiplexing import OriginPool, Place
    from scraper.engines.curl.offload import Offload
    from scraper.transfer import Transfer

# An unwanted body is read to keep its connection: at most so many bytes, for so many seconds.
DRAINED = 16 * 1024
DRAIN_S = 0.5
LARGE = 1 << 20  # A body of more bytes is worth a thread for its digest.
_STOP = -1  # A callback returns this to make libcurl stop.
# A pycurl that is too old has no such names, so this module can't be imported with it.
_SEND, _REFUSE = pycurl.PREREQFUNC_OK, pycurl.PREREQFUNC_ABORT


class Clock:
    """The time that the engine and its handles share, in monotonic seconds.

    `now` is the moment at which the engine last woke up, and exact enough for a callback.
    `alarm` is the earliest moment at which any hop may be overdue.
    """

    def __init__(self) -> None:
        self.now = time.monotonic()
        self.alarm = math.inf

    def ring_at(self, moment: float) -> None:
        """Let the alarm be no later than `moment`."""
        self.alarm = min(self.alarm, moment)


class Callbacks(NamedTuple):
    """What a handle calls in its engine.

    `moved`: hops that wait for a connection may find one now. `opened`: a socket is new.
    `make_offload`: gives what follows of a body to another thread. `versions`: of TLS.
    """

    moved: "Callable[[OriginPool], None]"
    opened: Callable[[int], None]
    make_offload: "Callable[[Transfer], Offload]"
    versions: Versions


class CurlHandle:
    """See the module. `easy.handle` leads back to it. It is idle while `transfer` is None."""

    def __init__(
        self,
        easy: Any,
        limits: Limits,
        http: Http,
        clock: Clock,
        callbacks: Callbacks,
    ) -> None:
        self.easy = easy
        self.transfer: Transfer | None = None
        # The body goes here, or straight to the transfer if this is None.
        self.offload: Offload | None = None
        self.added = False  # It is true while the multi handle has this handle.
        self.origin = ""  # It is that of the hop, or of its proxy.
        self.place: Place | None = None  # It is set where the hop may go over HTTP/2.
        self.error: Exception | None = None  # A callback keeps here what it may not raise.
        self.following: Next | None = None  # It is None as long as there is no response.
        self._options = HopOptions(easy, http)
        self._watch: HandshakeWatch | None = None  # It is set once a handshake was watched.
        self._connect_timeout = limits.connect_timeout
        self._read_timeout = limits.read_timeout
        self._speed = MinimumSpeed(limits)
        self._shortest = min(limits.connect_timeout, limits.read_timeout)
        self._clock = clock
        self._callbacks = callbacks
        self.proxy: ProxiedHop | None = None
        self._is_absolute = False  # It is true if a proxy reads the request.
        self._guarded = ""  # `Request` says what this means.
        self._refused: str | None = None  # A guarded hop may not connect to this address.
        self._opened = False  # It is true once this hop opened a socket.
        self._fresh = False  # It is true if this hop must open a socket.
        self._socket_errno = 0  # This is why no socket could be opened.
        self._slow: TransferError | None = None  # It is set when the body comes too slowly.
        self._begun = 0.0
        self._moved = 0.0  # Something came last at this time.
        self._asked = False  # It is true once the request was sent.
        self._held_back = False  # libcurl was not let send the request a second time.
        self._queued = False  # Its request waited too long, maybe behind those of others.
        self._peer: str | None = None
        self._connect_s = 0.0
        self._lines: list[bytes] = []
        self._interim = 0  # So many responses came before the one that counts.
        self._size = 0  # So many bytes of the body came.
        easy.handle = self
        easy.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        easy.setopt(pycurl.PREREQFUNCTION, self._ask)
        easy.setopt(pycurl.HEADERFUNCTION, self._take_line)
        easy.setopt(pycurl.WRITEFUNCTION, self._take_body)

    def begin_hop(self, request: Request, proxy: str | None, deadline: float) -> None:
        """Forget the last hop and prepare this one, in its `place`. `deadline`: of the transfer.

        Raises pycurl.error for a URL that libcurl refuses, TransferError for one that the guard
        refuses.
        """
        if request.guarded and proxy is not None:
            guard.check_proxied(request.url, request.guarded)
        self.error = self.following = self._refused = self._slow = None
        self._speed.pause()
        self._opened = self._asked = self._held_back = False
        self._queued = self._queued and request.fresh
        self._socket_errno = self._size = self._interim = 0
        secure = request.url.startswith("https:")
        self.proxy = None if proxy is None else ProxiedHop(proxy, secure=secure)
        self._is_absolute = proxy is not None and not (secure or is_socks(proxy))
        self._guarded = request.guarded if proxy is None else ""
        self._begun = self._moved = time.monotonic()
        self._lines.clear()
        if request.fresh != self._fresh:
            self._fresh = request.fresh
            self.easy.setopt(pycurl.FRESH_CONNECT, int(request.fresh))
        place = self.place
        self._options.set(request, proxy, http2=place is not None and place.role is not Role.ALONE)
        doubted = place is not None and place.pool.doubted
        archives = secure and self.transfer is not None and self.transfer.archives
        if doubted or archives or self._watch is not None:
            self._watch = self._watch or HandshakeWatch(self.easy, self._callbacks.versions)
            self._watch.set(on=doubted, archives=archives)
        soonest = self._begun + self._shortest
        if soonest < self._clock.alarm or deadline < self._clock.alarm:
            self._clock.ring_at(min(soonest, deadline))

    def due(self, now: float) -> float:
        """When the hop will have taken too long, unless something comes before."""
        assert self.transfer is not None
        deadline = self.transfer.deadline
        if self._dropping:
            return min(deadline, self._moved + DRAIN_S)
        if not self._asked:
            return min(deadline, self._begun + self._connect_timeout)
        if self.offload is not None and self.offload.stalled:
            self._speed.begin(now, self._size)
            return deadline  # The sink is slow, not the server.
        if self._slow is None:
            split = self.transfer.split
            came = self._size if split is None else split.came  # one slow part slows nobody
            self._slow = self._speed.why_slow(now, came)
        return min(deadline, self._moved + self._read_timeout, self._speed.ends)

    def why_overdue(self) -> Exception | None:
        """What it means that `due` has passed; None: only an unwanted body is missing."""
        if self._dropping:
            return None
        if self.proxy is not None and self._slow is None:
            return self.proxy.why_late(self._moment)
        return self._slow or timed_out(self._moment)

    def why_no_address(self, error: TransferError) -> TransferError:
        """The failure when the host, or the proxy in its place, could not be looked up."""
        return error if self.proxy is None else unreachable(self.proxy.name, error)

    def why_ended(self, code: int, message: str) -> Exception | None:
        """What the end of the hop means; None: all is well. `code` is libcurl's, 0 for success."""
        if code == HTTP2_STREAM and self.following is None and self._is_no_content:
            self._take_head()
        if self.error is not None or self._dropping:
            return self.error
        if code and not self._asked and self.proxy is not None:
            number = self._socket_errno or self.easy.getinfo(pycurl.OS_ERRNO)
            why_not = self.proxy.why_ended(self.easy, code, message, number, self._lines)
            if why_not is not None:
                return why_not
        elif self.following is None and (why := heads.why_broken(self._lines)):
            return not_http(why)
        if code:
            return self._failure(code, message)
        return was_closed() if self.following is None else None

    def _failure(self, code: int, message: str) -> TransferError:
        if self._refused is not None and not self._opened:
            return guard.blocked(self._refused, self._guarded)
        if self._wants_certificate and self._was_closed(code, message):
            return tls.wants_certificate()
        number = self._socket_errno or self.easy.getinfo(pycurl.OS_ERRNO)
        error = mapped(code, message, number, self._moment)
        place = self.place
        if place is not None and place.is_shared and not self._fresh:
            error.shared = place.ended_with_others(code, message)
        return error

    @property
    def _is_no_content(self) -> bool:
        """Whether the head that broke off says 204 over HTTP/2.

        nghttp2 ends the stream at its Content-Length, which a 204 must not have (RFC 9110 8.6).
        The status alone says all.
        """
        return self._asked and bool(self._lines) and self._lines[0].split()[1:2] == [b"204"]

    def may_be_sent_again(self, code: int, message: str) -> bool:
        """Whether the request is to be sent again at once, over a connection of its own."""
        if self._held_back:
            return True
        if self.error is not None or self._lines or self.following is not None:
            return False
        closed = (self._asked or self.proxy is None) and self._was_closed(code, message)
        facts = self._asked, self._opened, self._fresh, closed, self._wants_certificate
        return may_be_sent_again(Ending(code, message, *facts), self.place)

    @property
    def _wants_certificate(self) -> bool:
        """Whether the server was seen to ask for a client certificate."""
        return self._watch is not None and self._watch.asked

    def _was_closed(self, code: int, message: str) -> bool:
        """Whether the server closed the connection without a word."""
        number = self.easy.getinfo(pycurl.OS_ERRNO)
        return mapped(code, message, number, self._moment).closed

    def may_wait_in_a_queue(self) -> bool:
        """Whether an overdue response may wait for those of other requests on its connection.

        The request is to be sent again alone then. Its server works on fewer requests of a
        connection than it gets, if it answers that one in time.
        """
        place, waits = self.place, self._moment is Moment.ASKED and not self._fresh
        self._queued = waits and place is not None and place.is_behind
        return self._queued

    @property
    def _dropping(self) -> bool:
        return self.following is Next.HOP or self.following is Next.STOP

    @property
    def _moment(self) -> Moment:
        if self.following is not None:
            return Moment.BODY
        return Moment.ASKED if self._asked else Moment.CONNECTING

    # ------------------------------------------------------------ called by libcurl

    def _open_socket(self, _purpose: int, wanted: Any) -> int:
        """Open a socket for the address that libcurl is about to connect to."""
        if self._guarded and not is_public(wanted.addr[0]):
            self._refused = wanted.addr[0]
            return pycurl.SOCKET_BAD  # type: ignore[no-any-return]
        try:
            made = socket.socket(wanted.family, wanted.socktype, wanted.protocol)
        except OSError as error:
            self._socket_errno = error.errno or 0
            return pycurl.SOCKET_BAD  # type: ignore[no-any-return]
        self._opened = True
        if self.proxy is not None:
            self.proxy.opened(made.fileno(), wanted.addr)
        self._callbacks.opened(made.fileno())
        if self.place is not None:
            self.place.opened()
            self._move_others(self.place.pool)
        return made.detach()

    def _ask(self, peer: str, local: str, _port: int, local_port: int) -> int:
        """A connection stands, new or kept, and the request is about to be sent."""
        if self._guarded and not is_public(peer):  # An unguarded hop has left this connection.
            self.error = guard.blocked(peer, self._guarded)
            return _REFUSE  # type: ignore[no-any-return]
        transfer, place = self.transfer, self.place
        assert transfer is not None
        if place is not None:
            if self._asked and place.pool.http2 and not self._fresh:
                self._held_back = True
                return _REFUSE  # type: ignore[no-any-return]
            place.sent((local, local_port))
            self._move_others(place.pool)
        if transfer.permit is not None:
            if not transfer.may_send():
                self._held_back = True
                return _REFUSE  # type: ignore[no-any-return]
            transfer.sent()  # It will be sent before the engine's `poll` returns.
        if self._watch is not None:
            self._watch.used((local, local_port))
        self._moved = time.monotonic()
        self._connect_s = self._moved - self._begun if self._opened else 0.0
        self._peer = None if self.proxy else peer
        self._asked = True
        self._lines.clear()  # They are a proxy's answer to CONNECT.
        return _SEND  # type: ignore[no-any-return]

    def _move_others(self, pool: "OriginPool") -> None:
        """What waits for a connection may find one now."""
        if pool.has_waiting:
            self._callbacks.moved(pool)

    def _take_line(self, line: bytes) -> int | None:
        """Take a line of the head, with its line break, or a line of the trailers."""
        if len(line) > 2 or line not in heads.BLANK:
            self._lines.append(line)
            self._moved = self._clock.now
        elif self._asked and self.following is None:
            return self._take_head()
        return None

    def _take_body(self, chunk: bytes) -> int | None:
        """Take bytes of the body, without the framing of chunks."""
        if self.following is not Next.READ:
            self._size += len(chunk)
            return None if self._size <= DRAINED else _STOP
        self._moved = self._clock.now
        if self.offload is not None:
            if not self.offload.offer(chunk):
                return pycurl.WRITEFUNC_PAUSE  # type: ignore[no-any-return]
            self._size += len(chunk)
            return None
        assert self.transfer is not None
        self._size += len(chunk)
        try:
            done = self.transfer.data(chunk, quickly=True)
        except Exception as error:  # noqa: BLE001 - a callback must not raise
            self.error = error
            return _STOP
        if not done or self._size > LARGE:
            self.offload = self._callbacks.make_offload(self.transfer)
        return None

    def _note_version(self, place: "Place", first: bytes) -> None:
        """A response has begun, so its server works on the request."""
        if self._queued and place.role is Role.ALONE:
            place.pool.queues = True
        place.answered(http2=first.startswith(b"HTTP/2"))
        self._move_others(place.pool)

    def _take_head(self) -> int | None:
        assert self.transfer is not None
        try:
            first, *rest = self._lines or [b""]
            self._lines.clear()
            if self.place is not None:
                self._note_version(self.place, first)
            status = heads.status_of(first)
            headers = heads.headers_of(rest)
            if heads.is_interim(status):
                self._interim += 1
                heads.check_interim(self._interim)
                return None
            peer, connect_s = self._peer, self._connect_s
            reply = Reply(status, headers, peer, connect_s, proxied=self._is_absolute)
            if self.transfer.archives:
                reply.raw = RawHead((first, *rest), self._watch.tls if self._watch else None)
            self.following = self.transfer.response(reply)
        except heads.NotHttp as error:
            self.error = not_http(str(error))
            return _STOP
        except Exception as error:  # noqa: BLE001 - a callback must not raise
            self.error = error
            return _STOP
        if self._dropping:
            self._clock.ring_at(self._moved + DRAIN_S)
        else:
            self._speed.begin(self._clock.now, 0)
            self._clock.ring_at(self._speed.ends)
        return None
