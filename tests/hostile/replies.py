"""Replies made from a seed: valid ones, spoiled in ways that no list of cases has thought of.

`make_reply(seed)` is the same each time, so that a seed is a bug report. `judged` says what
another reader makes of the bytes: h11 for the framing, zlib and brotli for the codings.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random

import brotli
import h11

from scraper.model.codings import coding_of

_PLAIN = (
    "Content-Type: text/html", "Server: x", 'ETag: "v1"', "Vary: *", "X-Long: " + "y" * 300,
    "Set-Cookie: a=b", "Connection: keep-alive", "Date: Sun, 06 Nov 1994 08:49:37 GMT",
)  # fmt: skip
_INSERTED = (
    b"\r", b"\n", b"\0", b"\r\n", b"\r\n\r\n", b"\n\n", b":", b" ", b"\t", b",", b";", b"-", b"+",
    b"0", b"9", b"f", b"\xff", b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"0\r\n\r\n",
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """What a server sends: `pieces`, each on its own, then it closes, resets or stays."""

    pieces: tuple[bytes, ...]
    ending: str

    @property
    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


def make_reply(seed: int) -> Sent:
    """The reply of this seed."""
    random = Random(seed)
    data = _valid(random)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        data = random.choice(_CHANGES)(data, random)
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 0, 1, 3, 9))))
    edges = [0, *cuts, len(data)]
    pieces = tuple(data[a:b] for a, b in pairwise(edges) if a < b)
    ending = random.choice(("closes",) * 12 + ("resets", "stays"))
    return Sent(pieces, ending)


# ---------------------------------------------------------------- valid ones


def _body(random: Random) -> bytes:
    size = random.choice((0, 1, 5, 100, 3_000, 20_000))
    if random.random() < 0.3:
        return random.randbytes(size)
    return (b"a line of a page, \r\nand 0 another\n" * (size // 30 + 1))[:size]


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _brotli(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=4))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


_ENCODE: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("gzip", _gzip),
    ("gzip", lambda data: _gzip(data[:50]) + _gzip(data[50:])),
    ("deflate", zlib.compress),
    ("deflate", bare_deflate),
    ("br", _brotli),
)


def _valid(random: Random) -> bytes:
    """A reply that means something, its body coded and framed in some way."""
    body, coding = _body(random), []
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        name, encode = random.choice(_ENCODE)
        body = encode(body)
        coding.append(name)
    headers = random.sample(_PLAIN, random.randrange(4))
    if coding:
        headers.append("Content-Encoding: " + ", ".join(coding))
    framing = random.choice(("length", "chunked", "chunked", "close"))
    if framing == "length":
        headers.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        headers.append("Transfer-Encoding: chunked")
        body = _chunks(body, random)
    random.shuffle(headers)
    version = "1.0" if framing == "close" and random.random() < 0.5 else "1.1"
    status = random.choice((200,) * 12 + (203, 204, 404, 503, 304, 302, 206))
    first = random.choice((b"",) * 9 + (b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n",))
    head = "\r\n".join([f"HTTP/{version} {status} Some", *headers, "", ""])
    return first + head.encode("latin-1") + body


def _chunks(body: bytes, random: Random) -> bytes:
    framed = b""
    while body:
        size = min(len(body), random.choice((1, 10, 500, 9_000)))
        extension = random.choice((b"", b"", b"", b";a=b", b' ; q="1"'))
        framed += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
        body = body[size:]
        if len(framed) > 40_000:
            framed += b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            break
    return framed + random.choice((b"0\r\n\r\n", b"000\r\n\r\n", b"0\r\nX-Digest: abc\r\n\r\n"))


# ---------------------------------------------------------------- how they are spoiled


def _place(data: bytes, random: Random) -> int:
    """Somewhere, in the head as often as in the body."""
    end = data.find(b"\r\n\r\n") + 8
    return random.randrange(min(len(data), end) + 1 if random.random() < 0.5 else len(data) + 1)


def _truncated(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _flipped(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return (
        data[:at] + bytes(b ^ 1 << random.randrange(8) for b in data[at : at + 1]) + data[at + 1 :]
    )


def _inserted(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(_INSERTED) + data[at:]


def _removed(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + random.choice((1, 1, 2, 4, 100)) :]


def _doubled(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at : at + random.choice((1, 2, 10, 60, 5_000))] + data[at:]


def _line_doubled(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randrange(len(lines))
    return b"\r\n".join([*lines[: at + 1], *lines[at:]])


def _number_changed(data: bytes, random: Random) -> bytes:
    """A length, a status, the size of a chunk: one more, one less, or quite another."""
    found = list(re.finditer(rb"(?<=[ \n])[0-9a-f]+(?=[\r;])", data))
    if not found:
        return data
    one = random.choice(found)
    number = int(one[0], 16)
    said = random.choice(
        (b"%x" % (number + 1), b"%x" % max(0, number - 1), b"-1", b"+" + one[0], b"0x" + one[0],
         b"0" + one[0], one[0] + b"0", b"9" * 30, b"", one[0] + b" 1", one[0] + b"," + one[0])
    )  # fmt: skip
    return data[: one.start()] + said + data[one.end() :]


def _coded_again(data: bytes, random: Random) -> bytes:
    """The body in another coding than the label says."""
    head, blank, body = data.partition(b"\r\n\r\n")
    return head + blank + random.choice(_ENCODE)[1](body)


def _followed(data: bytes, random: Random) -> bytes:
    return data + random.choice((b"noise", b"\0" * 100, b"HTTP/1.1 200 OK\r\n\r\n", data))


def _bare_lines(data: bytes, random: Random) -> bytes:
    return data.replace(b"\r\n", b"\n", random.choice((1, 2, 5, -1)))


_CHANGES = (
    _truncated, _truncated, _flipped, _flipped, _inserted, _inserted, _removed, _doubled,
    _line_doubled, _number_changed, _number_changed, _coded_again, _followed, _bare_lines,
)  # fmt: skip

# ---------------------------------------------------------------- what they mean


class Unclear(Exception):
    """The bytes are no whole 2xx response with its body."""


def judged(whole: bytes, *, bare_lf: bool) -> tuple[bytes, bool]:
    """The body that `whole`, then a close, brings, and whether nobody doubts it. Raises Unclear.

    What both engines are known to let pass, and h11 does not: headers that frame nothing, in
    whatever form, bare line feeds in the head, and whatever follows the size of a chunk. What
    one of them does: `bare_lf` instead of CRLF in chunks.
    """
    readings = []
    for read in (_strictly, partial(_loosely, bare_lf=bare_lf)):
        with suppress(Unclear):  # h11 too lets something pass: a bare line feed after trailers
            readings.append(read(whole))
    if not readings:
        raise Unclear("no reader takes it for whole")
    headers, body = readings[0]
    said = ",".join(value for name, value in headers if name == "content-encoding")
    for coding in reversed([name.strip().lower() for name in said.split(",")]):
        body = _decoded(coding, body)
    return body, len(readings) == 2


def _strictly(whole: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body as h11 reads them."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    reader.send(h11.EndOfMessage())
    headers: list[tuple[str, str]] = []
    body = b""
    try:
        reader.receive_data(whole)
        reader.receive_data(b"")
        while True:
            event = reader.next_event()
            if isinstance(event, h11.InformationalResponse):
                _check_version(event.http_version)
            elif isinstance(event, h11.Response):
                _check_version(event.http_version)
                _check_status(event.status_code)
                headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers]
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return headers, body
            else:
                raise Unclear("it ends too early")
    except h11.RemoteProtocolError as error:
        raise Unclear(str(error)) from None


def _check_version(version: bytes) -> None:
    if version not in {b"1.0", b"1.1"}:
        raise Unclear("another version")


def _check_status(status: int) -> None:
    if not 200 <= status < 300 or status in {204, 206}:
        raise Unclear(f"status {status}")


def _loosely(whole: bytes, *, bare_lf: bool) -> tuple[list[tuple[str, str]], bytes]:
    """The same by what can be read by eye."""
    status = 100
    fields: list[tuple[str, str]] = []
    while 100 <= status < 200:
        found = re.match(rb"HTTP/1\.[01] ([1-9]\d\d)(?: [^\n]*)?\n", whole)
        if found is None:
            raise Unclear("no status")
        status, whole, fields = int(found[1]), whole[found.end() :], []
        while (line := whole.partition(b"\n"))[0].strip(b"\r"):
            name, _, value = line[0].decode("latin-1").partition(":")
            fields.append((name.lower(), value.strip(" \t\r")))
            whole = line[2]
        if not line[1]:
            raise Unclear("no end of the head")
        whole = line[2]
    _check_status(status)
    framing = dict(fields)
    if "transfer-encoding" in framing:
        return fields, _unchunked(whole, bare_lf=bare_lf)
    if "content-length" not in framing:
        return fields, whole
    length = re.fullmatch(r"(\d+)(?:\s*,\s*\1)*", framing["content-length"])
    if length is None or int(length[1]) > len(whole):
        raise Unclear("no such length")
    return fields, whole[: int(length[1])]


def _unchunked(data: bytes, *, bare_lf: bool) -> bytes:
    ending = rb"\r?\n" if bare_lf else rb"\r\n"
    body = b""
    while found := re.match(rb"([0-9A-Fa-f]{1,16})[^\n]*?" + ending, data):
        size, data = int(found[1], 16), data[found.end() :]
        if not size:
            if re.match(rb"(?:[^\n]*:[^\n]*" + ending + rb")*" + ending, data):
                return body
            break
        ended = re.match(ending, data[size : size + 2])
        if ended is None:
            break
        body += data[:size]
        data = data[size + ended.end() :]
    raise Unclear("chunks")


def _decoded(coding: str, body: bytes) -> bytes:
    if coding_of(coding) is None or not body:  # a word that names no coding changes nothing
        return body
    if coding not in {"gzip", "x-gzip", "deflate", "br"}:
        raise Unclear(f"coding {coding}")
    if coding in {"gzip", "x-gzip"}:
        return _inflated(body, 31)
    if coding == "deflate":
        return _inflated(body, 15 if body[0] & 15 == 8 else -15)
    try:
        return bytes(brotli.decompress(body))
    except brotli.error as error:
        raise Unclear(f"br: {error}") from None


def _inflated(body: bytes, bits: int) -> bytes:
    plain = b""
    while True:
        one = zlib.decompressobj(bits)
        try:
            plain += one.decompress(body)
        except zlib.error as error:
            raise Unclear(f"zlib: {error}") from None
        if not one.eof:
            raise Unclear("zlib: it ends too early")
        body = one.unused_data
        if bits != 31 or not body.startswith(b"\x1f\x8b"):
            return plain  # what follows the last member is noise
