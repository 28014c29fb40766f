"""What a zip of ours holds, read from its first byte to the end of its last whole member.

Members stand one behind the other, and each begins with its sizes. Those that the directory has
were whole when it was written. Behind them a killed run may have left more, which are read to know
that they are whole.

Owns: where the last whole member ends. Does not know: who wrote what follows (`zip_archive.py`).
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.inflate import inflated
from scraper.sinks.archives.members import Member
from scraper.sinks.archives.rewrite import read_range
from scraper.sinks.archives.zip_format import (
    CENTRAL,
    HEADER_MOST,
    HEADER_USUAL,
    MOST_END,
    Directory,
    NotOurs,
    read_end,
    read_local,
)

_CENTRAL_BYTES = 46


class ZipScan:
    """Iterates over the members. Afterwards `end` is where the last one ends. Raises OSError.

    `is_whole`: the directory follows at once, and nothing else. `listed`: members that begin before
    this byte are in the directory at the end; None: there is none. `torn`: what its header says, if
    the file ends within a member.
    """

    def __init__(self, file: ArchiveFile) -> None:
        self._file = file
        self._size = file.size
        self.end = 0
        self.is_whole = False
        self.listed: int | None = None
        self.torn: Member | None = None

    def members(self) -> Iterator[Member]:
        """In the order they stand, also those that were replaced."""
        directory = read_end(self._file.read(max(0, self._size - MOST_END), MOST_END))
        self.listed = None if directory is None else self._listed(directory)
        while True:
            member = self._at(self.end)
            if member is None or not (self._is_listed(member) or self._is_right(member)):
                break
            self.end = member.end
            yield member
        self.is_whole = directory is not None and directory.offset == self.end

    def _at(self, offset: int) -> Member | None:
        for size in (HEADER_USUAL, HEADER_MOST):
            with suppress(NotOurs):
                member = read_local(self._file.read(offset, size), offset)
                if member.end <= self._size:
                    return member
                self.torn = member
                return None
        return None

    def _is_listed(self, member: Member) -> bool:
        return self.listed is not None and member.offset < self.listed

    def _is_right(self, member: Member) -> bool:
        """Whether its bytes have its CRC."""
        crc = 0
        with suppress(OSError):
            for piece in content(self._file.fd, member):
                crc = zlib.crc32(piece, crc)
            return crc == member.crc
        return False

    def _listed(self, directory: Directory) -> int | None:
        """Members that begin before this byte are in the directory. None if it is not whole."""
        if directory.offset + directory.size > self._size:
            return None
        last, at, end = 0, directory.offset, directory.offset + directory.size
        while at < end:
            entry = self._file.read(at, HEADER_USUAL)
            if entry[:4] != CENTRAL or len(entry) < _CENTRAL_BYTES:
                return None
            lengths = struct.unpack_from("<HHH", entry, 28)
            (offset,) = struct.unpack_from("<L", entry, 42)
            if offset == 0xFFFFFFFF:
                extra = self._file.read(at + _CENTRAL_BYTES + lengths[0], lengths[1])
                length = int.from_bytes(extra[2:4], "little")
                offset = int.from_bytes(extra[length - 4 : length + 4], "little")
            last = max(last, offset + 1)
            at += _CENTRAL_BYTES + sum(lengths)
        return last


def content(fd: int, member: Member) -> Iterator[bytes]:
    """The content of a member, in pieces. Raises OSError."""
    if member.packed < member.size:
        return inflated(fd, member.data, member.end, skip=0, size=member.size)
    return read_range(fd, member.data, member.end)
