"""Members: what an archive holds, found by name, in bounded memory.

An archive may hold several members of one name: a newer body is appended, and the older one stays
where it is. The last one counts, as for every program that unpacks it.

Owns: that table, in a private temporary database. Does not know: what an archive is made of.
Rejected: a table that is kept beside the archive. It can be wrong; the headers can't.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from scraper.model.scratch import Scratch

_CACHE_KIB = 8 * 1024
_PAGE = 1000  # rows read at once
_COLUMNS = "name, offset, data, end, size, modified, crc, packed"
_TABLE = f"CREATE TABLE members ({_COLUMNS}, PRIMARY KEY (name, offset)) WITHOUT ROWID"
_ADD = "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FIND = "SELECT * FROM members WHERE name = ? ORDER BY offset DESC LIMIT 1"
_BEFORE = "SELECT * FROM members WHERE name = ? AND offset < ? ORDER BY offset DESC"
_BEHIND = "SELECT * FROM members WHERE (name, offset) > (?, ?) ORDER BY name, offset LIMIT ?"
_FROM = "SELECT * FROM members WHERE offset >= ? ORDER BY offset LIMIT ?"


class Member(NamedTuple):
    """One member: bytes `offset` to `end` of the archive. `data`: where its content begins.

    `size` is that of the content, in bytes; `modified_s` its time, in seconds since 1970. `crc` and
    `packed` are what the form of the archive needs: a CRC-32, and a count of bytes.
    """

    name: str
    offset: int
    data: int
    end: int
    size: int
    modified_s: int
    crc: int = 0
    packed: int = 0


class Members:
    """See the module. Any thread. Every method raises DestinationError."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = Scratch("the members of an archive", (_TABLE,), _CACHE_KIB)

    def add(self, member: Member) -> None:
        """Add one that stands behind all others."""
        with self._lock:
            self._rows.put(_ADD, (_bytes(member.name), *member[1:]))

    def find(self, name: str) -> Member | None:
        """The last one of this name."""
        with self._lock:
            return next(map(_member, self._rows.rows(_FIND, (_bytes(name),))), None)

    def before(self, member: Member) -> list[Member]:
        """Those of the same name that stand before it, the last one first."""
        with self._lock:
            return [*map(_member, self._rows.rows(_BEFORE, (_bytes(member.name), member.offset)))]

    def any(self) -> bool:
        """Whether there is one."""
        with self._lock:
            return bool(self._rows.rows("SELECT 1 FROM members LIMIT 1"))

    def named(self, prefix: str = "") -> Iterator[Member]:
        """The last one of each name that begins with `prefix`, by name."""
        begins, last = _bytes(prefix), None
        at: tuple[bytes, int] = (begins, -1)
        while True:
            with self._lock:
                rows = self._rows.rows(_BEHIND, (*at, _PAGE))
            for row in rows:
                if last is not None and last[0] != row[0]:
                    yield _member(last)
                last = row if row[0].startswith(begins) else None
                if last is None:
                    return
            if len(rows) < _PAGE:
                break
            at = rows[-1][:2]
        if last is not None:
            yield _member(last)

    def by_place(self, after: int = 0) -> Iterator[Member]:
        """Every one that begins at `after` or later, in the order they stand."""
        with self._lock:
            self._rows.put("CREATE INDEX IF NOT EXISTS places ON members (offset)", ())
        while True:
            with self._lock:
                rows = self._rows.rows(_FROM, (after, _PAGE))
            yield from map(_member, rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1][1] + 1

    def in_order(self) -> Iterator[Member]:
        """The last one of each name, in the order they stand."""
        for member in self.by_place():
            if self.find(member.name) == member:
                yield member

    def remove_all(self, names: Iterable[str]) -> bool:
        """Forget all of these names; whether there was one."""
        found = 0
        for name in names:
            with self._lock:
                found += self._rows.put("DELETE FROM members WHERE name = ?", (_bytes(name),))
        return found > 0

    def cut(self, end: int) -> None:
        """Forget those that begin at `end` or later."""
        with self._lock:
            self._rows.put("DELETE FROM members WHERE offset >= ?", (end,))

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rows.close()


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _member(row: tuple[bytes, int, int, int, int, int, int, int]) -> Member:
    return Member(row[0].decode("utf-8", "surrogateescape"), *row[1:])
