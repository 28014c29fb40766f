"""Verifying: the manifest held against what is really there.

For each key the last record of a stored body tells size and digest; the object is read and
compared. An object that no record explains is unknown.

Owns: that comparison. Refuses to know: how it is told (`cli/verify.py`). Rejected: trusting
sizes and times; a disk that lies keeps both.
"""

import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import orjson

from scraper.model.errors import SinkError
from scraper.model.urls import fingerprint
from scraper.sinks.base import ReadableSink
from scraper.sinks.directory import OWN

_BATCH = 10_000


class Verdict(StrEnum):
    """What became of an object since it was recorded; unknown: no record explains it."""

    WHOLE = "whole"
    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"


class Facts(NamedTuple):
    """What a record says of its object: `size` in bytes, `sha256` hexadecimal."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one object; `detail` is for people."""

    verdict: Verdict
    key: str
    detail: str = ""


def findings(
    lines: Callable[[], Iterator[bytes]], readable: ReadableSink, max_concurrency: int
) -> Iterator[Finding]:
    """A finding for every object that the manifest or the sink knows.

    `lines` gives the manifest's lines from the start; it is called twice. At most
    `max_concurrency` objects are read at once. Raises what `lines` and `readable` raise.
    """
    known = _Last()
    try:
        known.absorb(lines())
        with ThreadPoolExecutor(max_concurrency, thread_name_prefix="verify") as pool:
            records = known.standing(lines())
            waiting: deque[Future[Finding]] = deque()
            for facts in records:
                waiting.append(pool.submit(_compare, readable, facts))
                if len(waiting) >= 2 * max_concurrency:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        for key in readable.keys(""):
            if not key.startswith(f"{OWN}/") and not known.has(key):
                yield Finding(Verdict.UNKNOWN, key, "no record explains it")
    finally:
        known.close()


def _compare(readable: ReadableSink, facts: Facts) -> Finding:
    try:
        if readable.size(facts.key) is None:
            return Finding(Verdict.MISSING, facts.key, "it was stored, and is not there")
        digest, size = sha256(), 0
        for piece in readable.read(facts.key):
            digest.update(piece)
            size += len(piece)
    except SinkError as error:
        return Finding(Verdict.UNREADABLE, facts.key, error.message)
    if size != facts.size:
        return Finding(Verdict.CHANGED, facts.key, f"{size:,} bytes, not {facts.size:,}")
    if digest.hexdigest() != facts.sha256:
        return Finding(Verdict.CHANGED, facts.key, "of the right size, but with another digest")
    return Finding(Verdict.WHOLE, facts.key)


class _Last:
    """Which line is the last to tell of an object stored under a key, in bounded memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE last (key INTEGER PRIMARY KEY, line INTEGER)")
        self._db.execute("BEGIN")

    def absorb(self, lines: Iterator[bytes]) -> None:
        """Take in all lines."""
        for batch in _batches(lines):
            rows = [(fingerprint(facts.key), number) for number, facts in batch]
            self._db.executemany("INSERT OR REPLACE INTO last VALUES (?, ?)", rows)

    def standing(self, lines: Iterator[bytes]) -> Iterator[Facts]:
        """The facts that no later line outdates."""
        ask = "SELECT line FROM last WHERE key = ?"
        for batch in _batches(lines):
            for number, facts in batch:
                found = self._db.execute(ask, (fingerprint(facts.key),)).fetchone()
                if found == (number,):
                    yield facts

    def has(self, key: str) -> bool:
        """Whether some line tells of an object under `key`."""
        ask = "SELECT 1 FROM last WHERE key = ?"
        return self._db.execute(ask, (fingerprint(key),)).fetchone() is not None

    def close(self) -> None:
        """Forget everything."""
        self._db.close()


def _batches(lines: Iterator[bytes]) -> Iterator[list[tuple[int, Facts]]]:
    """Numbers and facts of the lines that tell of a stored object, in order."""
    number = 0
    while batch := list(islice(lines, _BATCH)):
        read = [(number + n, _facts(line)) for n, line in enumerate(batch, 1)]
        number += len(batch)
        yield [(n, facts) for n, facts in read if facts is not None]


def _facts(line: bytes) -> Facts | None:
    try:
        record = orjson.loads(line)
        if record["status"] == "stored":
            return Facts(record["key"], record["size"], record["sha256"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        pass  # torn
    return None


def count(found: Iterator[Finding], tell: Callable[[Finding], None]) -> Counter[Verdict]:
    """How many of each verdict; `tell` hears of those that are not whole."""
    counts: Counter[Verdict] = Counter()
    for finding in found:
        counts[finding.verdict] += 1
        if finding.verdict is not Verdict.WHOLE:
            tell(finding)
    return counts
