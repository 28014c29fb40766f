"""What tells a later run that this one was writing: a note beside the manifest.

It says from which byte on the run has written, and which manifest has its records. It is removed
when the run ends in order. A run that finds one knows that the run before it was killed. Whatever
that one has stored behind its last record is cut off: it will be fetched again anyway, and nobody
finds a member in the archive that no record tells of. Only what the run is proved to have written
is cut off (`journal.py`). Without a note that is a torn member that a record tells of.

Owns: that note. Does not know: which members these are (`recorded.py`), how they are cut off.
"""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from scraper.sinks.archives.journal import Journal
from scraper.sinks.archives.members import Member
from scraper.sinks.archives.recorded import Recorded, StoredFacts
from scraper.sinks.directory import OWN, open_own, replace_own

_NAME = "writing.json"
_NEW = ".new"
_JOURNAL = "writing.members"
_MOST_BYTES = 1 << 16


class WritingNote:
    """The note in the directory `home`. `found`: whether there is one; of which `manifest`.

    `begin`: the first byte that the run before has written. `path`: where it is.
    Raises DestinationError, OSError.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / OWN / _NAME
        self.path = str(self._path)
        self.journal = Journal(home / OWN / _JOURNAL)
        self.found, self.begin, self.manifest = False, 0, ""
        with suppress(FileNotFoundError, NotADirectoryError):
            fd = open_own(self._path, os.O_RDONLY)
            self.found = True
            with open(fd, "rb") as file, suppress(ValueError, KeyError, TypeError):
                told = json.loads(file.read(_MOST_BYTES))
                self.begin, self.manifest = int(told["from"]), str(told["manifest"])

    def write(self, begin: int, manifest: str) -> None:
        """Say that this run writes from `begin` on."""
        told = json.dumps({"from": begin, "manifest": manifest}).encode()
        with suppress(FileExistsError):
            os.mkdir(self._path.parent)
        with replace_own(self._path, _NAME + _NEW, sync=False) as file:
            file.write(told)
        self.journal.begin()

    def remove(self) -> None:
        """Say that this run has ended in order."""
        self.journal.remove()
        with suppress(OSError):
            os.unlink(self._path)


class Proof:
    """What tells whether the rest of an archive is ours. `running`: a run was, or is, writing it.

    `stored` is what the manifest has; it is read once, and only if there is no note.
    """

    def __init__(self, note: WritingNote, stored: Iterable[StoredFacts] = ()) -> None:
        self.running = note.found
        self._note, self._stored = note, stored

    def tore(
        self, at: int, size: int, read: Callable[[int, int], bytes], torn: Member | None
    ) -> bool:
        """Whether what stands from byte `at` on, up to `size`, is a torn member of ours.

        `torn`: what its headers say, if they are whole and the bytes end within it.
        """
        if self.running:
            return self._note.journal.tore(at, size, read)
        if torn is None:
            return False
        return Recorded({torn.name}, self._stored).may_have(torn)
