"""Reading archive files: one member after another, and what a record says.

Owns: how a member is found whole, and how a record's header and block are told apart. Does not
know: which records are wanted. It reads what this program writes, one member a record; so a member
with more or less than one record is none.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_PIECE = 1 << 18
_MOST_HEADER = 1 << 20  # bytes of a record's header, or of a head of HTTP


class NotWhole(Exception):
    """What lies there is no whole member with one whole record."""


class Found(NamedTuple):
    """A record in a file: where its member lies, its header, and the beginning of its block.

    Names of fields are in lower case.
    """

    offset: int
    length: int
    fields: dict[str, str]
    block: bytes

    @property
    def kind(self) -> str:
        """Its WARC-Type."""
        return self.fields.get("warc-type", "")


class Block:
    """The pieces of one record's block, from the member at `offset` of `file`.

    `fields` are there at once; `length` (of the member) when all pieces were taken. Raises NotWhole
    then or at once, and OSError.
    """

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset = file, offset
        self.length = 0
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        file.seek(offset)
        self._came = self._pieces()
        begun = b""
        while b"\r\n\r\n" not in begun:
            piece = next(self._came, b"")
            if not piece or len(begun) > _MOST_HEADER:
                raise NotWhole
            begun += piece
        head, _, self._begun = begun.partition(b"\r\n\r\n")
        first, *lines = head.decode("utf-8", "replace").split("\r\n")
        if not first.startswith("WARC/1."):
            raise NotWhole
        pairs = (line.partition(":") for line in lines)
        self.fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        said = self.fields.get("content-length", "")
        if not said.isdecimal():
            raise NotWhole
        self.size = int(said)

    def __iter__(self) -> Iterator[bytes]:
        left, end = self.size, b""
        piece = self._begun
        while True:
            if left:
                part = piece[:left]
                left -= len(part)
                if part:
                    yield part
                end += piece[len(part) :]
            else:
                end += piece
            if len(end) > 4:
                raise NotWhole
            piece = next(self._came, b"")
            if not piece:
                break
        if left or end != b"\r\n\r\n":
            raise NotWhole

    def _pieces(self) -> Iterator[bytes]:
        read = 0
        data = b""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._file.read(_PIECE)
            if not data:
                raise NotWhole
            if not self._inflate.unconsumed_tail:
                read += len(data)
            try:
                piece = self._inflate.decompress(data, _PIECE)
            except zlib.error:
                raise NotWhole from None
            if piece:
                yield piece
        self.length = read - len(self._inflate.unused_data)


def walk(file: BinaryIO, offset: int = 0) -> Iterator[Found]:
    """Each record from `offset` on. Raises NotWhole where one is torn, and OSError."""
    while True:
        file.seek(offset)
        if not file.read(1):
            return
        block = Block(file, offset)
        begun = b""
        for piece in block:
            if len(begun) < _MOST_HEADER:
                begun += piece
        yield Found(offset, block.length, block.fields, begun)
        offset += block.length
