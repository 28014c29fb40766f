"""Seen: which targets the run has had, in bounded memory at any list size.

Owns: telling a repeat (same URL, same key) from a clash (another URL, same
key), by 64-bit hashes in SQLite's private temporary database, which lives in
a small cache and spills to a file that the system removes by itself. Refuses
to know: lists and sinks. Rejected: a set, 100 bytes for each line of the list.
"""

import sqlite3

from scraper.errors import Kind
from scraper.records import Duplicate, Failed, Failure, Result, Target

_CACHE_KIB = 8 * 1024


class Seen:
    """One run's memory of its targets; used by one thread."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in (f"cache_size=-{_CACHE_KIB}", "journal_mode=OFF", "synchronous=OFF"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, url INTEGER, line INTEGER)")
        self._db.execute("BEGIN")
        self._cursor = self._db.cursor()

    def judge(self, target: Target) -> Result | None:
        """The Result of a target that must not be fetched: a repeat, or a key that is taken."""
        line, same = self.first(target)
        if not line:
            return None
        if same:
            return Result(target, Duplicate(of_line=line))
        message = f"key {target.key!r} is taken by another URL in line {line}"
        return Result(target, Failed(Failure(Kind.BAD_URL, message, transient=False)))

    def first(self, target: Target) -> tuple[int, bool]:
        """The line that had this target's key first, and whether with the same URL.

        `(0, True)`: nobody had; the target is remembered.
        """
        key, url = hash(target.key), hash(target.url)  # siphash with this process's own secret
        added = self._cursor.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (key, url, target.line)
        )
        if added.rowcount:
            return 0, True
        had = self._cursor.execute("SELECT url, line FROM seen WHERE key = ?", (key,)).fetchone()
        return had[1], had[0] == url

    def close(self) -> None:
        """Forget everything."""
        self._db.close()
