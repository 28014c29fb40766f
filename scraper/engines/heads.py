"""Heads of responses: which bytes every engine accepts as one.

The HTTP libraries differ in what they accept. The rules here are the narrower ones at each point,
so that the same bytes mean the same in every engine.

Owns: the limits, the status line, the names of headers (RFC 9112 4 and 5). Does not know:
sockets, and what a head means. Rejected: the token of RFC 9110 for names; servers send `X@A()`.
"""

import re
from collections.abc import Sequence
from typing import Any

MOST_HEADERS = 4_096  # libcurl refuses 5,000
MOST_LINE = 65_536  # bytes
MOST_BYTES = 256 * 1024  # of all lines
MOST_INTERIM = 20  # responses before the one that counts
BLANK = frozenset({b"\r\n", b"\n"})
_STATUS_LINE = re.compile(rb"HTTP/(?:1\.[01]|2|3) ([1-9]\d\d)(?: [^\n]*)?\r?\n")
_NAME = re.compile("[!-9;-~]+")
_BEGINNING = re.compile(rb"[!-9;-~]+:|[ \t]")
_MOST_KNOWN = 1_000
_SHORT = 200  # bytes

_OFTEN_OTHER = frozenset(
    {"content-length", "date", "etag", "last-modified", "age", "expires", "set-cookie"}
)

_statuses: dict[bytes, int] = {}  # by status line
_names: dict[bytes, str] = {}  # in lower case
_known: dict[bytes, tuple[str, str]] = {}  # by line: most lines of a server are the same


class NotHttp(Exception):
    """The bytes are no head of a response. The message says why."""


def status_of(line: bytes) -> int:
    """The status of a status line. Raises NotHttp."""
    known = _statuses.get(line)
    return _read_status(line) if known is None else known


def _read_status(line: bytes) -> int:
    if len(line) > MOST_LINE:
        check_line(line, len(line))
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise NotHttp("its status line is none")
    status = int(found[1])
    _keep(_statuses, line, status)
    return status


def is_interim(status: int) -> bool:
    """Whether another response follows (RFC 9110 15.2), on a connection that stays HTTP."""
    return 100 <= status < 200 and status != 101


def check_interim(number: int) -> None:
    """Raise NotHttp if the `number`-th interim response is one too many."""
    if number > MOST_INTERIM:
        raise NotHttp(f"it has more than {MOST_INTERIM} interim responses")


def check_line(line: bytes, size: int) -> None:
    """Raise NotHttp for a line that is not allowed. `size`: bytes of the head up to its end."""
    if len(line) > MOST_LINE:
        raise NotHttp(f"a line of its head is longer than {MOST_LINE:,} bytes")
    if size > MOST_BYTES:
        raise NotHttp(f"its head is longer than {MOST_BYTES:,} bytes")
    if b"\0" in line:
        raise NotHttp("a header has a NUL byte")
    if b"\r" in line[:-2]:
        raise NotHttp("a header has a carriage return")


def check_name(line: bytes) -> None:
    """Raise NotHttp for a line that neither begins nor continues a header."""
    if not _BEGINNING.match(line):
        raise NotHttp("a line among the headers is none")


def too_many() -> NotHttp:
    """The error for a head of more than MOST_HEADERS lines."""
    return NotHttp(f"it has more than {MOST_HEADERS:,} headers")


def headers_of(lines: Sequence[bytes]) -> list[tuple[str, str]]:
    """Names in lower case, and values, of complete and unfolded header lines. Raises NotHttp."""
    if len(lines) > MOST_HEADERS:
        raise too_many()
    if sum(map(len, lines)) > MOST_LINE:
        size = 0
        for line in lines:
            size += len(line)
            check_line(line, size)
    known = _known.get
    return [known(line) or _read(line) for line in lines]


def _read(line: bytes) -> tuple[str, str]:
    raw, colon, value = line.partition(b":")
    name = _names.get(raw) if colon else None
    if name is None:
        name = raw.decode("latin-1").lower()
        if not colon or not _NAME.fullmatch(name):
            raise NotHttp("a line among the headers is none")
        _keep(_names, raw, name)
    header = name, value.decode("latin-1").strip()
    if name not in _OFTEN_OTHER:
        _keep(_known, line, header)
    return header


def _keep(known: dict[bytes, Any], what: bytes, means: tuple[str, str] | str | int) -> None:
    if len(what) <= _SHORT:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[what] = means


def why_broken(lines: Sequence[bytes]) -> str | None:
    """What is wrong with the lines of a head that broke off. A last line without end is none."""
    whole = lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]
    try:
        if whole:
            status_of(whole[0])
            headers_of(whole[1:])
    except NotHttp as error:
        return str(error)
    return None
