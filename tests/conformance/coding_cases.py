"""Coded bodies, whole, torn, mislabelled and exploding, and what becomes of the target.

Cases as in `engine_cases.py`. Where HTTP clients have been caught, of late urllib3 by its
advisories of 2025 and 2026: codings without number (CVE-2025-66418), a few bytes that are
many (CVE-2025-66471), bodies decoded of redirects, which nobody wants (CVE-2026-21441), and
decoded to the end after the first piece (CVE-2026-44432).
"""

import gzip
import zlib
from collections.abc import Callable

import brotli
from backports import zstd

from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from tests.conformance.engine_cases import PAGE, Case, chunked, good, head, sized
from tests.servers import then_reset

PACKED = gzip.compress(PAGE)
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def nested(data: bytes, *codings: Callable[[bytes], bytes]) -> bytes:
    """`data` in one coding after the other."""
    for encode in codings:
        data = encode(data)
    return data


CODINGS = [
    *(
        good(f"{name} around {inner}", sized(nested(PAGE, first, second),
                                             f"Content-Encoding: {inner}, {name}"))
        for inner, first in CODERS.items() for name, second in CODERS.items()
    ),
    good("five codings in two headers", sized(nested(PAGE, *[gzip.compress] * 5),
                                              "Content-Encoding: gzip, gzip",
                                              "Content-Encoding: gzip, gzip, gzip")),
    *(
        Case(f"{count} codings", head(f"Content-Encoding: {', '.join(['gzip'] * count)}"),
             kind=Kind.PROTOCOL, status=200)
        for count in (6, 5_000)
    ),
    *(
        Case(f"{name} torn at {at}", sized(encode(PAGE)[:at], f"Content-Encoding: {name}"),
             kind=Kind.TRUNCATED, retried=True, status=200)
        for name, encode in CODERS.items() for at in (1, 9, -1)
    ),
    *(
        Case(f"{name} labelled {label}", sized(encode(PAGE), f"Content-Encoding: {label}"),
             kind=Kind.PROTOCOL, status=200)
        for name, label in (("gzip", "br"), ("gzip", "deflate"), ("br", "gzip"),
                            ("deflate", "gzip"))
        for encode in [CODERS[name]]
    ),
    good("two members of gzip", sized(PACKED + gzip.compress(b"more"), "Content-Encoding: gzip"),
         PAGE + b"more"),
    good("zeros after gzip", sized(PACKED + bytes(500), "Content-Encoding: gzip")),
    good("noise after gzip", sized(PACKED + b"noise", "Content-Encoding: gzip")),
    good("noise after deflate", sized(zlib.compress(PAGE) + b"noise", "Content-Encoding: deflate")),
    good("a second member after 3 MB", sized(gzip.compress(bytes(3_000_000)) + PACKED,
                                             "Content-Encoding: gzip"), bytes(3_000_000) + PAGE),
    Case("noise after br", sized(brotli.compress(PAGE) + b"noise", "Content-Encoding: br"),
         kind=Kind.PROTOCOL, status=200),
    *(
        Case(f"a bomb of {name}", sized(bomb, f"Content-Encoding: {name}"), kind=Kind.TOO_LARGE,
             status=200, limits=Limits(max_size=1_000_000))
        for name, bomb in {
            "br": brotli.compress(bytes(50_000_000), quality=1),
            "zstd": zstd.compress(bytes(50_000_000)),
            "deflate": zlib.compress(bytes(50_000_000)),
            "gzip, gzip": nested(bytes(50_000_000), gzip.compress, gzip.compress),
            "gzip, br": brotli.compress(gzip.compress(bytes(50_000_000)), quality=1),
        }.items()
    ),
    Case("a bomb in a redirect", sized(
             gzip.compress(bytes(10_000_000)), "Content-Encoding: gzip", "Location: ftp://x/"
         ).replace(b"200 OK", b"302 Go"), kind=Kind.PROTOCOL, status=302),
    Case("a bomb in an error", sized(
             brotli.compress(bytes(10_000_000), quality=1), "Content-Encoding: br"
         ).replace(b"200 OK", b"404 No"), kind=Kind.HTTP_STATUS, status=404),
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
    Case("a coding that nobody asked for", sized(PAGE, "Content-Encoding: compress"),
         kind=Kind.PROTOCOL, status=200),
    *(
        good(f"no coding: {token}", sized(PAGE, f"Content-Encoding: {token}"))
        for token in ("aws-chunked", "utf-8", "none", "binary")
    ),
    good("aws-chunked,gzip is gzip", sized(PACKED, "Content-Encoding: aws-chunked,gzip")),
    *(
        good(f"its type says {name}", sized(encode(PAGE), f"Content-Encoding: {name}",
                                             f"Content-Type: application/{name}"), encode(PAGE))
        for name, encode in CODERS.items() if name in {"gzip", "zstd"}
    ),
    Case("its type says gzip, and it is torn",
         sized(PACKED[:-1], "Content-Encoding: gzip", "Content-Type: application/gzip"),
         kind=Kind.TRUNCATED, retried=True, status=200),
    *(
        Case(f"a {name} body, reset before its last byte", then_reset(
                 head(f"Content-Encoding: {name}") + encode(PAGE)[:-1]),
             kind=Kind.TRUNCATED, retried=True, status=200)
        for name, encode in CODERS.items()
    ),
    *(
        good(f"a {name} body, reset after its last byte",
             then_reset(head(f"Content-Encoding: {name}") + encode(PAGE)))
        for name, encode in CODERS.items()
    ),
    good("a gzip body that stays, reset after its last byte", then_reset(
             head("Content-Encoding: gzip", "Content-Type: application/gzip") + PACKED), PACKED),
    Case("a plain body, reset after its last byte", then_reset(head() + PAGE),
         kind=Kind.TRUNCATED, retried=True, status=200),
    Case("a gzip body in chunks without the last one", then_reset(
             chunked(PACKED, end=b"").replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)),
         kind=Kind.TRUNCATED, retried=True, status=200),
    Case("a gzip body whose length is wrong",
         then_reset(sized(PACKED, "Content-Encoding: gzip", length=len(PACKED) + 1)),
         kind=Kind.TRUNCATED, retried=True, status=200),
    Case(
        "bomb",
        sized(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip"),
        kind=Kind.TOO_LARGE,
        status=200,
        limits=Limits(max_size=1_000_000),
    ),
]  # fmt: skip
