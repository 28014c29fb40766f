"""What changed for each target since its earlier record.

    changes.before(identity, record)    of records of earlier runs, in order
    changes.now(identity, record)       of the run

A manifest drops older records at times. A target without an earlier one may be new, or not.

Owns: that comparison. Earlier targets are in a private database, which spills to the disk. Does
not know: what identifies a target (`manifest/identity.py`).
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from scraper.model.scratch import Scratch
from scraper.model.urls import printable, redact

EXAMPLES = 5
_FAILED, _DONE = 0, 1  # else it is what its body was
_BATCH = 1_000
_DONE_STATUSES = ("stored", "not_modified")
_URL_CHARS = 300


class Change(StrEnum):
    """What became of a target, compared with its earlier record."""

    BROKE = "broke"
    RECOVERED = "recovered"
    CHANGED = "changed"
    SAME = "same"
    STILL = "still failing"
    NEW = "new"


class Changes:
    """See the module. `examples`: a few URLs of each change."""

    def __init__(self) -> None:
        schema = ["CREATE TABLE was (id INTEGER PRIMARY KEY, state INTEGER)"]
        self._db = Scratch("the earlier records", schema, 16 * 1024)
        self._batch: list[tuple[int, int]] = []
        self._kept: list[int] = []
        self.any_before = False
        self.counts: Counter[Change] = Counter()
        self.examples: dict[Change, list[str]] = {}

    def before(self, identity: int, record: Mapping[str, Any]) -> None:
        """Note a record of an earlier run."""
        self.any_before = True
        state = _state_of(record)
        self._batch.append((identity, state))
        if len(self._batch) >= _BATCH:
            self._write()

    def now(self, identity: int, record: Mapping[str, Any]) -> None:
        """Compare a record of the run."""
        if not self.any_before:
            return
        self._write()
        found = self._db.rows("SELECT state FROM was WHERE id = ?", (identity,))
        change = _change(found[0][0] if found else None, _state_of(record), record)
        self.counts[change] += 1
        told = self.examples.setdefault(change, [])
        if len(told) < EXAMPLES:
            told.append(printable(redact(str(record.get("url", ""))))[:_URL_CHARS])

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _write(self) -> None:
        if self._batch:
            # A body that was not modified is the one before, unless nobody knows that one.
            insert = "INSERT INTO was VALUES (?, ?) ON CONFLICT (id) DO UPDATE"
            known = f"excluded.state <> {_DONE} OR was.state = {_FAILED}"
            update = f"SET state = excluded.state WHERE {known}"
            self._db.put_each(f"{insert} {update}", self._batch)
            self._batch = []


def _state_of(record: Mapping[str, Any]) -> int:
    if record.get("status") not in _DONE_STATUSES:
        return _FAILED
    try:
        return 2 + int(str(record["sha256"])[:15], 16)
    except (LookupError, ValueError):
        return _DONE


def _change(before: int | None, now: int, record: Mapping[str, Any]) -> Change:
    if before is None:
        return Change.NEW
    if now == _FAILED:
        return Change.STILL if before == _FAILED else Change.BROKE
    if before == _FAILED:
        return Change.RECOVERED
    is_same = record.get("status") == "not_modified" or now == before
    return Change.SAME if is_same else Change.CHANGED
