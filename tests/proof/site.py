"""A site whose pages are a function of their path, and which tells what is asked of it.

    with Site(40) as site:
        site.hold = Hold(3, "half")          # keep the third response half-way
        ...                                  # run a scraper that sends `X-Run: 1`
        site.wait_until(lambda: site.held)
        assert site.asked["1", "/p/0"] == 1
        assert stored == site.body("/p/0")

Sizes go from nothing to a few megabytes, some pages come in pieces or in gzip,
some fail at first, most have validators, and a body that broke off can be continued.
A new `version` gives every other page another body, of the same length.
"""

import gzip
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from itertools import count, islice

from tests.servers import HttpServer, Reply, Request

GONE = "/gone"  # the page that nobody ever gets
RUN = "x-run"  # the header that says which run asks
_SIZES = (0, 1, 17, 1_000, 8_191, 65_536, 65_537, 300_000)
_LARGE = 3_000_000
HUGE = 9_000_000  # more than is kept in memory on its way to S3


@dataclass(frozen=True, slots=True)
class Page:
    """How one page behaves. `first`: what becomes of the first request for it, ever."""

    path: str
    size: int
    framing: str  # length, pieces or gzip
    tagged: bool  # has an ETag
    dated: bool  # has a Last-Modified
    first: str  # good, busy (503) or cut (in the middle of the body)


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep the `number`-th response of a run: before its `head`, or `half`-way.

    `or_later`: a later one, if that one has no body.
    """

    number: int
    where: str
    or_later: bool = False


@cache
def page(path: str) -> Page:
    """What the path says."""
    dice = random.Random(path)
    large = HUGE if path.endswith("77") else _LARGE
    size = large if path.endswith("7") else dice.choice(_SIZES)
    framing = dice.choice(["length", "length", "pieces", "gzip"])
    first = dice.choice(["good"] * 5 + ["busy", "cut"])
    return Page(path, size, framing, dice.random() < 0.7, dice.random() < 0.5, first)


@lru_cache(maxsize=1_000)
def _body(path: str, version: int) -> bytes:
    return random.Random(f"{path} {version}").randbytes(page(path).size)


class Site(HttpServer):
    """`pages` of them, of these sizes, and one that is gone.

    `asked` counts requests by run and path.
    """

    def __init__(self, pages: int, sizes: range = range(HUGE)) -> None:
        every = (f"/p/{number}" for number in count())
        self.paths = list(islice((path for path in every if page(path).size in sizes), pages))
        self.version = 1
        self.fails = True  # whether pages may fail at first
        self.asked: Counter[tuple[str, str]] = Counter()
        self.hold: Hold | None = None
        self.held = False  # whether a response is being held
        self._let_go = threading.Event()
        self._run = ""  # whose responses are counted
        self._responses = 0
        super().__init__(self._reply, keep_requests=False)

    def body(self, path: str, version: int | None = None) -> bytes:
        """What is there now, or was in another version."""
        return _body(path, self._version_of(path, version))

    def _version_of(self, path: str, version: int | None = None) -> int:
        """Of this page: every other never changes."""
        return (version or self.version) if int(path[3:]) % 2 else 1

    def release(self) -> None:
        """Let the response go that is held, and hold no other."""
        self.hold = None
        self._let_go.set()
        self._let_go = threading.Event()
        self.held = False

    def close(self) -> None:
        """Also of what is held."""
        self.release()
        super().close()

    def asked_by(self, run: str) -> set[str]:
        """The paths that a run asked for."""
        return {path for asking, path in self.asked if asking == run}

    def tell(self) -> None:
        """Something happened elsewhere: whoever waits looks again."""
        with self._changed:
            self._changed.notify_all()

    def _reply(self, request: Request) -> Reply:
        run, path = request.headers.get(RUN, ""), request.path
        with self._changed:
            if run != self._run:
                self._run, self._responses = run, 0
            self._responses += 1
            hold = self.hold
            if hold is not None and hold.number != self._responses:
                hold = None
            self.asked[run, path] += 1
        if hold is not None and hold.where == "head":
            self._wait()
        if path == GONE:
            return Reply(404)
        first = page(path).first if self.fails and self.hits[path] == 1 else "good"
        if first == "busy":
            return Reply(503)
        half = hold if hold is not None and hold.where == "half" else None
        return self._page(request, cut=first == "cut", hold=half)

    def _page(self, request: Request, *, cut: bool, hold: Hold | None) -> Reply:
        kind, body = page(request.path), self.body(request.path)
        tag = f'"{sha256(body).hexdigest()[:20]}"'
        date = f"Wed, 21 Oct 2015 07:2{self._version_of(request.path)}:00 GMT"
        headers = {"ETag": tag} if kind.tagged else {}
        if kind.dated:
            headers["Last-Modified"] = date
        previous = request.headers.get("if-none-match") or request.headers.get("if-modified-since")
        if previous in headers.values():
            return Reply(304, headers)
        if kind.framing == "gzip" and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1, mtime=0)
        status, wanted = 200, re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if wanted and request.headers.get("if-range") == tag and int(wanted[1]) < len(body):
            status, start = 206, int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
        if kind.framing != "pieces":
            headers["Content-Length"] = str(len(body))
        return Reply(status, headers, self._pieces(body, cut=cut, hold=hold), close=cut)

    def _pieces(self, body: bytes, *, cut: bool, hold: Hold | None) -> Iterator[bytes]:
        half = len(body) // 2
        yield body[:half]
        if hold is not None:
            self._wait()
        if cut:
            raise ConnectionAbortedError  # the server ends the connection, as a crash would
        yield body[half:]

    def _wait(self) -> None:
        """Hold the response until `release`."""
        with self._changed:
            let_go, self.held = self._let_go, True
            self._changed.notify_all()
        let_go.wait()
