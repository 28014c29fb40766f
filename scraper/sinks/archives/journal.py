"""What a run is about to write into an archive: the proof that it may be cut off later.

A run that is killed leaves members that no record tells of, and one that is torn. But after it a
user may have appended members, or have put another file in its place. Neither time nor inode tells
these apart, so each member is noted before it is written: where it stands, and a digest of what it
is. Of the one that is being written the first bytes are kept, too. Only what fits these is ours.

The file has a fixed size, 2 MiB: the last `_COUNT` members in a ring. More are not on their way
between an archive and its manifest.

Owns: that file. Does not know: archives, what is recorded.
"""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from scraper.sinks.archives.members import Member
from scraper.sinks.directory import open_own

FIRST = 1024  # bytes of a member that are kept
_COUNT = 1 << 16
_NOW = struct.Struct("<QQH")  # of the one that is written: see `tell`
_NOW_BYTES = 2048
_ONE = struct.Struct("<QQ16s")
_ENOUGH = 160  # bytes with the checksum of a header; behind them an older end may show through
_NEWEST_S = 2**31 - 1  # a zip has no later ones


def second_of(modified_s: int) -> int:
    """A time as each form of archive can keep it."""
    return min(max(modified_s, 0), _NEWEST_S)


class Journal:
    """The file at `path`. One thread at a time. Raises OSError, DestinationError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._next = 0
        self._ones: set[bytes] | None = None  # once it was read
        self._now = b""

    def begin(self) -> None:
        """Make it anew: this run writes from now on."""
        self.close()
        fd = open_own(self._path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 0)
        self._fd, self._next = fd, 0

    def tell(self, member: Member, first: bytes, most: int) -> None:
        """`member` is written now, and begins with `first`. The archive will have `most` bytes."""
        if self._fd < 0:
            return
        first = first[:FIRST]
        os.pwrite(self._fd, _one(member), _NOW_BYTES + self._next % _COUNT * _ONE.size)
        os.pwrite(self._fd, _NOW.pack(member.offset, most, len(first)) + first, 0)
        self._next += 1

    def has(self, member: Member) -> bool:
        """Whether that run has written it."""
        return _one(member) in self._read()

    def tore(self, at: int, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Whether that run was writing at byte `at` of an archive that has `size` bytes."""
        self._read()
        if len(self._now) < _NOW.size:
            return False
        start, most, length = _NOW.unpack_from(self._now)
        first = self._now[_NOW.size : _NOW.size + length]
        found = read(at, length)
        same = found == first[: len(found)] or found[:_ENOUGH] == first[:_ENOUGH]
        return start == at and size <= most and same

    def remove(self) -> None:
        """Remove it: this run has ended in order."""
        self.close()
        with suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        """Close it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _read(self) -> set[bytes]:
        if self._ones is None:
            self._ones = set()
            with suppress(FileNotFoundError, NotADirectoryError):
                with open(open_own(self._path, os.O_RDONLY), "rb") as file:
                    self._now = file.read(_NOW_BYTES)
                    told = file.read(_COUNT * _ONE.size)
                whole = len(told) // _ONE.size * _ONE.size
                self._ones = {told[at : at + _ONE.size] for at in range(0, whole, _ONE.size)}
        return self._ones


def _one(member: Member) -> bytes:
    facts = f"{member.name}\0{member.size}\0{second_of(member.modified_s)}"
    digest = blake2b(facts.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    return _ONE.pack(member.offset, member.end, digest)
