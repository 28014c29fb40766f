"""Connections of the threads engine: urllib3's, with their address known and refusable.

Owns: where a connection leads (checked between look-up and connect, so that no
second look-up can answer otherwise) and remembering its socket, so that the
engine can break it off. Refuses to know: transfers. Rejected: a socket-level
monkeypatch, and checking the name before the request (a look-up later may differ).
"""

import contextlib
import re
import socket
import threading
import time
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HeaderParsingError, NewConnectionError
from urllib3.util.response import assert_header_parsing

from scraper.engines import guard, heads
from scraper.engines.minimum_speed import MinimumSpeed
from scraper.model.addresses import is_public
from scraper.model.errors import TransferError
from scraper.transfer import OWS

_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}")


class Carriage:
    """What one worker is using now; the loop's thread may break it off.

    `came` counts the bytes of its body, `storing` is while the sink has one of them.
    """

    def __init__(self, speed: MinimumSpeed) -> None:
        self.speed = speed
        self.came = 0
        self.storing = False
        self.url = ""  # of the hop, as it is to be asked for
        self.guarded = ""  # see `Request`; not of a hop through a proxy
        self.connection: Any = None
        self.reused = False
        self._broken = False

    def use(self, connection: Any) -> None:
        """Note the connection that the pool gave. Raises TransferError if it may not be used."""
        self.connection = connection
        connection.carriage = self
        self.reused = getattr(connection, "wire", None) is not None and connection.sock is not None
        if self.guarded and self.reused:  # it may be kept from an unguarded hop
            guard.check_address(connection.peer, self.guarded)
        self.check()

    def check(self) -> None:
        """Raise ConnectionAbortedError if it was broken off before there was anything to break."""
        if self._broken:
            raise ConnectionAbortedError("broken off")

    def why_slow(self, now: float) -> TransferError | None:
        """What is wrong with how the body comes. From any thread."""
        if self.storing and now >= self.speed.ends:
            self.speed.begin(now, self.came)  # nothing is: it is the sink that is slow
        return self.speed.why_slow(now, self.came)

    def break_off(self) -> None:
        """Make a worker that waits for bytes stop waiting. From any thread.

        One that has all of them may be busy with the sink for long, and its connection another's.
        """
        self._broken = True
        connection = self.connection
        wire = getattr(connection, "wire", None)
        if wire is not None and connection.carriage is self:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(wire, socket.SHUT_RDWR)  # of TLS too: no good-bye


class _Current(threading.local):
    carriage: Carriage | None = None


CURRENT = _Current()  # which carriage this worker thread is on; set by the engine


def _check_current() -> None:
    if CURRENT.carriage is not None:
        CURRENT.carriage.check()


