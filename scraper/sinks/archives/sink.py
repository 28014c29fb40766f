"""The sink for archives that are one file: each object is a member.

A body waits in memory or in a temporary file until it is whole, as a member begins with its size.
Bodies are packed by the threads that bring them, and then appended one after the other. The
archive is opened when the lock is held, not before.

Owns: uploads, and what of them is in the archive. Does not know: the forms of archives
(`tar_archive.py`).
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.archives.errors import reason_of, refused, unreadable
from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.opened import Archive, open_archive
from scraper.sinks.archives.place import ArchivePlace, archive_place
from scraper.sinks.archives.recorded import (
    Recorded,
    StoredFacts,
    to_restore,
    unrecorded_from,
)
from scraper.sinks.archives.rewrite import remove_leftovers, temporary_directory
from scraper.sinks.archives.writing import Proof, WritingNote
from scraper.sinks.base import Blocking, Body, Listed, SinkOptions
from scraper.sinks.directory import OWN, make_directory
from scraper.sinks.directory.temporary_files import NAME
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.spool import MIB, Spool, Spools
from scraper.sinks.spooled_upload import SpooledUpload

_MEMORY, _MEMORY_OF_ALL = 1 * MIB, 32 * MIB
_NO_MANIFEST = "?"  # in the note of who keeps none
_MOST_UNRECORDED = 100_000  # members that are looked at; more are not on their way at once


def open_archive_sink(destination: str, options: SinkOptions) -> "ArchiveSink":
    """The sink for `tar:FILE`, `zip:FILE`. Raises UsageError."""
    return ArchiveSink(archive_place(destination), durable=options.durable)


class ArchiveSink:
    """One archive. Many threads store into it at once."""

    near = has_directories = random_access = True
    blocking = Blocking.COMMIT

    def __init__(self, place: ArchivePlace, *, durable: bool = False) -> None:
        cwd = Path.cwd()
        self.place = place._replace(path=cwd / place.path)
        self.disk = self.place.home
        self._durable = durable
        self._spools = Spools(_MEMORY, _MEMORY_OF_ALL, self._temporary)
        self._opening = threading.Lock()  # guards what follows
        self._archive: Archive | None = None
        self._note: WritingNote | None = None
        self._noted = self._closed = self._writes = self._all_recorded = False

    def check(self) -> None:
        """Make the directory for our own files. The archive itself is opened later."""
        path, home = self.place.path, self.place.home
        try:
            if path.is_dir():
                raise DestinationError(f"can't write the archive {str(path)!r}: it is a directory")
            make_directory(home, durable=self._durable)
            if path.exists() and not os.access(path, os.R_OK | os.W_OK):
                raise PermissionError(13, os.strerror(13))
            if not path.exists() and not os.access(path.parent, os.W_OK):
                raise PermissionError(13, os.strerror(13))
        except OSError as error:
            raise self._unusable(error) from None
        self._writes = True

    def settle(self, manifest: str, stored: Iterable[StoredFacts]) -> None:
        """The destination is held, and `manifest` is open: `stored` is what it has.

        What a run that was killed has stored behind that is cut off, if that was its manifest.
        Raises DestinationError.
        """
        try:
            self._spools.remove_leftovers(self.place.home / OWN / NAME)
            remove_leftovers(self.place.path)
            archive, note = self._opened(stored=stored), self._note
            assert note is not None
            if not (note.found and note.manifest == manifest):
                self._begin(archive, note, archive.end, manifest)
                return
            members = self._written(archive, note.begin)
            recorded = Recorded({one.name for one in members}, stored)
            self._cut_unrecorded(archive, note, members, recorded)
            self._begin(archive, note, min(note.begin, archive.end), manifest)
            for one in to_restore(members, recorded, archive):
                self._append_again(archive, one)
        except OSError as error:
            raise self._unusable(error) from None

    def settle_killed(self, manifest: str, stored: Iterable[StoredFacts]) -> None:
        """`settle`, if a run was killed: for who stores nothing. Raises DestinationError."""
        try:
            found = WritingNote(self.place.home).found
        except OSError as error:
            raise self._unusable(error) from None
        if found:
            self.settle(manifest, stored)

    def open(self, key: str) -> SpooledUpload:
        """A body that waits until it is whole."""
        return SpooledUpload(key, Spool(self._spools), self._store)

    def _store(self, key: str, spool: Spool, body: Body) -> None:
        """Append the member `key`, whose body is in `spool`."""
        try:
            self._append(self._opened(notes=True), key, body.modified_ms // 1000, spool)
        except (OSError, ValueError) as error:
            raise refused(error, key) from None

    def _append(self, archive: Archive, key: str, modified_s: int, spool: Spool) -> None:
        size = spool.size
        packed = archive.pack(key, modified_s, spool, self._spools)
        try:
            archive.append(key, modified_s, size, packed)
        finally:
            packed.release()

    def close(self) -> None:
        """Drop what was not committed, and close the archive."""
        with self._opening:
            self._closed = True
            archive, self._archive = self._archive, None
        self._spools.close()
        if archive is None:
            return
        try:
            archive.close()
        except OSError as error:
            raise self._unusable(error) from None
        if self._note is not None and self._all_recorded:
            self._note.remove()
        elif self._note is not None:
            self._note.journal.close()

    def all_recorded(self) -> None:
        """Know that the manifest has all that was stored. Nothing will be cut off."""
        self._all_recorded = True

    def remove_home(self) -> None:
        """Remove the directory for our own files, if there are none. Never raises."""
        with suppress(OSError):
            os.rmdir(self.place.home)

    # ------------------------------------------------------------ reading

    def reach(self) -> None:
        """Raise DestinationError unless there is such a file."""
        if not self.place.path.is_file():
            raise DestinationError(f"there is no archive {str(self.place.path)!r}")

    def size(self, key: str) -> int | None:
        """Bytes of the last member of this name."""
        found = self._find(key)
        return None if found is None else found.size

    def object_stat(self, key: str) -> ObjectStat | None:
        """Size and time of the last member of this name. The time is kept in seconds."""
        found = self._find(key)
        return None if found is None else ObjectStat(found.size, None, found.modified_s * 1000)

    def read(self, key: str) -> Iterator[bytes]:
        """The content of the last member of this name, in pieces."""
        try:
            archive = self._opened()
            found = archive.members.find(key)
            if found is None:
                raise SinkError(f"can't read {key!r}: there is no such member", transient=False)
            yield from archive.content(found)
        except OSError as error:
            raise unreadable(error, key) from None

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every name that begins with `prefix`."""
        for one in self.listing(prefix):
            yield one.key

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Every member that counts, whose name begins with `prefix`."""
        members = self._members()
        for member in members.named(prefix) if members is not None else ():
            yield Listed(member.name, member.size, member.modified_s * 1000)

    def may_have_objects(self) -> bool:
        """Whether there is any member."""
        members = self._members()
        return members is not None and members.any()

    def remove(self, key: str) -> None:
        """Drop all members of this name."""
        self.remove_together([key], lambda: None)

    def remove_together(self, keys: Iterable[str], last: Callable[[], None]) -> None:
        """Drop all members of these names. See `ReadableSink`: the archive is written anew."""
        try:
            archive = self._opened(writes=True)
            try:
                archive.write_anew(keys, last)
            finally:
                self._forget(archive)
        except OSError as error:
            shown = str(self.place.path)
            raise DestinationError(f"can't write {shown!r} anew: {reason_of(error)}") from None

    def _find(self, key: str) -> Member | None:
        members = self._members()
        return None if members is None else members.find(key)

    def _members(self) -> Members | None:
        """What the archive holds. None: there is no archive, and this run makes none."""
        try:
            if not self._writes and not self.place.path.exists():
                return None
            return self._opened().members
        except OSError as error:
            raise unreadable(error, self.place.path.name) from None

    # ------------------------------------------------------------ the archive

    def _opened(
        self, *, writes: bool = False, notes: bool = False, stored: Iterable[StoredFacts] = ()
    ) -> Archive:
        """The archive. `notes`: there has to be a note. Raises OSError, DestinationError.

        `stored`: what the manifest has, if that is known.
        """
        with self._opening:
            if self._closed:
                raise OSError(9, "the run is over")
            if writes and not self._writes:
                self._writes = True
                if self._archive is not None:
                    self._archive.close()
                    self._archive = None
            if self._archive is None:
                note = WritingNote(self.place.home)
                proof = Proof(note, stored)
                self._archive = open_archive(
                    self.place, writes=self._writes, proof=proof, durable=self._durable
                )
                self._note = note if self._writes else None
            if notes and not self._noted and self._note is not None:
                self._begin(self._archive, self._note, self._archive.end, _NO_MANIFEST)
            return self._archive

    def _forget(self, archive: Archive) -> None:
        """Close it; it is opened anew when it is needed. Raises OSError."""
        with self._opening:
            if self._note is not None:
                self._note.journal.close()
            self._archive, self._noted = None, False
        archive.close()

    def _begin(self, archive: Archive, note: WritingNote, begin: int, manifest: str) -> None:
        note.write(begin, manifest)
        archive.journal = note.journal
        self._noted = True

    @staticmethod
    def _written(archive: Archive, begin: int) -> list[Member]:
        """The members from byte `begin` on; the last ones, if they are many."""
        members: list[Member] = []
        for member in archive.members.by_place(begin):
            members.append(member)
            if len(members) > _MOST_UNRECORDED:
                del members[: _MOST_UNRECORDED // 2]
        return members

    def _cut_unrecorded(
        self, archive: Archive, note: WritingNote, members: list[Member], recorded: Recorded
    ) -> None:
        """Cut off what the killed run has not recorded. Raises DestinationError if it is not its.

        What stands before the last member of someone else is not cut off either: nobody could cut
        that out.
        """
        cut = unrecorded_from(members, recorded, archive)
        if cut is None:
            return
        end = cut
        for member in members:
            if member.offset >= cut:
                if member.offset != end or not note.journal.has(member):
                    break
                end = member.end
        if end != archive.end:
            raise DestinationError(
                f"{str(self.place.path)!r} has members from byte {end:,} on that the run before,"
                " which was killed, did not write",
                hint=f"rm {quote(note.path)} keeps all that is there; or --to another archive",
            )
        archive.cut(cut)

    def _append_again(self, archive: Archive, member: Member) -> None:
        """Have it count: a member that nobody recorded, and that can't be cut out, replaced it."""
        spool = Spool(self._spools)
        for piece in archive.content(member):
            spool.write(piece)
        self._append(archive, member.name, member.modified_s, spool)

    def _temporary(self) -> Path:
        """The directory for temporary files, reached without a link."""
        return temporary_directory(self.place.home)

    def _unusable(self, error: OSError) -> DestinationError:
        shown = str(self.place.path)
        return DestinationError(f"can't write the archive {shown!r}: {reason_of(error)}")
