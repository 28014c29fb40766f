"""The index of an archive: where the record of each key lies, and which payloads there are.

It lies beside the archive's own files, in SQLite. What a run adds becomes lasting when a file is
finished and when the run ends; a killed run's rest is in the journals, which are replayed.

The manifest knows more: another machine may have written into the archive since, or the index was
lost. So it is told what the manifest says, and that wins. A damaged index is made anew.

Owns: these two tables, and with which manifest they agree. Does not know: files of the archive,
HTTP. Rejected: to look records up by URL and time, as players do; two pages of one second would be
taken for each other. Rejected: digests in memory, which grow with the archive.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from scraper.model.errors import DestinationError
from scraper.sinks.directory import check_own

NAME = "index.db"
_ENDS = ("", "-journal", "-wal", "-shm")
_OBJECTS = """CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY, file TEXT, offset INT, length INT, size INT, sha256 TEXT, modified_ms INT,
    left TEXT, url TEXT, date TEXT, payload_file TEXT, payload_offset INT, start INT
) WITHOUT ROWID"""
_PAYLOADS = """CREATE TABLE IF NOT EXISTS payloads (
    digest BLOB PRIMARY KEY, url TEXT, date TEXT, file TEXT, offset INT
) WITHOUT ROWID"""
_AGREES = "CREATE TABLE IF NOT EXISTS agrees (mark TEXT)"
_SCHEMA = (_OBJECTS, _PAYLOADS)
_OBJECT = "SELECT * FROM objects WHERE key = ?"
_PAYLOAD = "SELECT * FROM payloads WHERE digest = ?"
_ANY = "SELECT 1 FROM objects LIMIT ?"
_IN_ORDER = " ORDER BY key LIMIT 1000"
_BUSY_S = 60.0
_AT_ONCE = 1_000  # rows
_LEARN = """INSERT OR REPLACE INTO added.objects
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
    WHERE NOT EXISTS (SELECT 1 FROM main.objects WHERE key = ?1 AND file = ?2 AND offset = ?3)
    OR EXISTS (SELECT 1 FROM added.objects WHERE key = ?1)"""
_LEARNED = """INSERT OR REPLACE INTO main.objects SELECT learned.* FROM added.objects AS learned
    LEFT JOIN main.objects AS known USING (key)
    WHERE known.key IS NULL OR known.file != learned.file OR known.offset != learned.offset"""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ANEW = "it can be removed: the next run makes it anew"


class Indexed(NamedTuple):
    """The object under `key`: the member of its record, and what is known of it.

    `left`: the content codings that are not undone when it is read, "" for none. `url` and `date`
    are those of the record. The payload is in another member if the record is a `revisit`. `start`
    is the first byte of its unit; -1 if it is not known.
    """

    key: str
    file: str
    offset: int
    length: int
    size: int
    sha256: str
    modified_ms: int
    left: str
    url: str
    date: str
    payload_file: str
    payload_offset: int
    start: int = -1


class Payload(NamedTuple):
    """A payload that a record has: its SHA-1, and what a `revisit` says of that record."""

    digest: bytes
    url: str
    date: str
    file: str
    offset: int


class Index:
    """The index in `directory`. Many threads use it. All methods raise DestinationError.

    `flushes`: how many times what had waited was given to the database.

    `reads`: it is not changed, and may not be there.
    """

    def __init__(self, directory: Path, *, reads: bool = False) -> None:
        path = directory / NAME
        for end in _ENDS:
            check_own(path.with_name(NAME + end))
        self._path, self._lock = path, threading.Lock()
        self._objects: dict[str, Indexed] = {}  # they wait for the database
        self._payloads: dict[bytes, Payload] = {}
        self.flushes = 0  # of both into it
        self._reads = reads
        self._into = "added." if reads else ""
        with self._told():
            self._db = self._opened()
            self._db.execute("ATTACH '' AS added")  # for this process only
            for statement in _SCHEMA:
                self._db.execute(statement.replace("EXISTS ", "EXISTS added."))
            if not reads:
                self._db.execute("BEGIN")

    def _opened(self) -> sqlite3.Connection:
        """The database that is there, if it is whole, or a new one. Raises sqlite3.Error."""
        if not self._reads or self._path.exists():
            db = _connected(
                f"{self._path.absolute().as_uri()}?mode={'ro' if self._reads else 'rwc'}"
            )
            try:
                if not self._reads:
                    _make_tables(db)
                if _is_whole(db):
                    return db
            except BaseException:
                db.close()
                raise
            db.close()
            if not self._reads:
                for end in _ENDS:
                    self._path.with_name(NAME + end).unlink(missing_ok=True)
                return self._opened()
        db = _connected(":memory:")
        _make_tables(db)
        return db

    @property
    def mark(self) -> str:
        """Of the manifest that it agrees with; "" for none."""
        found = self._asked("SELECT mark FROM agrees LIMIT ?", 1)
        return str(found[0][0]) if found else ""

    def agree(self, mark: str) -> None:
        """It has all that the manifest with this mark says. `commit` makes that lasting."""
        with self._told():
            self._db.execute("DELETE FROM agrees")
            self._db.execute("INSERT INTO agrees VALUES (?)", (mark,))

    def learn(self, objects: Iterable[Indexed]) -> None:
        """Take what the manifest says, the last of a key last.

        An object whose record is known stays as it is: more may be known of it.
        """
        self._flush()
        rows = iter(objects)
        while some := list(islice(rows, _AT_ONCE)):
            with self._told():
                self._db.executemany(_LEARN, some)
        if not self._reads:
            with self._told():
                self._db.execute(_LEARNED)
                self._db.execute("DELETE FROM added.objects")

    def add(self, indexed: Indexed | None, payloads: Sequence[Payload]) -> None:
        """Add an object and payloads. A later object replaces an earlier one of its key."""
        with self._lock:
            if indexed is not None:
                self._objects[indexed.key] = indexed
            for payload in payloads:
                self._payloads[payload.digest] = payload
            full = len(self._objects) + len(self._payloads) >= _AT_ONCE
        if full:
            self._flush()

    def _flush(self) -> None:
        """Give the database what waits for it: many rows at once cost a quarter."""
        with self._told():
            for table, rows in (("objects", self._objects), ("payloads", self._payloads)):
                if rows:
                    marks = ",".join("?" * len(next(iter(rows.values()))))
                    asked = f"INSERT OR REPLACE INTO {self._into}{table} VALUES ({marks})"  # noqa: S608
                    self._db.executemany(asked, rows.values())
                    rows.clear()
            self.flushes += 1

    def find(self, key: str) -> Indexed | None:
        """The object under `key`."""
        waiting = self._objects.get(key)
        if waiting is not None:
            return waiting
        found = self._rows(_OBJECT, key)
        return Indexed(*found[-1]) if found else None

    def payload(self, digest: bytes) -> Payload | None:
        """The record that has this payload."""
        waiting = self._payloads.get(digest)
        if waiting is not None:
            return waiting
        found = self._rows(_PAYLOAD, digest)
        return Payload(*found[0]) if found else None

    def is_new(self, digest: bytes, flushes: int) -> bool:
        """Whether a payload was added since it was looked for, when there had been so many."""
        if digest in self._payloads:
            return True
        return self.flushes != flushes and self.payload(digest) is not None

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`."""
        self._flush()
        # One list of both databases: a page of each would leave out what is between their ends.
        tables = ("main.objects", "added.objects") if self._reads else ("main.objects",)
        last, compared = prefix, ">="
        while True:
            asked = (f"SELECT key FROM {table} WHERE key {compared} ?1" for table in tables)  # noqa: S608
            rows = self._asked(" UNION ".join(asked) + _IN_ORDER, last)
            for (last,) in rows:
                if not last.startswith(prefix):
                    return
                yield last
            compared = ">"
            if not rows:
                return

    def is_empty(self) -> bool:
        """Whether it has no object: it is new, or was lost."""
        self._flush()
        return not self._rows(_ANY, 1)

    def forget(self, file: str, start: int) -> None:
        """Forget the records of `file` from the byte `start` on: they are not there."""
        self._flush()
        with self._told():
            for table in ("objects", "payloads"):
                where = "file = ? AND offset >= ?"
                self._db.execute(f"DELETE FROM {table} WHERE {where}", (file, start))  # noqa: S608
            where = "payload_file = ? AND payload_offset >= ?"
            self._db.execute(f"DELETE FROM objects WHERE {where}", (file, start))  # noqa: S608

    def commit(self) -> None:
        """Make what was added lasting."""
        self._flush()
        if not self._reads:
            with self._told():
                self._db.execute("COMMIT")
                self._db.execute("BEGIN")

    def close(self, *, lasting: bool = True) -> None:
        """Make what was added `lasting`, or forget it; and close it."""
        if lasting:
            self._flush()
        with self._told():
            if lasting and not self._reads:
                self._db.execute("COMMIT")
                self._db.execute("PRAGMA journal_mode=DELETE")  # readers may not write
            self._db.close()

    def _rows(self, asked: str, value: object) -> list[tuple]:  # type: ignore[type-arg]
        """The rows of the index, and behind them those of what was added."""
        found = self._asked(asked, value)
        if self._reads:
            found += self._asked(asked.replace(" FROM ", " FROM added."), value)
        return found

    def _asked(self, asked: str, value: object) -> list[tuple]:  # type: ignore[type-arg]
        # A context manager of ours would cost as much as the look-up.
        try:
            with self._lock:
                return self._db.execute(asked, (value,)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> DestinationError:
        message = f"the index of the archive, {str(self._path)!r}: {error}"
        return DestinationError(message, hint=_ANEW if _is_damage(error) else "")


def _connected(uri: str) -> sqlite3.Connection:
    """A connection to the database at `uri`, in which `#` and `?` are quoted."""
    return sqlite3.connect(
        uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )


def _make_tables(db: sqlite3.Connection) -> None:
    """Make those that are missing. What is damaged is not told here. Raises sqlite3.Error."""
    try:
        for statement in ("PRAGMA journal_mode=WAL", *_SCHEMA, _AGREES):
            db.execute(statement)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise


def _is_whole(db: sqlite3.Connection) -> bool:
    """Whether it can be read, and has our tables. Raises sqlite3.Error."""
    try:
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            return False
        for table, row in (("objects", Indexed), ("payloads", Payload)):
            found = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
            if tuple(name for (name,) in found) != row._fields:
                return False  # also of another version
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        return False
    return True


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
