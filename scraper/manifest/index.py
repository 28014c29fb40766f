"""The index: what earlier runs' records say, found by target. One SQLite file.

It has a row for each target that the manifest knows: whether its object is done, its size, and
the validators to ask with (RFC 9110 8.8). It also knows which target owns each key: the last one
that was stored under it. A target whose key was stored by another since is known, and not done. So
is one whose object was pruned, lost or changed; it keeps its key, so that no earlier owner returns.
The index can always be made again, and is thrown away when in doubt.

Owns: that file, which line is a target's last word, and who owns a key. Does not know: where
lines come from (the stores), what follows from a row (`history.py`). Rejected: a dict (1 GB for
ten million targets); rows with keys and URLs, since 64 bits tell targets apart as well; an owner
looked up for each target of a list, since lists are read far more often than keys change hands;
rows inserted one by one, each into another page. SQLite sorts a million in bounded memory.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from scraper.manifest.codec import ANY, Reading, Seen, parse, read_bad_line, read_entry
from scraper.model.errors import DestinationError
from scraper.model.records import PreviousRecord

_FORMAT = 11
_CACHE_KIB = 16 * 1024  # as much again while sorting
_BATCH = 1_000_000  # lines merged at a time
_ASKED = 200  # targets looked up by one statement
_SCHEMA = """
CREATE TABLE known (id INTEGER PRIMARY KEY, state INTEGER, size INTEGER, etag TEXT,
    last_modified TEXT, effective INTEGER, variant TEXT, digest BLOB, modified_ms INTEGER,
    kept INTEGER, last INTEGER);
CREATE TABLE owners (key INTEGER PRIMARY KEY, id INTEGER, line INTEGER);
CREATE TABLE bad (id INTEGER PRIMARY KEY);
CREATE TABLE mark (stat TEXT, crc INTEGER, bytes INTEGER, lines INTEGER);
INSERT INTO mark VALUES ('', 0, 0, 0);
"""
# `kept` is the line that told of the target's object: 0 if none did, -1 if another target was
# stored under its key since, -2 if it was pruned or lost. The lines of a batch are merged before
# their keys change hands, so the earlier owner may be the one that was stored last. `line` is the
# one by which the owner got its key. Where its object was pruned or lost, it is the line of that,
# with a minus.
_TEMPORARY = """
CREATE TEMP TABLE fresh (id INTEGER, state INTEGER, key INTEGER, size INTEGER, etag TEXT,
    last_modified TEXT, effective INTEGER, variant TEXT, digest BLOB, modified_ms INTEGER,
    line INTEGER);
CREATE TEMP TRIGGER replaced AFTER UPDATE ON owners WHEN old.id <> new.id BEGIN
    UPDATE known SET size = NULL, etag = NULL, last_modified = NULL, effective = 0,
        variant = NULL, digest = NULL, modified_ms = NULL, kept = -1
    WHERE id = old.id AND kept > 0 AND kept < abs(new.line);
END;
"""
_INSERT = "INSERT INTO fresh VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# The states are those of `codec.py`. A line that is not `stored` (2), `pruned` (3) or `lost` (-3)
# changes the state only: the object is still there. A target that was not reached (-1) after it
# failed (0) has failed.
_MERGE = """
INSERT INTO known SELECT id, state, size, etag, last_modified, effective, variant,
    digest, modified_ms,
    CASE WHEN state = 2 THEN line WHEN state IN (3, -3) THEN -2 ELSE 0 END, line
FROM fresh WHERE 1 ORDER BY id, line
ON CONFLICT (id) DO UPDATE SET
    state = CASE WHEN excluded.state = -1 AND state IN (0, -2, -3) THEN state
        ELSE excluded.state END,
    last = CASE WHEN excluded.state = -1 AND state IN (0, -2, -3) THEN last ELSE excluded.last END,
    size = CASE excluded.kept WHEN 0 THEN size ELSE excluded.size END,
    etag = CASE excluded.kept WHEN 0 THEN etag ELSE excluded.etag END,
    last_modified = CASE excluded.kept WHEN 0 THEN last_modified ELSE excluded.last_modified END,
    effective = CASE excluded.kept WHEN 0 THEN effective ELSE excluded.effective END,
    variant = CASE excluded.kept WHEN 0 THEN variant ELSE excluded.variant END,
    digest = CASE excluded.kept WHEN 0 THEN digest ELSE excluded.digest END,
    modified_ms = CASE excluded.kept WHEN 0 THEN modified_ms ELSE excluded.modified_ms END,
    kept = CASE excluded.kept WHEN 0 THEN kept ELSE excluded.kept END
