"""What the server can give: a bare loop that asks, counts bytes and throws them away.

    python ceiling.py LIST N        prints how many bodies came, their bytes, and seconds

No tool that stores bodies can be faster than the server; the table shows this
beside the tools, so that a reader sees whether a tool or the server was the
limit. All URLs must be of one host and answered with 200 and a Content-Length.
"""

import contextlib
import re
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_BUFFER = bytearray(1 << 20)


class Connection:
    """One slot: asks for the next request's body when it has the last one."""

    def __init__(self, address: tuple[str, int], requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._head = b""
        self._left = 0
        self.bodies = self.bytes = 0

    def ask(self) -> bool:
        """Send the next request; False when there is none."""
        request = next(self._requests, None)
        if request is not None:
            self.socket.sendall(request)
        return request is not None

    def read(self) -> bool:
        """Take what has come; whether something more will."""
        count = self.socket.recv_into(_BUFFER)
        if not count:
            raise ConnectionError("the server closed the connection")
        if not self._left:
            self._head += bytes(_BUFFER[:count])
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return True
            length = _LENGTH.search(head)
            if b" 200 " not in head[:20] or length is None:
                raise ConnectionError(f"unexpected answer: {head!r}")
            self._head, self._left, count = b"", int(length[1]), len(body)
        self._left -= count
        self.bytes += count
        if self._left:
            return True
        self.bodies += 1
        return self.ask()


def fetch(urls: list[str], concurrency: int) -> tuple[int, int]:
    """How many bodies came, and their bytes."""
    parts = urlsplit(urls[0])
    assert parts.hostname
    assert parts.port
    requests = (
        f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        for url in urls
    )
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        connections = [
            Connection((parts.hostname, parts.port), requests)
            for _ in range(min(concurrency, len(urls)))
        ]
        for connection in connections:
            stack.enter_context(connection.socket)
            if connection.ask():
                selector.register(connection.socket, selectors.EVENT_READ, connection)
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.read():
                    selector.unregister(key.fileobj)
    return sum(c.bodies for c in connections), sum(c.bytes for c in connections)


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text().split()
    begun = time.perf_counter()
    print(*fetch(lines, int(sys.argv[2])), time.perf_counter() - begun)
