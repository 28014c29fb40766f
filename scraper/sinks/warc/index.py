"""The index of an archive: where the record of each key lies, and which payloads there are.

It lies beside the archive's own files, in SQLite. What a run adds becomes lasting when a file is
finished and when the run ends; a killed run's rest is in the journals, which are replayed.

Owns: these two tables. Does not know: files of the archive, HTTP. Rejected: to look records up by
URL and time, as players do; two pages of one second would be taken for each other. Rejected:
digests in memory, which grow with the archive.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scraper.model.errors import DestinationError
from scraper.sinks.directory import check_own

NAME = "index.db"
_ENDS = ("", "-journal", "-wal", "-shm")
_OBJECTS = """CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY, file TEXT, offset INT, length INT, size INT, sha256 TEXT, modified_ms INT,
    undone TEXT, url TEXT, date TEXT, payload_file TEXT, payload_offset INT
) WITHOUT ROWID"""
_PAYLOADS = """CREATE TABLE IF NOT EXISTS payloads (
    digest BLOB PRIMARY KEY, url TEXT, date TEXT, file TEXT, offset INT
) WITHOUT ROWID"""
_SCHEMA = (_OBJECTS, _PAYLOADS)
_BUSY_S = 60.0


class Indexed(NamedTuple):
    """The object under `key`: the member of its record, and what is known of it.

    `undone`: the content codings that are undone when it is read, in the order in which they were
    applied, with commas. `url` and `date` are those of the record. The payload is in another
    member if the record is a `revisit`.
    """

    key: str
    file: str
    offset: int
    length: int
    size: int
    sha256: str
    modified_ms: int
    undone: str
    url: str
    date: str
    payload_file: str
    payload_offset: int


class Payload(NamedTuple):
    """A payload that a record has: its SHA-1, and what a `revisit` says of that record."""

    digest: bytes
    url: str
    date: str
    file: str
    offset: int


class Index:
    """The index in `directory`. Many threads use it. All methods raise DestinationError.

    `reads`: it is not changed, and may not be there.
    """

    def __init__(self, directory: Path, *, reads: bool = False) -> None:
        path = directory / NAME
        for end in _ENDS:
            check_own(path.with_name(NAME + end))
        self._path, self._lock = path, threading.Lock()
        with self._told():
            if reads and not path.exists():
                self._db = sqlite3.connect(":memory:", check_same_thread=False)
            else:
                where = f"file:{os.fspath(path).replace('%', '%25').replace('?', '%3f')}"
                mode = "ro" if reads else "rwc"
                self._db = sqlite3.connect(
                    f"{where}?mode={mode}",
                    uri=True,
                    timeout=_BUSY_S,
                    isolation_level=None,
                    check_same_thread=False,
                )
            if not reads or not path.exists():
                for statement in ("PRAGMA journal_mode=WAL", *_SCHEMA):
                    self._db.execute(statement)
            if reads:  # what is added is for this process only
                self._db.execute("ATTACH '' AS added")
                for statement in _SCHEMA:
                    made = statement.replace("EXISTS ", "EXISTS added.")
                    self._db.execute(made)
            else:
                self._db.execute("BEGIN")
        self._reads = reads
        self._into = "added." if reads else ""

    def add(self, indexed: Indexed | None, payloads: list[Payload]) -> None:
        """Add an object and payloads. A later object replaces an earlier one of its key."""
        with self._told():
            if indexed is not None:
                marks = ",".join("?" * len(indexed))
                asked = f"INSERT OR REPLACE INTO {self._into}objects VALUES ({marks})"  # noqa: S608
                self._db.execute(asked, indexed)
            for payload in payloads:
                asked = f"INSERT OR REPLACE INTO {self._into}payloads VALUES (?,?,?,?,?)"  # noqa: S608
                self._db.execute(asked, payload)

    def find(self, key: str) -> Indexed | None:
        """The object under `key`."""
        found = self._rows("objects", "key = ?", key)
        return Indexed(*found[-1]) if found else None

    def payload(self, digest: bytes) -> Payload | None:
        """The record that has this payload."""
        found = self._rows("payloads", "digest = ?", digest)
        return Payload(*found[0]) if found else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`."""
        last = ""
        first = True
        while True:
            rows = self._rows(
                "objects",
                f"key {'>=' if first else '>'} ? ORDER BY key LIMIT 1000",
                prefix if first else last,
            )
            keys = sorted({row[0] for row in rows})
            first = False
            for last in keys:
                if not last.startswith(prefix):
                    return
                yield last
            if not keys:
                return

    def forget(self, file: str, start: int) -> None:
        """Forget the records of `file` from the byte `start` on: they are not there."""
        with self._told():
            for table in ("objects", "payloads"):
                where = "file = ? AND offset >= ?"
                self._db.execute(f"DELETE FROM {table} WHERE {where}", (file, start))  # noqa: S608
            where = "payload_file = ? AND payload_offset >= ?"
            self._db.execute(f"DELETE FROM objects WHERE {where}", (file, start))  # noqa: S608

    def commit(self) -> None:
        """Make what was added lasting."""
        if not self._reads:
            with self._told():
                self._db.execute("COMMIT")
                self._db.execute("BEGIN")

    def close(self) -> None:
        """Make it lasting, and close it."""
        with self._told():
            if not self._reads:
                self._db.execute("COMMIT")
                self._db.execute("PRAGMA journal_mode=DELETE")  # readers may not write
            self._db.close()

    def _rows(self, table: str, where: str, value: object) -> list[tuple]:  # type: ignore[type-arg]
        asked = f"SELECT * FROM {table} WHERE {where}"  # noqa: S608 - our own words
        with self._told():
            found = self._db.execute(asked, (value,)).fetchall()
            if self._reads:
                found += self._db.execute(
                    asked.replace(table, f"added.{table}"), (value,)
                ).fetchall()
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            message = f"the index of the archive, {str(self._path)!r}: {error}"
            raise DestinationError(message) from None
