"""WARC records: the header of each, and what follows from its block.

The form is that of WARC 1.1 (https://iipc.github.io/warc-specifications/), as its readers take it:
dates with microseconds in UTC, digests as `sha1:` in upper-case base32, addresses bare.

Owns: that form. Does not know: gzip, files, HTTP. Rejected: warcio to write, which costs four times
as much, always compresses at level 9, and changes the bytes of heads.
"""

import os
import time
from collections.abc import Iterable
from functools import lru_cache

from scraper.model.version import __version__

END = b"\r\n\r\n"  # of each record
IDENTICAL = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE32 = [first + second for first in _CHARACTERS for second in _CHARACTERS]  # of ten bits
_SHIFTS = range(150, -1, -10)  # base64.b32encode takes eight times as long
REQUEST = "application/http; msgtype=request"
RESPONSE = "application/http; msgtype=response"
_FIELDS = "application/warc-fields"
_SPECIFICATION = "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"


def record_id() -> str:
    """A new WARC-Record-ID: a random UUID (RFC 9562 5.4)."""
    text = os.urandom(16).hex()
    return f"<urn:uuid:{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}>"


def date_of(moment: float) -> str:
    """A WARC-Date: `moment`, seconds since 1970, in UTC with microseconds."""
    micros = round(moment * 1_000_000)
    return f"{_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


@lru_cache(64)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


def digest_text(sha1: bytes) -> str:
    """A digest as records and indexes have it."""
    number = int.from_bytes(sha1)
    return "sha1:" + "".join([_BASE32[number >> shift & 1023] for shift in _SHIFTS])


def header(kind: str, fields: Iterable[tuple[str, str]], media_type: str, size: int) -> bytes:
    """The header of a record of this kind. `size`: of its block, in bytes."""
    lines = [f"WARC/1.1\r\nWARC-Type: {kind}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in fields]
    lines.append(f"Content-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n")
    return "".join(lines).encode("utf-8", "replace")


def warcinfo(name: str, moment: float) -> bytes:
    """The record that a file of this name begins with."""
    block = (
        f"software: scraper/{__version__}\r\n"
        "format: WARC File Format 1.1\r\n"
        f"conformsTo: {_SPECIFICATION}\r\n"
    ).encode()
    fields = (
        ("WARC-Record-ID", record_id()),
        ("WARC-Date", date_of(moment)),
        ("WARC-Filename", name),
    )
    return header("warcinfo", fields, _FIELDS, len(block)) + block + END
