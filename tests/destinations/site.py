"""A site for the promises: pages that are a function of their path, and what was asked of it."""

import threading
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256

from tests.servers import HttpServer, Reply, Request

LARGE = 12_000_000  # more than is kept in memory on its way to any store
_DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def body(path: str) -> bytes:
    """The page at `path`: `/large` is large, `/huge/N` has N bytes, others a few thousand."""
    if path.startswith("/huge/"):
        return b"\0" * int(path.rpartition("/")[2])
    size = LARGE if path == "/large" else 2_000 + int(sha256(path.encode()).hexdigest()[:3], 16)
    return (path.encode() * size)[:size]


class Site(HttpServer):
    """`asked` counts requests by path and by what a run calls itself (`X-Run`).

    `hold`: of which page the second half waits for `release`. `/cut` breaks off in the middle.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.hold = ""
        self.held = threading.Event()
        self._let_go = threading.Event()
        super().__init__(self._reply, keep_requests=False)

    def asked_by(self, run: str) -> set[str]:
        """The paths that this run asked for."""
        return {path for one, path in self.asked if one == run}

    def release(self) -> None:
        """Let go what is held, and hold nothing more."""
        self.hold = ""
        self._let_go.set()
        self.held, self._let_go = threading.Event(), threading.Event()

    def close(self) -> None:
        """Also of what is held."""
        self.release()
        super().close()

    def _reply(self, request: Request) -> Reply:
        path = request.plain_path
        self.asked[request.headers.get("x-run", ""), path] += 1
        if request.headers.get("if-modified-since") == _DATE:
            return Reply(304, {"Last-Modified": _DATE})
        headers = {"Last-Modified": _DATE, "Content-Type": "text/plain"}
        if path.startswith("/huge/"):
            size = int(path.rpartition("/")[2])
            headers["Content-Length"] = str(size)
            piece = b"\0" * min(size, 1 << 20)
            return Reply(200, headers, (piece for _ in range(size // len(piece))))
        page = body(path)
        headers["Content-Length"] = str(len(page))
        return Reply(200, headers, self._pieces(path, page), close=path == "/cut")

    def _pieces(self, path: str, page: bytes) -> Iterator[bytes]:
        half = len(page) // 2
        yield page[:half]
        if path == self.hold:
            let_go = self._let_go
            self.held.set()
            let_go.wait()
        if path == "/cut":
            raise ConnectionAbortedError
        yield page[half:]
