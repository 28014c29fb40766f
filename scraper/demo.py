"""The demo: a small but realistic site and an S3 endpoint, on loopback.

The site has what a list of URLs meets on the web, and needs no network: pages, images,
redirects, a slow page, flaky pages, a 404, a 429 with Retry-After, a compressed page, a large one.
Its content is the same at each start.

Owns: the pages of the site, the bucket, and the example list. Does not know: the scraper.
Rejected: a web framework, since the standard library's server is enough. Rejected: files on disk.
"""

import gzip
import hashlib
import logging
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from scraper.model.errors import NoThread, UsageError
from scraper.model.threads import start_thread

SITE_PORT = 8642
S3_PORT = 8643
BUCKET = "demo"
ARTICLES = 300
IMAGES = 40
_SLOW_S = 2.0
_BIG_BYTES = 5_000_000
_MODIFIED = "Mon, 02 Nov 2026 08:00:00 GMT"
_TOPICS = ("Harbours", "Lighthouses", "Bridges", "Canals", "Ferries", "Islands", "Tides")
_SENTENCES = (
    "The keeper wrote down the weather every hour, and the list is still there.",
    "Nobody had counted the boats before, so nobody believed the number.",
    "At low water the old road comes out of the sand for an hour or two.",
    "It was built in one summer and repaired in every summer since.",
    "The map shows a bridge here, which is how the argument began.",
)


@dataclass(frozen=True, slots=True)
class Page:
    """A response. `headers` are sent beside the usual ones, after `delay_s` seconds."""

    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Site:
    """A context manager that serves the site. `port` 0 means a free port.

    Raises UsageError if the port is in use.
    """

    def __init__(self, port: int = SITE_PORT) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UsageError(_taken(port, "--port", error)) from None
        self._server.pages = _pages()
        self._server.met = set()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._server.pages["/urls.txt"] = lambda: Page(self._list(), "text/plain; charset=utf-8")

    def __enter__(self) -> Self:
        """Begin to serve."""
        start_thread("site", partial(self._server.serve_forever, 0.05))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def _list(self) -> bytes:
        paths = [path for path in self._server.pages if path.startswith(("/articles/", "/images/"))]
        return "".join(f"{self.url}{path}\n" for path in paths).encode()


class NoMoto(UsageError):
    """Moto, which is the S3 endpoint, is not installed."""


