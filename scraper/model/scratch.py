"""Scratch: a private temporary SQLite database for more than memory should hold.

It spills to a file, which the system removes by itself. It is made when it is first asked, so a
short list pays neither for the database nor for the import of sqlite3.

Owns: its connection and its errors. Does not know: what is kept in it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from scraper.model.errors import DestinationError

if TYPE_CHECKING:
    import sqlite3

_CACHE_KIB = 16 * 1024
_Found = TypeVar("_Found")
_STATEMENTS = 128  # compiled ones that are kept; sqlite3's own number


def scratch_database(
    cache_kib: int = _CACHE_KIB, statements: int = _STATEMENTS
) -> "sqlite3.Connection":
    """A connection to such a database. `cache_kib` stay in memory. Raises sqlite3.Error."""
    import sqlite3

    made = sqlite3.connect(
        "", isolation_level=None, check_same_thread=False, cached_statements=statements
    )
    for pragma in (f"cache_size=-{cache_kib}", "journal_mode=OFF", "synchronous=OFF"):
        made.execute(f"PRAGMA {pragma}")
    return made


class Scratch:
    """One with these tables. Used by one thread. Every method raises DestinationError.

    `what`: what is kept in it, for the message.
    """

    def __init__(
        self, what: str, schema: Sequence[str], cache_kib: int, statements: int = _STATEMENTS
    ) -> None:
        self._what, self._schema = what, schema
        self._cache_kib, self._statements = cache_kib, statements
        self._db: sqlite3.Connection | None = None

    def rows(self, asked: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT finds."""
        return self._run(lambda db: db.execute(asked, values).fetchall())

    def put(self, statement: str, values: Sequence[object]) -> int:
        """Run an INSERT. How many rows it made."""
        return self._run(lambda db: db.execute(statement, values).rowcount)

    def put_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run an INSERT for each of `rows`."""
        self._run(lambda db: db.executemany(statement, rows))

    def close(self) -> None:
        """Forget everything."""
        if self._db is not None:
            self._db.close()

    def _run(self, work: Callable[["sqlite3.Connection"], _Found]) -> _Found:
        import sqlite3

        try:
            if self._db is None:
                self._db = scratch_database(self._cache_kib, self._statements)
                for statement in (*self._schema, "BEGIN"):
                    self._db.execute(statement)
            return work(self._db)
        except sqlite3.Error as error:
            message = f"can't remember {self._what} in a temporary file: {error}"
            raise DestinationError(message) from None
