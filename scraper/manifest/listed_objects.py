"""ListedObjects: what a distant destination holds, listed once, in bounded memory at any size.

64 bits stand for a key, with the size and the time of its object, in a private temporary SQLite
database that spills to a file, which the system removes by itself.

Owns: these rows. Does not know: where they come from, and which of them are taken over
(`existing.py`). Rejected: a dict of keys, which is 1 GB for ten million. Rejected: objects inserted
in the order of the listing, each into another page of the file. SQLite sorts them first.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from scraper.manifest.codec import Reading
from scraper.manifest.index import told
from scraper.model.records import Existing
from scraper.model.scratch import scratch_database
from scraper.sinks.base import Listed

_BATCH = 10_000  # objects inserted at a time
_ASKED = 200  # keys looked up by one statement


class ListedObjects:
    """Objects that were listed once. Every method may raise Unusable.

    One is not complete while another has its key with `control` behind it.
    """

    @told()
    def __init__(self, reading: Reading, control: str) -> None:
        self._key_of, self._control = reading.key_of, control
        self._db = scratch_database()
        self._db.execute("CREATE TABLE listed (key INTEGER, size INTEGER, modified INTEGER)")
        self._db.execute("CREATE TABLE found (key INTEGER PRIMARY KEY, size INTEGER, at INTEGER)")
        self._db.execute("BEGIN")

    def fill(self, objects: Iterable[Listed]) -> None:
        """Take in all of `objects`. Raises what the iterator raises."""
        left = iter(objects)
        while batch := list(islice(left, _BATCH)):
            with told():
                rows = [(self._key_of(one.key), one.size, one.modified_ms) for one in batch]
                self._db.executemany("INSERT INTO listed VALUES (?, ?, ?)", rows)
        with told():  # sorted first, which costs no page twice
            self._db.execute("INSERT OR IGNORE INTO found SELECT * FROM listed ORDER BY key")
            self._db.execute("DROP TABLE listed")

    @told()
    def find(self, keys: Sequence[str]) -> list[Existing | None]:
        """See `Finder`."""
        ids = [*map(self._key_of, keys)]
        found: dict[int, Existing] = {}
        for start in range(0, len(ids), _ASKED):
            asked = ids[start : start + _ASKED]
            marks = ", ".join(["?"] * len(asked))
            rows = self._db.execute(f"SELECT * FROM found WHERE key IN ({marks})", asked)  # noqa: S608
            found.update((key, Existing(size, at)) for key, size, at in rows)
        return [self._whole(key, found.get(one)) for key, one in zip(keys, ids, strict=True)]

    @told()
    def close(self) -> None:
        """See `Finder`."""
        self._db.close()

    def _whole(self, key: str, found: Existing | None) -> Existing | None:
        """`found`, unless it has no byte, or is not complete."""
        if found is None or not found.size:
            return None
        control = self._key_of(key + self._control)
        asked = "SELECT 1 FROM found WHERE key = ?"
        return None if self._db.execute(asked, (control,)).fetchone() else found
