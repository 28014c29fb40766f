"""The directory of a zip that grows: its bytes, in a temporary file.

It is written again and again, and it is long where there are many members. So its bytes are kept,
and a new member adds its entry to them. Where a member takes the place of an older one, all
entries are made anew, when they are needed.

Owns: these bytes. Does not know: where they are written.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.packed import PIECE, in_groups
from scraper.sinks.archives.zip_format import MOST_END, central_entry, end_record


class DirectoryBytes:
    """Of the members that count. `parent`: where temporary files may lie. Raises OSError.

    `is_old`: entries are made anew before the next write, which takes longer.
    """

    def __init__(self, parent: Path, members: Members) -> None:
        self.is_old = False
        self._members = members
        with tempfile.TemporaryFile(dir=parent) as made:  # it has no name
            self._fd = os.dup(made.fileno())
        self._size = self._count = 0

    @property
    def most(self) -> int:
        """Bytes that it takes, at most."""
        return self._size + MOST_END

    def add(self, member: Member, *, replaces: bool) -> None:
        """Add an entry. `replaces`: there is one of the same name."""
        self._put(central_entry(member))
        self._count += 1
        self.is_old |= replaces

    def write(self, file: ArchiveFile, at: int) -> int:
        """Write the directory at `at` of `file`, and what follows it; where that ends."""
        if self.is_old:
            self._make_anew()
        last = end_record(self._count, self._size, at)
        os.pwrite(self._fd, last, self._size)
        length = self._size + len(last)
        with mmap.mmap(self._fd, length, access=mmap.ACCESS_READ) as whole:
            file.put(whole, at)  # in one call, which a kill seldom cuts in two (between two pages)
        return at + length

    def found_at(self, file: ArchiveFile, at: int, size: int, *, copied: bool) -> bool:
        """Whether `file`, of `size` bytes, has this directory at `at`, or its begin, and no more.

        `copied`: behind the whole of it, a hole and the begin of a copy may follow.
        """
        self._make_anew()
        os.pwrite(self._fd, end_record(self._count, self._size, at), self._size)
        whole = self._size + len(end_record(self._count, self._size, at))
        if not self._same(file, at, min(whole, size - at)):
            return False
        at += whole
        while copied and at < size and not (some := file.read(at, PIECE)).strip(b"\0"):
            at += len(some)
        if at >= size or not copied:
            return at >= size
        at += len(some) - len(some.lstrip(b"\0"))
        return size - at <= self.most and self._same(file, at, min(self._size, size - at))

    def _same(self, file: ArchiveFile, at: int, size: int) -> bool:
        """Whether `size` bytes of `file` from `at` on are those that this begins with."""
        for start in range(0, size, PIECE):
            count = min(PIECE, size - start)
            if file.read(at + start, count) != os.pread(self._fd, count, start):
                return False
        return True

    def make_old(self) -> None:
        """Have all entries made anew, at the next write."""
        self.is_old = True

    def make(self) -> None:
        """Make all entries anew, now."""
        self._make_anew()

    def close(self) -> None:
        """Remove the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _put(self, entries: bytes) -> None:
        left = memoryview(entries)
        while left:
            written = os.pwrite(self._fd, left, self._size)
            self._size, left = self._size + written, left[written:]

    def _make_anew(self) -> None:
        self._size = self._count = 0
        for entries in in_groups(self._entries()):
            self._put(entries)
        self.is_old = False

    def _entries(self) -> Iterator[bytes]:
        for member in self._members.in_order():
            self._count += 1
            yield central_entry(member)
