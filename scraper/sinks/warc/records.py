"""WARC records: the header of each, and what follows from its block.

The form is that of WARC 1.1 (https://iipc.github.io/warc-specifications/), as its readers take it:
dates with microseconds in UTC, digests as `sha1:` in upper-case base32, addresses bare.

Owns: that form. Does not know: gzip, files, HTTP. Rejected: warcio to write, which costs four times
as much, always compresses at level 9, and changes the bytes of heads.
"""

import os
import time
from functools import lru_cache

from scraper.model.version import __version__

END = b"\r\n\r\n"  # of each record
IDENTICAL = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_BASE32 = bytes.maketrans(bytes(range(32)), b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
REQUEST = "application/http; msgtype=request"
RESPONSE = "application/http; msgtype=response"
_FIELDS = "application/warc-fields"
_SPECIFICATION = "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"


def _apart(groups: int) -> tuple[int, int]:
    """Which bits stay and which move where every second `groups` of five bits move apart."""
    half = (1 << 5 * groups) - 1
    stay = sum(half << at for at in range(0, 256, 16 * groups))
    return stay, stay << 8 * groups


_16, _8, _4, _2, _1 = map(_apart, (16, 8, 4, 2, 1))


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
    # 32 groups of five bits come to lie in a byte each; base64.b32encode takes eight times as long.
    bits = int.from_bytes(sha1)
    bits = bits & _16[0] | bits << 48 & _16[1]
    bits = bits & _8[0] | bits << 24 & _8[1]
    bits = bits & _4[0] | bits << 12 & _4[1]
    bits = bits & _2[0] | bits << 6 & _2[1]
    bits = bits & _1[0] | bits << 3 & _1[1]
    return "sha1:" + bits.to_bytes(32).translate(_BASE32).decode("ascii")


def header(kind: str, fields: str, media_type: str, size: int) -> bytes:
    """The header of a record of this kind, with these lines. `size`: of its block, in bytes."""
    return (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\n{fields}"
        f"Content-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n"
    ).encode("utf-8", "replace")


def warcinfo(name: str, moment: float) -> bytes:
    """The record that a file of this name begins with."""
    block = (
        f"software: scraper/{__version__}\r\n"
        "format: WARC File Format 1.1\r\n"
        f"conformsTo: {_SPECIFICATION}\r\n"
    ).encode()
    fields = (
        f"WARC-Record-ID: {record_id()}\r\n"
        f"WARC-Date: {date_of(moment)}\r\n"
        f"WARC-Filename: {name}\r\n"
    )
    return header("warcinfo", fields, _FIELDS, len(block)) + block + END
