"""An archive file that grows: `NAME.warc.gz.open`, and its journal.

A unit is appended with one write, and its journal line after it. What a full disk does not take is
taken back at once. A finished file is flushed to the disk, gets its name, and then its index.

Before each piece, line and name it asks the fence: once another run may have the archive nothing
is changed, not even what was under way taken back. The run that has it cuts that off.

Owns: this file, from its first byte to its final name. Does not know: what records say, when a file
is full (`writer.py`).
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from scraper.model.errors import DestinationError, Fenced
from scraper.sinks.directory import flush_path, open_own, replace_own
from scraper.sinks.warc import cdxj, journal
from scraper.sinks.warc.members import Spooled, member
from scraper.sinks.warc.records import warcinfo

SUFFIX, OPEN, INDEX = ".warc.gz", ".open", ".cdxj"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
_OLD = os.O_RDWR


class ArchiveFile:
    """The file of this `name`, which ends with SUFFIX, in `directory`; its journal in `own`.

    `begun`: it is there, and has that many bytes. Else it is made, with its warcinfo. Many threads
    append. Raises DestinationError; Fenced once `holds()` is false.
    """

    def __init__(
        self,
        directory: Path,
        own: Path,
        name: str,
        *,
        begun: int | None = None,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self._holds = holds
        check_fence(holds)
        self._directory, self._own = directory, own
        self._path = directory / (name + OPEN)
        self._journal_path = own / (name + journal.SUFFIX)
        try:
            self._fd = open_own(self._path, _NEW if begun is None else _OLD)
            try:
                self._journal = open_own(self._journal_path, os.O_RDWR | os.O_CREAT)
                self._journaled = os.fstat(self._journal).st_size
                self.size = begun or 0
                if not self._journaled:
                    self._note(journal.first_line())
                if begun is None:
                    self._write([member(warcinfo(name, time.time()))])
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            raise refused(error) from None
        self.is_empty = begun is None

    def append(
        self, members: list[bytes | Spooled], describe: Callable[[int], journal.Unit]
    ) -> journal.Unit:
        """Append a unit. The lock is held. `describe` is given its first byte, and tells of it.

        Raises DestinationError; the file is then as it was, but for Fenced.
        """
        start = self.size
        try:
            self._write(members)
            try:
                unit = describe(start)
                self._note(unit.line())
            except BaseException:
                self._take_back(start)
                raise
        except OSError as error:
            raise refused(error) from None
        self.is_empty = False
        return unit

    def sync(self) -> None:
        """Return when all of it is on the disk. Raises DestinationError."""
        try:
            os.fsync(self._fd)
            os.fsync(self._journal)
        except OSError as error:
            raise refused(error) from None

    def finish(self) -> None:
        """Give it its name, and write its index. Raises DestinationError."""
        try:
            self.sync()
            self.close()
            check_fence(self._holds)
            name_finally(self._path, self._directory / self.name)
            lines = journal.index_lines(self._own / (self.name + journal.SUFFIX))
            write_index(self._directory, self.name, lines)
            flush_path(self._directory)
        except OSError as error:
            raise refused(error) from None

    def discard(self) -> None:
        """Remove it: it has nothing but its warcinfo."""
        self.close()
        check_fence(self._holds)
        with contextlib.suppress(OSError):
            os.unlink(self._path)
            os.unlink(self._journal_path)

    def close(self) -> None:
        """Leave it as it is."""
        for fd in (self._fd, self._journal):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fd = self._journal = -1

    def _write(self, members: Iterable[bytes | Spooled]) -> None:
        """Write at the end, or nothing. Raises OSError."""
        start = at = self.size
        try:
            for piece in _pieces(members):
                view = memoryview(piece)
                while view:
                    check_fence(self._holds)
                    taken = os.pwrite(self._fd, view, at)
                    at += taken
                    view = view[taken:]
        except BaseException:
            self._take_back(start)
            raise
        self.size = at

    def _take_back(self, size: int) -> None:
        """Cut off what was not written whole, as long as no other run can have the file."""
        if self._holds():
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size)
        self.size = size

    def _note(self, line: bytes) -> None:
        at, view = self._journaled, memoryview(line)
        try:
            while view:
                check_fence(self._holds)
                taken = os.pwrite(self._journal, view, at)
                at += taken
                view = view[taken:]
        except BaseException:
            if self._holds():
                with contextlib.suppress(OSError):
                    os.ftruncate(self._journal, self._journaled)
            raise
        self._journaled = at


def _pieces(members: Iterable[bytes | Spooled]) -> Iterator[bytes]:
    """What is written at once: small members together, a large one a piece at a time."""
    together: list[bytes] = []
    for one in members:
        if isinstance(one, bytes):
            together.append(one)
        else:
            yield b"".join(together)
            together = []
            yield from one.pieces()
    yield b"".join(together)


def name_finally(path: Path, final: Path) -> None:
    """Rename a file to a name that no other file may have. Raises OSError."""
    try:
        os.link(path, final)  # which does not replace a file, as a rename would
    except FileExistsError:
        if not os.path.samefile(path, final):
            raise
    except OSError:  # there are no links on this file system
        if os.path.lexists(final):
            raise
        os.rename(path, final)
        return
    os.unlink(path)


def write_index(directory: Path, name: str, lines: Iterable[str]) -> None:
    """Write the CDXJ of the finished file `name`, which has these lines. Raises OSError."""
    index = name.removesuffix(SUFFIX) + INDEX
    with replace_own(directory / index, f"{index}.new") as file:
        file.writelines(cdxj.in_order(line.encode() for line in lines))


def check_fence(holds: Callable[[], bool]) -> None:
    """Raise Fenced once `holds()` is false: another run may have the archive."""
    if not holds():
        raise Fenced("the lease of the destination ran out")


def refused(error: OSError) -> DestinationError:
    """The archive takes no more: each other object would meet the error."""
    return DestinationError(f"the archive takes no more: {error.strerror or error}")
