"""What a server may do on a socket, and what becomes of the target: for every engine.

Plain data. A case is what the server sends (bytes, or a script of
`tests/servers.py`) and what the attempt comes to: the stored body, or the kind of
its failure and whether that is one to retry. Where engines can't be made to agree,
a case says for which of them it holds, and `differs` quotes the table in
`scraper/engines/__init__.py`.
"""

import threading
from dataclasses import dataclass, field

from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from tests.servers import Script, drips, resets_at_once, silent, then_reset, then_silent

PAGE = b"<html>" + b"a page of some length\n" * 500
SOON_S = 0.3
IMPATIENT = Limits(read_timeout=SOON_S, max_time=60)
BRIEF = Limits(read_timeout=60, max_time=SOON_S)
SLOW = Limits(read_timeout=60, max_time=60, speed_limit=100_000, speed_time=SOON_S)
NEVER = threading.Event()

# What differs, in the words of the table in scraper/engines/__init__.py.
FRAMING = "a length that is none"
BARE_LF = "bare LF in chunks"
LONG_EXTENSION = "a chunk extension > 64 KB"


@dataclass(frozen=True)
class Case:
    """`stores` or `kind`, one of them. `status` is the recorded HTTP status, None: no matter.

    `only` names the one engine that the case holds for; `headless` one that records no status.
    """

    name: str
    sends: bytes | Script
    stores: bytes | None = None
    kind: Kind | None = None
    retried: bool = False
    status: int | None = None
    limits: Limits = field(default_factory=Limits)
    http: Http = field(default_factory=Http)
    only: str = ""
    headless: str = ""
    differs: str = ""


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


def framed(frames: bytes) -> bytes:
    """A response whose chunks are given with their framing."""
    return head("Transfer-Encoding: chunked") + frames