class Bucket:
    """A context manager that serves an S3 endpoint (moto's server) with one empty bucket.

    Raises NoMoto.
    """

    def __init__(self, port: int = S3_PORT) -> None:
        try:
            from moto.server import ThreadedMotoServer
        except ImportError:
            raise NoMoto("the demo's S3 needs moto: pip install 'moto[s3,server]'") from None
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._port = port
        self._moto = ThreadedMotoServer("127.0.0.1", port, verbose=False)
        self.url = ""

    def __enter__(self) -> Self:
        """Begin to serve, and create the bucket. Raises UsageError if the port is in use."""
        try:
            _probe_port(self._port)
        except OSError as error:
            raise UsageError(_taken(self._port, "--s3-port", error)) from None
        try:
            self._moto.start()
        except RuntimeError:  # "can't start new thread"
            raise NoThread from None
        host, port = self._moto.get_host_and_port()
        self.url = f"http://{host}:{port}"
        _put_bucket(self.url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._moto.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make an S3 client use this endpoint, with its credentials."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def example_list(port: int = SITE_PORT) -> str:
    """The list that explains its own grammar, for the site at `port`."""
    return _EXAMPLE.replace("{site}", f"http://127.0.0.1:{port}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    pages: dict[str, Callable[[], Page]]
    met: set[str]

    @cached_property
    def lock(self) -> threading.Lock:
        return threading.Lock()

    def is_first(self, path: str) -> bool:
        """Whether this is the first request for `path` since the start."""
        with self.lock:
            first = path not in self.met
            self.met.add(path)
            return first


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo"
    sys_version = ""
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer with the page of the path."""
        path = urlsplit(self.path).path
        page = self.server.pages.get(path, _missing)()
        if path.startswith("/flaky") and self.server.is_first(path):
            page = Page(b"try again\n", "text/plain", 503)
        elif path == "/busy" and self.server.is_first(path):
            page = Page(b"slow down\n", "text/plain", 429, {"Retry-After": "1"})
        if page.delay_s:
            time.sleep(page.delay_s)
        self._answer(page)

    def _answer(self, page: Page) -> None:
        etag = f'"{hashlib.sha256(page.body).hexdigest()[:16]}"'
        unchanged = page.status == 200 and self.headers.get("If-None-Match") == etag
        self.send_response(304 if unchanged else page.status)
        if page.status == 200:
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", _MODIFIED)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if not unchanged:
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if not unchanged:
            self.wfile.write(page.body)

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing: the log of the scraper is what the user watches."""


def _pages() -> dict[str, Callable[[], Page]]:
    """Every path of the site, with a function that makes its page."""
    pages: dict[str, Callable[[], Page]] = {
        "/": lambda: Page(_html("The Shore", "".join(_links()))),
        "/styles/site.css": lambda: Page(b"body { max-width: 40em }\n", "text/css"),
        "/feed.xml": lambda: Page(_feed(), "application/rss+xml"),
        "/robots.txt": lambda: Page(b"User-agent: *\nAllow: /\n", "text/plain"),
        "/api/items": lambda: Page(b'{"items": ["ferry", "tide", "light"]}\n', "application/json"),
        "/moved": lambda: _redirect(301, "/articles/0001.html"),
        "/temporary": lambda: _redirect(302, "/moved"),
        "/slow": lambda: Page(_html("Slow", "<p>Worth the wait.</p>"), delay_s=_SLOW_S),
        "/busy": lambda: Page(_html("Busy", "<p>Thank you for your patience.</p>")),
        "/compressed": _compressed,
        "/big.bin": lambda: Page(_big(), "application/octet-stream"),
    }
    for number in range(1, 4):
        pages[f"/flaky/{number}.html"] = lambda: Page(_html("Flaky", "<p>Up again.</p>"))
    for number in range(1, ARTICLES + 1):
        pages[f"/articles/{number:04}.html"] = lambda number=number: Page(_article(number))  # type: ignore[misc]
    for number in range(1, IMAGES + 1):
        pages[f"/images/{number:02}.png"] = lambda number=number: Page(_png(number), "image/png")  # type: ignore[misc]
    return pages


def _missing() -> Page:
    return Page(_html("Not found", "<p>No such page.</p>"), status=404)


def _redirect(status: int, to: str) -> Page:
    return Page(b"moved\n", "text/plain", status, {"Location": to})


def _compressed() -> Page:
    body = gzip.compress(_html("Compressed", "<p>Small on the wire.</p>" * 400), mtime=0)
    return Page(body, headers={"Content-Encoding": "gzip"})


def _big() -> bytes:
    return hashlib.shake_256(b"the sea").digest(_BIG_BYTES)


def _links() -> Iterator[str]:
    for number in range(1, ARTICLES + 1):
        yield f'<p><a href="/articles/{number:04}.html">{_title(number)}</a></p>\n'


def _title(number: int) -> str:
    return f"{_TOPICS[number % len(_TOPICS)]}, part {number}"


def _article(number: int) -> bytes:
    lines = [_SENTENCES[(number * 7 + i * 3) % len(_SENTENCES)] for i in range(20 + number % 60)]
    image = number % IMAGES + 1
    following = number % ARTICLES + 1
    body = f'<img src="/images/{image:02}.png" alt=""><p>{"</p><p>".join(lines)}</p>'
    return _html(_title(number), f'{body}<a href="/articles/{following:04}.html">next</a>')


def _html(title: str, body: str) -> bytes:
    head = f'<title>{title}</title><link rel="stylesheet" href="/styles/site.css">'
    text = f"<!doctype html><html lang=en><head>{head}</head><body><h1>{title}</h1>{body}</body>"
    return f"{text}</html>\n".encode()


def _feed() -> bytes:
    items = "".join(f"<item><title>{_title(n)}</title></item>" for n in range(1, 21))
    return f'<rss version="2.0"><channel><title>The Shore</title>{items}</channel></rss>'.encode()


def _png(number: int) -> bytes:
    """A PNG (RFC 2083) of 64 by 48 pixels, with a gradient in a colour of its own."""
    red, green, blue = (number * 37) % 256, (number * 91) % 256, (number * 53) % 256
    rows = b"".join(
        b"\0" + bytes((red, (green + y * 4) % 256, blue)) * 64 for y in range(48)
    )  # filter 0, then RGB
    head = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _probe_port(port: int) -> None:
    with ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler):
        pass


def _put_bucket(endpoint: str) -> None:
    """Create the bucket. A plain request does, since moto asks for no signature."""
    from http.client import HTTPConnection

    connection = HTTPConnection(endpoint.removeprefix("http://"), timeout=30)
    connection.request("PUT", f"/{BUCKET}")
    answer = connection.getresponse()
    connection.close()
    if answer.status != 200:
        raise UsageError(f"the demo's S3 endpoint did not make its bucket: HTTP {answer.status}")


def _taken(port: int, option: str, error: OSError) -> str:
    return f"port {port} can't be served ({error.strerror}): choose another with {option}"


_EXAMPLE = """\
# A list of URLs, as `scraper` reads it. This one is of the demo site:
#
#     scraper demo --write-list urls.example.txt
#     scraper demo -- scraper urls.example.txt --to out --max-failures 1
#
# One target a line. Blank lines and lines that start with '#' are skipped.
# The list is UTF-8; a byte order mark and Windows line ends do no harm.

# A URL alone. Its key, the name of the object, is made from it: host/path.
{site}/
{site}/articles/0001.html
{site}/articles/0002.html
{site}/articles/0003.html
{site}/images/01.png
{site}/images/02.png
{site}/styles/site.css
{site}/feed.xml
{site}/robots.txt

# A query, or a name that some file system would not keep apart from another,
# gets a short hash: items--<13 characters>
{site}/api/items?page=1
{site}/api/items?page=2

# URL<TAB>key: a name of your own. Unsafe characters are replaced; a key that
# would leave the destination is a failure of its line.
{site}/articles/0004.html	reading/first.html
{site}/articles/0005.html	reading/second.html
{site}/images/03.png	pictures/cover.png

# A line that begins with '{' is JSON: url, and if you like key and headers,
# which are sent for this target only.
{"url": "{site}/articles/0006.html"}
{"url": "{site}/articles/0007.html", "key": "reading/third.html"}
{"url": "{site}/api/items", "headers": {"Accept": "application/json"}}

# A fragment is dropped for the request; unescaped characters are encoded as a
# browser would.
{site}/articles/0008.html#the-end
{site}/api/items?q=café au lait

# Redirects are followed (--max-redirects); the key stays the listed URL's.
{site}/moved
{site}/temporary

# A slow page holds one slot, and no other target waits for it.
{site}/slow

# These fail at first (503), and are tried again with a growing delay.
{site}/flaky/1.html
{site}/flaky/2.html
{site}/flaky/3.html

# 429 with Retry-After: the whole host is left alone for so long.
{site}/busy

# Sent with gzip, stored as it is meant (--raw keeps the bytes as sent).
{site}/compressed

# A few megabytes.
{site}/big.bin

# The same URL and key again is fetched once: this line ends as `duplicate`.
{site}/articles/0001.html

# This page is not there, on purpose: one line ends as `failed`, of kind `http_status`. A line
# that is no URL would be a failure too, of kind `bad_url`. Neither stops the run.
{site}/missing
"""
