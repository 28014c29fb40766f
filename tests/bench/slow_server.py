"""A small HTTP server that can wait: `python -m tests.bench.slow_server ROOT PORT HOST...`

With `--tls PEM` before these it speaks TLS, with the certificate and key in that file.

Answers GET /NAME with a file of ROOT, /page/NAME with its page.bin, and
/after/MS/NAME with that after MS milliseconds. It stands in for nginx, or for
nginx's echo module, where Debian's package is not installed.
"""

import asyncio
import functools
import signal
import ssl
import sys
from pathlib import Path

_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Answers(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._head = b""
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1].decode("latin-1").lstrip("/"))

    def _answer(self, path: str) -> None:
        if path.startswith("after/"):
            delay_ms = int(path.split("/")[1])
            reply = _reply(self._root / "page.bin")
            self._loop.call_later(delay_ms / 1000, self._send, reply)
        elif path.startswith("page/"):
            self._send(_reply(self._root / "page.bin"))
        else:
            self._send(_reply(self._root / path))

    def _send(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


@functools.lru_cache(maxsize=20_000)
def _reply(path: Path) -> bytes:
    try:
        body = path.read_bytes()
    except OSError:
        return _MISSING
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve(root: Path, port: int, hosts: list[str], pem: str | None) -> None:
    """Until SIGTERM."""
    context = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await loop.create_server(
        lambda: Answers(root),
        hosts,
        port,
        reuse_port=True,
        reuse_address=True,
        backlog=4096,
        ssl=context,
    )
    await ended.wait()


if __name__ == "__main__":
    words = sys.argv[1:]
    given = words[1] if words[0] == "--tls" else None
    root_, port_, *hosts_ = words[2:] if given else words
    asyncio.run(serve(Path(root_), int(port_), hosts_, given))
