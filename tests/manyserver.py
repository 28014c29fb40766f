"""A server for more connections at once than there should be threads."""

import asyncio
import threading
from types import TracebackType
from typing import Self

from tests.servers import WAIT_S


class ManyServer:
    """Answers every GET with its path, but none before `together` of them waited at once.

    With `together` at the client's own limit, a run through it proves that so many were
    in flight; `most` is the most that there ever were. The gate opens once: a target that had to
    be asked again would wait behind it for company that never comes.
    """

    def __init__(self, together: int) -> None:
        self.together = together
        self.total = self.waiting = self.most = 0
        self._go = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="many-server", daemon=True)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await self._together()
                body = request.split(b" ", 2)[1]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _together(self) -> None:
        self.total += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        if self.waiting >= self.together:
            self._go.set()
        try:
            await self._go.wait()
        finally:
            self.waiting -= 1
