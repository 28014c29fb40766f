"""The writer of an archive: which file a unit goes into, and when a file is full.

Large units have a file of their own to grow: while gigabytes are copied into it, small ones do not
wait. So at most two files are open. A file is full when it has `most` bytes; a unit is never split.

Once another run may have the archive (`holds`) nothing is changed: open files stay as they are, for
that run to go on with.

Owns: the open files, their names, the index, and the order of their changes. Does not know: what is
recorded (`recording.py`).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scraper.model.archived import Archived
from scraper.model.errors import DestinationError, Fenced
from scraper.sinks.exchanges import Unrecorded
from scraper.sinks.warc import journal, recovery
from scraper.sinks.warc.archive_file import OPEN, SUFFIX, ArchiveFile, check_fence, refused
from scraper.sinks.warc.files import Files, StoredFiles
from scraper.sinks.warc.index import Index, Payload
from scraper.sinks.warc.journal import Unit
from scraper.sinks.warc.members import Spooled
from scraper.sinks.warc.objects import Objects

_LARGE = 1 << 22  # bytes of a unit that goes into the second file
_MOST_NUMBERS = 100_000
_MOST_WHOLE = 100_000  # 20 MB


class Overtaken(Exception):
    """A payload of the unit is in the archive by now, written by another attempt."""


class Writer:
    """Writes into the directory of `files`, with our own files in `own`, once `recover` was called.

    `most`: bytes of a file. `may_block`: a finished file is put somewhere else. Many threads use
    it. All methods raise DestinationError; Fenced once `holds()` is false.
    """

    def __init__(
        self, files: Files, own: Path, most: int, holds: Callable[[], bool] = lambda: True
    ) -> None:
        self._directory, self._own, self._files = files.directory, own, files
        self._most = most
        self._holds = holds
        self.may_block = isinstance(files, StoredFiles)
        now_ms = time.time_ns() // 1_000_000
        stamp = time.strftime(f"%Y%m%dT%H%M%S{now_ms % 1000:03d}Z", time.gmtime(now_ms // 1000))
        self._stem = f"scraper-{stamp}-{os.urandom(2).hex()}"  # of one run, on one machine
        self._number = 0
        self._lanes = (_Lane(), _Lane())
        self._naming = threading.Lock()
        self._whole = set[tuple[str, int]]()  # records that this run has written or read
        self.index: Index

    def recover(self) -> None:
        """Mend what a killed run has left, and go on with it."""
        check_fence(self._holds)
        self.index = Index(self._own)
        left = recovery.mend(self._directory, self._own)
        opened = {one.name: one.size for one in left}
        for name in recovery.journaled(self._own):
            if name in opened:
                self.index.forget(name, opened[name])
            replay(self.index, self._own / (name + journal.SUFFIX))
        self.index.commit()
        if isinstance(self._files, StoredFiles):
            self._files.put_left()
        lanes = iter(self._lanes)
        for one in left:
            if not one.has_journal:
                recovery.finish_without_journal(self._directory, one.name)
                self._files.finished(one.name)
                continue
            file = self._file(one.name, begun=one.size)
            lane = next(lanes, None)
            if lane is None:
                self._complete(file)
            else:
                lane.file = file

    def append(
        self,
        members: list[bytes | Spooled],
        payloads: list[bytes],
        flushes: int,
        describe: Callable[[str, int], Unit],
    ) -> Unit:
        """Append a unit. `describe` is given its file and its first byte.

        Raises Overtaken if one of `payloads` (SHA-1) was added to the index since it was looked
        for, when that had been flushed so many times.
        """
        lane = self._lanes[sum(map(len, members)) >= _LARGE]
        with lane.lock:
            for digest in payloads:
                if self.index.is_new(digest, flushes):
                    raise Overtaken
            file = lane.file
            if file is None:
                file = lane.file = self._begin()
            name = file.name
            unit = file.append(members, lambda start: describe(name, start))
            self.index.add(unit.indexed, unit.payloads)
            for payload in unit.payloads:
                self._note_whole((payload.file, payload.offset))
            full = file.size >= self._most
            if full:
                lane.file = None
        if full:  # others go on meanwhile with the next one
            self._complete(file)
        return unit

    def payload(self, digest: bytes) -> Payload | None:
        """The record that has this payload, if it is there and whole.

        One of an earlier run is read for that, once: what refers to a damaged record would be
        lost with it. Of a file in a store only the size is asked.
        """
        found = self.index.payload(digest)
        if found is None or not self._files.has(found.file, found.offset + 1):
            return None
        place = found.file, found.offset
        if place not in self._whole and not self.may_block:
            if not Objects(self._files, self.index).has_payload(found):
                return None
            self._note_whole(place)
        return found

    def _note_whole(self, place: tuple[str, int]) -> None:
        if len(self._whole) >= _MOST_WHOLE:
            self._whole.clear()  # some are read again
        self._whole.add(place)

    def sync(self) -> None:
        """Return when all units are on the disk."""
        for lane in self._lanes:
            with lane.lock:
                if lane.file is not None:
                    lane.file.sync()

    def all_recorded(self) -> None:
        """Drop the journals of finished files: the manifest has all that they say."""
        for lane in self._lanes:
            with lane.lock:
                self._finish(lane)
        check_fence(self._holds)
        self.index.commit()
        try:
            for name in recovery.journaled(self._own):
                if not (self._directory / (name + OPEN)).exists():
                    os.unlink(self._own / (name + journal.SUFFIX))
        except OSError as error:
            raise refused(error) from None

    def is_cut_off(self, archived: Archived) -> bool:
        """Whether the record was in an open file, behind what of it is whole."""
        return any(lane.behind(archived) for lane in self._lanes)

    def unrecorded(self) -> Iterator[Unrecorded]:
        """What the journals say, before this run writes anything."""
        try:
            for name in recovery.journaled(self._own):
                for _, unit in journal.units(self._own / (name + journal.SUFFIX)):
                    if (told := unit.unrecorded()) is not None:
                        yield told
        except OSError as error:
            raise refused(error) from None

    def close(self) -> None:
        """Finish what is open. Once another run may have the archive all stays as it is."""
        error: DestinationError | Fenced | None = None
        for lane in self._lanes:
            with lane.lock:
                try:
                    self._finish(lane)
                except (DestinationError, Fenced) as raised:
                    error = raised
        self.index.close(lasting=self._holds())
        if error is not None and not isinstance(error, Fenced):
            raise error

    def _finish(self, lane: "_Lane") -> None:
        file, lane.file = lane.file, None
        if file is not None:
            try:
                self._complete(file)
            finally:
                file.close()

    def _complete(self, file: ArchiveFile) -> None:
        if file.is_empty:
            file.discard()
            return
        file.finish()
        self.index.commit()
        self._files.finished(file.name)

    def _file(self, name: str, begun: int | None = None) -> ArchiveFile:
        return ArchiveFile(self._directory, self._own, name, begun=begun, holds=self._holds)

    def _begin(self) -> ArchiveFile:
        with self._naming:
            while self._number < _MOST_NUMBERS:
                self._number += 1
                name = f"{self._stem}-{self._number:05d}{SUFFIX}"
                both = (self._directory / name, self._directory / (name + OPEN))
                if not any(map(os.path.lexists, both)):
                    return self._file(name)
        raise DestinationError("the archive has no name left for another file")


class _Lane:
    """A file that grows, None before its first unit; and the lock of both."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.file: ArchiveFile | None = None

    def behind(self, archived: Archived) -> bool:
        """Whether a record would be in this file, and behind its end."""
        file = self.file
        end = archived.offset + archived.length
        return file is not None and file.name == archived.file and end > file.size


def replay(index: Index, path: Path) -> None:
    """Add to `index` what the journal at `path` says. Raises DestinationError."""
    try:
        for _, unit in journal.units(path):
            index.add(unit.indexed, unit.payloads)
    except OSError as error:
        raise refused(error) from None
