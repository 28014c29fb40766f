"""Seen: which targets the run has had, in bounded memory at any list size.

Owns: telling a repeat (same URL, same key) from a clash (another URL, same key,
or one that the destination takes for the same), by 64-bit hashes. Those of a
long list's first targets are at hand, in a dict, which takes a third of the time
(and 140 bytes each: rejected for all of them); the rest are in SQLite's private
temporary database, which lives in a cache of 32 MB and spills to a file that the
system removes by itself. Refuses to know: lists and sinks.
"""

import sqlite3
from array import array
from collections.abc import Callable, Sequence

from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Duplicate, Failed, Failure, Result, Target
from scraper.source.keys import folded

_AT_HAND = 250_000  # targets: 35 MB
_CACHE_KIB = 32 * 1024  # a target beyond a million costs 3 us; with 8 MB it is 5
_AT_ONCE = 200  # targets put in by one statement
_SCHEMA = "CREATE TABLE seen (key INTEGER PRIMARY KEY, url INTEGER, line INTEGER, number INTEGER)"
_PUT = "INSERT OR IGNORE INTO seen VALUES "


class DuplicateFilter:
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
        self._first: dict[int, int] = {}  # of the hash of a key, the number of its target
        self._urls, self._lines = array("q"), array("q")  # by that number

    def judge(self, target: Target) -> Result | None:
        """The Result of a target that must not be fetched: a repeat, or a key that is taken."""
        return self.judge_all([target])[0]

    def judge_all(self, targets: Sequence[Target]) -> list[Result | None]:
        """The same for each of several, in their order; it is quicker. Raises DestinationError."""
        verdicts: list[Result | None] = []
        try:
            for start in range(0, len(targets), _AT_ONCE):
                verdicts += self._judge(targets[start : start + _AT_ONCE])
        except sqlite3.Error as error:
            message = f"can't remember the targets of this run in a temporary file: {error}"
            raise DestinationError(message) from None
        return verdicts

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _judge(self, targets: Sequence[Target]) -> list[Result | None]:
        first, self._count = self._count, self._count + len(targets)
        put = self._put if self._count > _AT_HAND else self._put_at_hand
        if put(targets, first):
            return [None] * len(targets)
        return [self._compare(target, number) for number, target in enumerate(targets, first)]

    def _put_at_hand(self, targets: Sequence[Target], first: int) -> bool:
        """Keep them, unless their keys are taken. Whether none was."""
        before, put = len(self._first), self._first.setdefault
        for number, key in enumerate(self._hashes(targets), first):
            put(key, number)
        self._urls.extend([hash(target.url) for target in targets])
        self._lines.extend([target.line for target in targets])
        return len(self._first) - before == len(targets)

    def _put(self, targets: Sequence[Target], first: int) -> bool:
        """The same in the database."""
        keys = self._hashes(targets)
        rows: list[int] = []
        for number, (key, target) in enumerate(zip(keys, targets, strict=True), first):
            rows += key, hash(target.url), target.line, number
        put = self._db.execute(_PUT + ", ".join(["(?, ?, ?, ?)"] * len(targets)), rows)
        return put.rowcount == len(targets) and self._first.keys().isdisjoint(keys)

    def _hashes(self, targets: Sequence[Target]) -> list[int]:
        """Of their keys: siphash with this process's own secret."""
        named = self._named
        return [hash(named(target.key)) for target in targets]

    def _find(self, key: int) -> tuple[int, int, int]:
        """The hash of its URL, the line and the number of the first target with this key."""
        number = self._first.get(key)
        if number is not None:
            return self._urls[number], self._lines[number], number
        asked = "SELECT url, line, number FROM seen WHERE key = ?"
        url, line, number = self._db.execute(asked, (key,)).fetchone()
        return url, line, number

    def _compare(self, target: Target, number: int) -> Result | None:
        url, line, had = self._find(*self._hashes([target]))
        if had == number:
            return None
        if url == hash(target.url):
            return Result(target, Duplicate(of_line=line))
        message = f"key {target.key!r} is taken by another URL in line {line}"
        if self._named is folded:
            message += " (case does not count in this destination)"
        return Result(target, Failed(Failure(Kind.BAD_URL, message, transient=False)))
