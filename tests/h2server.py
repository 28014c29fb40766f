"""An HTTP/2 server on loopback, over TLS: many requests on one connection, and what breaks them.

with H2Server(context, lambda path: path.encode()) as server:
    # or an int: reset with this code; or a list: a head without a body; or Gone: see there
    ...
    assert server.connections == 1
    assert server.max_streams == 20

H2Server(context, answer, at_once=6)                # it works on six streams of a connection
server.wait_until(lambda: server.working == 32)     # and answers none before
server.go()                                         # it is told to

H2Server(context, answer, http1=lambda path: b"HTTP/1.1 414 Too Long...")
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.servers import RawServer, read_head, readable


class Gone(NamedTuple):
    """The connection ends: after GOAWAY with `code`, None for none.

    `last`: up to this stream requests were worked on; None: up to the newest.
    """

    code: int | None = None
    last: int | None = None


Answer = Callable[[str], bytes | int | list[tuple[str, str]] | Gone]
_FRAME = 16_384


class H2Server(RawServer):
    """Answers a GET with bytes, or breaks its stream with an error code.

    A path that ends with `!` is broken off after its first bytes, one that ends with `.half` stays
    half. `together`: nothing is
    answered before so many streams wait on one connection. `at_once`: so many streams of a
    connection are worked on, and nothing is answered before `go`. `http1`: answers HTTP/1.1 with
    these bytes, for a client that offers nothing else.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        answer: Answer,
        together: int = 1,
        at_once: int = 0,
        http1: Callable[[str], bytes] | None = None,
    ) -> None:
        context.set_alpn_protocols(["h2"] if http1 is None else ["h2", "http/1.1"])
        self.streams = 0  # so far, of all connections
        self.max_streams = 0  # at once, on one connection
        self.working = 0  # of those, on all connections, with `at_once`
        self.http1_paths: list[str] = []
        self.together = together
        self.at_once = at_once
        self.paths: list[str] = []
        self.answer = answer
        self._http1 = http1
        self.may_answer = threading.Event()
        self._told: list[socket.socket] = []
        if not at_once:
            self.may_answer.set()
        super().__init__(self._speak, tls=context)

    def go(self) -> None:
        """Answer what is worked on, and all that comes."""
        with self._changed:
            self.may_answer.set()
            for told in self._told:
                told.send(b"x")

    def _speak(self, _number: int, sock: socket.socket) -> None:
        # The client left, or speaks HTTP/1.1 to HTTP/2, or we close.
        with contextlib.suppress(OSError, ValueError, h2.exceptions.ProtocolError):
            if isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() == "http/1.1":
                self._speak_http1(sock)
                return
            told, tells = socket.socketpair()
            with told, tells:
                with self._changed:
                    self._told.append(tells)
                try:
                    _Connection(self, sock, told).serve()
                finally:
                    with self._changed:
                        self._told.remove(tells)

    def _speak_http1(self, sock: socket.socket) -> None:
        assert self._http1 is not None
        while head := read_head(sock):
            path = head.split(b" ")[1].decode()
            with self._changed:
                self.http1_paths.append(path)
                self._changed.notify_all()
            response = self._http1(path)
            if not response:
                return
            sock.sendall(response)
            if b"Connection: close" in response:
                return

    def count(self, path: str, streams: int) -> None:
        """Note a request, one of so many on its connection."""
        with self._changed:
            self.paths.append(path)
            self.streams += 1
            self.max_streams = max(self.max_streams, streams)
            self._changed.notify_all()

    def works(self, more: int) -> None:
        """Note that so many more requests are worked on."""
        with self._changed:
            self.working += more
            self._changed.notify_all()


class _Connection:
    """One connection of `server`; a byte comes from `told` when it may answer."""

    def __init__(self, server: H2Server, sock: socket.socket, told: socket.socket) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._server = server
        self._sock = sock
        self._told = told
        self._h2 = h2.connection.H2Connection(config=config)
        self._waiting: dict[int, str] = {}
        self._working: dict[int, str] = {}

    def serve(self) -> None:
        self._h2.initiate_connection()
        goes_on = True
        while goes_on:
            goes_on = self._go_on()
            self._sock.sendall(self._h2.data_to_send())
            goes_on = goes_on and self._receive()

    def _go_on(self) -> bool:
        """Answer what may be answered; whether the connection goes on."""
        server = self._server
        while True:
            if len(self._waiting) + len(self._working) >= server.together:
                self._begin_work()
            if not self._working or not server.may_answer.is_set():
                return True
            for stream, path in self._working.items():
                server.works(-1)
                if not self._send(stream, path):
                    return False
            self._working.clear()

    def _begin_work(self) -> None:
        at_once = self._server.at_once
        while self._waiting and (not at_once or len(self._working) < at_once):
            stream = next(iter(self._waiting))
            self._working[stream] = self._waiting.pop(stream)
            self._server.works(1)

    def _receive(self) -> bool:
        """Wait for requests, or to be told; whether the connection goes on."""
        pending = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()
        if not pending and self._told in readable(self._sock, self._told):
            self._told.recv(1)
            return True
        if not (data := self._sock.recv(65_536)):
            return False
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._note(event)
            elif isinstance(event, h2.events.StreamReset):
                self._waiting.pop(event.stream_id or 0, None)
        return True

    def _note(self, event: h2.events.RequestReceived) -> None:
        assert event.stream_id is not None
        path = next(str(value) for name, value in event.headers or () if str(name) == ":path")
        self._waiting[event.stream_id] = path
        self._server.count(path, len(self._waiting) + len(self._working))

    def _send(self, stream: int, path: str) -> bool:
        """Whether the connection goes on afterwards."""
        answer = self._server.answer(path)
        if isinstance(answer, Gone):
            if answer.code is not None:
                code = h2.errors.ErrorCodes(answer.code)
                self._h2.close_connection(code, last_stream_id=answer.last)
            return False
        if isinstance(answer, int):
            self._h2.reset_stream(stream, answer)
        elif isinstance(answer, list):
            self._h2.send_headers(stream, answer, end_stream=True)
        else:
            self._send_body(stream, path, answer)
        return True

    def _send_body(self, stream: int, path: str, body: bytes) -> None:
        headers = [(":status", "200"), ("content-type", "text/plain")]
        self._h2.send_headers(stream, headers, end_stream=not body)
        if path.endswith(".half"):
            self._h2.send_data(stream, body[: len(body) // 2])
            return
        pieces = [body[at : at + _FRAME] for at in range(0, len(body), _FRAME)]
        if path.endswith("!"):
            self._h2.send_data(stream, pieces[0])
            self._h2.reset_stream(stream, 2)
            return
        for number, piece in enumerate(pieces, 1):
            self._h2.send_data(stream, piece, end_stream=number == len(pieces))
