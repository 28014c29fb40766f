"""A body as a member of a zip: deflated, unless it does not become smaller.

Owns: that choice, and the bytes of the member. Does not know: the archive.
"""

import zlib

from scraper.sinks.archives.packed import Packed, chained, closing, content_of, in_groups
from scraper.sinks.archives.zip_format import local_header
from scraper.sinks.spool import Spool, Spools

_LEVEL = 6
_SAMPLE = 1 << 16  # bytes that tell whether a large body becomes smaller
_WORTH = 0.97


def pack_member(name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
    """The body in `spool` as a member. It takes over the spool. Raises OSError."""
    deflated, crc = _deflated(spool, spools)
    used = spool if deflated is None else deflated
    if deflated is not None:
        spool.close()
    head = local_header(name, modified_s, crc, spool.size, used.size)
    pieces = in_groups(chained([head], content_of(used)))
    return Packed(pieces, len(head) + used.size, len(head), spool.size, crc, closing(used))


def _deflated(spool: Spool, spools: Spools) -> tuple[Spool | None, int]:
    """The body deflated, None if it does not become smaller, and its CRC-32."""
    made, crc, first = Spool(spools), 0, True
    deflater: zlib._Compress | None = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    try:
        for piece in content_of(spool):
            crc = zlib.crc32(piece, crc)
            if first and len(piece) > _SAMPLE and not _is_worth_it(piece[:_SAMPLE]):
                deflater = None
            first = False
            if deflater is not None:
                made.write(deflater.compress(piece))
        if deflater is not None:
            made.write(deflater.flush())
    except BaseException:
        made.close()
        raise
    if deflater is None or made.size >= spool.size:
        made.close()
        return None, crc
    return made, crc


def _is_worth_it(sample: bytes) -> bool:
    return len(zlib.compress(sample, 1)) < _WORTH * len(sample)