"""
_OWN = """
INSERT INTO owners SELECT key, id, CASE state WHEN 2 THEN line ELSE -line END
FROM fresh WHERE state IN (2, 3, -3) ORDER BY key, line
ON CONFLICT (key) DO UPDATE SET id = excluded.id, line = excluded.line
WHERE id <> excluded.id OR line < 0 OR excluded.line < 0
"""
# Joined from left to right: a row for each id, without the sorted set that `id IN (...)` makes.
_ASKING = " FROM (VALUES {}) AS asked CROSS JOIN known ON id = asked.column1"
_FOUND = (
    "state > 0 AND kept > 0, size, etag, last_modified, effective, variant, digest, modified_ms,"
    " state = -2 AS permanent"
)
_FIND = f"SELECT id, {_FOUND}{_ASKING}"
_OBJECT = "variant, effective, size, digest, modified_ms"
_DONE = f"SELECT id, {_OBJECT}{_ASKING} WHERE state > 0 AND kept > 0"
# A failure (0 and below) says something beside the line of the stored body; a 304 does not.
_KEPT = "SELECT kept FROM known WHERE kept > 0"
_LAST = "SELECT CASE WHEN state <= 0 OR kept <= 0 THEN last ELSE kept END FROM known"
_COUNT = "SELECT count(*) + count(CASE WHEN state <= 0 AND kept > 0 THEN 1 END) FROM known"
# The line of a pruned or lost key says who owns it, whatever became of that target since.
_PRUNED = "SELECT -line FROM owners WHERE line < 0"
_COUNT_PRUNED = "SELECT count(*) FROM owners JOIN known USING (id) WHERE line < 0 AND last <> -line"
_OWNING = "SELECT kept FROM owners JOIN known USING (id) WHERE line > 0"
_OWNER = "SELECT line FROM owners WHERE key = ?"
_REPLACED = "SELECT last FROM known WHERE state > 0 AND kept = -1"
_DENIED = "SELECT last FROM known WHERE state > 0 AND state <> 2 AND kept = -1"
_COUNT_REPLACED = "SELECT count(*) FROM known WHERE state > 0 AND kept = -1"
_DONE_TARGETS = "SELECT state, count(*) FROM known WHERE state > 0 AND kept >= 0 GROUP BY state"
# `sum` fails where it is over 63 bits; `total` does not.
_OBJECTS = "SELECT count(*), total(size) FROM owners JOIN known USING (id) WHERE line > 0"
_HAS_FAILED = (
    "SELECT 1 FROM known WHERE id = ? AND state IN (0, -2) UNION SELECT 1 FROM bad WHERE id = ?"
)
_FAILURES = "SELECT last FROM known WHERE state <= 0"
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class Totals(NamedTuple):
    """Targets by their last word, and objects. `size`: bytes of all objects.

    `replaced`: targets whose object was stored over by another target since.
    """

    stored: int
    not_modified: int
    replaced: int
    objects: int
    size: int


# Variant, `effective`, size, digest and time of the object of a target that is done.
Done = tuple[str | None, int, int | None, bytes | None, int | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the manifest was absorbed: its bytes, their CRC-32, and its lines.

    `stat` is the state of its file when nothing was known to have changed, "" if there is none.
    """

    stat: str = ""
    crc: int = 0
    bytes: int = 0
    lines: int = 0


