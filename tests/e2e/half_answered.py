"""A site of nine pages of which some hang, for iterations that are left: `scraper.run`, `arun`."""

import threading
from collections.abc import Iterator
from pathlib import Path

import scraper
from tests.servers import HttpServer, Reply, Request, Serve

PAGES = 9


class HalfAnswered:
    """Answers `quick` pages; the others hang in the middle of their body until `go` is set.

    With fewer than four the quick ones wait until another hangs.
    """

    def __init__(self, serve: Serve, quick: int) -> None:
        self.go = threading.Event()
        self._hangs = threading.Event()
        self._quick = quick
        self.server: HttpServer = serve(self._answer)

    @property
    def urls(self) -> list[str]:
        """A line for each page; the key is its number."""
        return urls(self.server, PAGES)

    def _answer(self, request: Request) -> Reply:
        if self.go.is_set() or int(request.path[1:]) < self._quick:
            delay = self._hangs if self._quick < 4 else None
            return Reply(body=request.path.encode(), delay=delay)
        self._hangs.set()
        return Reply(body=self._half(request))

    def _half(self, request: Request) -> Iterator[bytes]:
        yield b"half of "
        self.go.wait(60)
        yield request.path.encode()

    def is_left_alone(self) -> bool:
        """Whether no socket of this process is connected to it any more."""
        port = f":{int(self.server.url.rpartition(':')[2]):04X}"
        table = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
        return not any(row[2].endswith(port) and row[3] == "01" for row in map(str.split, table))

    def is_finished_by_another_run(self, to: Path, engine: str) -> None:
        """Let it answer, and see that a run that goes on tells every line, and all are stored."""
        self.go.set()
        again = list(scraper.run(self.urls, to=to, resume=True, engine=engine))  # type: ignore[arg-type]
        assert {result.target.line for result in again} == set(range(1, PAGES + 1))
        assert all(result.ok for result in again)
        assert not list((to / ".scraper").glob("tmp/run-*"))


def urls(server: HttpServer, count: int) -> list[str]:
    """Lines for so many pages; the key of each is its number."""
    return [f"{server.url}/{number}\t{number}" for number in range(count)]


def is_free(to: Path) -> bool:
    """Whether another run can have the destination."""
    return list(scraper.run([], to=to)) == []
