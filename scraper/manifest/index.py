"""The index: what earlier runs' records say, found by target. One SQLite file.

It holds a row for each target that the manifest knows: whether its object is
done, its size, and the validators to ask with (RFC 9110 8.8). It can always be
made anew from the manifest, so it is thrown away whenever in doubt.

Owns: that file, and which line is a target's last word. Refuses to know: where
lines come from (`store.py`), what follows from a row (`history.py`). Rejected:
a dict (1 GB for ten million targets); rows that hold keys and URLs, where 64
bits tell targets apart as well; rows put in as they come, each into another
page of the file: SQLite sorts a million at a time, in bounded memory.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scraper.manifest.codec import read_entry
from scraper.model.errors import DestinationError
from scraper.model.records import PreviousRecord

_VERSION = 3
_CACHE_KIB = 16 * 1024  # as much again while sorting
_BATCH = 1_000_000  # lines merged at a time
_ASKED = 200  # targets looked up by one statement
_SCHEMA = """
CREATE TABLE known (id INTEGER PRIMARY KEY, state INTEGER, size INTEGER, etag TEXT,
    last_modified TEXT, effective INTEGER, variant TEXT, kept INTEGER, last INTEGER);
CREATE TABLE mark (seal TEXT, bytes INTEGER, lines INTEGER);
INSERT INTO mark VALUES ('', 0, 0);
"""
_FRESH = """
CREATE TEMP TABLE fresh (id INTEGER, state INTEGER, size INTEGER, etag TEXT,
    last_modified TEXT, effective INTEGER, variant TEXT, line INTEGER)
"""
# States are those of `codec.py`. What is not `stored` (2) leaves everything but the state:
# the object is still there. `kept` is the line that told of it, 0 if none has.
_MERGE = """
INSERT INTO known SELECT id, state, size, etag, last_modified, effective, variant,
    CASE state WHEN 2 THEN line ELSE 0 END, line FROM fresh WHERE 1 ORDER BY id, line
ON CONFLICT (id) DO UPDATE SET state = excluded.state, last = excluded.last,
    size = CASE excluded.kept WHEN 0 THEN size ELSE excluded.size END,
    etag = CASE excluded.kept WHEN 0 THEN etag ELSE excluded.etag END,
    last_modified = CASE excluded.kept WHEN 0 THEN last_modified ELSE excluded.last_modified END,
    effective = CASE excluded.kept WHEN 0 THEN effective ELSE excluded.effective END,
    variant = CASE excluded.kept WHEN 0 THEN variant ELSE excluded.variant END,
    kept = CASE excluded.kept WHEN 0 THEN kept ELSE excluded.kept END
"""
# Joined from left to right: a row for each `id`, without the sorted set that `id IN (...)` makes.
_ASKING = " FROM (VALUES {}) AS asked CROSS JOIN known ON id = asked.column1"
_FIND = "SELECT id, state > 0, size, etag, last_modified, effective, variant" + _ASKING
_DONE = "SELECT id, size, variant, effective" + _ASKING + " WHERE state > 0"
# A failure (0) says something beside the line of the stored body; a 304 does not.
_STANDING = "SELECT kept, CASE WHEN state = 0 OR kept = 0 THEN last ELSE kept END FROM known"
_COUNT = "SELECT count(*) + count(CASE WHEN state = 0 AND kept <> 0 THEN 1 END) FROM known"
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the manifest was absorbed: its bytes, its lines, and a seal that knows it again."""

    seal: str = ""
    bytes: int = 0
    lines: int = 0


