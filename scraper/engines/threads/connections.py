"""Connections of the threads engine: urllib3's, with addresses that the guard may refuse.

An address is checked between the look-up and the connect, so that no second look-up can answer
otherwise. The socket is remembered, so that the engine can break it off.

Owns: what a worker thread uses now, and connection classes. Does not know: pools (`pools.py`).
Rejected: a monkeypatch of sockets; checking the name before the request, since a later look-up
may differ.
"""

import contextlib
import re
import socket
import ssl
import threading
import time
import weakref
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from scraper.engines import guard, proxy_errors
from scraper.engines.minimum_speed import MinimumSpeed
from scraper.engines.names import Names
from scraper.engines.threads import socks
from scraper.engines.threads.errors import GONE, cause, mapped
from scraper.engines.threads.response import StrictResponse
from scraper.model.errors import Kind, TransferError
from scraper.model.happy_eyeballs import connect
from scraper.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable


class InUse:
    """What one worker thread uses now. The loop's thread may break it off.

    `came`: bytes of the body so far. `storing`: the sink has the last of them now.
    """

    def __init__(self, transfer: Transfer, speed: MinimumSpeed, names: Names) -> None:
        self.transfer = transfer
        self.speed = speed
        self.names = names
        self.came = 0
        self.storing = False
        self.url = ""  # of the hop, as the request has it
        self.fresh = False  # see `Request`
        self.guarded = ""  # see `Request`; "" where a proxy looks names up
        # Weak: a pool keeps its connections, they keep this, and it closes them when nobody has it.
        self._pool: Callable[[], Any] = lambda: None
        self.connection: Any = None
        self.reused = False
        self.is_broken = False  # the loop's thread has broken it off

    def use(self, connection: Any, pool: Any) -> None:
        """Note the connection that `pool` gave. Raises TransferError if the guard refuses it."""
        self._pool = weakref.ref(pool)
        if self.fresh:
            connection.close()
        self.connection = connection
        connection.in_use = self
        self.reused = getattr(connection, "wire", None) is not None and connection.sock is not None
        if self.guarded and self.reused:  # it may have been kept by an unguarded hop
            guard.check_address(connection.peer, self.guarded)
        self.check()

    @property
    def pool(self) -> Any:
        """What the connection is of. None if there is no such pool any more."""
        return self._pool()

    def check(self) -> None:
        """Raise ConnectionAbortedError if it was broken off before it had a connection."""
        if self.is_broken:
            raise ConnectionAbortedError("broken off")

    def why_slow(self, now: float) -> TransferError | None:
        """The failure if the body comes too slowly; None: it does not. From any thread."""
        split = self.transfer.split
        came = self.came if split is None else split.came  # one slow part slows nobody
        if self.storing and now >= self.speed.ends:
            self.speed.begin(now, came)  # the sink is slow, not the server
        return self.speed.why_slow(now, came)

    def break_off(self) -> None:
        """Make the worker stop waiting for bytes. From any thread.

        A worker that has all bytes may be busy with the sink, and its connection may be another
        worker's by now.
        """
        self.is_broken = True
        connection = self.connection
        wire = getattr(connection, "wire", None)
        if wire is not None and connection.in_use is self:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(wire, socket.SHUT_RDWR)  # of TLS too: no closing message


LATE = "no connection within the time"
CLOSED = "connection was closed before an answer to CONNECT"


class _Current(threading.local):
    in_use: InUse | None = None


CURRENT = _Current()  # what this worker thread uses; set by the engine


def _check_current() -> None:
    if CURRENT.in_use is not None:
        CURRENT.in_use.check()


