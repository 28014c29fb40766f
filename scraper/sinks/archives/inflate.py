"""The content of a compressed member, read by itself.

Owns: that. Does not know: headers.
"""

import errno
import zlib
from collections.abc import Iterator

from scraper.sinks.archives.packed import PIECE
from scraper.sinks.archives.rewrite import read_range


def inflated(fd: int, start: int, end: int, *, skip: int, size: int) -> Iterator[bytes]:
    """`size` bytes of what bytes `start` to `end` of a file inflate to, behind `skip` others.

    Raises OSError if it is something else by now.
    """
    inflater, left = zlib.decompressobj(-zlib.MAX_WBITS), size
    for read in read_range(fd, start, end):
        piece = read
        while piece:
            try:
                some = inflater.decompress(piece, PIECE)
            except zlib.error:
                raise OSError(errno.EIO, "the archive was changed") from None
            piece = inflater.unconsumed_tail
            some, skip = some[skip:], max(0, skip - len(some))
            if some := some[:left]:
                left -= len(some)
                yield some
    if left:
        raise OSError(errno.EIO, "the archive was changed")
