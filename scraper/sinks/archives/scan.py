"""What a tar holds, read from its first byte to the end of its last whole member.

A plain tar is read header by header. A tar.gz has to be inflated. Each member of ours begins a
deflate stream anew and ends with a flush (`coding.py`), so its place in the file is found too.

Owns: where the last whole member ends, and what stands behind it. Does not know: who wrote that,
and whether it may be cut off (`tar_archive.py`).
"""

import os
import zlib
from collections.abc import Iterator
from enum import Enum, auto

from scraper.sinks.archives.coding import GZIP_HEADER, State
from scraper.sinks.archives.members import Member
from scraper.sinks.archives.tar_format import Head, Incomplete, NotTar, read_head

_PIECE = 1 << 18
_TORN = "it ends within a member, or is no archive"
_DAMAGED = "it is damaged there, or another program wrote it"
_FLUSHED = b"\0\0\xff\xff"  # the end of an empty stored block, as each flush leaves one


class Rest(Enum):
    """What stands behind the last whole member."""

    END = auto()  # the end of an archive, or nothing
    TORN = auto()  # a member that is not whole
    OTHER = auto()  # what is no member of a tar that we read


class Scan:
    """Iterates over the members that are files. `state` and `rest` are known at the end.

    `why`: what stands there, for people. `torn`: what its headers say, if the file ends within a
    member. Raises OSError.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self.state = State(0)
        self.rest = Rest.END
        self.why = _TORN
        self.torn: Member | None = None

    def plain(self) -> Iterator[Member]:
        """The members of a plain tar."""
        while True:
            try:
                head = read_head(self._pread, self.state.end)
            except Incomplete:
                if self._pread(self.state.end, _PIECE).strip(b"\0"):
                    self.rest = Rest.TORN
                return
            except NotTar as error:
                self.rest, self.why = Rest.OTHER, str(error)
                return
            if head is None:
                self._look_behind()
                return
            if head.end > self._size:
                self.rest = Rest.TORN
                self.torn = _member(head)
                return
            self.state = State(head.end, head.end)
            if head.is_file:
                yield _member(head)

    def gzip(self, *, salvages: bool = False) -> Iterator[Member]:
        """The members of a tar.gz of ours. `salvages`: also those behind one that is damaged."""
        begun = self._pread(0, len(GZIP_HEADER))
        self.state = State(len(begun))
        if begun != GZIP_HEADER:
            if not GZIP_HEADER.startswith(begun):
                self.rest = Rest.OTHER
                self.why = "it was compressed by another program"
            return
        while self.state.end < self._size:
            segment = _Segment(self._fd, self.state.end)
            if not segment.read():
                if salvages and segment.rest is not Rest.END:
                    start, end = self.state.end, self._next_whole(self.state.end)
                    if end and segment.head is not None:  # whoever reads it learns the truth
                        yield _member(segment.head)._replace(offset=start, end=end)
                    if end:
                        self.state = State(end)
                        continue
                self.rest = segment.rest
                self.why = _TORN if self.rest is Rest.TORN else _DAMAGED
                if self.rest is Rest.TORN and segment.head is not None:
                    self.torn = _member(segment.head)
                return
            head = segment.head
            assert head is not None
            start, crc = self.state.end, segment.crc
            self.state = self.state.after(segment.size, segment.plain, crc)
            if head.is_file:
                facts = *_facts(head), crc, segment.plain
                yield Member(head.name, start, head.data, self.state.end, *facts)

    def goes_on(self) -> bool:
        """Whether whole members of a tar.gz stand behind what is torn: then it is damaged."""
        return self._next_whole(self.state.end) > 0

    def _next_whole(self, at: int) -> int:
        """Where the next whole member behind byte `at` begins, or the end. 0: nowhere."""
        while len(piece := self._pread(at, _PIECE)) >= len(_FLUSHED):
            found = piece.find(_FLUSHED)
            if found < 0:
                at += len(piece) - len(_FLUSHED) + 1
                continue
            at += found + len(_FLUSHED)
            segment = _Segment(self._fd, at)
            if segment.read() or segment.rest is Rest.END:
                return at
        return 0

    def _pread(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def _look_behind(self) -> None:
        """Zeros may follow: GNU tar fills up a record of 10,240 bytes."""
        at = self.state.end
        while piece := self._pread(at, _PIECE):
            if piece.strip(b"\0"):
                self.rest, self.why = Rest.OTHER, "something stands behind its end"
                return
            at += len(piece)


class _Segment:
    """One deflated member that begins at `start`."""

    def __init__(self, fd: int, start: int) -> None:
        self.head: Head | None = None
        self.crc = self.plain = 0
        self.rest = Rest.TORN
        self._fd, self._start = fd, start
        self._end = start
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = bytearray()  # until the headers are whole

    def read(self) -> bool:
        """Whether it is whole. Raises OSError."""
        waiting = b""
        while piece := os.pread(self._fd, _PIECE, self._end + len(waiting)):
            waiting += piece
            while (cut := waiting.find(_FLUSHED) + len(_FLUSHED)) >= len(_FLUSHED):
                if (is_whole := self._feed(waiting[:cut])) is not None:
                    return is_whole
                waiting = waiting[cut:]
            kept = len(_FLUSHED) - 1  # may be the beginning of one
            if (is_whole := self._feed(waiting[:-kept], at_flush=False)) is not None:
                return is_whole
            waiting = waiting[-kept:]
        self._feed(waiting, at_flush=False)
        return False

    @property
    def size(self) -> int:
        """Bytes of it in the file."""
        return self._end - self._start

    def _feed(self, data: bytes, *, at_flush: bool = True) -> bool | None:
        """Take the next bytes. None: go on."""
        self._end += len(data)
        try:
            while True:
                some = self._inflater.decompress(data, _PIECE)
                data = self._inflater.unconsumed_tail
                if not self._take(some):
                    return False
                if not some and not data:
                    break
        except zlib.error:
            self.rest = Rest.OTHER
            return False
        if self._inflater.eof:
            return False
        return True if at_flush and self.head is not None and self.plain == self.head.end else None

    def _take(self, some: bytes) -> bool:
        self.plain += len(some)
        self.crc = zlib.crc32(some, self.crc)
        if self.head is None:
            self._begun += some
            try:
                self.head = read_head(lambda at, size: bytes(self._begun[at : at + size]), 0)
            except Incomplete:
                return True
            except NotTar:
                self.rest = Rest.OTHER
                return False
            self._begun.clear()
            if self.head is None:  # zeros: the end
                self.rest = Rest.END
                return False
        if self.plain > self.head.end:  # no flush between two members
            self.rest = Rest.OTHER
            return False
        return True


def _member(head: Head) -> Member:
    return Member(head.name, head.start, head.data, head.end, *_facts(head))


def _facts(head: Head) -> tuple[int, int]:
    return head.size, head.modified_s
