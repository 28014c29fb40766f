"""Pruning: objects that no list names any more are deleted, and the manifest says so.

The record comes first. Of each group of objects the records are durable before the first object is
deleted. A process that is killed between the two leaves objects that the manifest calls pruned.
The next pruning finds these and deletes them. The other order would lose nothing either, but the
manifest would name objects that nobody can find.

An archive deletes in one step: it is written anew. Then the records come when the new one is whole
and has not got its name yet. So what a full disk stops is neither recorded nor told.

An object is deleted only if it is the recorded one. A sink can often tell that without reading:
by the size and the exact time of a file, or by the digest beside the bytes in S3. Otherwise the
object is read. An object that somebody changed stays, and is told.

Owns: which objects these are, that order, and that comparison. Does not know: lists
(`cli/listed.py`), the lock, how it is told (`cli/prune.py`). Rejected: a record of each deletion
that comes after it; two records for each object tell no more than a look at what is left.
Rejected: deleting many keys in one request of S3. Each object is looked at, so it would save less
than half of the requests, and rclone's and Swift's answers to it differ.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from enum import Enum, auto
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, Self, TypeVar

import orjson

from scraper.manifest.codec import Reading, object_modified_ms, pruned
from scraper.manifest.index import GONE, OBJECT, Index
from scraper.manifest.key_set import KeySet
from scraper.manifest.store import ManifestStore
from scraper.manifest.verify import Verdict, compare, facts_of
from scraper.model.errors import DestinationError, SinkError
from scraper.model.scratch import Scratch
from scraper.model.threads import submit
from scraper.sinks.base import (
    ReadableSink,
    is_linked,
    object_stat_of,
    remove_emptied,
    remove_together_of,
)
from scraper.sinks.beginning import insist_on_first
from scraper.sinks.directory import OWN
from scraper.sinks.object_stat import ObjectStat

Record = Mapping[str, Any]
_GROUP = 500  # objects whose records are written together
_CACHE_KIB = 1024
_AFTER = "SELECT rowid, record FROM records WHERE rowid > ? ORDER BY rowid LIMIT ?"
_Made = TypeVar("_Made")
_AT_ONCE = 16  # objects that are looked at, or deleted, at once


class Fate(Enum):
    """What became of an object that no list names. ABSENT: it was not there any more."""

    DELETED = auto()
    ABSENT = auto()
    CHANGED = auto()  # it is not the recorded one, so it stays
    FAILED = auto()  # it could not be looked at, or deleted


_NO_PROOF = "it was there before any run, and may be another one by now: verify --repair first"
_FATES = {
    Verdict.CHANGED: Fate.CHANGED,
    Verdict.TAKEN_OVER: Fate.CHANGED,
    Verdict.MISSING: Fate.ABSENT,
}


class Pruned(NamedTuple):
    """One object: its record, and what became of it. `detail` is for people."""

    record: Record
    fate: Fate
    detail: str = ""


Groups = Iterator[tuple[list[Record], list[Pruned]]]  # what may be deleted, and the others


class Extent(NamedTuple):
    """What no list names: how many objects, and their bytes. `named`: whether a list names any."""

    objects: int
    size: int
    named: bool


class Unlisted:
    """What a manifest says is stored, and `named` does not have. A context manager.

    `lines` gives the manifest's lines from the start. What earlier prunings recorded and did not
    delete belongs to it. All methods raise what `lines` and `readable` raise, and Unusable.
    """

    def __init__(
        self,
        lines: Callable[[], Iterator[bytes]],
        reading: Reading,
        readable: ReadableSink,
        named: KeySet,
    ) -> None:
        self._lines, self._reading = lines, reading
        self._readable, self._named = readable, named
        self._there: KeySet | None = None  # None: each is looked at
        self._kept = ExitStack()

    def __enter__(self) -> Self:
        """Read the manifest once."""
        with ExitStack() as stack:
            index = stack.enter_context(closing(Index("", self._reading)))
            index.absorb(self._lines())
            self._flags = index.objects()
            if not self._readable.near and GONE in self._flags:  # one listing, not a request each
                there = self._there = stack.enter_context(closing(KeySet(self._reading)))
                keys = insist_on_first(partial(self._readable.keys, ""))
                there.update(key for key in keys if index.what(key) == GONE)
            self._kept = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Forget it."""
        self._kept.close()

    def extent(self) -> Extent:
        """How much it is. The manifest is read again."""
        objects, size, named = 0, 0, False
        for record, is_named in self._records():
            named = named or is_named
            objects += not is_named
            size += 0 if is_named else record["size"]
        return Extent(objects, size, named)

    def __iter__(self) -> Iterator[Record]:
        """The record of each object, in the order of the manifest, which is read again."""
        return (record for record, is_named in self._records() if not is_named)

    def _records(self) -> Iterator[tuple[Record, bool]]:
        """The same and whether a list names it, for all objects."""
        for flag, line in zip(self._flags, self._lines(), strict=False):
            if flag in {OBJECT, GONE}:
                record = orjson.loads(line)
                named = record["key"] in self._named
                if flag == OBJECT or not (named or self._is_gone(record)):
                    yield record, named

    def _is_gone(self, record: Record) -> bool:
        """Whether the object that `record` calls pruned was deleted. Another one is not ours.

        What it calls lost is another one.
        """
        if record["status"] != "pruned":
            return True
        if self._there is not None and record["key"] not in self._there:
            return True
        return _look(self._readable, record, _never) is not None


