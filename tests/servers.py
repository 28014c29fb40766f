"""Real servers on loopback, for tests of what really happens on a socket.

    with HttpServer({"/a": b"hello"}) as server:          # or a function Request -> Reply
        fetch(server.url + "/a")
        server.wait_until(lambda: server.total == 1)      # told, not slept for
        assert server.max_in_flight == 1

    HttpFarm(handler, hosts=["127.0.0.1", "127.0.0.2"])   # one port, shared counters
    RawServer(b"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\ntorn")   # bytes as they are
    RawServer(lambda number, sock: reset(sock))           # one function call a connection

A request counts as in flight from its head being read until just before the last
bytes of its answer are sent. So the count never shows more than the client has
open (by the time the client can know that a transfer ended, it is out of the
count), and a limit seen exceeded here was exceeded.
"""

import contextlib
import random
import selectors
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import trustme

WAIT_S = 120.0  # for what should come at once; a test that is told so late has failed
_BACKLOG = 512


# ---------------------------------------------------------------- what a handler sees and says


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is the request target as sent; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    client: tuple[str, int]
    address: str = ""  # the address of ours that was connected to
    connection: int = 0  # its number, from 1
    body: bytes = b""

    @property
    def host(self) -> str:
        """The Host header."""
        return self.headers.get("host", "")

    @property
    def plain_path(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """One response. An iterable body goes out chunked, unless the headers say its length.

    `delay`, when given, is awaited before the first byte is sent. `close` ends the
    connection afterwards, announced by `Connection: close`.
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    delay: threading.Event | None = None
    close: bool = False


Handler = Callable[[Request], Reply | None]  # None: the connection is closed without an answer
Route = bytes | Reply | Handler
Routes = Handler | Mapping[str, Route]


def status_on_demand(request: Request) -> Reply:
    """`/status/503` answers 503; anything else 404."""
    head, _, code = request.plain_path.rpartition("/")
    if head.endswith("/status") and code.isdecimal():
        return Reply(int(code), {"Content-Type": "text/plain"}, f"status {code}\n".encode())
    return Reply(404, {"Content-Type": "text/plain"}, b"not found\n")


def routed(routes: Mapping[str, Route], otherwise: Handler = status_on_demand) -> Handler:
    """A handler of fixed pages by path (with or without the query), then `otherwise`."""

    def handle(request: Request) -> Reply | None:
        route = routes.get(request.path, routes.get(request.plain_path, otherwise))
        if isinstance(route, bytes):
            return Reply(body=route)
        return route if isinstance(route, Reply) else route(request)

    return handle


# ---------------------------------------------------------------- listening


class _Listener:
    """Sockets that listen, one thread that accepts, one thread for each connection."""

    def __init__(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None) -> None:
        self.connections = 0  # accepted so far
        self.open_connections = 0
        self.max_open_connections = 0
        self.errors: list[BaseException] = []  # of the test's own handler
        self.closing = threading.Event()
        self.hosts = list(hosts)
        self.tls = tls
        self._changed = threading.Condition(threading.RLock())
        self._sockets: set[socket.socket] = set()
        self._listening = _listen(self.hosts, port)
        self.port: int = self._listening[0].getsockname()[1]
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="test-server", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without a slash at its end."""
        return self.url_of(self.hosts[0])

    @property
    def urls(self) -> list[str]:
        """The same for every host."""
        return [self.url_of(host) for host in self.hosts]

    def url_of(self, host: str) -> str:
        """`http://host:port`; `host` may be another name of the same address."""
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls else 'http'}://{shown}:{self.port}"

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Return once `condition` (of this server's counters, or anything) holds; fail if never.

        It is asked anew at every event of this server.
        """
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), "what was waited for never came"

    def close(self) -> None:
        """Stop listening and cut every connection."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._waker.send(b"x")
        self._thread.join(WAIT_S)
        for sock in (*self._listening, self._wake, self._waker):
            sock.close()
        with self._changed:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # TLS too: no good-bye
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if kind is None and self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            for listening in (*self._listening, self._wake):
                selector.register(listening, selectors.EVENT_READ)
            while not self.closing.is_set():
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    with contextlib.suppress(OSError):
                        self._accepted(key.fileobj.accept()[0])

    def _accepted(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        with self._changed:
            self.connections += 1
            number = self.connections
            self.open_connections += 1
            self.max_open_connections = max(self.max_open_connections, self.open_connections)
            self._sockets.add(sock)
            self._changed.notify_all()
        threading.Thread(target=self._connection, args=(number, sock), daemon=True).start()

    def _connection(self, number: int, sock: socket.socket) -> None:
        plain = sock
        try:
            with contextlib.suppress(OSError):  # the client went away, or we close
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls:
                    sock = self.tls.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                    with self._changed:
                        self._sockets.discard(plain)
                        self._sockets.add(sock)
                    sock.do_handshake()
                self._serve(number, sock)
        except Exception as error:  # noqa: BLE001 - whatever a test's handler raises, the test is to see
            self.errors.append(error)
        finally:
            with self._changed:
                self._sockets.discard(plain)
                self._sockets.discard(sock)
                self.open_connections -= 1
                self._changed.notify_all()
            sock.close()
            plain.close()

    def _serve(self, number: int, sock: socket.socket) -> None:
        raise NotImplementedError


def _listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Listening sockets of all hosts at one port (0: whichever is free on all of them)."""
    for _ in range(50):
        listening: list[socket.socket] = []
        chosen = port
        try:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                sock = socket.socket(family, socket.SOCK_STREAM)
                listening.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, chosen))
                sock.listen(_BACKLOG)
                sock.setblocking(False)
                chosen = sock.getsockname()[1]
        except OSError:
            for sock in listening:
                sock.close()
            if port:
                raise
        else:
            return listening
    raise OSError(f"no port is free on all of {hosts}")


# ---------------------------------------------------------------- HTTP


class HttpFarm(_Listener):
    """An HTTP/1.1 keep-alive server on several loopback addresses at one port.

    Counters (read them at any time): `total` requests, `hits` by path as sent,
    `requests` (all of them, unless `keep_requests=False`), `connections`,
    `in_flight` and `max_in_flight` over all; `max_in_flight_by_host` by Host
    header, `max_in_flight_by_address` by the address connected to.
    `on_request` is called with each request before it is handled.
    """

    def __init__(
        self,
        routes: Routes,
        hosts: Sequence[str] = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"),
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        on_request: Callable[[Request], None] | None = None,
        *,
        keep_requests: bool = True,
    ) -> None:
        self.total = 0
        self.hits: Counter[str] = Counter()
        self.requests: list[Request] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.in_flight_by_host: Counter[str] = Counter()
        self.max_in_flight_by_host: Counter[str] = Counter()
        self.in_flight_by_address: Counter[str] = Counter()
        self.max_in_flight_by_address: Counter[str] = Counter()
        self.on_request = on_request
        self.handler: Handler = routed(routes) if isinstance(routes, Mapping) else routes
        self._keep_requests = keep_requests
        super().__init__(hosts, port, tls)

    def _serve(self, number: int, sock: socket.socket) -> None:
        client = sock.getpeername()[:2]
        address = sock.getsockname()[0]
        with sock.makefile("rb") as stream:
            while True:
                request = _read_request(stream, client, address, number)
                if request is None or not self._answer(sock, request):
                    return

    def _answer(self, sock: socket.socket, request: Request) -> bool:
        """Answer it; whether the connection lives on."""
        self._begin(request)
        left = contextlib.ExitStack()
        left.callback(self._end, request)
        with left:
            if self.on_request:
                self.on_request(request)
            reply = self.handler(request)
            if reply is None:
                return False
            if reply.delay and not reply.delay.wait(WAIT_S):
                raise AssertionError(f"nobody let {request.path} go")
            return _send(sock, request, reply, left.close)

    def _begin(self, request: Request) -> None:
        with self._changed:
            self.total += 1
            self.hits[request.path] += 1
            if self._keep_requests:
                self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            for name, now, most in (
                (request.host, self.in_flight_by_host, self.max_in_flight_by_host),
                (request.address, self.in_flight_by_address, self.max_in_flight_by_address),
            ):
                now[name] += 1
                most[name] = max(most[name], now[name])
            self._changed.notify_all()

    def _end(self, request: Request) -> None:
        with self._changed:
            self.in_flight -= 1
            self.in_flight_by_host[request.host] -= 1
            self.in_flight_by_address[request.address] -= 1
            self._changed.notify_all()


class HttpServer(HttpFarm):
    """The same on one address."""

    def __init__(
        self,
        routes: Routes,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        on_request: Callable[[Request], None] | None = None,
        *,
        keep_requests: bool = True,
    ) -> None:
        super().__init__(routes, [host], port, tls, on_request, keep_requests=keep_requests)


def _read_request(
    stream: BinaryIO, client: tuple[str, int], address: str, number: int
) -> Request | None:
    line = stream.readline(65_537)
    if not line.endswith(b"\r\n"):
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline(65_537)) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    body = stream.read(length) if length else b""
    return Request(method, path, headers, client, address, number, body)


def _send(
    sock: socket.socket, request: Request, reply: Reply, before_last: Callable[[], None]
) -> bool:
    """Send it; whether the connection lives on. `before_last` is called before the last bytes."""
    pairs = list(reply.headers.items() if isinstance(reply.headers, Mapping) else reply.headers)
    names = {name.lower(): value for name, value in pairs}
    length = int(names.get("content-length", "-1"))
    if length < 0 and reply.status not in {204, 304} and "transfer-encoding" not in names:
        if isinstance(reply.body, bytes):
            pairs.append(("Content-Length", str(len(reply.body))))
        else:
            pairs.append(("Transfer-Encoding", "chunked"))
    close = reply.close or "close" in {request.headers.get("connection"), names.get("connection")}
    if close and "connection" not in names:
        pairs.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unnamed')}"]
    lines += [f"{name}: {value}" for name, value in pairs]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if request.method == "HEAD" or reply.status in {204, 304}:
        before_last()
        sock.sendall(head)
    elif isinstance(reply.body, bytes):
        whole = head + reply.body
        cut = max(0, len(whole) - 65_536)
        sock.sendall(whole[:cut])
        before_last()
        sock.sendall(whole[cut:])
    else:
        if length == 0:  # the head is all that the client waits for
            before_last()
        sock.sendall(head)
        _send_pieces(sock, reply.body, length, before_last)
    return not close


def _send_pieces(
    sock: socket.socket, pieces: Iterable[bytes], length: int, before_last: Callable[[], None]
) -> None:
    """Each piece at once, so that a test decides what the client has by when."""
    if length < 0:
        for piece in filter(None, pieces):
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        before_last()
        sock.sendall(b"0\r\n\r\n")
        return
    sent = 0
    for piece in pieces:
        sent += len(piece)
        if sent >= length:
            before_last()
        sock.sendall(piece)


# ---------------------------------------------------------------- faults

Script = Callable[[int, socket.socket], None]


class RawServer(_Listener):
    """What no server should do. The script gets (connection number from 1, socket).

    Bytes instead of a script: read one request head, send them, close (which also
    is how a keep-alive connection is dropped between two requests). The socket is
    closed when the script returns. `heads` are the request heads `read_head` saw.
    """

    def __init__(
        self,
        script: Script | bytes,
        host: str | Sequence[str] = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.heads: list[bytes] = []
        self._script = script
        super().__init__([host] if isinstance(host, str) else host, port, tls)

    def _serve(self, number: int, sock: socket.socket) -> None:
        if isinstance(self._script, bytes):
            if self.read_head(sock):
                sock.sendall(self._script)
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
        else:
            self._script(number, sock)

    def read_head(self, sock: socket.socket) -> bytes:
        """`read_head`, remembered in `heads`."""
        head = read_head(sock)
        with self._changed:
            if head:
                self.heads.append(head)
            self._changed.notify_all()
        return head


def read_head(sock: socket.socket) -> bytes:
    """One request head with its empty line, or b"" when the client left before that."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)  # byte by byte: what follows belongs to the next request
        if not byte:
            return b""
        head += byte
    return head


def reset(sock: socket.socket) -> None:
    """Close with a TCP reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def silent(number: int, sock: socket.socket) -> None:
    """Accept and say nothing, until the client leaves or the server closes."""
    del number
    while sock.recv(65_536):
        pass


def resets_at_once(number: int, sock: socket.socket) -> None:
    """Reset after the request head, before any answer."""
    del number
    read_head(sock)
    reset(sock)


def then_reset(data: bytes) -> Script:
    """Read a head, send `data`, wait for nobody, reset."""

    def script(number: int, sock: socket.socket) -> None:
        del number
        read_head(sock)
        sock.sendall(data)
        reset(sock)

    return script


def then_silent(data: bytes) -> Script:
    """Read a head, send `data`, then keep the connection open and say no more."""

    def script(number: int, sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(data)
        silent(number, sock)

    return script


def drips(head: bytes, stop: threading.Event, piece: bytes = b"x", every_s: float = 0.02) -> Script:
    """Send `head`, then `piece` again and again until `stop` is set or the client leaves."""

    def script(number: int, sock: socket.socket) -> None:
        del number
        read_head(sock)
        sock.sendall(head)
        while not stop.wait(every_s):
            sock.sendall(piece)

    return script


def in_turn(*scripts: Script | bytes) -> Script:
    """The n-th connection gets the n-th script; further ones the last."""

    def script(number: int, sock: socket.socket) -> None:
        chosen = scripts[min(number, len(scripts)) - 1]
        if not isinstance(chosen, bytes):
            chosen(number, sock)
        elif read_head(sock):
            sock.sendall(chosen)

    return script


# ---------------------------------------------------------------- TLS, ports


def readable(*socks: socket.socket, timeout_s: float | None = None) -> list[Any]:
    """Which of `socks` have something to read. `select.select` takes none above 1,023."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(timeout_s)]


def tls_context(directory: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context for `names` (localhost, 127.0.0.1), and its CA as a PEM file."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    pem = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    return context, pem


def free_port(host: str = "127.0.0.1") -> int:
    """A port for a program that must be told one. Nobody else gets it by chance.

    It is below those that the system gives to whoever asks for any (Linux: from 32768 on, macOS:
    from 49152 on), as all other servers of tests do.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((host, port))
            return port


def closed_port(host: str = "127.0.0.1") -> int:
    """A port that refuses connections for as long as this process lives.

    It stays bound, but never listens, so that nobody else can begin to.
    """
    sock = socket.socket()
    sock.bind((host, 0))
    port = int(sock.getsockname()[1])
    sock.detach()
    return port


# What the fixtures of `conftest.py` are to a test.
Serve = Callable[[Routes], HttpServer]
Farm = Callable[[Routes], HttpFarm]
Misbehave = Callable[[Script | bytes], RawServer]
