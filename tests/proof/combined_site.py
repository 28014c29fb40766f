"""A site of many hosts whose pages do everything at once; a function of its seed.

    with CombinedSite(seed=17, pages=24) as site:
        site.begin_run("1", Hold(3, "half"))    # requests with `X-Run: 1` belong to it
        ...
        site.wait_until(lambda: site.held)
        assert site.most_at_once["1"] <= 8

A page may break off and be continued, be busy at first, change between rounds (also back to
what it was before), lie behind redirects, be forbidden by robots.txt, depend on a header,
be too large, or be gone. `served` is every body that it ever began to send: an object must
be one of them, whole.
"""

import gzip
import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256

from tests.proof.site import Hold
from tests.servers import HttpFarm, Reply, Request

RUN = "x-run"  # the header that says which run asks
FORM = "x-form"  # the header that some bodies depend on
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
MOST = 5_000_000  # bytes: what is larger is refused
TOO_LARGE = 6_000_000
HUGE = 9_000_000  # more than is kept in memory on its way to S3
_SIZES = (0, 1, 17, 1_000, 8_191, 65_536, 65_537, 300_000)
_BLOCKS = 4  # parts that a body is sent in
_EPOCH = 1_700_000_000
ROBOTS = {  # by host; the last has none
    HOSTS[0]: "User-agent: *\nDisallow: /private/\nAllow: /private/open/\nCrawl-delay: 0\n",
    HOSTS[1]: "User-agent: other\nDisallow: /\n\nUser-agent: scraper\nDisallow: /private\n",
}


@dataclass(frozen=True, slots=True)
class Page:
    """How one page behaves.

    `life`: what it is from round to round (steady, new, swings: A, B, A). `trouble`: what befalls
    the first request of some runs (none, busy, cut, reset, turned: cut, and then another body).
    `way`: how it is reached (direct, moved: redirected to another end each round, across: to
    another host, twice, barred: to where robots.txt forbids, endless). `sort`: good, private,
    gone or large.
    """

    number: int
    host: str
    sort: str
    size: int
    framing: str  # length, pieces, gzip (if it is accepted) or zipped (always)
    validator: str  # strong, weak, date, both or none
    life: str
    trouble: str
    way: str
    varies: bool  # with the header `FORM`
    ranges: bool  # a body can be continued

    @property
    def start(self) -> str:
        """The path that a list names."""
        if self.sort == "private":
            return f"/private/{self.number}.html"
        return f"/{'p' if self.way == 'direct' else 'r'}/{self.number}.html"