def no_http(name: str, sends: bytes) -> Case:
    """A case that ends because it is no HTTP, before there is a response."""
    return Case(name, sends, kind=Kind.PROTOCOL)


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
    *(
        good(
            f"{count} headers",
            head(*(f"X-{n}: {'y' * size}" for n in range(count - 1)), "Content-Length: 2") + b"hi",
            b"hi",
        )
        for count, size in ((99, 1), (100, 1), (101, 1), (1_000, 200), (4_096, 1))
    ),
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
    *(
        Case(
            f"transfer coding {coding!r}",
            head(f"Transfer-Encoding: {coding}") + b"2\r\nhi\r\n0\r\n\r\n",
            kind=Kind.PROTOCOL,
            status=200,
            headless="curl",
            differs=FRAMING,
        )
        for coding in ("gzip, chunked", "deflate", "xchunked")
    ),
    *(
        good(
            f"transfer coding {said!r}",
            head(f"Transfer-Encoding:{said}", "Content-Length: 7") + b"2\r\nhi\r\n0\r\n\r\n",
            b"hi",
        )
        for said in ("chunked", " chunked\t", "\t chunked  ", "\r\n chunked")
    ),
    good("transfer coding 'identity'", sized(PAGE, "Transfer-Encoding: identity")),
    no_http("'chunked' twice", head(*["Transfer-Encoding: chunked"] * 2) + b"2\r\nhi\r\n0\r\n\r\n"),
    *(
        Case(name, framed(frames), kind=Kind.TRUNCATED, retried=True, status=200)
        for name, frames in {
            "chunk size of Python's own": b"0_2\r\nhi\r\n0\r\n\r\n",
            "chunk size with a sign": b"+2\r\nhi\r\n0\r\n\r\n",
            "chunk size after a space": b" 2\r\nhi\r\n0\r\n\r\n",
            "chunk size with 0x": b"0x2\r\nhi\r\n0\r\n\r\n",
            "chunk size beyond all bounds": b"ffffffffffffffffff\r\nhi\r\n0\r\n\r\n",
            "chunk longer than it says": b"2\r\nhiX\r\n0\r\n\r\n",
            "chunk two bytes longer than it says": b"2\r\nhi!!0\r\n\r\n",
            "no line after the last chunk": b"2\r\nhi\r\n0\r\n",
            "trailers of 400 KB": b"2\r\nhi\r\n0\r\n" + b"X: y\r\n" * 70_000 + b"\r\n",
            "trailers that are none": b"2\r\nhi\r\n0\r\nnonsense\r\n\r\n",
        }.items()
    ),
    *(
        good(name, framed(frames), b"hello hello")
        for name, frames in {
            "chunk size in capitals": b"B\r\nhello hello\r\n0\r\n\r\n",
            "spaces after a chunk size": b"b  \r\nhello hello\r\n0  \r\n\r\n",
            "many trailers": b"b\r\nhello hello\r\n0\r\n" + b"X: y\r\n" * 150 + b"\r\n",
        }.items()
    ),
    Case(
        "bare LF in chunks",
        framed(b"2\nhi\n0\n\n"),
        kind=Kind.TRUNCATED,
        retried=True,
        only="threads",
        differs=BARE_LF,
    ),
    Case("bare LF in chunks", framed(b"2\nhi\n0\n\n"), stores=b"hi", only="curl", differs=BARE_LF),
    *(
        Case(
            name, framed(frames), kind=Kind.TRUNCATED, retried=True, only="threads", differs=BARE_LF
        )
        for name, frames in {
            "chunk a byte shorter than it says": b"3\r\nhi\r\n00\r\n\r\n",
            "bare LF after a chunk's size": b"2\nhi\r\n0\r\n\r\n",
            "bare LF after a trailer": b"2\r\nhi\r\n0\r\nX: y\n\r\n",
            "bare LF after the trailers": b"2\r\nhi\r\n0\r\nX: y\r\n\n",
        }.items()
    ),
    Case(
        "chunk a byte shorter than it says",
        framed(b"3\r\nhi\r\n00\r\n\r\n"),
        stores=b"hi\r",
        only="curl",
        differs=BARE_LF,
    ),
    Case(
        "chunk extension of 70,000 bytes",
        framed(b"2;" + b"a" * 70_000 + b"\r\nhi\r\n0\r\n\r\n"),
        kind=Kind.TRUNCATED,
        retried=True,
        only="threads",
        differs=LONG_EXTENSION,
    ),
    Case(
        "chunk extension of 70,000 bytes",
        framed(b"2;" + b"a" * 70_000 + b"\r\nhi\r\n0\r\n\r\n"),
        stores=b"hi",
        only="curl",
        differs=LONG_EXTENSION,
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
            f"content-length {value!r}",
            head(f"Content-Length: {value}") + b"hello",
            kind=Kind.PROTOCOL,
            status=200,
            headless="curl",
            differs=FRAMING,
        )
        for value in ("-5", "abc", "+5", "", "0x5", "5.0", "5;a", "5 6", "\xa05", "5\xa0")
    ),
    *(
        good(f"content-length {value!r}", head(f"Content-Length: {value}") + b"hello", b"hello")
        for value in ("5, 5", "0005", "  5  ", "\t5\t", "\r\n 5", "5,\r\n 5")
    ),
    good("content-length '5, 5', and kept", then_silent(head("Content-Length: 5, 5") + b"hello"),
         b"hello"),
    good("content-length of 0 thrice, and kept", then_silent(head("Content-Length: 0,0 ,0")), b""),
    *(
        Case(f"content-length {name}", head(f"Content-Length: {value}") + b"hello",
             kind=Kind.PROTOCOL)
        for name, value in (("beyond all bounds", "9" * 24), ("of 10**30", str(10**30)),
                            ("of 5,000 digits", "9" * 5000))
    ),
    *(
        good(f"content-length {value!r} beside chunks",
             head(f"Content-Length: {value}", "Transfer-Encoding: chunked")
             + b"2\r\nhi\r\n0\r\n\r\n", b"hi")
        for value in ("0", "2")
    ),
    no_http("content-length '5, 6'", head("Content-Length: 5, 6") + b"hello"),
    no_http("two content-lengths", head("Content-Length: 5", "Content-Length: 6") + b"hello"),
    good(
        "the same content-length twice",
        head("Content-Length: 5", "Content-Length: 5") + b"hello",
        b"hello",
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
]  # fmt: skip

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
    Case(
        "302 that leads nowhere",
        head("Content-Length: 0", status="HTTP/1.1 302 Found"),
        kind=Kind.HTTP_STATUS,
        status=302,
    ),
    Case("416", head("Content-Length: 0", status="HTTP/1.1 416 No"), kind=Kind.HTTP_STATUS),
    Case(
        "101 that was not asked for",
        head("Upgrade: x", "Connection: upgrade", status="HTTP/1.1 101 Switch"),
        kind=Kind.HTTP_STATUS,
        status=101,
    ),
    Case("204", head(status="HTTP/1.1 204 No"), kind=Kind.HTTP_STATUS, status=204),
    Case("204 with a body", head("Content-Length: 5", status="HTTP/1.1 204 No") + b"hello",
         kind=Kind.HTTP_STATUS, status=204),
    Case("204 with chunks", framed(b"2\r\nhi\r\n0\r\n\r\n").replace(b"200 OK", b"204 No"),
         kind=Kind.HTTP_STATUS, status=204),
    Case("205 with a body", sized(b"hello").replace(b"200 OK", b"205 So"),
         kind=Kind.HTTP_STATUS, status=205),
    Case("202", sized(b"hello").replace(b"200 OK", b"202 So"),
         kind=Kind.HTTP_STATUS, status=202, retried=True),
    Case("226 though nobody asked", sized(b"hello", "IM: feed").replace(b"200 OK", b"226 IM"),
         kind=Kind.PROTOCOL, status=226),
]  # fmt: skip

