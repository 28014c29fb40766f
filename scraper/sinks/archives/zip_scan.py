"""What a zip of ours holds: what its directory lists, and what stands behind that.

Members stand one behind the other, and each begins with its sizes. Those that the directory has
were whole when it was written. One whose header is another than the directory says is damaged: the
next one is found by the directory. Between those that are listed stand members that were replaced.
Behind them a killed run may have left more, which are read to know that they are whole.

Owns: where the last whole member ends. Does not know: who wrote what follows (`zip_archive.py`).
"""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress

from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.inflate import inflated
from scraper.sinks.archives.members import Member
from scraper.sinks.archives.packed import PIECE
from scraper.sinks.archives.rewrite import read_range
from scraper.sinks.archives.zip_format import (
    ENTRY_MOST,
    HEADER_MOST,
    HEADER_USUAL,
    MOST_END,
    Directory,
    NotOurs,
    entry_length,
    entry_offset,
    read_end,
    read_entry,
    read_local,
)


class ZipScan:
    """Iterates over the members. Afterwards `end` is where the last one ends. Raises OSError.

    `is_whole`: the directory follows at once, and nothing else. `listed`: members that begin before
    this byte are in the directory at the end; None: there is none. `damaged`: where the first
    listed member begins that is not as the directory says. `torn`: what its header says, if the
    file ends within a member.
    """

    def __init__(self, file: ArchiveFile) -> None:
        self._file = file
        self._size = file.size
        self.end = 0
        self.is_whole = False
        self.listed: int | None = None
        self.damaged: int | None = None
        self.torn: Member | None = None

    def members(self) -> Iterator[Member]:
        """In the order they stand, also those that were replaced, and those that are damaged."""
        directory = read_end(self._file.read(max(0, self._size - MOST_END), MOST_END))
        self.listed = None if directory is None else self._listed(directory)
        if directory is not None and self.listed is not None:
            with suppress(NotOurs):  # a run moves the directory meanwhile
                yield from self._listed_members(directory)
        self.torn = None
        if self.listed is None or self.listed <= self.end:
            while (member := self._at(self.end)) is not None and self._is_right(member):
                self.end = member.end
                yield member
        self.is_whole = directory is not None and directory.offset == self.end

    def _listed_members(self, directory: Directory) -> Iterator[Member]:
        """Up to the last one that is listed, or to what another program wrote."""
        for entry in map(read_entry, self._entries(directory)):
            while self.end < entry.offset:
                replaced = self._at(self.end)
                if replaced is None or replaced.end > entry.offset:
                    if entry.member is None:
                        return
                    self.end = entry.offset  # what it was counts no more
                    break
                self.end = replaced.end
                yield replaced
            found, listed = self._at(entry.offset), entry.member
            if self.end > entry.offset or (listed is not None and found != listed):
                self.damaged = entry.offset if self.damaged is None else self.damaged
                found = listed
            if found is None:
                return
            self.end = max(self.end, min(found.end, directory.offset))
            yield found

    def _at(self, offset: int) -> Member | None:
        for size in (HEADER_USUAL, HEADER_MOST):
            with suppress(NotOurs):
                member = read_local(self._file.read(offset, size), offset)
                if member.end <= self._size:
                    return member
                self.torn = member
                return None
        return None

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
        try:
            return max((entry_offset(data) + 1 for data in self._entries(directory)), default=0)
        except NotOurs:
            return None

    def _entries(self, directory: Directory) -> Iterator[bytes]:
        """Raises NotOurs where there is none."""
        at, end = directory.offset, directory.offset + directory.size
        piece, begin = b"", at  # what was read last, and where that begins
        while at < end:
            if begin + len(piece) < min(at + ENTRY_MOST, self._size):
                piece, begin = self._file.read(at, PIECE), at
            length = entry_length(piece, at - begin)
            yield piece[at - begin : at - begin + length]
            at += length


def content(fd: int, member: Member) -> Iterator[bytes]:
    """The content of a member, in pieces. Raises OSError; also if its header is another one."""
    head = os.pread(fd, member.data - member.offset, member.offset)
    with suppress(NotOurs):
        if read_local(head, member.offset)._replace(modified_s=member.modified_s) == member:
            if member.packed < member.size:
                return inflated(fd, member.data, member.end, skip=0, size=member.size)
            return read_range(fd, member.data, member.end)
    raise OSError(errno.EIO, "its header in the archive is damaged")
