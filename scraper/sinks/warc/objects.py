"""Objects of an archive, read: the body that a record has, decoded as it was when it was recorded.

Owns: how a key leads to those bytes. Does not know: how they are written.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

from scraper.model.codings import coding_of
from scraper.model.decode import make_decoder
from scraper.model.errors import Damaged, SinkError, TransferError
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.warc.files import Files
from scraper.sinks.warc.heads import Head
from scraper.sinks.warc.index import Index, Indexed, Payload
from scraper.sinks.warc.reading import Block, NotWhole

_PIECE = 1 << 20


class Objects:
    """The objects whose records lie in `files`, by `index`. All methods raise SinkError."""

    def __init__(self, files: Files, index: Index) -> None:
        self._files, self._index = files, index

    def stat(self, key: str) -> ObjectStat | None:
        """What is known of the object. None if its record is not there."""
        found = self._index.find(key)
        if found is None or not self._files.has(found.file, found.offset + found.length):
            return None
        if not self._files.has(found.payload_file, found.payload_offset + 1):
            return None
        return ObjectStat(found.size, found.sha256, found.modified_ms)

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes, in pieces. All records of its unit are read before.

        Raises Damaged if one is not whole: other readers stop there, or skip what follows.
        """
        found = self._index.find(key)
        if found is None:
            raise SinkError(f"the archive has no record of {key!r}", transient=False)
        where = f"{found.payload_file} at byte {found.payload_offset:,}"
        try:
            self._check_unit(found)
            with self._files.opened(found.payload_file) as file:
                yield from _decoded(found, Block(file, found.payload_offset))
        except OSError as error:
            reason = error.strerror or str(error)
            raise SinkError(f"can't read {key!r}: {reason}", transient=False) from None
        except NotWhole:
            raise Damaged(f"{where} is no whole record") from None
        except Damaged:
            raise
        except TransferError as error:
            raise Damaged(f"can't decode {key!r}: {error.message}") from None

    def _check_unit(self, found: Indexed) -> None:
        """Read what its unit has before its payload. Raises Damaged and OSError."""
        own = (found.file, found.offset) == (found.payload_file, found.payload_offset)
        at = found.offset if found.start < 0 else found.start
        end = found.offset if own else found.offset + found.length
        if at >= end:
            return
        with self._files.opened(found.file) as file:
            try:
                while at < end:
                    block = Block(file, at)
                    for _ in block:
                        pass
                    at += block.length
            except NotWhole:
                raise Damaged(f"{found.file} at byte {at:,} is no whole record") from None
        if at != end:
            raise Damaged(f"{found.file}: no record ends at byte {end:,}")

    def has_payload(self, payload: Payload) -> bool:
        """Whether its record is there, whole, and has these bytes. It is read for that."""
        digest = hashlib.sha1(usedforsecurity=False)
        try:
            with self._files.opened(payload.file) as file:
                for piece in _behind_head(Block(file, payload.offset)):
                    digest.update(piece)
        except (OSError, NotWhole):
            return False
        return digest.digest() == payload.digest

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`."""
        return self._index.keys(prefix)


def _head_of(pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The head of HTTP, and what came with it of the bytes behind. Raises NotWhole."""
    begun = b""
    for piece in pieces:
        begun += piece
        if b"\r\n\r\n" in begun:
            break
    head, end, first = begun.partition(b"\r\n\r\n")
    if not end:
        raise NotWhole
    return head, first


def _behind_head(block: Iterable[bytes]) -> Iterator[bytes]:
    """The payload of a response. Raises NotWhole."""
    pieces = iter(block)
    yield _head_of(pieces)[1]
    yield from pieces


def _decoded(found: Indexed, block: Iterable[bytes]) -> Iterator[bytes]:
    """The body behind the head of HTTP. Raises NotWhole, TransferError."""
    pieces = iter(block)
    head, first = _head_of(pieces)
    lines = [line + b"\r\n" for line in head.split(b"\r\n")]
    names = _undone(Head(lines, secret=False).codings, found.left)
    decoder = make_decoder(names)
    if decoder is None:
        yield first
        yield from pieces
        return
    for piece in chain([first], pieces):
        for start in range(0, len(piece), _PIECE):
            yield from decoder.feed(piece[start : start + _PIECE])
    decoder.finish()


def _undone(codings: str, left: str) -> list[str]:
    """Which of `codings`, a Content-Encoding, were undone where `left` still says the others."""
    applied = [name for token in codings.split(",") if (name := coding_of(token))]
    kept = [name for token in left.split(",") if (name := coding_of(token))]
    return applied[len(kept) :]
