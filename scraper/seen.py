"""Seen: which targets the run has had, in bounded memory at any list size.

Owns: telling a repeat (same URL, same key) from a clash (another URL, same key,
or one that the destination takes for the same), by 64-bit hashes in SQLite's
private temporary database, which lives in a small cache and spills to a file
that the system removes by itself. Refuses to know: lists and sinks. Rejected: a
set, 100 bytes for each line of the list.
"""

import sqlite3
from collections.abc import Callable, Sequence

from scraper.errors import Kind
from scraper.keys import folded
from scraper.records import Duplicate, Failed, Failure, Result, Target

_CACHE_KIB = 8 * 1024
_AT_ONCE = 200  # targets put in by one statement
_SCHEMA = "CREATE TABLE seen (key INTEGER PRIMARY KEY, url INTEGER, line INTEGER, number INTEGER)"
_PUT = "INSERT OR IGNORE INTO seen VALUES "


class Seen:
    """One run's memory of its targets; used by one thread.

    `ignores_case`: keys that differ in case or normal form only are one (`keys.folded`).
    """

    def __init__(self, *, ignores_case: bool = False) -> None:
        self._named: Callable[[str], str] = folded if ignores_case else str
        self._db = sqlite3.connect(
            "", isolation_level=None, check_same_thread=False, cached_statements=_AT_ONCE + 2
        )
        for pragma in (f"cache_size=-{_CACHE_KIB}", "journal_mode=OFF", "synchronous=OFF"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(_SCHEMA)
        self._db.execute("BEGIN")
        self._count = 0

    def judge(self, target: Target) -> Result | None:
        """The Result of a target that must not be fetched: a repeat, or a key that is taken."""
        return self.judge_all([target])[0]

    def judge_all(self, targets: Sequence[Target]) -> list[Result | None]:
        """The same for each of several, in their order; it is quicker."""
        verdicts: list[Result | None] = []
        for start in range(0, len(targets), _AT_ONCE):
            verdicts += self._judge(targets[start : start + _AT_ONCE])
        return verdicts

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _judge(self, targets: Sequence[Target]) -> list[Result | None]:
        rows: list[int] = []
        for number, target in enumerate(targets, self._count):
            # siphash with this process's own secret
            rows += hash(self._named(target.key)), hash(target.url), target.line, number
        put = self._db.execute(_PUT + ", ".join(["(?, ?, ?, ?)"] * len(targets)), rows)
        first, self._count = self._count, self._count + len(targets)
        if put.rowcount == len(targets):
            return [None] * len(targets)
        return [self._compare(target, number) for number, target in enumerate(targets, first)]

    def _compare(self, target: Target, number: int) -> Result | None:
        asked = "SELECT url, line, number FROM seen WHERE key = ?"
        url, line, had = self._db.execute(asked, (hash(self._named(target.key)),)).fetchone()
        if had == number:
            return None
        if url == hash(target.url):
            return Result(target, Duplicate(of_line=line))
        message = f"key {target.key!r} is taken by another URL in line {line}"
        if self._named is folded:
            message += " (case does not count in this destination)"
        return Result(target, Failed(Failure(Kind.BAD_URL, message, transient=False)))
