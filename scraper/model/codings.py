"""Names of content codings: what a Content-Encoding says, and what a file's name or type says.

Owns: which tokens name a coding (RFC 9110 8.4.1 and IANA's registry, and those that servers send
without being there), and which endings and media types say that a body is coded. Does not know:
what is undone (`model/decode.py`). Rejected: an error for every token that is not known.
Stores and scripts send `aws-chunked`, `utf-8`, `none` or `binary` with plain bytes.
"""

from functools import lru_cache

_ALIASES = {
    "x-gzip": "gzip",  # RFC 9110 8.4.1.3
    "x-compress": "compress",
    "x-deflate": "deflate",
    "x-zstd": "zstd",
    "brotli": "br",
    "x-bzip2": "bzip2",
    "x-xz": "xz",
}
_CODINGS = frozenset(
    {
        *("aes128gcm", "br", "bzip2", "compress", "dcb", "dcz", "deflate", "exi", "gzip"),
        *("lz4", "lzma", "pack200-gzip", "sdch", "snappy", "xz", "zstd"),
    }
)
_ENDINGS = {
    **dict.fromkeys(("gz", "gzip", "tgz", "taz", "svgz", "emz", "wmz"), "gzip"),
    "br": "br",
    **dict.fromkeys(("zst", "zstd", "tzst"), "zstd"),
    "z": "compress",
    **dict.fromkeys(("bz2", "tbz", "tbz2"), "bzip2"),
    **dict.fromkeys(("xz", "txz"), "xz"),
}
_TYPES = {
    "application/gzip": "gzip",
    "application/x-gzip": "gzip",
    "application/x-tgz": "gzip",
    "application/x-gtar-compressed": "gzip",
    "application/x-compressed-tar": "gzip",
    "image/svg+xml-compressed": "gzip",
    "application/x-brotli": "br",
    "application/zstd": "zstd",
    "application/x-zstd": "zstd",
    "application/x-zstd-compressed-tar": "zstd",
    "application/x-compress": "compress",
    "application/x-bzip2": "bzip2",
    "application/x-xz": "xz",
}
_SUFFIXES = {"gzip": "gzip", "zstd": "zstd"}  # application/warc+gzip
_NONE: frozenset[str] = frozenset()


def coding_of(token: str) -> str | None:
    """The coding that a token of Content-Encoding names, by its first name; None: it names none."""
    name = token.strip().lower()
    name = _ALIASES.get(name, name)
    return name if name in _CODINGS else None


def only_codings(content_encoding: str | None) -> str | None:
    """The value without the tokens that name no coding; None if none is left."""
    tokens = [token.strip() for token in (content_encoding or "").split(",")]
    return ", ".join(token for token in tokens if coding_of(token)) or None


def said_by(names: tuple[str, ...], media_type: str | None) -> frozenset[str]:
    """The codings that a body is known to have by its name, or by its media type.

    Of `names` the first that has an ending counts.
    """
    by_name = None
    for name in names:
        _, dot, ending = name.rpartition(".")
        if dot and len(ending) <= 10 and ending.isalnum():
            by_name = _ENDINGS.get(ending.lower())
            break
    by_type = media_type and _by_type(media_type)
    return frozenset(filter(None, (by_name, by_type))) if by_name or by_type else _NONE


@lru_cache(256)
def _by_type(media_type: str) -> str | None:
    essence = media_type.partition(";")[0].strip().lower()
    return _TYPES.get(essence) or _SUFFIXES.get(essence.rpartition("+")[2])
