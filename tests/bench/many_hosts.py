"""What a line costs as hosts grow: `python -m tests.bench.many_hosts`.

Each line has a host of its own, all of them loopback: names by a stub in place of the system's
look-up, or addresses in 127.0.0.0/8. Processor time a line should be the same for 1,000 hosts as
for 100,000. Owns: that measurement. It is no test: the figures depend on the machine.
"""

import argparse
import asyncio
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import scraper

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"
_system = socket.getaddrinfo


class _Page(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_RESPONSE)


def serve(port: Connection) -> None:
    """Answer every request on every address of 127.0.0.0/8, and say at which port."""

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Page, "0.0.0.0", 0, backlog=4096)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
    """Every name is loopback."""
    return (
        _system("127.0.0.1", *args, **kwargs)
        if str(host).endswith(".test")
        else _system(host, *args, **kwargs)
    )


def urls(kind: str, hosts: int, port: int) -> Iterator[str]:
    """One URL of each host."""
    for number in range(hosts):
        address = f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
        yield f"http://{f'h{number}.test' if kind == 'names' else address}:{port}/"


def main() -> None:
    """Print a line for each number of hosts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="curl", choices=["curl", "threads"])
    parser.add_argument("--kind", default="names", choices=["names", "addresses"])
    parser.add_argument("hosts", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--scratch", help="a directory, best in memory, for what is stored")
    given = parser.parse_args()
    socket.getaddrinfo = look_up
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    for hosts in given.hosts:
        with tempfile.TemporaryDirectory(dir=given.scratch) as directory:
            lines = urls(given.kind, hosts, port)
            begun = time.process_time()
            results = scraper.run(
                lines, to=directory, engine=given.engine, max_concurrency=64, key="{line}"
            )
            stored = sum(result.status == "stored" for result in results)
            cpu_us = (time.process_time() - begun) / hosts * 1e6
        print(f"{given.engine}, {hosts:,} {given.kind}: {stored:,} stored, {cpu_us:.0f} us a line")
    server.terminate()


if __name__ == "__main__":
    main()
