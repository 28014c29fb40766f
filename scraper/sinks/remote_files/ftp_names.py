"""Names at an FTP server. They are bytes: UTF-8 (RFC 2640), or what an old system has left.

ftplib takes the name of an encoding, and no way to go on after bytes that are not in it. So this
one is UTF-8 whose other bytes are surrogates, as the names of local files are.

Owns: that encoding. Does not know: FTP.
"""

import codecs
from typing import Any

ENCODING = "scraper_utf_8_or_bytes"
_OTHERS = "surrogateescape"


def _encode(text: str, errors: str = "") -> tuple[bytes, int]:
    del errors
    return codecs.utf_8_encode(text, _OTHERS)


def _decode(data: Any, errors: str = "") -> tuple[str, int]:
    del errors
    return codecs.utf_8_decode(data, _OTHERS, True)  # noqa: FBT003


def _decoder(errors: str = "") -> codecs.IncrementalDecoder:
    del errors
    return codecs.getincrementaldecoder("utf-8")(_OTHERS)


def _find(name: str) -> codecs.CodecInfo | None:
    """For `codecs.register`."""
    if name != ENCODING:
        return None
    return codecs.CodecInfo(_encode, _decode, incrementaldecoder=_decoder, name=ENCODING)


codecs.register(_find)
