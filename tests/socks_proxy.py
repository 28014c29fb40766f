"""A small SOCKS proxy for tests: versions 4, 4a and 5, with a password or a refusal.

with SocksProxy() as proxy:          # or SocksProxy(reply=5), SocksProxy(login=("me", "x"))
    fetch(url, proxy=f"socks5h://127.0.0.1:{proxy.port}")
    assert proxy.asked == [(5, "localhost", 80)]
"""

import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress

from tests.servers import RawServer


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry what comes from one to the other."""
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def carry(one: socket.socket, other: socket.socket) -> None:
    """Carry both ways, until both have ended."""
    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()


class SocksProxy(RawServer):
    """`asked`: version, host (a name, or an address) and port of each connection.

    `reply`: what it answers instead of connecting. None: it connects. `replies`: the same for
    single hosts. `login`: who may.
    """

    def __init__(
        self,
        reply: int | None = None,
        login: tuple[str, str] | None = None,
        replies: Mapping[str, int] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.asked: list[tuple[int, str, int]] = []
        self._reply, self._login, self._replies = reply, login, replies or {}
        super().__init__(self._talk, host)

    def _talk(self, number: int, sock: socket.socket) -> None:
        del number
        with sock.makefile("rb", 0) as stream:
            version = stream.read(1)
            if version == b"\x05":
                self._five(sock, stream)
            elif version == b"\x04":
                self._four(sock, stream)

    def _four(self, sock: socket.socket, stream: socket.SocketIO) -> None:
        _, port = struct.unpack(">BH", _exactly(stream, 3))
        address = _exactly(stream, 4)
        _text(stream)  # the user
        named = address[:3] == b"\0\0\0" and address[3]
        host = _text(stream) if named else socket.inet_ntoa(address)
        self.asked.append((4, host, port))
        if (reply := self._replies.get(host, self._reply)) is not None:
            sock.sendall(bytes([0, reply]) + bytes(6))
            return
        with socket.create_connection((host, port)) as origin:
            sock.sendall(b"\x00\x5a" + bytes(6))
            carry(sock, origin)

    def _five(self, sock: socket.socket, stream: socket.SocketIO) -> None:
        methods = _exactly(stream, _exactly(stream, 1)[0])
        wanted = 0 if self._login is None else 2
        if wanted not in methods:
            sock.sendall(b"\x05\xff")
            return
        sock.sendall(bytes([5, wanted]))
        if self._login is not None:
            _exactly(stream, 1)
            said = tuple(_exactly(stream, _exactly(stream, 1)[0]).decode() for _ in range(2))
            sock.sendall(bytes([1, said != self._login]))
            if said != self._login:
                return
        _, _, _, kind = _exactly(stream, 4)
        if kind == 1:
            host = socket.inet_ntoa(_exactly(stream, 4))
        elif kind == 4:
            host = socket.inet_ntop(socket.AF_INET6, _exactly(stream, 16))
        else:
            host = _exactly(stream, _exactly(stream, 1)[0]).decode()
        (port,) = struct.unpack(">H", _exactly(stream, 2))
        self.asked.append((5, host, port))
        if (reply := self._replies.get(host, self._reply)) is not None:
            sock.sendall(bytes([5, reply, 0, 1]) + bytes(6))
            return
        with socket.create_connection((host, port)) as origin:
            sock.sendall(b"\x05\0\0\x01" + bytes(6))
            carry(sock, origin)


def _exactly(stream: socket.SocketIO, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def _text(stream: socket.SocketIO) -> str:
    data = b""
    while (byte := _exactly(stream, 1)) != b"\0":
        data += byte
    return data.decode()