class Unusable(DestinationError):
    """The index can't be used. `broken`: and no later run could use it either."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(f"can't use the index of the manifest: {error}")
        self.broken = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors of SQLite become Unusable."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unusable(error) from None


class Index:
    """The rows, in the file at `place`. Every method may raise Unusable.

    `place` "" is a temporary file, which the system removes by itself. `reading` says how lines
    are read; an index that was made with other folding is not used.
    """

    @told()
    def __init__(self, place: str = "", reading: Reading = ANY) -> None:
        self._reading = reading
        self._db = sqlite3.connect(
            place,
            timeout=1.0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_ASKED + 10,
        )
        try:
            _prepare(self._db, 2 * _FORMAT + reading.folds, temporary=not place)
        except sqlite3.Error:
            self._db.close()
            raise

    @property
    def mark(self) -> Mark:
        """How far the manifest was absorbed."""
        with told():
            return Mark(*self._db.execute("SELECT stat, crc, bytes, lines FROM mark").fetchone())

    @property
    def empty(self) -> bool:
        """Whether no target is known."""
        with told():
            return self._db.execute("SELECT 1 FROM known LIMIT 1").fetchone() is None

    @told()
    def absorb(self, lines: Iterable[bytes], seen: Seen = lambda *_: None) -> None:
        """Take in the next lines of the manifest, all or none.

        Torn lines count and say nothing. `seen` is given the number of each line, from 0, and its
        record, since a line is parsed once. Raises what `lines` raises, and UsageError for a
        record of another destination.
        """
        mark, reading = self.mark, self._reading
        size, number, crc = mark.bytes, mark.lines, mark.crc
        bad: list[tuple[int]] = []

        def rows() -> Iterator[tuple[Any, ...]]:
            nonlocal size, number, crc
            for line in islice(lines, _BATCH):
                size += len(line)
                number += 1
                crc = zlib.crc32(line, crc)
                record = parse(line)
                entry = read_entry(record, reading)
                if entry is not None:
                    yield (*entry, number)
                elif (one := read_bad_line(record)) is not None:
                    bad.append((one,))
                seen(number - 1, record)

        lines, before = iter(lines), -1
        with self._transaction():
            while number != before:
                before = number
                self._db.executemany(_INSERT, rows())
                self._db.execute(_MERGE)
                self._db.execute(_OWN)
                self._db.execute("DELETE FROM fresh")
                self._db.executemany("INSERT OR IGNORE INTO bad VALUES (?)", bad)
                bad.clear()
            self._mark(Mark("", crc, size, number))

    @told()
    def confirm(self, stat: str) -> None:
        """Note that the manifest begins with what was absorbed while its file is in this state."""
        mark = self.mark
        if mark.stat != stat:
            self._mark(replace(mark, stat=stat))

    @told()
    def find(self, ids: Sequence[int]) -> dict[int, PreviousRecord]:
        """What is known of these targets."""
        rows = chain.from_iterable(self._asked(_FIND, ids))
        return {row[0]: PreviousRecord(bool(row[1]), *row[2:]) for row in rows}

    @told()
    def done(self, ids: Sequence[int]) -> dict[int, Done]:
        """Those of these targets that are done. It is quicker than `find`."""
        rows = chain.from_iterable(self._asked(_DONE, ids))
        return {row[0]: row[1:] for row in rows}

    @told()
    def has_failed(self, one: int) -> bool:
        """Whether the last word on this target, or on a line that names none, is a failure."""
        return self._db.execute(_HAS_FAILED, (one, one)).fetchone() is not None

    @told()
    def what(self, key: str) -> int:
        """What the manifest says is under `key` now: `OBJECT`, `GONE`, or 0 for nothing."""
        found = self._db.execute(_OWNER, (self._reading.key_of(key),)).fetchone()
        if found is None:
            return 0
        return OBJECT if found[0] > 0 else GONE

    @told()
    def standing(self) -> bytearray:
        """For each line that was absorbed, in order: 1 if it still says something, else 0."""
        return self._flags((_KEPT, 1), (_LAST, 1), (_PRUNED, 1))

    @told()
    def count_standing(self) -> int:
        """How many lines these are."""
        return sum(int(self._db.execute(one).fetchone()[0]) for one in (_COUNT, _COUNT_PRUNED))

    @told()
    def objects(self) -> bytearray:
        """For each line that was absorbed, in order, what it says of its object now.

        `OBJECT`: it tells of the object that is under its key. `REPLACED`: it stored its target,
        and another target was stored under the key since. `DENIED`: the same, but it is a 304,
        which says that the object is there. `GONE`: it says that the object was pruned or lost, and
        nothing was stored under the key since. 0: it says nothing of an object.
        """
        replaced = (_REPLACED, REPLACED), (_DENIED, DENIED)
        return self._flags((_OWNING, OBJECT), *replaced, (_PRUNED, GONE))

    @told()
    def failures(self) -> bytearray:
        """For each line that was absorbed, in order: 1 if it is the last word of a failure."""
        return self._flags((_FAILURES, 1))

    @told()
    def last_words(self) -> bytearray:
        """For each line, in order: not 0 if it tells the last state of a target.

        That is the line of its object if it is done. `REPLACED`: another has its key since.
        """
        return self._flags((_LAST, 1), (_REPLACED, REPLACED))

    @told()
    def totals(self) -> Totals:
        """What all targets that are done come to."""
        db = self._db
        done = dict(db.execute(_DONE_TARGETS).fetchall())
        replaced = db.execute(_COUNT_REPLACED).fetchone()[0]
        objects, size = db.execute(_OBJECTS).fetchone()
        return Totals(done.get(2, 0), done.get(1, 0), replaced, objects, int(size))

    @told()
    def clear(self) -> None:
        """Forget everything: this is another manifest."""
        with self._transaction():
            self._db.execute("DELETE FROM known")
            self._db.execute("DELETE FROM owners")
            self._db.execute("DELETE FROM bad")
            self._mark(Mark())

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _asked(self, statement: str, ids: Sequence[int]) -> Iterator[Any]:
        for start in range(0, len(ids), _ASKED):
            asked = ids[start : start + _ASKED]
            yield self._db.execute(statement.format(", ".join(["(?)"] * len(asked))), asked)

    def _flags(self, *asked: tuple[str, int]) -> bytearray:
        """For each line, in order, the number beside the last statement that gives it, else 0."""
        flags = bytearray(self.mark.lines + 1)
        for statement, flag in asked:
            for (line,) in self._db.execute(statement):
                flags[line] = flag
        return flags[1:]

    def _mark(self, mark: Mark) -> None:
        self._db.execute("UPDATE mark SET stat = ?, crc = ?, bytes = ?, lines = ?", astuple(mark))

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


OBJECT, REPLACED, DENIED, GONE = 1, 2, 3, 4  # see `Index.objects`


def open_index(path: Path | None, fill: Callable[[Index], None], reading: Reading = ANY) -> Index:
    """The index at `path`, brought up to date by `fill`, which may be called twice.

    A broken file, or one of another format, is deleted and made again. Where no file can be
    kept, and for None, the index is temporary. Raises Unusable if that fails too, and what `fill`
    raises.
    """
    for _ in range(2):
        if path is None:
            break
        try:
            return _filled(os.fspath(path), fill, reading)
        except Unusable as error:
            if not error.broken:
                break  # the file is in use, the disk is full, or it is read-only
        with contextlib.suppress(OSError):
            path.unlink()
    return _filled("", fill, reading)


def _filled(place: str, fill: Callable[[Index], None], reading: Reading) -> Index:
    index = Index(place, reading)
    try:
        fill(index)
    except BaseException:
        index.close()
        raise
    return index


def _prepare(db: sqlite3.Connection, version: int, *, temporary: bool) -> None:
    mode, sync = ("OFF", "OFF") if temporary else ("DELETE", "NORMAL")
    for pragma in (f"cache_size=-{_CACHE_KIB}", f"journal_mode={mode}", f"synchronous={sync}"):
        db.execute(f"PRAGMA {pragma}")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {version}; COMMIT;")
    elif found != version:
        raise _AnotherVersion
    db.executescript(_TEMPORARY)


class _AnotherVersion(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_NOTADB