class Unusable(DestinationError):
    """The index can't be used. `broken`: and never will be as it is."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(f"can't use the index of the manifest: {error}")
        self.broken = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unusable(error) from None


class Index:
    """The rows, in the file at `place`; "": in a temporary one that the system removes by itself.

    All that is asked of it may raise Unusable.
    """

    @_told()
    def __init__(self, place: str = "") -> None:
        self._db = sqlite3.connect(
            place,
            timeout=1.0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_ASKED + 10,
        )
        try:
            _prepare(self._db, temporary=not place)
        except sqlite3.Error:
            self._db.close()
            raise

    @property
    def mark(self) -> Mark:
        """How far the manifest was absorbed."""
        with _told():
            return Mark(*self._db.execute("SELECT seal, bytes, lines FROM mark").fetchone())

    @property
    def empty(self) -> bool:
        """Whether no target is known."""
        with _told():
            return self._db.execute("SELECT 1 FROM known LIMIT 1").fetchone() is None

    @_told()
    def absorb(self, lines: Iterable[bytes], seal: Callable[[int], str] = lambda _: "") -> None:
        """Take in the manifest's next lines (torn ones count, and say nothing): all or none.

        `seal` gives the mark's, when it is told how many bytes have been absorbed.
        """
        mark = self.mark
        size, number = mark.bytes, mark.lines

        def rows() -> Iterator[tuple[Any, ...]]:
            nonlocal size, number
            for line in islice(lines, _BATCH):
                size += len(line)
                number += 1
                entry = read_entry(line)
                if entry is not None:
                    yield (*entry, number)

        lines, before = iter(lines), -1
        with self._transaction():
            while number != before:
                before = number
                self._db.executemany("INSERT INTO fresh VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows())
                self._db.execute(_MERGE)
                self._db.execute("DELETE FROM fresh")
            self._mark(Mark(seal(size), size, number))

    @_told()
    def find(self, ids: Sequence[int]) -> dict[int, PreviousRecord]:
        """What is known of these targets."""
        rows = chain.from_iterable(self._asked(_FIND, ids))
        return {row[0]: PreviousRecord._make(row[1:]) for row in rows}

    @_told()
    def done(self, ids: Sequence[int]) -> dict[int, tuple[int | None, str | None, int]]:
        """Those of these targets that are done, with size, variant and `effective` of the object.

        It is quicker than `find`.
        """
        rows = chain.from_iterable(self._asked(_DONE, ids))
        return {row[0]: row[1:] for row in rows}

    @_told()
    def standing(self) -> bytearray:
        """For each line that was absorbed, in order, whether it still says something, or 0."""
        flags = bytearray(self.mark.lines + 1)
        for kept, last in self._db.execute(_STANDING):
            flags[kept] = flags[last] = 1
        return flags[1:]

    @_told()
    def count_standing(self) -> int:
        """How many lines these are."""
        return int(self._db.execute(_COUNT).fetchone()[0])

    @_told()
    def clear(self) -> None:
        """Forget everything: the manifest is another one now."""
        with self._transaction():
            self._db.execute("DELETE FROM known")
            self._mark(Mark())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _asked(self, statement: str, ids: Sequence[int]) -> Iterator[Any]:
        for start in range(0, len(ids), _ASKED):
            asked = ids[start : start + _ASKED]
            yield self._db.execute(statement.format(", ".join(["(?)"] * len(asked))), asked)

    def _mark(self, mark: Mark) -> None:
        self._db.execute("UPDATE mark SET seal = ?, bytes = ?, lines = ?", astuple(mark))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk rolls back by itself
                self._db.execute("ROLLBACK")
            raise


def open_index(path: Path | None, fill: Callable[[Index], None]) -> Index:
    """The index at `path`, brought up to date by `fill`, which may be called again.

    What is broken there, or of another version, is thrown away. Where none can be kept, and for
    None, it is a temporary one. Raises Unusable if that can't be had either, and what `fill` does.
    """
    for _ in range(2):
        if path is None:
            break
        try:
            return _filled(os.fspath(path), fill)
        except Unusable as error:
            if not error.broken:
                break  # it is in use, or the disk is full, or read-only
        with contextlib.suppress(OSError):
            path.unlink()
    return _filled("", fill)


def _filled(place: str, fill: Callable[[Index], None]) -> Index:
    index = Index(place)
    try:
        fill(index)
    except BaseException:
        index.close()
        raise
    return index


def _prepare(db: sqlite3.Connection, *, temporary: bool) -> None:
    mode, sync = ("OFF", "OFF") if temporary else ("DELETE", "NORMAL")
    for pragma in (f"cache_size=-{_CACHE_KIB}", f"journal_mode={mode}", f"synchronous={sync}"):
        db.execute(f"PRAGMA {pragma}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    elif version != _VERSION:
        raise _AnotherVersion
    db.execute(_FRESH)


class _AnotherVersion(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_NOTADB