HEADS = [
    good("control characters in a value", sized(b"hi", "X-A: b\x01c"), b"hi"),
    good("a name that is no token", sized(b"hi", "X@A(): b"), b"hi"),
    good("a reason in Latin-1", sized(b"hi").replace(b"OK", b"\xe9t\xe9"), b"hi"),
    good("an empty reason", sized(b"hi").replace(b"OK", b""), b"hi"),
    good("chunked in HTTP/1.0", chunked(b"hi").replace(b"1.1", b"1.0"), b"hi"),
    good("HTTP/1.0 that keeps", sized(b"hi", "Connection: keep-alive").replace(b"1.1", b"1.0"),
         b"hi"),
    good("the same Location twice, and 200", sized(b"hi", *["Location: /a"] * 2), b"hi"),
    good("headers of 200 KB", sized(b"hi", *(f"X-{n}: " + "y" * 5_000 for n in range(40))), b"hi"),
    good("a header line of 60,000 bytes", sized(b"hi", "X: " + "y" * 60_000), b"hi"),
    good("cookies, upgrades and refreshes are nothing to us",
         sized(b"hi", "Set-Cookie: a=b", 'Alt-Svc: h3=":443"', "Refresh: 0; url=/x",
               "Strict-Transport-Security: max-age=9"), b"hi"),
    no_http("status 000", head(status="HTTP/1.1 000 None")),
    no_http("status 099", head(status="HTTP/1.1 099 None")),
    no_http("status 20", head(status="HTTP/1.1 20 OK")),
    no_http("status 2000", head(status="HTTP/1.1 2000 OK")),
    no_http("status -12", head(status="HTTP/1.1 -12 OK")),
    no_http("status of words", head(status="HTTP/1.1 OK fine")),
    no_http("status joined to its reason", head(status="HTTP/1.1 200OK")),
    no_http("two spaces before the status", head(status="HTTP/1.1  200 OK")),
    no_http("a tab before the status", head(status="HTTP/1.1\t200 OK")),
    no_http("a line between responses", head(status="HTTP/1.1 103 x") + b"\r\n" + sized(b"hi")),
    no_http("a line before the status", b"\r\n" + sized(b"hi")),
    no_http("HTTP/0.9", PAGE),
    no_http("HTTP/0.9 in a status line", sized(b"hi").replace(b"1.1", b"0.9")),
    no_http("HTTP/1", sized(b"hi").replace(b"1.1", b"1")),
    no_http("HTTP/1.2", sized(b"hi").replace(b"1.1", b"1.2")),
    no_http("HTTP/1.10", sized(b"hi").replace(b"1.1", b"1.10")),
    no_http("HTTP/2 without its framing", sized(b"hi").replace(b"1.1", b"2")),
    no_http("HTTP/3.0", sized(b"hi").replace(b"1.1", b"3.0")),
    no_http("http in small letters", sized(b"hi").replace(b"HTTP", b"http")),
    no_http("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n"),
    no_http("a radio", sized(b"hi").replace(b"HTTP/1.1", b"ICY")),
    no_http("4,097 headers", head(*(f"X-{n}: y" for n in range(4_096)), "Content-Length: 0")),
    no_http("6,000 headers", head(*(f"X-{n}: y" for n in range(6_000)), "Content-Length: 0")),
    no_http("headers of 400 KB", sized(b"hi", *(f"X-{n}: " + "y" * 5_000 for n in range(80)))),
    no_http("a header line of 70,000 bytes", sized(b"hi", "X: " + "y" * 70_000)),
    no_http("a status line of 70,000 bytes", sized(b"hi").replace(b"OK", b"y" * 70_000)),
    no_http("a header without a colon", sized(b"hello", "what is this")),
    no_http("a header as in a mailbox", head("From me", "Content-Length: 2") + b"hi"),
    no_http("a header without a name", sized(b"hi", ": x")),
    no_http("a header's name with a space in it", sized(b"hi", "X A: b")),
    no_http("a space before the colon", sized(b"hi", "X-A : b")),
    no_http("a header's name in Latin-1", sized(b"hi", "X-\xe9: b")),
    no_http("a folded line before all headers", head(" X-A: b", "Content-Length: 2") + b"hi"),
    no_http("a NUL byte in a header", sized(b"hi", "X-A: b\0c")),
    no_http("a carriage return in a header", sized(b"hi", "X-A: b\rc")),
    no_http("a carriage return in a reason", sized(b"hi").replace(b"OK", b"O\rK")),
    no_http("a header without a colon, then closed", b"HTTP/1.1 200 OK\r\nwhat is this\r\nX"),
    no_http("a name that is none, then closed", b"HTTP/1.1 200 OK\r\nX A: b\r\nX"),
    no_http("a status that is none, then closed", b"HTTP/1.1 20 OK\r\nX-A: b\r\nX"),
    no_http("two Locations", head("Location: /a", "Location: /b", status="HTTP/1.1 302 Found")),
]  # fmt: skip

