"""A zip that grows, and that all readers open whenever the run is killed.

Readers find members by the directory at the end. It can't be replaced by the next member, as a run
that is killed then would leave none. So before members are written, a copy of the directory
is put far behind them, at the new end of the file. What is between is a hole that takes no room.
The members go into the hole. Then comes a directory with them, and the file is cut off behind it.
That is one step: before it readers have the old directory, and after it the new one.

    members, directory            as it is found, and left
    members, hole, copy           members may be written
    members, more, hole, copy     ... more is in no directory yet
    members, more, directory      cut off behind that

A small directory is written for each member. A large one when as many bytes of members were
written. A later run finds those that are in no directory by the headers before them, and reads them
to know that they are whole.

Owns: the file and these steps. Does not know: uploads, how a member is packed (`zip_pack.py`).
Rejected: a directory behind each few members, the older ones left as gaps. Python's zipfile finds
none that is more than 64 KiB before the end, and the gaps take room.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError
from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.packed import Packed, checked, peeked
from scraper.sinks.archives.rewrite import read_range, replaced
from scraper.sinks.archives.writing import Proof
from scraper.sinks.archives.zip_directory import DirectoryBytes
from scraper.sinks.archives.zip_pack import pack_member
from scraper.sinks.archives.zip_scan import ZipScan, content
from scraper.sinks.spool import Spool, Spools

if TYPE_CHECKING:
    from scraper.sinks.archives.journal import Journal

_SMALL = 32 << 10  # bytes of a directory that is written for each member
_OLD_FACTOR = 8  # so many times rarer is a directory that has to be made anew
_HOLE = 1 << 20  # bytes, at least
_ENTRY = 256  # more than an entry takes beside its name
_NO_HEADER = bytes(4)


class ZipArchive:
    """The archive at `path`. Any thread. All methods raise OSError, DestinationError.

    `writes`: it is made if it is not there, and what is torn is cut off, if `proof` has it that it
    is ours.
    """

    def __init__(self, path: Path, *, writes: bool, proof: Proof, durable: bool = False) -> None:
        self.members = Members()
        self.journal: Journal | None = None
        self._durable = durable
        self._writing = threading.Lock()  # guards what follows
        self._file = ArchiveFile(path, writes=writes, durable=durable)
        self.end = self._listed = 0  # where the last member ends, and the last in the directory
        self._copy = 0  # where the copy of the directory begins; 0: there is none
        self._directory: DirectoryBytes | None = None
        try:
            self._open(writes=writes, proof=proof)
        except BaseException:
            self._release()
            raise

    def pack(self, name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
        """The body in `spool` as a member. It takes over the spool."""
        return pack_member(name, modified_s, spool, spools)

    def append(self, name: str, modified_s: int, size: int, packed: Packed) -> None:
        """Append a member, and return when it is on the disk."""
        with self._writing:
            self._file.look()
            directory, start = self._directory, self.end
            assert directory is not None
            if not self._has_room(packed.size, name):
                self._list_all()
                self._make_hole(packed.size, name)
            data, end = start + packed.head, start + packed.size
            facts = data, end, size, modified_s, packed.crc, end - data
            member = Member(name, start, *facts)
            if self.journal is not None:
                first, packed = peeked(packed)
                self.journal.tell(member, first, max(self._file.size, end))
            try:
                self._file.put_all(checked(packed), start)
            except BaseException:
                self._take_back()
                raise
            replaces = self.members.find(name) is not None
            self.members.add(member)
            directory.add(member, replaces=replaces)
            self.end = end
            if end - self._listed >= self._worth:
                self._list_all()
        self._file.flush()

    def cut(self, end: int) -> None:
        """Drop all members that begin at `end` or later. `end` is where one begins."""
        with self._writing:
            assert self._directory is not None
            self.members.cut(end)
            self._directory.make_old()
            self.end = end
            self._copy = self._copy or 1
            self._list_all()

    def content(self, member: Member) -> Iterator[bytes]:
        """The content of a member, in pieces."""
        return content(self._file.fd, member)

    def write_anew(self, without: Iterable[str], last: Callable[[], None]) -> None:
        """Replace the file by one that has only what counts. See `Archive`."""
        with self._writing:
            self._list_all()
            if self.members.remove_all(without):
                with replaced(self._file, last) as new:
                    self._copy_into(new)
            else:
                last()

    def close(self) -> None:
        """Write the directory and close it."""
        with self._writing:
            try:
                if self._directory is not None:
                    self._list_all()
            finally:
                self._release()

    # ------------------------------------------------------------ as it was found

    def _open(self, *, writes: bool, proof: Proof) -> None:
        size = self._file.size
        scan = ZipScan(self._file)
        for member in scan.members():
            self.members.add(member)
        self.end = self._listed = scan.end
        if not writes:
            if size and not scan.is_whole and not proof.running and not scan.end:
                raise self._refusal(scan)
            return
        if scan.damaged is not None:
            raise self._refusal(scan)
        self._directory = DirectoryBytes(self._file.path.parent, self.members)
        self._directory.make_old()
        if scan.is_whole:
            self._directory.make()
            return
        if not self._is_ours(scan, size, proof):
            raise self._refusal(scan)
        self._copy = 1
        self._list_all()

    def _is_ours(self, scan: ZipScan, size: int, proof: Proof) -> bool:
        """Whether nothing is lost if what stands behind the last whole member is cut off."""
        assert self._directory is not None
        if self._directory.found_at(self._file, scan.end, size, copied=proof.running):
            return True
        if proof.running and scan.listed is not None:
            return scan.listed <= scan.end  # nothing behind is in the directory
        return proof.tore(scan.end, size, self._file.read, scan.torn)

    def _refusal(self, scan: ZipScan) -> DestinationError:
        shown, hint = repr(str(self._file.path)), "--to another archive"
        if scan.damaged is not None:
            why = f"{shown} is damaged: the member at byte {scan.damaged:,} is not what is listed"
            return DestinationError(why, hint=f"scraper verify names what is whole; {hint}")
        if not scan.end:
            why = f"{shown} was made by another program, or is not whole"
            return DestinationError(why, hint=hint)
        why = f"{shown} is not whole, or another program went on with it, from byte {scan.end:,} on"
        if scan.listed is None or scan.listed <= scan.end:  # else members that others read are lost
            cut = f"truncate -s {scan.end} {quote(str(self._file.path))} cuts that off"
            hint = f"{cut}; or {hint}"
        return DestinationError(why, hint=hint)

    # ------------------------------------------------------------ the directory

    @property
    def _worth(self) -> int:
        """So many bytes of members are worth a directory."""
        assert self._directory is not None
        most = self._directory.most
        if most <= _SMALL:
            return 0
        return most * (_OLD_FACTOR if self._directory.is_old else 1)

    def _has_room(self, size: int, name: str) -> bool:
        """Whether a member and then the directory have room before the copy."""
        assert self._directory is not None
        needed = self.end + size + self._directory.most + _ENTRY + 4 * len(name)
        return bool(self._copy) and needed <= self._copy

    def _make_hole(self, size: int, name: str) -> None:
        """Put a copy of the directory behind a hole for a member of `size` bytes, and more."""
        assert self._directory is not None
        most = self._directory.most
        hole = max(size, _HOLE, self._worth) + 2 * (most + _ENTRY + 4 * len(name))
        before = self._file.size
        copy = max(self.end + hole, before)
        try:
            self._directory.write(self._file, copy)
            if self._durable:
                self._file.flush()  # before the directory that it is a copy of is written over
        except BaseException:
            with suppress(OSError):
                self._file.truncate(before)
            raise
        self._copy = copy

    def _list_all(self) -> None:
        """Write a directory of all members behind the last one, and cut off what follows it."""
        if not self._copy:
            return
        assert self._directory is not None
        end = self._directory.write(self._file, self.end)
        if self._durable:
            self._file.flush()  # before the copy is cut off
        self._file.truncate(end)
        self._listed, self._copy = self.end, 0

    def _take_back(self) -> None:
        """A member could not be written. The directory takes its place, if the disk lets it."""
        with suppress(OSError):
            self._file.put(_NO_HEADER, self.end)
            self._list_all()

    # ------------------------------------------------------------ its end

    def _copy_into(self, new: ArchiveFile) -> None:
        moved, at = Members(), 0
        directory = DirectoryBytes(self._file.path.parent, moved)
        try:
            for member in self.members.in_order():
                step = at - member.offset
                at = new.put_all(read_range(self._file.fd, member.offset, member.end), at)
                offset, data = member.offset + step, member.data + step
                directory.add(member._replace(offset=offset, data=data, end=at), replaces=False)
            directory.write(new, at)
        finally:
            directory.close()
            moved.close()

    def _release(self) -> None:
        self._file.close()
        self.members.close()
        if self._directory is not None:
            self._directory.close()
