"""An HTTP/2 server on loopback, over TLS: many requests on one connection, and what breaks them.

with H2Server(context, lambda path: path.encode()) as server:
    # or an int: reset with this code; or a list: a head without a body
    ...
    assert server.connections == 1
    assert server.max_streams == 20
"""

import contextlib
import socket
import ssl
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.servers import RawServer

Answer = Callable[[str], bytes | int | list[tuple[str, str]]]
_FRAME = 16_384


class H2Server(RawServer):
    """Answers a GET with bytes, or breaks its stream with an error code.

    A path that ends with `!` is broken off after its first bytes. `together`: nothing is
    answered before so many streams wait on one connection.
    """

    def __init__(self, context: ssl.SSLContext, answer: Answer, together: int = 1) -> None:
        context.set_alpn_protocols(["h2"])
        self.streams = 0  # so far, of all connections
        self.max_streams = 0  # at once, on one connection
        self.together = together
        self.paths: list[str] = []
        self._answer = answer
        super().__init__(self._speak, tls=context)

    def _speak(self, _number: int, sock: socket.socket) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        connection = h2.connection.H2Connection(config=config)
        connection.initiate_connection()
        waiting: dict[int, str] = {}
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(connection.data_to_send())
                if not (data := sock.recv(65_536)):
                    return
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self._note(waiting, event)
                if len(waiting) >= self.together:
                    for stream, path in waiting.items():
                        self._send(connection, stream, path)
                    waiting.clear()

    def _note(self, waiting: dict[int, str], event: h2.events.RequestReceived) -> None:
        assert event.stream_id is not None
        path = next(str(value) for name, value in event.headers or () if str(name) == ":path")
        waiting[event.stream_id] = path
        with self._changed:
            self.paths.append(path)
            self.streams += 1
            self.max_streams = max(self.max_streams, len(waiting))
            self._changed.notify_all()

    def _send(self, connection: h2.connection.H2Connection, stream: int, path: str) -> None:
        answer = self._answer(path)
        if isinstance(answer, int):
            connection.reset_stream(stream, answer)
            return
        if isinstance(answer, list):
            connection.send_headers(stream, answer, end_stream=True)
            return
        headers = [(":status", "200"), ("content-type", "text/plain")]
        connection.send_headers(stream, headers, end_stream=not answer)
        pieces = [answer[at : at + _FRAME] for at in range(0, len(answer), _FRAME)]
        if path.endswith("!"):
            connection.send_data(stream, pieces[0])
            connection.reset_stream(stream, 2)
            return
        for number, piece in enumerate(pieces, 1):
            connection.send_data(stream, piece, end_stream=number == len(pieces))
