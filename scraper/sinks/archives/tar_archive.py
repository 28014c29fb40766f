"""A tar or tar.gz that grows: one owner, one write for each member.

Each write has the member and, behind it, what ends an archive. The next write begins where that
end began. So between two writes the file is whole, for every reader. A run that is killed within a
write leaves a member that is not whole, and the next run cuts it off before it appends anything.
What is no member at all is cut off only if a run of ours was writing there (`writing.py`).

A disk that is full takes back at once what it took of a member: the archive ends as before.

Owns: the file, its end, when it is flushed to the disk. Does not know: uploads, keys, how the bytes
of a member are made (`coding.py`).
"""

import errno
import os
import stat
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scraper.model.errors import DestinationError
from scraper.sinks.archives.coding import Coding, Gzip, Plain, State
from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.packed import PIECE, Packed, in_groups
from scraper.sinks.archives.rewrite import read_range, write_anew
from scraper.sinks.archives.scan import Rest, Scan
from scraper.sinks.directory import flush_path
from scraper.sinks.spool import Spool, Spools

_LOOK_AGAIN_S = 0.5  # between two looks whether the file still has its name


class TarArchive:
    """The archive at `path`. Any thread. All methods but `close` raise OSError, DestinationError.

    `writes`: it is made if it is not there, and what is torn is cut off. `ours_from`: from which
    byte on a run of ours that was killed has written; None: there was none.
    """

    def __init__(
        self,
        path: Path,
        *,
        gzip: bool,
        writes: bool,
        ours_from: int | None = None,
        durable: bool = False,
    ) -> None:
        self.members = Members()
        self._state = State(0)
        self._path = path
        self._coding: Coding = Gzip() if gzip else Plain()
        self._writing = threading.Lock()  # guards all but `_flushed`
        self._flushing = threading.Lock()  # guards this one
        self._look_at = 0.0
        self._removed = False
        is_new = writes and not path.exists()
        self._fd = os.open(
            path, os.O_CLOEXEC | (os.O_RDWR | os.O_CREAT if writes else os.O_RDONLY), 0o666
        )
        try:
            self._open(gzip=gzip, writes=writes, ours_from=ours_from)
            if durable and is_new:
                flush_path(path.parent)
        except BaseException:
            self.close()
            raise
        self._flushed = self._state.end

    @property
    def end(self) -> int:
        """Where the last member ends."""
        return self._state.end

    def pack(self, name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
        """The body in `spool` as a member. It takes over the spool."""
        return self._coding.pack(name, modified_s, spool, spools)

    def append(self, name: str, modified_s: int, size: int, packed: Packed) -> None:
        """Append a member whose content has `size` bytes, and return when it is on the disk."""
        with self._writing:
            self._look()
            start = self._state
            state = start.after(packed.size, packed.plain, packed.crc)
            try:
                self._write(start.end, packed, self._coding.tail(state))
            except BaseException:
                self._cut_back()
                raise
            self._state = state
            data = packed.head if packed.plain else start.end + packed.head
            facts = data, state.end, size, modified_s, packed.crc, packed.plain
            self.members.add(Member(name, start.end, *facts))
        self.flush(state.end)

    def flush(self, end: int) -> None:
        """Return when everything up to `end` is on the disk. One flush is enough for many."""
        with self._flushing:
            if self._flushed < end:
                written = self._state.end
                os.fsync(self._fd)
                self._flushed = written

    def cut(self, end: int) -> None:
        """Drop all members that begin at `end` or later. `end` is where one begins."""
        with self._writing:
            state = State(end, end)
            if isinstance(self._coding, Gzip):
                state = State(len(self._coding.header))
                for member in self.members.by_place():
                    if member.offset < end:
                        state = state.after(member.end - member.offset, member.packed, member.crc)
            self.members.cut(end)
            self._state = state
            self._cut_back()

    def content(self, member: Member) -> Iterator[bytes]:
        """The content of a member, in pieces."""
        if isinstance(self._coding, Plain):
            yield from read_range(self._fd, member.data, member.data + member.size)
        else:
            yield from self._inflated(member)

    def remove(self, name: str) -> None:
        """Forget the members of this name. The file is written anew when it is closed."""
        with self._writing:
            self._removed |= self.members.remove(name)

    def close(self) -> None:
        """Close it, without what was removed. Raises OSError where the file can't be written."""
        with self._writing:
            fd, self._fd = self._fd, -1
            try:
                if fd >= 0 and self._removed:
                    write_anew(self._path, fd, self._coding, self._in_order())
            finally:
                if fd >= 0:
                    os.close(fd)
                self.members.close()

    # ------------------------------------------------------------ as it was found

    def _open(self, *, gzip: bool, writes: bool, ours_from: int | None) -> None:
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise DestinationError(f"{str(self._path)!r} is not a file")
        size = found.st_size
        scan = Scan(self._fd, size)
        for member in scan.gzip() if gzip else scan.plain():
            self.members.add(member)
        self._state = scan.state
        if gzip and size < len(self._coding.header):
            self._state = State(len(self._coding.header))
        if scan.rest is Rest.OTHER and (ours_from is None or scan.state.end < ours_from):
            at = f"{str(self._path)!r} can't be read from byte {scan.state.end:,} on"
            raise DestinationError(f"{at}: {scan.why}", hint="--to another archive")
        if not writes:
            return
        tail = self._coding.tail(self._state)
        is_whole = scan.rest is Rest.END and os.pread(self._fd, len(tail), self._state.end) == tail
        if not is_whole:
            os.pwrite(self._fd, self._coding.header, 0)
            os.ftruncate(self._fd, self._state.end)
            self._pwrite(tail, self._state.end)

    def _inflated(self, member: Member) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        skipped, left = member.data, member.size
        for read in read_range(self._fd, member.offset, member.end):
            piece = read
            while piece:
                try:
                    some = inflater.decompress(piece, PIECE)
                except zlib.error:
                    raise OSError(errno.EIO, "the archive was changed") from None
                piece = inflater.unconsumed_tail
                some, skipped = some[skipped:], max(0, skipped - len(some))
                if some := some[:left]:
                    left -= len(some)
                    yield some
        if left:
            raise OSError(errno.EIO, "the archive was changed")

    # ------------------------------------------------------------ what is written

    def _look(self) -> None:
        """Make sure that the file still has its name, and was not changed by another program."""
        if self._fd < 0:
            raise OSError(errno.EBADF, "the run is over")
        if (now := time.monotonic()) < self._look_at:
            return
        self._look_at = now + _LOOK_AGAIN_S
        with suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                return
        raise DestinationError(f"the archive {str(self._path)!r} was moved or removed")

    def _write(self, at: int, packed: Packed, tail: bytes) -> None:
        """Write a member and the end of the archive: one write unless it is large."""

        def pieces() -> Iterator[bytes]:
            yield from packed.pieces
            yield tail

        end = at + packed.size + len(tail)
        for piece in in_groups(pieces()):
            self._pwrite(piece, at)
            at += len(piece)
        if at != end:
            raise OSError(errno.EIO, "a body changed while it was stored")
        if os.fstat(self._fd).st_size > end:  # another program filled it up with zeros
            os.ftruncate(self._fd, end)

    def _pwrite(self, data: bytes, at: int) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._fd, left, at)
            at, left = at + written, left[written:]

    def _cut_back(self) -> None:
        """End the archive where its last member ends."""
        with suppress(OSError):
            os.ftruncate(self._fd, self._state.end)
        with suppress(OSError):
            self._pwrite(self._coding.tail(self._state), self._state.end)

    def _in_order(self) -> Iterator[Member]:
        """The last member of each name, in the order they stand."""
        for member in self.members.by_place():
            if self.members.find(member.name) == member:
                yield member
