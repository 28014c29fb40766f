"""A body that is compressed on its way into the sink (--store-compressed).

Digests and sizes that lists expect are those of the body. What is stored has others, and both are
recorded. A body that already is in the form is stored as it is: it is not packed twice.

The same body makes the same bytes: no time and no name is in them.

Owns: the compressor, and what is known of the bytes that it made. Does not know: keys, sinks.
"""

import hashlib
import sys
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from scraper.model.records import Response
from scraper.model.stored_forms import Compressed

if TYPE_CHECKING:
    from scraper.sinks.base import Body

_MEDIA_TYPES = {"gzip": "application/gzip", "zstd": "application/zstd"}
_MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}  # RFC 1952, RFC 8878
_GZIP = 16 + zlib.MAX_WBITS
_LEVELS = {"gzip": 6, "zstd": 3}  # those of the commands


class _Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class Compression:
    """One body, stored in `form`."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._begun = b""  # until it is known what the body is
        self._compressor: _Compressor | None = None
        self._is_known = self._is_over = False
        self._size = 0
        self._digest = hashlib.sha256()

    def feed(self, piece: bytes) -> bytes:
        """What is to be written now, for the next bytes of the body."""
        if not self._is_known:
            self._begun += piece
            if len(self._begun) < len(_MAGIC[self._form]):
                return b""
            piece, self._begun = self._begun, b""
            self._look_at(piece)
        return self._made(piece if self._compressor is None else self._compressor.compress(piece))

    def finish(self) -> bytes:
        """The rest of it. It may be asked twice: then there is no more."""
        if self._is_over:
            return b""
        self._is_over, rest = True, b""
        if not self._is_known:
            self._look_at(self._begun)
            assert self._compressor is not None, "so few bytes are in no form"
            rest = self._compressor.compress(self._begun)
        return self._made(rest if self._compressor is None else rest + self._compressor.flush())

    def stored(self, body: "Body") -> "tuple[Body, Compressed | None]":
        """What is known of the bytes that are stored, where `body` is known of the body.

        And what is recorded beside that.
        """
        facts = body._replace(response=self._response(body.response))
        if self._compressor is None:
            return facts, None
        facts = facts._replace(size=self._size, sha256=self._digest.hexdigest())
        return facts, Compressed(self._form, body.size, body.sha256)

    def _response(self, response: Response) -> Response:
        """For the sink: the type is that of the file. A Content-Encoding would be undone twice."""
        return response._replace(content_type=_MEDIA_TYPES[self._form], content_encoding=None)

    def _look_at(self, begun: bytes) -> None:
        self._is_known = True
        if not begun.startswith(_MAGIC[self._form]):
            self._compressor = _compressor(self._form)

    def _made(self, data: bytes) -> bytes:
        self._size += len(data)
        self._digest.update(data)
        return data


def _zstd() -> Any:
    """The library of PEP 784."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _compressor(form: str) -> _Compressor:
    if form == "gzip":
        return zlib.compressobj(_LEVELS[form], zlib.DEFLATED, _GZIP)
    zstd = _zstd()
    options = {
        zstd.CompressionParameter.compression_level: _LEVELS[form],
        zstd.CompressionParameter.checksum_flag: 1,  # as the command does
    }
    made: _Compressor = zstd.ZstdCompressor(options=options)
    return made
