"""A body that is packed as a member of an archive, outside the archive.

Several bodies are packed at once; then each is appended by itself.

Owns: how its bytes are kept until then, and given out in pieces. Does not know: what they mean.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from scraper.sinks.spool import Spool

PIECE = 1 << 20  # bytes at once


class Packed(NamedTuple):
    """A member. `size`: bytes it takes in the archive. `head`: those before its content.

    `plain`: bytes before compression, 0 if it is not compressed. `crc`: the CRC-32 of these.
    `release` is called once it is appended.
    """

    pieces: Iterable[bytes]
    size: int
    head: int = 0
    plain: int = 0
    crc: int = 0
    release: Callable[[], None] = lambda: None


def content_of(spool: Spool) -> Iterator[bytes]:
    """The bytes of `spool`, in pieces. Raises OSError."""
    content = spool.in_memory()
    if content is not None:
        if content:
            yield content
        return
    spool.on_disk()  # all of it has to be in the file
    at = 0
    while piece := spool.read_at(at, PIECE):
        yield piece
        at += len(piece)
    if at != spool.size:
        raise OSError("a temporary file is shorter than what was written")


def in_groups(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, small pieces joined: each is one write."""
    waiting, size = list[bytes](), 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def checked(packed: Packed) -> Iterator[bytes]:
    """Its pieces. Raises OSError at the end if they are not as many bytes as it says."""
    size = 0
    for piece in packed.pieces:
        size += len(piece)
        yield piece
    if size != packed.size:
        raise OSError(errno.EIO, "a body changed while it was stored")


def peeked(packed: Packed) -> tuple[bytes, Packed]:
    """The first piece, and the same member with all of its pieces."""
    pieces = iter(packed.pieces)
    first = next(pieces, b"")
    return first, packed._replace(pieces=chained([first] if first else [], pieces))


def chained(*parts: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of all `parts`."""
    for part in parts:
        yield from part


def closing(*spools: Spool) -> Callable[[], None]:
    """A function that closes `spools`."""

    def close() -> None:
        for spool in spools:
            with suppress(ValueError):
                spool.close()

    return close
