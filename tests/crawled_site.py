"""A site as crawlers meet it: Zeno's, wget's and browsertrix' kinds of answers, byte for byte.

    with crawled_site() as server:
        urls = [f"{server.url}{path}" for path in ANSWERS]

Redirects in chains and loops, errors with bodies, conditions (304), no content (204, 205, 206),
empty bodies, chunked ones with trailers and extensions, every content coding and two at once, wrong
ones, equal payloads, long URLs, queries that differ in order, heads with odd bytes, folds, repeats
and bare line feeds, bodies that end with the connection, that break off, that are longer than said.
"""

import gzip
import socket
import zlib

import brotli
from backports import zstd

from tests.servers import RawServer, read_head

PAGE = b"<html><title>t</title>" + b"<p>a page of some length</p>" * 40 + b"</html>"
LONG = "/long/" + "x" * 1_500
HTML = "Content-Type: text/html\r\n"


def _reply(status: str, head: str, body: bytes = b"", *, length: bool = True) -> bytes:
    told = f"Content-Length: {len(body)}\r\n" if length else ""
    return f"HTTP/1.1 {status}\r\n{head}{told}\r\n".encode("latin-1") + body


def _in_chunks(head: str, framed: bytes) -> bytes:
    return _reply("200 OK", f"{HTML}{head}Transfer-Encoding: chunked\r\n", framed, length=False)


def _coded(coding: str, body: bytes) -> bytes:
    return _reply("200 OK", f"{HTML}Content-Encoding: {coding}\r\n", body)


def _chunked(body: bytes, size: int = 100, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension, one) for one in pieces)
    return framed + b"0\r\n" + trailer + b"\r\n"


def _raw_deflate(body: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(body) + deflate.flush()


def _page(name: str) -> bytes:
    return PAGE + name.encode()


_CODED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "identity": bytes,
}
TE = "Transfer-Encoding: chunked\r\n"
_ODD = (
    "x-lower: 1\r\nX-UPPER:2\r\nX-Blank:\r\nX-Obs: caf\xe9 \xc3\xa9\r\nX-Twice: a\r\nX-Twice: b\r\n"
    "X-Folded: one\r\n two\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nX@A(): odd\r\n"
)

# What each path answers, byte for byte.
ANSWERS: dict[str, bytes] = {
    "/": _reply("200 OK", HTML, PAGE),
    "/tagged": _reply("200 OK", f'{HTML}ETag: "1"\r\n', _page("tagged")),
    "/same": _reply("200 OK", HTML, PAGE),
    "/same.chunked": _in_chunks("", _chunked(PAGE)),
    "/empty": _reply("200 OK", HTML),
    "/empty.chunked": _in_chunks("", _chunked(b"")),
    "/no-reason": _reply("200 ", HTML, _page("r")),
    "/no-type": _reply("200 OK", "", _page("t")),
    "/http1.0": b"HTTP/1.0 200 OK\r\n\r\n" + _page("1.0"),
    "/until-close": _reply("200 OK", HTML, _page("c"), length=False),
    "/extension": _in_chunks("", _chunked(_page("e"), 64, b';a="b"')),
    "/trailer": _in_chunks("Trailer: X-T\r\n", _chunked(_page("T"), trailer=b"X-T: 1\r\n")),
    "/odd": _reply("200 OK", HTML + _ODD, _page("odd")),
    "/bare": _reply("200 OK", HTML, _page("bare")).replace(b"\r\n", b"\n"),
    "/media": _reply("200 OK", 'Content-Type: text/html; charset="a;b"\r\n', _page("media")),
    "/binary": _reply("200 OK", "Content-Type: image/png\r\n", bytes(range(256)) * 9),
    "/like-warc": _reply("200 OK", "Content-Type: text/plain\r\n", b"\r\n\r\nWARC/1.1\r\n\r\n" * 9),
    "/large": _reply("200 OK", HTML, b"0123456789abcdef" * 40_000),
    "/?b=1&a=2": _reply("200 OK", HTML, _page("ba")),
    "/q?sid=0123456789abcdef0123456789abcdef": _reply("200 OK", HTML, _page("sid")),
    "/caf%C3%A9": _reply("200 OK", HTML, _page("cafe")),
    "/%E9%2f%25": _reply("200 OK", HTML, _page("latin")),
    LONG: _reply("200 OK", HTML, _page("long")),
    **{
        f"/coded/{number}": _coded(name, code(_page(name)))
        for number, (name, code) in enumerate(_CODED.items())
    },
    "/coded.chunked": _in_chunks("Content-Encoding: gzip\r\n", _chunked(gzip.compress(_page("g")))),
    "/coded.raw": _coded("deflate", _raw_deflate(_page("raw"))),
    "/hop/1": _reply("301 Moved", "Location: /hop/2\r\n", b"moved"),
    "/hop/2": _reply("302 Found", "Location: ../3\r\n"),
    "/hop/3": _reply("307 T", f"Location: /hop/4\r\n{TE}", _chunked(b"again"), length=False),
    "/3": _reply("308 P", "Location: //127.0.0.1:PORT/hop/3?x=1#f\r\n", b"for good"),
    "/hop/3?x=1": _reply("303 See", "Location: /hop/end\r\n", b"see"),
    "/hop/end": _reply("200 OK", HTML, _page("end")),
    "/loop": _reply("302 Found", "Location: /loop\r\n", b"round"),
    "/nowhere": _reply("302 Found", "", b"no location"),
    "/204": _reply("204 No Content", "", length=False),
    "/205": _reply("205 Reset Content", ""),
    "/206": _reply("206 Partial Content", "Content-Range: bytes 0-3/9\r\n", b"part"),
    "/404": _reply("404 Not Found", HTML, b"not here"),
    "/410": _reply("410 Gone", HTML + TE, _chunked(b"gone"), length=False),
    "/403.gzip": _reply("403 No", f"{HTML}Content-Encoding: gzip\r\n", gzip.compress(b"forbidden")),
    "/500": _reply("500 Sorry", HTML, b"x" * 300_000),
    "/999": _reply("999 Denied", HTML, b"as some do"),
    "/cut": _reply("200 OK", f"{HTML}Content-Length: 9000\r\n", PAGE, length=False),
    "/cut.chunked": _in_chunks("", _chunked(PAGE)[:-90]),
    "/cut.gzip": _coded("gzip", gzip.compress(PAGE)[:-20]),
    "/not-gzip": _coded("gzip", b"this is no gzip"),
    "/longer": _reply("200 OK", f"{HTML}Content-Length: 4\r\n", b"wholeand more", length=False),
    "/unknown-coding": _coded("x-own", b"as it is"),
}


FAIL = {
    *("/hop/3", "/loop", "/nowhere", "/204", "/205", "/206", "/404", "/410", "/403.gzip", "/500"),
    *("/999", "/cut", "/cut.chunked", "/cut.gzip", "/not-gzip"),
}


def _answer(number: int, sock: socket.socket) -> None:
    del number
    head = read_head(sock)
    if not head:
        return
    path = head.split(b" ")[1].decode("latin-1")
    if b"if-none-match" in head.lower():
        sock.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
        return
    port = str(sock.getsockname()[1]).encode()
    sock.sendall(ANSWERS.get(path, ANSWERS["/404"]).replace(b"PORT", port))
    sock.shutdown(socket.SHUT_WR)


def crawled_site() -> RawServer:
    """The site. Each connection carries one answer."""
    return RawServer(_answer)
