"""DuplicateFilter: which targets the run has seen, in bounded memory at any list size.

It tells a repeat (same URL, same key) from a clash (another URL with the same key, or with a
key that the destination takes for the same). It compares 64-bit hashes.

The hashes of a long list's first targets are in a dict, which takes a third of the time and 140
bytes a target. The rest are in a private temporary SQLite database. It lives in a cache of 32
MB and spills to a file that the system removes by itself.

Owns: those hashes and the two verdicts. Does not know: lists, sinks, earlier runs. Rejected: a
dict for all targets, which is 1.4 GB for ten million.
"""

import sqlite3
from array import array
from collections.abc import Callable, Sequence

from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Duplicate, Failed, Failure, Result, Target
from scraper.source.keys import folded

_IN_MEMORY = 250_000  # targets: 35 MB
_CACHE_KIB = 32 * 1024  # beyond a million targets each costs 3 us; with 8 MB it costs 5
_BATCH = 200  # targets inserted by one statement
_SCHEMA = "CREATE TABLE seen (key INTEGER PRIMARY KEY, url INTEGER, line INTEGER, number INTEGER)"
_PUT = "INSERT OR IGNORE INTO seen VALUES "


class DuplicateFilter:
    """The targets of one run. Used by one thread.

    `ignores_case`: keys are the same if `keys.folded` is (case and normal form do not count).
    """

    def __init__(self, *, ignores_case: bool = False) -> None:
        self._fold: Callable[[str], str] | None = folded if ignores_case else None
        self._db = sqlite3.connect(
            "", isolation_level=None, check_same_thread=False, cached_statements=_BATCH + 2
        )
        for pragma in (f"cache_size=-{_CACHE_KIB}", "journal_mode=OFF", "synchronous=OFF"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(_SCHEMA)
        self._db.execute("BEGIN")
        self._count = 0
        self._first: dict[int, int] = {}  # of the hash of a key, the number of its target
        self._urls, self._lines = array("q"), array("q")  # by that number

    def judge(self, target: Target) -> Result | None:
        """The Result of a repeat or a clash; None for a target that may be fetched."""
        return self.judge_all([target])[0]

    def judge_all(self, targets: Sequence[Target]) -> list[Result | None]:
        """The same for several targets, in their order, in less time. Raises DestinationError."""
        verdicts: list[Result | None] = []
        try:
            for start in range(0, len(targets), _BATCH):
                verdicts += self._judge(targets[start : start + _BATCH])
        except sqlite3.Error as error:
            message = f"can't remember the targets of this run in a temporary file: {error}"
            raise DestinationError(message) from None
        return verdicts

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _judge(self, targets: Sequence[Target]) -> list[Result | None]:
        first, self._count = self._count, self._count + len(targets)
        put = self._put if self._count > _IN_MEMORY else self._put_in_memory
        if put(targets, first):
            return [None] * len(targets)
        return [self._compare(target, number) for number, target in enumerate(targets, first)]

    def _put_in_memory(self, targets: Sequence[Target], first: int) -> bool:
        """Insert the targets whose keys are free. Whether all were."""
        before, put = len(self._first), self._first.setdefault
        for number, key in enumerate(self._hashes(targets), first):
            put(key, number)
        self._urls.extend([_url_hash(one) if one.userinfo else hash(one.url) for one in targets])
        self._lines.extend([target.line for target in targets])
        return len(self._first) - before == len(targets)

    def _put(self, targets: Sequence[Target], first: int) -> bool:
        """The same as `_put_in_memory`, in the database."""
        keys = self._hashes(targets)
        rows: list[int] = []
        for number, (key, target) in enumerate(zip(keys, targets, strict=True), first):
            rows += key, _url_hash(target), target.line, number
        put = self._db.execute(_PUT + ", ".join(["(?, ?, ?, ?)"] * len(targets)), rows)
        return put.rowcount == len(targets) and self._first.keys().isdisjoint(keys)

    def _hashes(self, targets: Sequence[Target]) -> list[int]:
        """Hashes of the keys: SipHash with a secret of this process."""
        if (fold := self._fold) is None:
            return [hash(target.key) for target in targets]
        return [hash(fold(target.key)) for target in targets]

    def _find(self, key: int) -> tuple[int, int, int]:
        """URL hash, line and number of the first target with this key."""
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
        if url == _url_hash(target):
            return Result(target, Duplicate(of_line=line))
        message = f"key {target.key!r} is taken by another URL in line {line}"
        if self._fold is not None:
            message += " (case does not count in this destination)"
        return Result(target, Failed(Failure(Kind.BAD_URL, message, transient=False)))


def _url_hash(target: Target) -> int:
    """A hash of the whole URL. Another user may get another body."""
    return hash((target.url, target.userinfo)) if target.userinfo else hash(target.url)
