"""Heads of responses: what is taken for one, by every engine alike.

The HTTP libraries differ in what they let pass; this is the narrower of them at
each point, so that the same bytes mean the same everywhere. Owns: the bounds, the
status line, the names of headers (RFC 9112 4 and 5). Refuses to know: sockets, and
what a head means. Rejected: RFC 9110's token for names; servers send `X@A()`.
"""

import re
from collections.abc import Iterator, Sequence

MOST_HEADERS = 99
MOST_LINE = 65_536  # bytes
MOST_BYTES = 256 * 1024  # of all lines
BLANK = frozenset({b"\r\n", b"\n"})
_STATUS_LINE = re.compile(rb"HTTP/(?:1\.[01]|2|3) ([1-9]\d\d)(?: [^\n]*)?\r?\n")
_NAME = re.compile("[!-9;-~]+")
_MOST_NAMES = 10_000

_names: dict[str, str] = {}  # those met so far, in lower case: servers have few


class NotHttp(Exception):
    """What came is no head of a response; the message says why."""


def status_of(line: bytes) -> int:
    """The status of a status line. Raises NotHttp."""
    if len(line) > MOST_LINE:
        check_line(line, len(line))
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise NotHttp("its status line is none")
    return int(found[1])


def check_line(line: bytes, size: int) -> None:
    """Raise NotHttp for a line, the last of `size` bytes, that goes too far."""
    if len(line) > MOST_LINE:
        raise NotHttp(f"a line of its head is longer than {MOST_LINE:,} bytes")
    if size > MOST_BYTES:
        raise NotHttp(f"its head is longer than {MOST_BYTES:,} bytes")
    if b"\0" in line:
        raise NotHttp("a header has a NUL byte")


def headers_of(lines: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    """Names in lower case and values, of header lines that are whole and unfolded.

    Raises NotHttp.
    """
    if len(lines) > MOST_HEADERS:
        raise NotHttp(f"it has more than {MOST_HEADERS} headers")
    size = 0
    for line in lines:
        size += len(line)
        if len(line) > MOST_LINE or size > MOST_BYTES:
            check_line(line, size)
        name, colon, value = line.decode("latin-1").partition(":")
        known = _names.get(name)
        yield known or _checked(name, colon), value.strip()


def _checked(name: str, colon: str) -> str:
    if not colon or not _NAME.fullmatch(name):
        raise NotHttp("a line among the headers is none")
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    _names[name] = name.lower()
    return _names[name]
