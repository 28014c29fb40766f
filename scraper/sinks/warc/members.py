"""Gzip members: one for each record, as every reader of archives expects.

A record in memory is one call. A large body is deflated while it comes, long before its record's
header is known, which has its digests and its length. So a member may be put together: the header,
flushed to a byte boundary, then what the body was deflated to, then a trailer with the CRC of both.

Owns: this form (RFC 1952). Does not know: what a record is. Rejected: a header without a digest
for large bodies; several members for one record, which one common reader can't read.
"""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from isal import isal_zlib

LEVEL = 2  # ISA-L's best ratio; a third of the time of zlib's 6, and the same size
_WINDOW = 15
_GZIP = 16 + _WINDOW
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # no name, no time, any system
_TRAILER = struct.Struct("<II").pack
_PIECE = 1 << 20


def member(data: bytes) -> bytes:
    """One gzip member that has `data`."""
    compressed: bytes = isal_zlib.compress(data, LEVEL, _GZIP)
    return compressed


class Spooled(NamedTuple):
    """A member whose middle lies in a file: `before`, `size` bytes of `fd` from 0 on, `after`."""

    before: bytes
    fd: int
    size: int
    after: bytes

    def __len__(self) -> int:
        return len(self.before) + self.size + len(self.after)

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, a piece at a time. Raises OSError."""
        yield self.before
        at = 0
        while at < self.size:
            piece = os.pread(self.fd, min(_PIECE, self.size - at), at)
            if not piece:
                raise OSError(5, "a temporary file was cut short")
            at += len(piece)
            yield piece
        yield self.after


class Deflating:
    """The end of a member, which is deflated into the file `fd` as it comes.

    `size` is the bytes that came. All methods raise OSError.
    """

    def __init__(self, fd: int) -> None:
        self.size = 0
        self._fd = fd
        self._written = 0
        self._crc = 0
        self._ended = False
        self._deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -_WINDOW)

    def feed(self, data: bytes) -> None:
        """Take `data`."""
        self.size += len(data)
        self._crc = isal_zlib.crc32(data, self._crc)
        self._write(self._deflate.compress(data))

    def end(self, before: bytes) -> Spooled:
        """The member that begins with `before` and ends with what was fed."""
        if not self._ended:
            self._ended = True
            self._write(self._deflate.flush())
        deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -_WINDOW)
        begun = deflate.compress(before) + deflate.flush(isal_zlib.Z_SYNC_FLUSH)
        crc = isal_zlib.crc32_combine(isal_zlib.crc32(before), self._crc, self.size)
        trailer = _TRAILER(crc, (len(before) + self.size) & 0xFFFFFFFF)
        return Spooled(_HEADER + begun, self._fd, self._written, trailer)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = os.pwrite(self._fd, view, self._written)
            self._written += taken
            view = view[taken:]