class _Head:
    """The lines of a response's head; their end is an empty line, not the connection's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._size = 0
        self._interim = 0

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        torn = len(line) < limit and not line.endswith(b"\n")
        if torn and (self._size or line[:5] == b"HTTP/"[: len(line)]):
            raise ConnectionResetError("closed within the headers")
        if line and not self._size:
            self._interim += heads.is_interim(heads.status_of(line))
            heads.check_interim(self._interim)
        elif line and line not in heads.BLANK:
            heads.check_name(line)
        self._size = 0 if line in heads.BLANK else self._size + len(line)
        heads.check_line(line, self._size)
        return line


class _Response(HTTPResponse):
    """The standard library's, gaps closed.

    It takes a head that ends with the connection for a whole one, `103 Early Hints`
    for the response itself, `From me` for no header but no error either; and after a
    header line that it can't read it drops all others, the length of the body among them.
    """

    def begin(self) -> None:
        stream, self.fp = self.fp, _Head(self.fp)  # type: ignore[assignment]
        try:
            super().begin()
            while heads.is_interim(self.status):
                self.headers = self.msg = None  # type: ignore[assignment]
                super().begin()
            assert_header_parsing(self.msg)
        except heads.NotHttp as error:
            raise HTTPException(str(error)) from None
        except HeaderParsingError:
            raise HTTPException("a line among the headers is none") from None
        finally:
            self.fp = stream
        self._frame()
        if self.msg.get_unixfrom():
            raise HTTPException("a line among the headers is none")
        if len(set(filter(None, self.msg.get_all("location", [])))) > 1:
            raise HTTPException("several Location headers that differ")

    def _frame(self) -> None:
        """Where the body ends, if that is said in a form that the library does not know.

        Folded, with a tab after it, or `5, 5`; what makes no sense, the transfer refuses.
        """
        if self.chunked or self.status in {204, 304}:
            return
        codings = {value.strip(OWS).lower() for value in self.msg.get_all("transfer-encoding", [])}
        lengths = {part.strip(OWS) for part in self.msg.get("content-length", "").split(",")}
        if codings == {"chunked"}:
            self.chunked, self.chunk_left, self.length = True, None, None
        elif self.length is None and len(lengths) == 1 and (said := lengths.pop()).isdecimal():
            self.length = int(said[:18])

    def _get_chunk_left(self) -> int | None:
        """With a look at what ends a chunk: it would toss any two bytes (RFC 9112 7.1)."""
        if self.chunk_left == 0:
            if self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]
                raise IncompleteRead(b"")
            self.chunk_left = None
        return super()._get_chunk_left()  # type: ignore[misc,no-any-return]

    def _read_next_chunk_size(self) -> int:
        """Not what Python takes for a number: `+5`, ` 5`, `0_5` (RFC 9112 7.1)."""
        line = self.fp.readline(heads.MOST_LINE)
        found = _CHUNK.match(line)
        if found is None or not line.endswith(b"\r\n"):
            self._close_conn()  # type: ignore[attr-defined]
            raise ValueError("no size of a chunk")
        return int(found[0], 16)

    def _read_and_discard_trailer(self) -> None:
        """Lines of headers up to an empty one, without which the body is not complete."""
        size = 0
        while (line := self.fp.readline(heads.MOST_LINE)) != b"\r\n":
            size += len(line)
            if b":" not in line or not line.endswith(b"\r\n") or size > heads.MOST_BYTES:
                raise IncompleteRead(b"")


class _Noted:
    """Mixed into a connection class: notes user, socket, peer and the time it took."""

    response_class: type[HTTPResponse] = _Response
    wire: socket.socket | None = None
    carriage: Carriage | None = None  # the last one that uses it
    peer: str | None = None
    connect_s = 0.0
    _dns_host: str
    port: int

    def connect(self) -> None:
        begun = time.monotonic()
        try:
            super().connect()  # type: ignore[misc]
        finally:
            if self.wire is not None:
                self.wire.close()  # the second handle that _new_conn made
                self.wire = None
        self.connect_s = time.monotonic() - begun
        sock = self.sock  # type: ignore[attr-defined]
        self.wire = sock if isinstance(sock, socket.socket) else sock.socket  # TLS within TLS
        if hasattr(sock, "suppress_ragged_eofs"):
            # TLS that ends without a good-bye was cut off (RFC 9112 9.8).
            sock.suppress_ragged_eofs = False
        _check_current()

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """With the hop's own URL: urllib3 quotes it anew, `/50%?a=%20` as `/50%25?a=%2520`."""
        if CURRENT.carriage is not None:
            url = _target(CURRENT.carriage.url, absolute=not url.startswith("/"))
        super().putrequest(method, url, *args, **kwargs)  # type: ignore[misc]

    def _new_conn(self) -> socket.socket:
        guarded = CURRENT.carriage.guarded if CURRENT.carriage is not None else ""
        sock = self._guarded_conn(guarded) if guarded else super()._new_conn()  # type: ignore[misc]
        self.peer = None
        with contextlib.suppress(OSError):  # it was reset at once: the request will say so
            self.peer = sock.getpeername()[0]
        try:
            self.wire = sock.dup()  # so that a TLS handshake can be broken off: it takes `sock`
            _check_current()
        except OSError:
            sock.close()
            raise
        return sock

    def _guarded_conn(self, why: str) -> socket.socket:
        """To the first of the host's public addresses that takes it."""
        name = self._dns_host
        *others, last = _public_addresses(name, self.port, why)
        try:
            for self._dns_host in others:
                with contextlib.suppress(NewConnectionError, ConnectTimeoutError):
                    return super()._new_conn()  # type: ignore[misc,no-any-return]
            self._dns_host = last
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        finally:
            self._dns_host = name


def _target(url: str, *, absolute: bool) -> str:
    """The request target for a canonical URL (RFC 9112 3.2), absolute for a proxy."""
    return url if absolute else "/" + url.split("/", 3)[3]


def _public_addresses(host: str, port: int, why: str) -> list[str]:
    """The public ones of `host`; raises TransferError if there are none."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    public = list(filter(is_public, found))
    if not public:
        raise guard.blocked(found[0], why)
    return public


class _Http(_Noted, HTTPConnection):
    pass


class _Https(_Noted, HTTPSConnection):
    pass


class _NotedPool:
    """Mixed into a pool class: tells the current carriage which connection it got."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if CURRENT.carriage is not None:
            try:
                CURRENT.carriage.use(connection)
            except Exception:
                connection.close()
                raise
        return connection


class _HttpPool(_NotedPool, HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(_NotedPool, HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class Adapter(HTTPAdapter):
    """requests' adapter with our pools: `hosts` of them kept, `each` connections in one."""

    def __init__(self, hosts: int, each: int) -> None:
        super().__init__(pool_connections=hosts, pool_maxsize=each)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As requests does, with our connection classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """As requests does, with our connection classes."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
