"""KeySet: a set of keys of objects, in bounded memory at any size.

64 bits stand for a key, in a private temporary SQLite database that spills to a file, which the
system removes by itself. Two keys that share these bits are taken for one.

Owns: those bits. Does not know: where keys come from. Rejected: a set of strings, which is 1 GB
for ten million; the filter of duplicates, whose hashes can't be asked for without adding one.
"""

from collections.abc import Iterable

from scraper.manifest.codec import Reading
from scraper.manifest.index import told
from scraper.model.scratch import scratch_database


class KeySet:
    """Keys, as the destination of `reading` tells them apart. Every method may raise Unusable."""

    @told()
    def __init__(self, reading: Reading) -> None:
        self._key_of = reading.key_of
        self._db = scratch_database()
        self._db.execute("CREATE TABLE keys (key INTEGER PRIMARY KEY)")
        self._db.execute("BEGIN")

    @told()
    def update(self, keys: Iterable[str]) -> None:
        """Add `keys`, which may be an iterator that never was in memory. Raises what it raises."""
        rows = ((self._key_of(key),) for key in keys)
        self._db.executemany("INSERT OR IGNORE INTO keys VALUES (?)", rows)

    @told()
    def __contains__(self, key: str) -> bool:
        asked = "SELECT 1 FROM keys WHERE key = ?"
        return self._db.execute(asked, (self._key_of(key),)).fetchone() is not None

    @told()
    def close(self) -> None:
        """Forget everything."""
        self._db.close()