def prune(
    records: Iterable[Record],
    readable: ReadableSink,
    store: ManifestStore,
    may_go_on: Callable[[], bool],
) -> Iterator[Pruned]:
    """Delete the objects of `records`, and yield what became of each.

    `may_go_on` is asked again and again, from several threads. When it says no, no more objects are
    recorded or looked at. It may raise, and is asked before each group is deleted. Raises
    DestinationError.
    """
    remove_together = remove_together_of(readable)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prune") as pool:
        groups = _looked_at(records, readable, may_go_on, pool)
        if remove_together is not None:
            yield from _in_one_step(groups, remove_together, store, may_go_on)
            return
        for ours, settled in groups:
            _record([*ours, *_absent(settled)], store)
            may_go_on()
            yield from settled
            yield from _each(pool, partial(_delete, readable), ours)


def _looked_at(
    records: Iterable[Record],
    readable: ReadableSink,
    may_go_on: Callable[[], bool],
    pool: ThreadPoolExecutor,
) -> Groups:
    left = iter(records)
    while may_go_on() and (group := list(islice(left, _GROUP))):
        try:
            found = _each(pool, lambda record: _look(readable, record, may_go_on), group)
        except _Stopped:
            return
        if not may_go_on():
            return
        ours = [record for record, one in zip(group, found, strict=True) if one is None]
        yield ours, [one for one in found if one is not None]


def _in_one_step(
    groups: Groups,
    remove_together: Callable[[Iterable[str], Callable[[], None]], None],
    store: ManifestStore,
    may_go_on: Callable[[], bool],
) -> Iterator[Pruned]:
    """Delete all or nothing. What is deleted is recorded when only the deletion itself is left."""
    with closing(_Kept()) as kept:
        for ours, settled in groups:
            _record(_absent(settled), store)
            yield from settled
            kept.add(ours)

        def last() -> None:
            if not may_go_on():
                raise _Stopped
            for group in kept.groups():
                _record(group, store)
            may_go_on()

        if not may_go_on():
            return
        try:
            remove_together((one["key"] for group in kept.groups() for one in group), last)
        except _Stopped:
            return
        yield from (Pruned(one, Fate.DELETED) for group in kept.groups() for one in group)


class _Kept:
    """Records that wait, in bounded memory. Every method raises DestinationError."""

    def __init__(self) -> None:
        table = "CREATE TABLE records (record BLOB)"
        self._rows = Scratch("what is pruned", (table,), _CACHE_KIB)

    def add(self, records: Iterable[Record]) -> None:
        rows = ((orjson.dumps(record),) for record in records)
        self._rows.put_each("INSERT INTO records VALUES (?)", rows)

    def groups(self) -> Iterator[list[Record]]:
        """As they were added, some at a time."""
        after = 0
        while rows := self._rows.rows(_AFTER, (after, _GROUP)):
            after = rows[-1][0]
            yield [orjson.loads(record) for _, record in rows]

    def close(self) -> None:
        self._rows.close()


def _each(
    pool: ThreadPoolExecutor, work: Callable[[Record], _Made], on: Iterable[Record]
) -> list[_Made]:
    """What `work` makes of each, on several threads."""
    return [one.result() for one in [submit(pool, partial(work, record)) for record in on]]


def _absent(settled: Iterable[Pruned]) -> list[Record]:
    return [one.record for one in settled if one.fate is Fate.ABSENT]


class _Stopped(Exception):
    """There is no more time to look."""


def _never() -> bool:
    return True


def _record(records: Iterable[Record], store: ManifestStore) -> None:
    """Have the manifest say that these objects are deleted."""
    at = time.time()
    for record in records:
        if record["status"] != "pruned":
            store.append(pruned(record, store.run, at))
    store.settle()


def _look(readable: ReadableSink, record: Record, may_go_on: Callable[[], bool]) -> Pruned | None:
    """Why the object of `record` is not deleted. None: it is the recorded one. Raises _Stopped."""

    def look_up() -> None:
        if not may_go_on():
            raise _Stopped

    look_up()
    key: str = record["key"]
    try:
        if key.startswith(f"{OWN}/"):  # a record that was planted
            return Pruned(record, Fate.CHANGED, "it is a file of this program")
        if is_linked(readable, key):
            return Pruned(record, Fate.CHANGED, "a link leads there, and no run makes links")
        found = object_stat_of(readable)(key)
        if found is not None and _is_proven(found, record):
            return None
        finding = compare(readable, facts_of(record), look_up)
    except SinkError as error:
        return Pruned(record, Fate.FAILED, error.message)
    if finding.verdict is Verdict.WHOLE:
        return None
    detail = _NO_PROOF if finding.verdict is Verdict.TAKEN_OVER else finding.detail
    return Pruned(record, _FATES.get(finding.verdict, Fate.FAILED), detail)


def _is_proven(found: ObjectStat, record: Record) -> bool:
    """Whether this is the object of `record` for certain, by what is known without reading it."""
    if found.size != record["size"]:
        return False
    if found.sha256 is not None:
        return found.sha256 == record.get("sha256")
    is_dated = record["status"] == "stored" or "modified" in record
    return is_dated and found.modified_ms is not None and found.modified_ms == _modified_ms(record)


def _modified_ms(record: Record) -> int | None:
    modified = record.get("last_modified")
    return object_modified_ms(record, modified if isinstance(modified, str) else None)


def _delete(readable: ReadableSink, record: Record) -> Pruned:
    try:
        readable.remove(record["key"])
    except (SinkError, DestinationError) as error:  # a missing permission is told as the others are
        return Pruned(record, Fate.FAILED, str(error))
    remove_emptied(readable, record["key"])
    return Pruned(record, Fate.DELETED)
