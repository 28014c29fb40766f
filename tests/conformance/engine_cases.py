"""What a server may do on a socket, and what becomes of the target: for every engine.

Plain data. A case is what the server sends (bytes, or a script of
`tests/servers.py`) and what the attempt comes to: the stored body, or the kind of
its failure and whether that is one to retry.
"""

import gzip
import threading
import zlib
from dataclasses import dataclass, field

from scraper.errors import Kind
from scraper.settings import Http, Limits
from tests.servers import Script, drips, resets_at_once, silent, then_reset, then_silent

PAGE = b"<html>" + b"a page of some length\n" * 500
PACKED = gzip.compress(PAGE)
SOON_S = 0.3
IMPATIENT = Limits(read_timeout=SOON_S, max_time=60)
BRIEF = Limits(read_timeout=60, max_time=SOON_S)
NEVER = threading.Event()


@dataclass(frozen=True)
class Case:
    """`stores` or `kind`, one of them. `status` is the recorded HTTP status, None: no matter."""

    name: str
    sends: bytes | Script
    stores: bytes | None = None
    kind: Kind | None = None
    retried: bool = False
    status: int | None = None
    limits: Limits = field(default_factory=Limits)
    http: Http = field(default_factory=Http)


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    """A response head."""
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1")


def sized(body: bytes, *lines: str, length: int | None = None) -> bytes:
    """A response with a Content-Length."""
    return head(f"Content-Length: {len(body) if length is None else length}", *lines) + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked response."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head("Transfer-Encoding: chunked") + framed + end


def good(name: str, sends: bytes | Script, stores: bytes = PAGE, **more: Http | Limits) -> Case:
    """A case that ends stored."""
    http, limits = more.get("http", Http()), more.get("limits", Limits())
    assert isinstance(http, Http)
    assert isinstance(limits, Limits)
    return Case(name, sends, stores=stores, status=200, http=http, limits=limits)


WHOLE = [
    good("content-length", sized(PAGE)),
    good("empty body", sized(b""), b""),
    good("body up to the close", head("Content-Type: text/html") + PAGE),
    good("empty body up to the close", head("Connection: close"), b""),
    good("HTTP/1.0", head(status="HTTP/1.0 200 OK") + PAGE),
    good("no reason phrase", head("Content-Length: 2", status="HTTP/1.1 200") + b"hi", b"hi"),
    good("line feeds only", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"hi"),
    good("more than the length", sized(b"hiEXTRA", length=2), b"hi"),
    good("folded header", head("X-Long: one", "  two", "Content-Length: 2") + b"hi", b"hi"),
    good("headers in Latin-1", head("X-Name: caf\xe9", "Content-Length: 2") + b"hi", b"hi"),
    good("99 headers", head(*(f"X-{n}: y" for n in range(98)), "Content-Length: 2") + b"hi", b"hi"),
    good("100 Continue first", head(status="HTTP/1.1 100 Continue") + sized(PAGE)),
    good(
        "103 Early Hints first",
        head("Link: </a.css>; rel=preload", status="HTTP/1.1 103 Early Hints") + sized(PAGE),
    ),
    good(
        "several interim responses first",
        head(status="HTTP/1.1 102 Processing")
        + head("Link: </a>", status="HTTP/1.1 103 Early Hints") * 3
        + head(status="HTTP/1.1 100 Continue")
        + chunked(PAGE),
    ),
    good("multipart", sized(PAGE, "Content-Type: multipart/x-mixed-replace; boundary=b")),
]

