"""The index: what earlier runs' records say, found by target. One SQLite file.

It holds a row for each target that the manifest knows: whether its object is
done, its size, and the validators to ask with (RFC 9110 8.8). It can always be
made anew from the manifest, so it is thrown away whenever in doubt.

Owns: that file, and which line is a target's last word. Refuses to know: where
lines come from (`journal.py`), what follows from a row (`resume.py`). Rejected:
a dict (1 GB for ten million targets); rows that hold keys and URLs, where 64
bits tell targets apart as well.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from scraper.manifest import FAILED, Entry, read_entry
from scraper.records import Known

_VERSION = 1
_CACHE_KIB = 48 * 1024
_BATCH = 50_000  # lines absorbed at a time, in the order of the file's pages
_ASKED = 200  # targets looked up by one statement
_SCHEMA = """
CREATE TABLE known (id INTEGER PRIMARY KEY, state INTEGER, size INTEGER, etag TEXT,
    last_modified TEXT, effective INTEGER, kept INTEGER, last INTEGER);
CREATE TABLE mark (file TEXT, bytes INTEGER, lines INTEGER);
"""
# A 304 keeps what the stored body's record said, but for validators that it brought itself
# (RFC 9110 15.4.5); a failure keeps all of it: the object is still there.
_ABSORB = """
INSERT INTO known VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (id) DO UPDATE SET
    size = iif(?2 = 2, ?3, size),
    etag = iif(?2 = 2, ?4, iif(?2 = 1, coalesce(?4, etag), etag)),
    last_modified = iif(?2 = 2, ?5, iif(?2 = 1, coalesce(?5, last_modified), last_modified)),
    effective = iif(?2 = 2, ?6, effective),
    kept = iif(?2 = 2, ?7, kept), state = ?2, last = ?7
"""
_THESE = f"FROM known WHERE id IN ({', '.join('?' * _ASKED)})"
_FIND = "SELECT id, state, size, etag, last_modified, effective " + _THESE
_STANDING = "SELECT id, kept, last " + _THESE


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the manifest was absorbed: which file, its bytes, its lines."""

    file: str = ""
    bytes: int = 0
    lines: int = 0


class Index:
    """The rows. `path` None: in a temporary file that the system removes by itself."""

    def __init__(self, path: Path | None = None) -> None:
        self._db = _open(path)

    @property
    def mark(self) -> Mark:
        """How far the manifest was absorbed."""
        return Mark(*self._db.execute("SELECT file, bytes, lines FROM mark").fetchone())

    def __len__(self) -> int:
        """Targets known."""
        return int(self._db.execute("SELECT count(*) FROM known").fetchone()[0])

    @property
    def empty(self) -> bool:
        """Whether no target is known; unlike `len` it counts nothing."""
        return self._db.execute("SELECT 1 FROM known LIMIT 1").fetchone() is None

    def absorb(self, lines: Iterable[bytes], file: str = "") -> Mark:
        """Take in the manifest's next lines (torn ones count, and say nothing)."""
        mark = self.mark
        size, number = mark.bytes, mark.lines
        lines = iter(lines)
        self._db.execute("BEGIN")
        try:
            while batch := list(islice(lines, _BATCH)):
                rows = []
                for number, line in enumerate(batch, number + 1):  # noqa: B020
                    size += len(line)
                    entry = read_entry(line)
                    if entry is not None:
                        rows.append((*entry, number))
                rows.sort(key=itemgetter(0))
                self._db.executemany(_ABSORB, rows)
            self._db.execute("UPDATE mark SET file = ?, bytes = ?, lines = ?", (file, size, number))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return Mark(file, size, number)

    def find(self, ids: Sequence[int]) -> dict[int, Known]:
        """What is known of these targets, at most a few hundred."""
        found: dict[int, Known] = {}
        for one, state, *rest in self._rows(_FIND, ids):
            found[one] = Known(state > FAILED, *rest)
        return found

    def standing(self, entries: Sequence[tuple[int, Entry | None]]) -> list[bool]:
        """Which of these lines (number, entry) still say something: the others are outdated."""
        ids = [entry.id for _, entry in entries if entry is not None]
        lines = {row[0]: row[1:] for row in self._rows(_STANDING, ids)}
        return [entry is not None and number in lines[entry.id] for number, entry in entries]

    def clear(self) -> None:
        """Forget everything: the manifest is another one now."""
        self._db.execute("DELETE FROM known")
        self._db.execute("UPDATE mark SET file = '', bytes = 0, lines = 0")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _rows(self, statement: str, ids: Sequence[int]) -> Iterable[Any]:
        for start in range(0, len(ids), _ASKED):
            asked = ids[start : start + _ASKED]
            padded = [*asked, *([asked[0]] * (_ASKED - len(asked)))]
            yield from self._db.execute(statement, padded)


def _open(path: Path | None) -> sqlite3.Connection:
    """The database at `path`; a temporary one if it can't be had there."""
    for place in (path, path, None):
        if place is None:
            break
        with contextlib.suppress(sqlite3.Error):
            return _connect(os.fspath(place))
        with contextlib.suppress(OSError):  # torn, or of another version
            place.unlink()
    return _connect("")


def _connect(place: str) -> sqlite3.Connection:
    db = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    try:
        safe = ("journal_mode=DELETE", "synchronous=NORMAL")
        quick = ("journal_mode=OFF", "synchronous=OFF")
        for pragma in (f"cache_size=-{_CACHE_KIB}", *(safe if place else quick)):
            db.execute(f"PRAGMA {pragma}")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            db.executescript(_SCHEMA)
            db.execute("INSERT INTO mark VALUES ('', 0, 0)")
            db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise sqlite3.DatabaseError("an index of another version")
        db.execute("SELECT count(*) FROM mark").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db