REDIRECTS = [
    *(
        Case(f"redirect to {location!r}",
             head(f"Location: {location}", "Content-Length: 0", status="HTTP/1.1 302 Found"),
             kind=Kind.PROTOCOL, status=302)
        for location in ("ftp://127.0.0.1/", "javascript:alert(1)", "data:,hi", "http://",
                         "https://:1/", "http://127.0.0.1:65536/", "http://[::1", "mailto:a@b")
    ),
    *(
        Case(f"redirect to {name}",
             head(f"Location: {location}", "Set-Cookie: a=b", "Content-Length: 0",
                  status=f"HTTP/1.1 {status} Found"), kind=Kind.TOO_MANY_REDIRECTS, status=status,
             limits=Limits(max_redirects=0))
        for name, location, status in (("itself", "/page", 301), ("itself, once more", "", 302),
                                       ("a query", "?a=b", 307), ("a fragment", "#a", 308))
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
]  # fmt: skip

SILENCE = [
    *(
        no_http(
            f"{count} interim responses", head(status=f"HTTP/1.1 {status} x") * count + sized(b"")
        )
        for count, status in ((21, 100), (21, 103), (100_000, 103))
    ),
    good("20 interim responses", head(status="HTTP/1.1 103 x") * 20 + sized(b"hi"), b"hi"),
    Case("reset before an answer", resets_at_once, kind=Kind.CONNECT, retried=True),
    Case(
        "closed after an interim response",
        head(status="HTTP/1.1 103 Early Hints"),
        kind=Kind.CONNECT,
        retried=True,
    ),
    Case("closed before an answer", b"", kind=Kind.CONNECT, retried=True),
    Case("closed in the status line", b"HTTP/1.1 20", kind=Kind.CONNECT, retried=True),
    Case("closed in its first word", b"HTT", kind=Kind.CONNECT, retried=True),
    Case(
        "closed in the end of the headers",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r",
        kind=Kind.CONNECT,
        retried=True,
    ),
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
    *(
        Case(
            f"{name} that comes too slowly",
            drips(begin, NEVER, piece),
            kind=Kind.TIMEOUT,
            retried=True,
            status=200,
            limits=SLOW,
        )
        for name, begin, piece in (
            ("a body", sized(b"", length=10**6), b"x"),
            ("a body in chunks", head("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
            ("a body up to the close", head("Connection: close"), b"x"),
            ("a body after a quick beginning", sized(bytes(2**21), length=10**8), b"x"),
        )
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

CASES = [*WHOLE, *CHUNKS, *LENGTHS, *STATUSES, *HEADS, *REDIRECTS, *SILENCE]