CHUNKS = [
    good("chunks", chunked(PAGE[:10], PAGE[10:5000], PAGE[5000:])),
    good("no chunk", chunked(), b""),
    good(
        "chunk extensions",
        head("Transfer-Encoding: chunked") + b"2;a=b\r\nhi\r\n0;c\r\n\r\n",
        b"hi",
    ),
    good("trailers", chunked(PAGE, end=b"0\r\nX-Digest: abc\r\n\r\n")),
    good("coding in capitals", head("transfer-encoding: CHUNKED") + b"2\r\nhi\r\n0\r\n\r\n", b"hi"),
    good(
        "chunks beside a length",
        head("Content-Length: 9999", "Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\n\r\n",
        b"hi",
    ),
    Case("chunk torn", chunked(PAGE)[:-2000], kind=Kind.TRUNCATED, retried=True, status=200),
    Case("no last chunk", chunked(PAGE, end=b""), kind=Kind.TRUNCATED, retried=True, status=200),
    Case(
        "chunks reset",
        then_reset(chunked(PAGE, end=b"")),
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case(
        "chunk size is garbage",
        head("Transfer-Encoding: chunked") + b"zz\r\nhi\r\n0\r\n\r\n",
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case(
        "chunk size is negative",
        head("Transfer-Encoding: chunked") + b"-5\r\nhello\r\n0\r\n\r\n",
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case(
        "transfer coding not asked for",
        head("Transfer-Encoding: gzip, chunked") + b"2\r\nhi\r\n0\r\n\r\n",
        kind=Kind.PROTOCOL,
        status=200,
    ),
]

CODINGS = [
    good("gzip", sized(PACKED, "Content-Encoding: gzip")),
    good("zlib", sized(zlib.compress(PAGE), "Content-Encoding: deflate")),
    good(
        "gzip in chunks",
        chunked(PACKED[:9], PACKED[9:]).replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1),
    ),
    good("gzip, raw", sized(PACKED, "Content-Encoding: gzip"), PACKED, http=Http(raw=True)),
    Case(
        "gzip torn, the length fits",
        sized(PACKED[:-20], "Content-Encoding: gzip"),
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case(
        "gzip torn, up to the close",
        head("Content-Encoding: gzip") + PACKED[:-20],
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case("no gzip at all", sized(PAGE, "Content-Encoding: gzip"), kind=Kind.PROTOCOL, status=200),
    Case("unknown coding", sized(PAGE, "Content-Encoding: zstd"), kind=Kind.PROTOCOL, status=200),
    Case(
        "bomb",
        sized(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip"),
        kind=Kind.TOO_LARGE,
        status=200,
        limits=Limits(max_size=1_000_000),
    ),
]

LENGTHS = [
    Case(
        "shorter than its length",
        sized(PAGE, length=len(PAGE) + 1),
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case(
        "no body at all",
        sized(b"", length=5),
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    Case(
        "reset in mid body",
        then_reset(sized(PAGE, length=10**6)),
        kind=Kind.TRUNCATED,
        retried=True,
        status=200,
    ),
    *(
        Case(
            f"content-length {value}",
            head(f"Content-Length: {value}") + b"hello",
            kind=Kind.PROTOCOL,
        )
        for value in ("-5", "abc", "+5", "5, 6")
    ),
    Case(
        "two content-lengths",
        head("Content-Length: 5", "Content-Length: 6") + b"hello",
        kind=Kind.PROTOCOL,
    ),
    Case(
        "too large by its header",
        then_silent(sized(b"", length=10**12)),
        kind=Kind.TOO_LARGE,
        status=200,
        limits=Limits(max_size=1000),
    ),
    Case(
        "too large as it comes",
        drips(head("Content-Type: text/plain"), NEVER, b"x" * 400, 0.001),
        kind=Kind.TOO_LARGE,
        status=200,
        limits=Limits(max_size=1000),
    ),
]

STATUSES = [
    Case("404", sized(PAGE).replace(b"200 OK", b"404 No"), kind=Kind.HTTP_STATUS, status=404),
    Case(
        "500",
        sized(PAGE).replace(b"200 OK", b"500 Oh"),
        kind=Kind.HTTP_STATUS,
        status=500,
        retried=True,
    ),
    Case("status 999", head(status="HTTP/1.1 999 Denied"), kind=Kind.HTTP_STATUS, status=999),
    Case("status 000", head(status="HTTP/1.1 000 None"), kind=Kind.PROTOCOL),
    Case("status of words", head(status="HTTP/1.1 OK fine"), kind=Kind.PROTOCOL),
    Case("HTTP/0.9", PAGE, kind=Kind.PROTOCOL),
    Case("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n", kind=Kind.PROTOCOL),
    Case("HTTP/3.0", head("Content-Length: 0", status="HTTP/3.0 200 OK"), kind=Kind.PROTOCOL),
    Case(
        "150 headers",
        head(*(f"X-{n}: y" for n in range(150)), "Content-Length: 0"),
        kind=Kind.PROTOCOL,
    ),
    Case(
        "a header line of 70,000 bytes",
        head("X-Long: " + "y" * 70_000, "Content-Length: 0"),
        kind=Kind.PROTOCOL,
    ),
    Case(
        "a status line of 70,000 bytes",
        head("Content-Length: 0", status="HTTP/1.1 200 " + "y" * 70_000),
        kind=Kind.PROTOCOL,
    ),
    Case(
        "a header line without a colon",
        head("what is this", "Content-Length: 5") + b"hello",
        kind=Kind.PROTOCOL,
    ),
    Case(
        "redirect to nowhere",
        head("Location: //[::1", "Content-Length: 0", status="HTTP/1.1 302 Found"),
        kind=Kind.PROTOCOL,
        status=302,
    ),
    Case(
        "redirect to a file",
        head("Location: file:///etc/passwd", status="HTTP/1.1 301 Moved"),
        kind=Kind.PROTOCOL,
        status=301,
    ),
]

SILENCE = [
    Case("reset before an answer", resets_at_once, kind=Kind.CONNECT, retried=True),
    Case("closed before an answer", b"", kind=Kind.CONNECT, retried=True),
    Case("closed in the status line", b"HTTP/1.1 20", kind=Kind.CONNECT, retried=True),
    Case("closed in the headers", b"HTTP/1.1 200 OK\r\nX-A: b", kind=Kind.CONNECT, retried=True),
    Case(
        "closed after a header", b"HTTP/1.1 200 OK\r\nX-A: b\r\n", kind=Kind.CONNECT, retried=True
    ),
    Case("silent", silent, kind=Kind.TIMEOUT, retried=True, limits=IMPATIENT),
    Case(
        "silent in the headers",
        then_silent(b"HTTP/1.1 200 OK\r\nX-A"),
        kind=Kind.TIMEOUT,
        retried=True,
        limits=IMPATIENT,
    ),
    Case(
        "silent in the body",
        then_silent(sized(b"begun", length=100)),
        kind=Kind.TIMEOUT,
        retried=True,
        status=200,
        limits=IMPATIENT,
    ),
    Case("silent, max-time", silent, kind=Kind.TIMEOUT, retried=True, limits=BRIEF),
    Case(
        "silent in the body, max-time",
        then_silent(sized(b"begun", length=100)),
        kind=Kind.TIMEOUT,
        retried=True,
        status=200,
        limits=BRIEF,
    ),
    Case(
        "dripping body",
        drips(sized(b"", length=10**6), NEVER),
        kind=Kind.TIMEOUT,
        retried=True,
        status=200,
        limits=BRIEF,
    ),
    Case(
        "dripping chunks",
        drips(head("Transfer-Encoding: chunked"), NEVER, b"1\r\nx\r\n"),
        kind=Kind.TIMEOUT,
        retried=True,
        status=200,
        limits=BRIEF,
    ),
    Case(
        "dripping body up to the close",
        drips(head("Connection: close"), NEVER),
        kind=Kind.TIMEOUT,
        retried=True,
        status=200,
        limits=BRIEF,
    ),
    Case(
        "dripping headers",
        drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", NEVER),
        kind=Kind.TIMEOUT,
        retried=True,
        limits=BRIEF,
    ),
    Case(
        "interim responses without end",
        drips(b"", NEVER, head(status="HTTP/1.1 103 Early Hints")),
        kind=Kind.TIMEOUT,
        retried=True,
        limits=BRIEF,
    ),
]

CASES = [*WHOLE, *CHUNKS, *CODINGS, *LENGTHS, *STATUSES, *SILENCE]