def _page(seed: int, number: int) -> Page:
    dice = random.Random(f"{seed} {number}")
    sort = dice.choices(["good", "private", "gone", "large"], [20, 2, 1, 1])[0]
    size = dice.choice(_SIZES) if number else dice.choice([1_500_000, 1_500_000, HUGE // 2])
    ways, weights = ["direct", "moved", "across", "twice", "barred", "endless"], [14, 2, 2, 2, 1, 1]
    return Page(
        number,
        dice.choice(HOSTS),
        sort,
        TOO_LARGE if sort == "large" else size,
        "length" if sort == "large" else dice.choice(["length"] * 3 + ["pieces", "gzip", "zipped"]),
        dice.choice(["strong", "strong", "weak", "date", "both", "none"]),
        dice.choice(["steady", "steady", "new", "swings"]),
        dice.choice(["none"] * 3 + ["busy", "cut", "cut", "reset", "turned"]),
        dice.choices(ways, weights)[0] if sort == "good" else "direct",
        dice.random() < 0.2,
        dice.random() < 0.8,
    )


@lru_cache(maxsize=2_000)
def _body(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


class CombinedSite(HttpFarm):
    """`pages` of them on three hosts of one port.

    By run: `most_at_once`, `most_by_host` (the host that is asked, also where a redirect led),
    `asked` (the requests), `bytes`. `served`: of each page, the digests of its bodies: as they
    are (`plain`) and as they were sent; `served_in`: these by run, also if a 304 spoke of them.
    """

    def __init__(self, seed: int, pages: int) -> None:
        self.seed = seed
        self.pages = [_page(seed, number) for number in range(pages)]
        self.round = 0  # what pages are in depends on it
        self.run = ""
        self.held = False
        self.asked: defaultdict[str, list[Request]] = defaultdict(list)
        self.bytes: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.most_by_host: Counter[tuple[str, str]] = Counter()
        self.served: defaultdict[int, defaultdict[str, set[Body]]] = defaultdict(_of_sets)
        self.served_in: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        self.worst: dict[str, list[str]] = {}  # by run: paths when most were at once
        self._paths: defaultdict[str, list[str]] = defaultdict(list)
        self._now: Counter[str] = Counter()
        self._now_by_host: Counter[tuple[str, str]] = Counter()
        self._turned: Counter[int] = Counter()
        self._met: Counter[tuple[str, int]] = Counter()
        self._count = 0  # of responses, since the last `begin_run`
        self._hold: Hold | None = None
        self._let_go = threading.Event()
        super().__init__(self._reply, HOSTS, keep_requests=False)

    # ---- for stories

    def begin_run(self, run: str, hold: Hold | None) -> None:
        """The next requests are of `run`; "": of several, one of which is held."""
        with self._changed:
            self.run, self._hold, self.held, self._count = run, hold, False, 0
            self._let_go = threading.Event()

    def release(self) -> None:
        """Let the response go that is held, and hold no other."""
        self._hold = None
        self._let_go.set()

    def close(self) -> None:
        """Also of what is held."""
        self.release()
        super().close()

    def tell(self) -> None:
        """Something happened elsewhere: whoever waits looks again."""
        with self._changed:
            self._changed.notify_all()

    def requests_of(self, run: str) -> list[Request]:
        """So far, robots.txt among them."""
        with self._changed:
            return list(self.asked[run])

    def current(self, page: Page, form: str) -> "Body":
        """What is there now."""
        return self._content(page, self._end_of(page), form)

    # ---- counting

    def _begin(self, request: Request) -> None:
        super()._begin(request)
        run, host = request.headers.get(RUN, ""), request.address
        with self._changed:
            self.asked[run].append(request)
            if self._counts(request):
                self._now[run] += 1
                self._now_by_host[run, host] += 1
                self._paths[run].append(request.path)
                if self._now[run] > self.most_at_once[run]:
                    self.worst[run] = list(self._paths[run])
                self.most_at_once[run] = max(self.most_at_once[run], self._now[run])
                most = max(self.most_by_host[run, host], self._now_by_host[run, host])
                self.most_by_host[run, host] = most

    def _end(self, request: Request) -> None:
        run, host = request.headers.get(RUN, ""), request.address
        with self._changed:
            if self._counts(request):
                self._now[run] -= 1
                self._paths[run].remove(request.path)
                self._now_by_host[run, host] -= 1
        super()._end(request)

    def _counts(self, request: Request) -> bool:
        """Not what the client leaves in the middle, as this server learns too late."""
        page = self.page_of(request)
        return page is None or page.sort != "large"

    def page_of(self, request: Request) -> Page | None:
        """The page that a request has to do with; None for a robots.txt."""
        found = re.match(r"/[a-z]+/(\d+)", request.path)
        return self.pages[int(found[1])] if found else None

    # ---- answering

    def _reply(self, request: Request) -> Reply | None:
        run = request.headers.get(RUN, "")
        with self._changed:
            counted = self.run in {"", run}
            self._count += counted
            hold = self._hold if counted else None
            if hold is not None and hold.number != self._count:
                hold = hold if hold.or_later and hold.number < self._count else None
        if hold is not None and hold.where == "head":
            self._wait()
        page = self.page_of(request)
        if page is None:
            return _robots(request)
        if page.sort == "gone":
            return Reply(410 if page.number % 2 else 404)
        if (hop := self._hop(page, request)) is not None:
            return Reply(302 if page.number % 2 else 308, {"Location": hop}, b"moved")
        trouble = self._trouble(page, run)
        if trouble == "reset":
            return None
        if trouble == "busy":
            return Reply(503, {"Retry-After": "0"} if page.number % 2 else {}, b"busy")
        half = hold if hold is not None and hold.where == "half" else None
        return self._send_page(page, request, trouble, half)

    def _trouble(self, page: Page, run: str) -> str:
        """What befalls this request: the first for a page in some of the runs."""
        with self._changed:
            self._met[run, page.number] += 1
            first = self._met[run, page.number] == 1
            if not first or (_number_of(run) + page.number) % 3:
                return "none"
            return page.trouble

    def _end_of(self, page: Page) -> str:
        """Where the page itself is, now."""
        if page.way == "direct":
            return page.start
        if page.way == "barred":
            return f"/private/{page.number}.html"
        return f"/p/{page.number}.html" + ("?b" if page.way == "moved" and self.round % 2 else "")

    def _hop(self, page: Page, request: Request) -> str | None:
        """Where a request is sent on to; None: it is there."""
        path, end = request.path, self._end_of(page)
        if page.way == "endless":
            return f"{page.start}?{len(path)}"
        if path == end:
            return None
        other = HOSTS[(HOSTS.index(page.host) + 1) % len(HOSTS)]
        if page.way == "twice" and path == page.start:
            return f"{self.url_of(other)}{page.start}?on"
        return self.url_of(other) + end if page.way == "across" else end

    def _content(self, page: Page, path: str, form: str) -> "Body":
        changes = {"steady": 0, "new": self.round, "swings": self.round}[page.life]
        version = changes % 2 if page.life == "swings" else changes
        turned = self._turned[page.number]
        form = form if page.varies else ""
        size = page.size + (version if page.number % 2 and page.size and page.sort == "good" else 0)
        plain = _body(f"{self.seed} {path} {version} {turned} {form}", size)
        times = changes + turned + (self.round if page.way == "moved" else 0)
        return Body(plain, form, _EPOCH + 60 * times, turned)

    def _send_page(self, page: Page, request: Request, trouble: str, hold: Hold | None) -> Reply:
        body = self._content(page, request.path, request.headers.get(FORM, ""))
        coded = page.framing == "zipped" or (
            page.framing == "gzip" and "gzip" in request.headers.get("accept-encoding", "")
        )
        sent = gzip.compress(body.plain, 1, mtime=0) if coded else body.plain
        digests = {sha256(body.plain).hexdigest(), sha256(sent).hexdigest()}
        with self._changed:
            for digest in digests:
                self.served[page.number][digest].add(body)
            self.served_in[request.headers.get(RUN, ""), page.number] |= digests
        headers = _validators(page, body, coded=coded and page.framing == "gzip")
        if _is_unchanged(request, headers):
            return Reply(304, headers)
        if coded:
            headers["Content-Encoding"] = "gzip"
        status, start = 200, _start_of_range(request, headers, len(sent)) if page.ranges else 0
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(sent) - 1}/{len(sent)}"
            sent = sent[start:]
        if page.framing != "pieces":
            headers["Content-Length"] = str(len(sent))
        cut = trouble in {"cut", "turned"}
        pieces = self._pieces(page, request, sent, trouble=trouble, hold=hold)
        return Reply(status, headers, pieces, close=cut)

    def _pieces(
        self, page: Page, request: Request, body: bytes, *, trouble: str, hold: Hold | None
    ) -> Iterator[bytes]:
        step = max(1, -(-len(body) // _BLOCKS))
        for start in range(0, len(body) or 1, step):
            if start >= step * (_BLOCKS // 2):
                if hold is not None:
                    self._wait()
                    hold = None
                if trouble in {"cut", "turned"}:
                    with self._changed:
                        self._turned[page.number] += trouble == "turned"
                    raise ConnectionAbortedError  # the server ends the connection, as a crash would
            piece = body[start : start + step]
            with self._changed:
                self.bytes[request.headers.get(RUN, "")] += len(piece)
                self._changed.notify_all()
            yield piece

    def _wait(self) -> None:
        """Hold the response until `release`."""
        with self._changed:
            if self.held:
                return  # another one is
            let_go, self.held = self._let_go, True
            self._changed.notify_all()
        let_go.wait()


@dataclass(frozen=True, slots=True)
class Body:
    """One body of a page: `form` as the header asked; `changed`: seconds since 1970."""

    plain: bytes
    form: str
    changed: int
    turned: int


def _of_sets() -> "defaultdict[str, set[Body]]":
    return defaultdict(set)


def _number_of(run: str) -> int:
    return int(run) if run.isdigit() else len(run)


def _robots(request: Request) -> Reply:
    text = ROBOTS.get(request.address)
    return Reply(404) if text is None else Reply(200, {"Content-Type": "text/plain"}, text.encode())


def _validators(page: Page, body: Body, *, coded: bool) -> dict[str, str]:
    headers = {"Date": formatdate(usegmt=True), "Vary": f"{FORM}, accept-encoding"}
    tag = f'"{sha256(body.plain).hexdigest()[:20]}{"-gz" if coded else ""}"'
    if page.validator in {"strong", "both"}:
        headers["ETag"] = tag
    if page.validator == "weak":
        headers["ETag"] = f"W/{tag}"
    if page.validator in {"date", "both"}:
        headers["Last-Modified"] = formatdate(body.changed, usegmt=True)
    return headers


def _is_unchanged(request: Request, headers: dict[str, str]) -> bool:
    """By If-None-Match, else by If-Modified-Since (RFC 9110 13.2.2)."""
    tag, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
    if tag is not None:
        return tag.removeprefix("W/") == headers.get("ETag", "").removeprefix("W/")
    if since is None or "Last-Modified" not in headers:
        return False
    changed, known = map(parsedate_to_datetime, (headers["Last-Modified"], since))
    return changed <= known


def _start_of_range(request: Request, headers: dict[str, str], size: int) -> int:
    """Where the rest begins that is asked for; 0 for all of it."""
    wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    condition = request.headers.get("if-range")
    if not wanted or condition is None or int(wanted[1]) >= size:
        return 0
    strong = {headers.get("ETag"), headers.get("Last-Modified")}
    return int(wanted[1]) if condition in strong and not condition.startswith("W/") else 0
