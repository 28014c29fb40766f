"""A tar or tar.gz that grows: one owner, one write for each member.

Each write has the member and, behind it, what ends an archive. The next write begins where that
end began. So between two writes the file is whole, for every reader. A run that is killed within a
write leaves a member that is not whole, and the next run cuts it off before it appends anything.
Whatever can't be proved to be ours stays, and the archive is refused (`writing.py`).

A disk that is full takes back at once what it took of a member: the archive ends as before.

Owns: the end of the archive, and what is torn. Does not know: uploads, keys, how the bytes of a
member are made (`coding.py`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError
from scraper.sinks.archives.coding import Coding, Gzip, Plain, State
from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.inflate import inflated
from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.packed import Packed, chained, checked, in_groups, peeked
from scraper.sinks.archives.rewrite import read_range, replaced
from scraper.sinks.archives.scan import Rest, Scan
from scraper.sinks.archives.tar_kept import kept
from scraper.sinks.archives.writing import Proof
from scraper.sinks.spool import Spool, Spools

if TYPE_CHECKING:
    from scraper.sinks.archives.journal import Journal


class TarArchive:
    """The archive at `path`. Any thread. All methods raise OSError, DestinationError.

    `writes`: it is made if it is not there, and what is torn is cut off, if `proof` has it that it
    is ours.
    """

    def __init__(
        self,
        path: Path,
        *,
        gzip: bool,
        writes: bool,
        proof: Proof,
        durable: bool = False,
    ) -> None:
        self.members = Members()
        self.journal: Journal | None = None
        self._coding: Coding = Gzip() if gzip else Plain()
        self._writing = threading.Lock()  # guards what follows
        self._state = State(0)
        self._file = ArchiveFile(path, writes=writes, durable=durable)
        try:
            self._open(gzip=gzip, writes=writes, proof=proof)
        except BaseException:
            self.close()
            raise

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
            self._file.look()
            start = self._state
            state = start.after(packed.size, packed.plain, packed.crc)
            data = packed.head if packed.plain else start.end + packed.head
            facts = data, state.end, size, modified_s, packed.crc, packed.plain
            member, tail = Member(name, start.end, *facts), self._coding.tail(state)
            if self.journal is not None:
                first, packed = peeked(packed)
                most = max(self._file.size, state.end + len(tail))
                self.journal.tell(member, first, most)
            try:
                self._write(start.end, packed, tail)
            except BaseException:
                self._cut_back()
                raise
            self._state = state
            self.members.add(member)
        self._file.flush()

    def cut(self, end: int) -> None:
        """Drop all members that begin at `end` or later. `end` is where one begins."""
        with self._writing:
            state = State(end, end)
            if isinstance(self._coding, Gzip):
                state = State(len(self._coding.header))
                for one in self.members.by_place():
                    if one.offset < end:
                        state = state.after(one.end - one.offset, one.packed, one.crc)
            self.members.cut(end)
            self._state = state
            self._cut_back()

    def content(self, member: Member) -> Iterator[bytes]:
        """The content of a member, in pieces."""
        fd = self._file.fd
        if isinstance(self._coding, Plain):
            return read_range(fd, member.data, member.data + member.size)
        return inflated(fd, member.offset, member.end, skip=member.data, size=member.size)

    def write_anew(self, without: Iterable[str], last: Callable[[], None]) -> None:
        """Replace the file by one that has only what counts. See `Archive`."""
        with self._writing:
            if self.members.remove_all(without):
                with replaced(self._file, last) as new:
                    self._copy_into(new)
            else:
                last()

    def close(self) -> None:
        """Close it."""
        with self._writing:
            self._file.close()
            self.members.close()

    # ------------------------------------------------------------ as it was found

    def _open(self, *, gzip: bool, writes: bool, proof: Proof) -> None:
        size, header = self._file.size, self._coding.header
        scan = Scan(self._file.fd, size)
        for member in scan.gzip(salvages=not writes) if gzip else scan.plain():
            self.members.add(member)
        self._state = scan.state
        if size < len(header):
            self._state = State(len(header))
        if gzip and writes:
            self._look_at_tail(scan)
        if not writes:
            if scan.rest is Rest.OTHER and not proof.running and not self.members.any():
                raise self._refusal(scan)
            return
        if scan.rest is not Rest.END and not proof.tore(
            scan.state.end, size, self._file.read, scan.torn
        ):
            raise self._refusal(scan)
        tail = self._coding.tail(self._state)
        if scan.rest is not Rest.END or self._file.read(self.end, len(tail)) != tail:
            self._file.put(header, 0)
            self._file.truncate(self.end)
            self._file.put(tail, self.end)

    def _look_at_tail(self, scan: Scan) -> None:
        """What follows the last member of a tar.gz is its end, or a part of that, or not ours."""
        tail = self._coding.tail(self._state)
        if tail.startswith(self._file.read(self.end, len(tail) + 1)):
            scan.rest = Rest.END
        elif scan.rest is Rest.END:
            scan.rest, scan.why = Rest.OTHER, "something stands behind its end"

    def _refusal(self, scan: Scan) -> DestinationError:
        shown, end = repr(str(self._file.path)), scan.state.end
        why = f"{shown} can't be read from byte {end:,} on: {scan.why}"
        hint = "--to another archive"
        is_last = isinstance(self._coding, Plain) or not scan.goes_on()
        if scan.rest is Rest.TORN and self.members.any() and is_last:
            hint = f"truncate -s {end} {quote(str(self._file.path))} cuts that off; or {hint}"
        elif self.members.any():
            hint = f"scraper verify names what is whole; {hint}"
        return DestinationError(why, hint=hint)

    # ------------------------------------------------------------ what is written

    def _write(self, at: int, packed: Packed, tail: bytes) -> None:
        """Write a member and the end of the archive: one write unless it is large."""
        pieces = in_groups(chained(checked(packed), [tail]))
        end = self._file.put_all(pieces, at)
        if self._file.size > end:  # another program filled it up with zeros
            self._file.truncate(end)

    def _cut_back(self) -> None:
        """End the archive where its last member ends."""
        with suppress(OSError):
            self._file.truncate(self.end)
        with suppress(OSError):
            self._file.put(self._coding.tail(self._state), self.end)

    def _copy_into(self, new: ArchiveFile) -> None:
        header = self._coding.header
        new.put(header, 0)
        state = State(len(header))
        if isinstance(self._coding, Plain):
            for start, end in kept(self._file.read, self.end, self.members):
                at = new.put_all(read_range(self._file.fd, start, end), state.end)
                state = State(at, at)
        else:
            for one in self.members.in_order():
                new.put_all(read_range(self._file.fd, one.offset, one.end), state.end)
                state = state.after(one.end - one.offset, one.packed, one.crc)
        new.put(self._coding.tail(state), state.end)
