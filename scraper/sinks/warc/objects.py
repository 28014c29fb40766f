"""Objects of an archive, read: the body that a record has, decoded as it was when it was recorded.

Owns: how a key leads to those bytes. Does not know: how they are written.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from scraper.model.decode import make_decoder
from scraper.model.errors import SinkError, TransferError
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.warc.archive_file import OPEN
from scraper.sinks.warc.index import Index, Indexed
from scraper.sinks.warc.reading import Block, NotWhole

_PIECE = 1 << 20


class Objects:
    """The objects whose records lie in `directory`, by `index`. All methods raise SinkError."""

    def __init__(self, directory: Path, index: Index) -> None:
        self._directory, self._index = directory, index
        self._sizes: dict[str, int] = {}  # of files

    def stat(self, key: str) -> ObjectStat | None:
        """What is known of the object. None if its record is not there."""
        found = self._index.find(key)
        if found is None or not self._has(found.file, found.offset + found.length):
            return None
        if found.payload_file != found.file and not self._has(
            found.payload_file, found.payload_offset + 1
        ):
            return None
        return ObjectStat(found.size, found.sha256, found.modified_ms)

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes, in pieces."""
        found = self._index.find(key)
        if found is None:
            raise SinkError(f"the archive has no record of {key!r}", transient=False)
        try:
            with open(self._path(found.payload_file), "rb") as file:
                yield from _decoded(found, _body(Block(file, found.payload_offset)))
        except OSError as error:
            reason = error.strerror or str(error)
            raise SinkError(f"can't read {key!r}: {reason}", transient=False) from None
        except NotWhole:
            where = f"{found.payload_file} at byte {found.payload_offset:,}"
            raise SinkError(f"{where} is no whole record", transient=False) from None
        except TransferError as error:
            raise SinkError(f"can't decode {key!r}: {error.message}", transient=False) from None

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`."""
        return self._index.keys(prefix)

    def _path(self, name: str) -> Path:
        final = self._directory / name
        return final if final.exists() else self._directory / (name + OPEN)

    def _has(self, name: str, end: int) -> bool:
        """Whether the file has so many bytes. It may have grown since it was looked at."""
        if self._sizes.get(name, -1) >= end:
            return True
        try:
            self._sizes[name] = os.stat(self._path(name)).st_size
        except OSError:
            return False
        return self._sizes[name] >= end


def _body(block: Iterable[bytes]) -> Iterator[bytes]:
    """What follows the head of HTTP. Raises NotWhole."""
    pieces = iter(block)
    begun = b""
    for piece in pieces:
        begun += piece
        if (end := begun.find(b"\r\n\r\n")) >= 0:
            yield begun[end + 4 :]
            yield from pieces
            return
    raise NotWhole


def _decoded(found: Indexed, body: Iterator[bytes]) -> Iterator[bytes]:
    decoder = make_decoder(found.undone.split(",")) if found.undone else None
    if decoder is None:
        yield from body
        return
    for piece in body:
        for start in range(0, len(piece), _PIECE):
            yield from decoder.feed(piece[start : start + _PIECE])
    decoder.finish()
