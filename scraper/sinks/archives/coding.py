"""How the bytes of a tar lie in its file: as they are, or as one gzip stream.

The stream has one gzip header and one trailer, as common readers stop behind the first gzip member
they meet. Inside, each member of the tar is deflated by itself and ends with a flush. So it can be
read, cut off or followed by another one without what comes before it, as with `pigz -i`. No clock
and no name is in the header, so the same bodies make the same bytes.

Owns: these two. Does not know: headers of a tar, files that grow.
Rejected: one gzip member for each member of the tar; tarfile (r|gz) reads the first one only, and
says nothing. Rejected: one deflate state for all of them. It saves room where pages resemble each
other, but then one thread alone compresses, and nothing can be read without all that precedes it.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from scraper.sinks.archives.crc import combined
from scraper.sinks.archives.packed import Packed, closing, content_of, in_groups
from scraper.sinks.archives.tar_format import END, head_of, padded
from scraper.sinks.spool import Spool, Spools

_LEVEL = 6
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no flags, no time, any system


class State(NamedTuple):
    """How far an archive goes: `end` is that of its last member, and `crc` of what is before it.

    `plain`: how many bytes that is before compression.
    """

    end: int
    plain: int = 0
    crc: int = 0

    def after(self, size: int, plain: int, crc: int) -> "State":
        """With one more member, of `size` bytes, that were `plain` ones with this `crc` before."""
        crc = combined(self.crc, crc, plain)
        return State(self.end + size, self.plain + plain, crc)


class Coding(Protocol):
    """See the module. `header`: what the file begins with."""

    header: bytes

    def pack(self, name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
        """The body in `spool` as a member. Raises OSError."""

    def tail(self, state: State) -> bytes:
        """What makes a whole archive of what ends so. Always of the same length."""


class Plain:
    """A plain tar."""

    header = b""

    def pack(self, name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
        """See `Coding`. The body stays where it is."""
        del spools
        head = head_of(name, spool.size, modified_s)
        pieces = _tar_bytes(head, spool)
        size = len(head) + padded(spool.size)
        return Packed(pieces, size, len(head), release=closing(spool))

    def tail(self, state: State) -> bytes:
        """See `Coding`."""
        del state
        return END


class Gzip:
    """One gzip stream."""

    header = GZIP_HEADER

    def pack(self, name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
        """See `Coding`. What is compressed lies in a spool of its own."""
        head = head_of(name, spool.size, modified_s)
        deflated, crc, plain = Spool(spools), 0, 0
        deflater = _deflater()
        try:
            for piece in _tar_bytes(head, spool):
                crc, plain = zlib.crc32(piece, crc), plain + len(piece)
                if some := deflater.compress(piece):
                    deflated.write(some)
            deflated.write(deflater.flush(zlib.Z_SYNC_FLUSH))
            spool.close()
        except BaseException:
            deflated.close()
            raise
        pieces = content_of(deflated)
        return Packed(pieces, deflated.size, len(head), plain, crc, closing(deflated))

    def tail(self, state: State) -> bytes:
        """See `Coding`."""
        deflater = _deflater()
        last = deflater.compress(END) + deflater.flush()
        crc = combined(state.crc, zlib.crc32(END), len(END))
        length = (state.plain + len(END)) & 0xFFFFFFFF
        return last + crc.to_bytes(4, "little") + length.to_bytes(4, "little")


def _deflater() -> "zlib._Compress":
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def _tar_bytes(head: bytes, spool: Spool) -> Iterator[bytes]:
    """The member as it is in a plain tar."""

    def parts() -> Iterable[bytes]:
        yield head
        yield from content_of(spool)
        yield bytes(-spool.size % 512)

    return in_groups(parts())
