"""Content codings, undone chunk by chunk in bounded memory.

Owns: gzip, deflate, br and zstd (RFC 9110 8.4.1, RFC 8878), and the check that a coded body
reached its end, which HTTP clients leave out. Does not know: which codings are undone
(`transfer/codings.py`), limits on the whole body (`transfer/body.py`). It promises that each step
is short and yields one piece, which has at most PIECE bytes and may be empty. So a decompression
bomb can be counted, and stopped in between. Rejected: urllib3's decoding. It does not say whether
the end was reached.
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import brotli

from scraper.model.errors import Kind, TransferError

ACCEPT_ENCODING = "gzip, deflate, br, zstd"
PIECE = 1 << 20  # bytes that one step yields, at most
_BITE = 1 << 14  # bytes that zlib gets at once: after each member it copies the rest of them
_GZIP_MAGIC = b"\x1f\x8b"
_WINDOW_LOG = 23  # 8 MB, the largest window that a sender may use (RFC 9659 3)


class Decoder(Protocol):
    """Coded bytes in, plain bytes out."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode `data`, a step for each piece. Raises TransferError (`protocol`) for garbage."""

    def finish(self) -> None:
        """Raise TransferError of kind `truncated` unless the coded stream was complete."""

    @property
    def ended(self) -> bool:
        """Whether the coded stream has its end: what came proves that nothing is missing."""


class _Gzip:
    """gzip with one member or several (RFC 1952 2.2); what follows the last one is dropped."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._after = b""  # bytes behind a member that may or may not begin another
        self._fed = False
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _BITE):
            yield from self._members(data[start : start + _BITE])

    def _members(self, data: bytes) -> Iterator[bytes]:
        while data and not self._ended:
            self._fed = True
            if self._inflate.eof:
                data, self._after = self._after + data, b""
                if len(data) < len(_GZIP_MAGIC) and _GZIP_MAGIC.startswith(data):
                    self._after = data
                    return
                if not data.startswith(_GZIP_MAGIC):
                    self._ended = True
                    return
                self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
            yield from _inflated(self._inflate, data)
            data = self._inflate.unused_data

    def finish(self) -> None:
        if self._fed and not self._inflate.eof:
            raise _cut_off("gzip")

    @property
    def ended(self) -> bool:
        return self._inflate.eof


class _Deflate:
    """deflate: zlib's format (RFC 1950), or the bare one (RFC 1951) that some servers send."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._fed and data:
            self._fed = True
            if data[0] & 0x0F != 8:  # RFC 1950 2.2: CM is 8 in every zlib header
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        if data and not self._inflate.eof:
            yield from _inflated(self._inflate, data)

    def finish(self) -> None:
        if self._fed and not self._inflate.eof:
            raise _cut_off("deflate")

    @property
    def ended(self) -> bool:
        return self._inflate.eof


class _Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not data:
            return
        self._fed = True
        piece = self._process(data)
        if not piece:
            yield piece
        while piece:
            # brotli exceeds its limit, and asks for more input while it still has output.
            for start in range(0, len(piece), PIECE):
                yield piece[start : start + PIECE]
            piece = b"" if self._brotli.is_finished() else self._process(b"")

    def _process(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._brotli.process(data, output_buffer_limit=PIECE)
        except brotli.error as error:
            raise TransferError(Kind.PROTOCOL, f"body is not br: {error}") from None
        return piece

    def finish(self) -> None:
        if self._fed and not self._brotli.is_finished():
            raise _cut_off("br")

    @property
    def ended(self) -> bool:
        return self._fed and self._brotli.is_finished()


class _Zstd:
    """zstd with one frame or several (RFC 8878 3.1), none with a window above 8 MB (RFC 9659)."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _BITE):
            yield from self._frames(data[start : start + _BITE])

    def _frames(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._fed = True
            if self._frame.eof:
                self._frame = _zstd_frame()
            yield self._decompress(data)
            while not (self._frame.eof or self._frame.needs_input):
                yield self._decompress(b"")
            data = self._frame.unused_data

    def _decompress(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._frame.decompress(data, PIECE)
        except _zstd().ZstdError as error:
            raise TransferError(Kind.PROTOCOL, f"body is not zstd: {error}") from None
        return piece

    def finish(self) -> None:
        if self._fed and not self._frame.eof:
            raise _cut_off("zstd")

    @property
    def ended(self) -> bool:
        return bool(self._frame.eof)


def _zstd() -> Any:
    """The library of PEP 784: few bodies need it, so it is imported for the first of them."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _zstd_frame() -> Any:
    library = _zstd()
    option = library.DecompressionParameter.window_log_max
    return library.ZstdDecompressor(options={option: _WINDOW_LOG})


class _Chain:
    """Several codings, undone last first."""

    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer = outer
        self._inner = inner

    def feed(self, data: bytes) -> Iterator[bytes]:
        for piece in self._outer.feed(data):
            yield from self._inner.feed(piece)

    def finish(self) -> None:
        self._outer.finish()
        self._inner.finish()

    @property
    def ended(self) -> bool:
        return self._outer.ended and self._inner.ended


class _Proof:
    """A coding that stays: it is undone only to see that the body is whole."""

    def __init__(self, coding: Decoder) -> None:
        self._coding = coding
        self.finish = coding.finish

    def feed(self, data: bytes) -> Iterator[bytes]:
        for _ in self._coding.feed(data):
            yield b""
        yield data

    @property
    def ended(self) -> bool:
        return self._coding.ended


_CODINGS: dict[str, Callable[[], Decoder]] = {
    "gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
CAN_BE_UNDONE = frozenset(_CODINGS)


def make_decoder(undone: Sequence[str], kept: str | None = None) -> Decoder | None:
    """The decoder that undoes the codings `undone`, the last one first. None: there is none.

    `kept`: the coding that stays on the bytes then. Its end is proved too, if it can be undone.
    """
    decoder: Decoder | None = None
    if kept in _CODINGS:
        decoder = _Proof(_CODINGS[kept]())
    for name in undone:
        single = _CODINGS[name]()
        decoder = single if decoder is None else _Chain(single, decoder)
    return decoder


def _inflated(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """All that `data` decodes to, in pieces. zlib keeps output back when a piece is full."""
    piece = b""
    while (data or len(piece) == PIECE) and not inflate.eof:
        try:
            piece = inflate.decompress(data, PIECE)
        except zlib.error as error:
            message = f"body is not what its coding says: {error}"
            raise TransferError(Kind.PROTOCOL, message) from None
        yield piece
        data = inflate.unconsumed_tail


def _cut_off(name: str) -> TransferError:
    return TransferError(Kind.TRUNCATED, f"the {name} body ends before its end")
