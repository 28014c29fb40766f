"""Heads of HTTP as an archive keeps them: the lines as they came, but for what the archive changes.

The body is stored without the framing of chunks and with its content coding. So Transfer-Encoding
goes, and Content-Length is that of the stored bytes. A status line of HTTP/2 or 3 becomes one of
HTTP/1.1: players of archives refuse the others. Line ends become CRLF: one common reader finds no
headers in a head with bare line feeds. All else stays byte for byte: names, case, order, repeats.

Secrets do not reach the archive. A request has no header that may carry one. A Location or
Link with a secret in its URL is redacted, and Set-Cookie where the request was made with a
secret, in a header or in its URL.

Owns: these rules. Does not know: records. Rejected: heads put together from parsed headers.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from scraper.model.urls import is_secret_header, redact, redact_text

ORIGINAL_LENGTH = b"X-Archive-Orig-Content-Length"  # as warcio and browsertrix name it
_OF_URLS = frozenset({b"location", b"content-location", b"refresh"})
_BARE_END = re.compile(rb"(?<!\r)\n")
# Few lines of a head are changed or looked at. One search finds them, with the lines that continue
# each (RFC 9112 5.2); to look at every line costs five times as much.
_NOT_PLAIN = re.compile(
    rb"\n((?i:transfer-encoding|content-(?:length|type|encoding|location)|location|refresh|link"
    rb"|set-cookie))[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?=\n)"
)


def request_head(url: str, fields: tuple[tuple[str, str], ...], host: str) -> bytes:
    """The head of the request for `url`, which is redacted, in the form of HTTP/1.1."""
    text = f"GET {url[url.index('/', 8) :]} HTTP/1.1\r\n{_rest(fields, host)}\r\n"
    return text.encode("utf-8", "replace")


@lru_cache(512)
def _rest(fields: tuple[tuple[str, str], ...], host: str) -> str:
    """The lines behind the first one."""
    lines = [line for name, value in fields if (line := _field(name, value))]
    if not any(line[:5].lower() == "host:" for line in lines):
        lines.insert(0, f"Host: {host}\r\n")
    return "".join(lines)


def carries_secret(url: str, fields: tuple[tuple[str, str], ...]) -> bool:
    """Whether a request for `url`, which is redacted, with these headers is made with a secret."""
    return "REDACTED" in url or _have_secret(fields)


@lru_cache(512)
def _have_secret(fields: tuple[tuple[str, str], ...]) -> bool:
    """Whether one of these headers is left out, or its value redacted."""
    return any(is_secret_header(name) or redact_text(value) != value for name, value in fields)


def _field(name: str, value: str) -> str:
    """The line of a header, "" for one that may carry a secret."""
    return "" if is_secret_header(name) else f"{name}: {redact_text(value)}\r\n"


class Head:
    """The head of a response, whose `lines` are as they came. `secret`: see `carries_secret`.

    `length` is its Content-Length where that is one number, else None. `media_type` and `codings`
    are the first values of Content-Type and Content-Encoding, "" for none.
    """

    __slots__ = ("_kept", "_length_line", "codings", "length", "media_type", "status_line")

    def __init__(self, lines: Sequence[bytes], *, secret: bool) -> None:
        self.status_line = _status_line(lines[0])
        self.length: int | None = None
        self.media_type = self.codings = ""
        self._length_line = b""
        text = b"".join((b"\n", *lines[1:]))
        if text.count(b"\n") != text.count(b"\r\n") + 1:
            text = b"\n" + _BARE_END.sub(b"\r\n", text[1:])
        kept: list[bytes] = []
        at = 1
        for found in _NOT_PLAIN.finditer(text):
            start, end = found.start() + 1, found.end() + 1
            name, value = found[1].lower(), found[2]
            if name == b"content-length":
                if (said := value.strip()).isdigit():
                    self.length, self._length_line = int(said[:18]), text[start:end]
                instead = b""
            elif name == b"content-type":
                self.media_type = self.media_type or value.strip().decode("latin-1")
                continue
            elif name == b"content-encoding":
                self.codings = self.codings or value.strip().decode("latin-1")
                continue
            elif name in _OF_URLS or name == b"link":
                instead = _redacted(found[1], value, text[start:end], is_url=name in _OF_URLS)
            elif name == b"set-cookie":
                if not secret:
                    continue
                instead = found[1] + b": REDACTED\r\n"
            else:  # transfer-encoding
                instead = b""
            kept += text[at:start], instead
            at = end
        self._kept = b"".join((*kept, text[at:]))

    def framed(self, size: int) -> bytes:
        """The head of a response whose body has `size` bytes."""
        if self.length == size:
            length = self._length_line
        else:
            length = b"Content-Length: %d\r\n" % size
            if self.length is not None:
                length += b"%s: %d\r\n" % (ORIGINAL_LENGTH, self.length)
        return b"".join((self.status_line, self._kept, length, b"\r\n"))

    def bare(self) -> bytes:
        """The head of a response that has no body by its status."""
        return b"".join((self.status_line, self._kept, b"\r\n"))


@lru_cache(256)
def _status_line(line: bytes) -> bytes:
    version, _, rest = line.strip().partition(b" ")
    if version in {b"HTTP/1.0", b"HTTP/1.1"}:
        return version + b" " + rest + (b"" if b" " in rest else b" ") + b"\r\n"
    return b"HTTP/1.1 " + rest + (b"" if b" " in rest else b" ") + b"\r\n"


def _redacted(raw: bytes, value: bytes, line: bytes, *, is_url: bool) -> bytes:
    text = value.decode("latin-1")
    shown = redact(text.strip()) if is_url else text.strip()
    if b"://" in value or not is_url:
        shown = redact_text(shown)
    return line if shown == text.strip() else raw + b": " + shown.encode("latin-1") + b"\r\n"


def protocols(line: bytes, tls: str | None) -> Sequence[str]:
    """The values of WARC-Protocol: those of a status line, and of TLS as OpenSSL names it."""
    version = line.partition(b" ")[0].strip().lower().decode("latin-1")
    told = ({"http/2": "h2", "http/2.0": "h2", "http/3": "h3"}.get(version, version),)
    return told if not tls else (*told, tls.lower().replace("tlsv", "tls/").replace("sslv", "ssl/"))