class _NotedConnection:
    """Mixed into a connection class: notes its worker, socket, peer, and how long it took."""

    response_class: type[HTTPResponse] = StrictResponse
    wire: socket.socket | None = None
    in_use: InUse | None = None  # of the last worker that used it
    peer: str | None = None
    connect_s = 0.0
    tls: str | None = None  # the protocol, as OpenSSL names it
    sock: Any
    host: str
    port: int
    timeout: float | None
    socket_options: Any
    _dns_host: str
    proxy: Any
    _tunnel_host: str | None

    def connect(self) -> None:
        begun = time.monotonic()
        try:
            super().connect()  # type: ignore[misc]
        except (ssl.SSLError, *GONE) as error:
            if self.proxy is None or self._tunnel_host is not None:
                raise
            raise proxy_errors.unreachable(self._proxy_name, mapped(error)) from None
        finally:
            if self.wire is not None:
                self.wire.close()  # the second handle that _new_conn made
                self.wire = None
        self.connect_s = time.monotonic() - begun
        sock = self.sock
        self.wire = sock if isinstance(sock, socket.socket) else sock.socket  # TLS within TLS
        if hasattr(sock, "suppress_ragged_eofs"):
            # TLS that ends without its closing message was cut off (RFC 9112 9.8).
            sock.suppress_ragged_eofs = False
        version = getattr(sock, "version", None)
        self.tls = version() if version is not None else None
        _check_current()

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Send the hop's own URL: urllib3 quotes it again, `/50%?a=%20` as `/50%25?a=%2520`."""
        if CURRENT.in_use is not None:
            url = _target(CURRENT.in_use.url, absolute=not url.startswith("/"))
            if self.sock is None:
                self.connect()
            CURRENT.in_use.transfer.may_send()  # it may: there is one request in one hop here
        super().putrequest(method, url, *args, **kwargs)  # type: ignore[misc]

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        """Send the request, and note that it was sent, in whole or in part."""
        try:
            super().endheaders(*args, **kwargs)  # type: ignore[misc]
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.recv(1)  # the alert that says why, if there is one
            raise
        finally:
            if CURRENT.in_use is not None:
                CURRENT.in_use.transfer.sent()

    def _new_conn(self) -> socket.socket:
        guarded = CURRENT.in_use.guarded if CURRENT.in_use is not None else ""
        self.peer = None
        sock = self._connected(guarded)
        if self.peer is None:
            with contextlib.suppress(OSError):  # it was reset at once: the request will fail
                self.peer = sock.getpeername()[0]
        try:
            self.wire = sock.dup()  # so that a TLS handshake can be broken off: it takes `sock`
            _check_current()
        except OSError:
            sock.close()
            raise
        return sock

    @property
    def _proxy_name(self) -> str:
        return f"{self.host}:{self.port}"

    def _connected(self, guarded: str) -> socket.socket:
        """Connect to the host, or to the proxy in its place."""
        if self.proxy is None:
            return self._direct(guarded)
        try:
            return self._direct("")
        except (urllib3.exceptions.HTTPError, TransferError) as error:
            late = type(error) is ConnectTimeoutError  # others are made of it
            why = TransferError(Kind.TIMEOUT, LATE) if late else mapped(error)
            raise proxy_errors.unreachable(self._proxy_name, why) from None

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> Any:
        """Speak TLS with the proxy itself."""
        try:
            return super()._connect_tls_proxy(hostname, sock)  # type: ignore[misc]
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise proxy_errors.unreachable(self._proxy_name, mapped(error)) from None

    def _tunnel(self) -> None:
        """Ask the proxy for a tunnel. Raises TransferError."""
        try:
            super()._tunnel()  # type: ignore[misc]
        except TimeoutError:
            raise TransferError(Kind.TIMEOUT, LATE, unreachable=True) from None
        except (OSError, HTTPException) as error:
            found = re.fullmatch(r"Tunnel connection failed: (\d{3}) ?(.*)", str(error), re.DOTALL)
            name = self._proxy_name
            if found is not None:
                raise proxy_errors.refused(name, int(found[1]), found[2]) from None
            if isinstance(error, OSError) or cause(error, *GONE):
                raise proxy_errors.no_answer(name, CLOSED, transient=True) from None
            raise proxy_errors.no_answer(name, "its answer is not HTTP", transient=False) from None

    def _direct(self, guarded: str) -> socket.socket:
        """Connect to the first of the addresses that accepts, with urllib3's exceptions.

        If it is `guarded`, only public ones are tried.
        """
        assert CURRENT.in_use is not None
        try:
            found = CURRENT.in_use.names.addresses(self._dns_host, self.port)
            found = guard.public(found, guarded)
            return connect(found, self.timeout, self.socket_options or ())
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except TimeoutError as error:
            raise ConnectTimeoutError(self, LATE) from error
        except OSError as error:
            raise NewConnectionError(self, f"can't connect: {error}") from error  # type: ignore[arg-type]


def _target(url: str, *, absolute: bool) -> str:
    """The request target for a canonical URL (RFC 9112 3.2), absolute for a proxy."""
    return url if absolute else "/" + url.split("/", 3)[3]


class DirectHttpConnection(_NotedConnection, HTTPConnection):
    """To a server or a proxy of HTTP."""


class DirectHttpsConnection(_NotedConnection, HTTPSConnection):
    """The same, over TLS."""


class _ThroughSocks(_NotedConnection):
    """Mixed into a connection class: connects through a SOCKS proxy."""

    def __init__(self, *args: Any, _socks_options: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._socks = _socks_options

    def _connected(self, guarded: str) -> socket.socket:
        """Connect through the proxy; the peer is then what it was asked for."""
        assert CURRENT.in_use is not None
        options, addresses = self.socket_options or (), CURRENT.in_use.names.addresses
        sock, self.peer = socks.connect(
            self._socks, self._dns_host, self.port, self.timeout, options, addresses, guarded
        )
        return sock


class SocksHttpConnection(_ThroughSocks, DirectHttpConnection):
    """To a server, by way of a SOCKS proxy."""


class SocksHttpsConnection(_ThroughSocks, DirectHttpsConnection):
    """The same, over TLS."""
