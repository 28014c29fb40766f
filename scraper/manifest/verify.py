"""Verifying: the manifest compared with the objects that are really there.

For each key the last record of a stored body tells size and digest. The object is read and
compared. An object without such a record is unknown. A URL whose object another URL has replaced
under the same key is told too: the manifest says that it was stored, and it is not there.

Owns: that comparison. Does not know: how it is shown (`cli/verify.py`). Rejected: trusting sizes
and times; a disk that lies keeps both.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from scraper.manifest.codec import Reading, lost
from scraper.manifest.index import DENIED, GONE, OBJECT, Index
from scraper.model.errors import SinkError
from scraper.model.threads import submit
from scraper.sinks.base import ReadableSink
from scraper.sinks.directory import OWN


class Verdict(StrEnum):
    """What became of an object since it was recorded.

    UNKNOWN: no record explains it. REPLACED: another URL was stored under its key since, which
    is no fault.
    """

    WHOLE = "whole"
    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"
    REPLACED = "replaced"


GOOD = frozenset({Verdict.WHOLE, Verdict.REPLACED})
_NO_RECORD = "no record explains it"
_GONE = "it was pruned, or found changed, and is there"


class Facts(NamedTuple):
    """What a record says of its object: `size` in bytes, `sha256` hexadecimal."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one object. `detail` is for people.

    `record` is that of the object, where it is the last one that was stored under its key.
    """

    verdict: Verdict
    key: str
    detail: str = ""
    record: Mapping[str, Any] | None = None

    def repairing(self, run: str) -> dict[str, Any] | None:
        """The record by which the next run fetches the object. None if that would not help."""
        if self.record is None or self.verdict not in {Verdict.MISSING, Verdict.CHANGED}:
            return None
        return lost(self.record, run, time.time(), f"{self.verdict}: {self.detail}")


def findings(
    lines: Callable[[], Iterator[bytes]],
    readable: ReadableSink,
    max_concurrency: int,
    reading: Reading,
) -> Iterator[Finding]:
    """A finding for every object that the manifest or the sink knows, and every replaced one.

    `lines` gives the manifest's lines from the start; it is called twice. At most
    `max_concurrency` objects are read at once. Raises what `lines` and `readable` raise, and
    UsageError for the manifest of another destination than `reading` has.
    """
    index = Index("", reading)
    try:
        index.absorb(lines())
        waiting: deque[Finding | Future[Finding]] = deque()
        with ThreadPoolExecutor(max_concurrency, thread_name_prefix="verify") as pool:
            for flag, line in zip(index.objects(), lines(), strict=False):
                if flag and flag != GONE:
                    record = orjson.loads(line)
                    known = flag != OBJECT
                    waiting.append(
                        _replaced(record, denied=flag == DENIED)
                        if known
                        else submit(pool, partial(_compare, readable, record))
                    )
                if len(waiting) >= 2 * max_concurrency:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        for key in readable.keys(""):
            if not key.startswith(f"{OWN}/") and (what := index.what(key)) != OBJECT:
                yield Finding(Verdict.UNKNOWN, key, _GONE if what == GONE else _NO_RECORD)
    finally:
        index.close()


def _result(found: Finding | Future[Finding]) -> Finding:
    return found if isinstance(found, Finding) else found.result()


def facts_of(record: Mapping[str, Any]) -> Facts:
    """What `record` says of its object."""
    return Facts(record["key"], record["size"], record.get("sha256", ""))


def _compare(readable: ReadableSink, record: Mapping[str, Any]) -> Finding:
    return replace(compare(readable, facts_of(record)), record=record)


def _replaced(record: dict[str, Any], *, denied: bool) -> Finding:
    """What became of the object of a target that does not own its key any more.

    `denied`: the record is a 304 that an old version took for it, with the other object there.
    """
    key, url = record["key"], record["url"]
    if denied:
        detail = f"{url} was found unmodified, but another URL was stored under its key before"
        return Finding(Verdict.CHANGED, key, detail)
    return Finding(Verdict.REPLACED, key, f"{url} was stored, then another URL under the same key")


def compare(
    readable: ReadableSink, facts: Facts, on_piece: Callable[[], None] = lambda: None
) -> Finding:
    """What became of one object, which is read. `on_piece` is called again and again meanwhile."""
    try:
        if readable.size(facts.key) is None:
            return Finding(Verdict.MISSING, facts.key, "it was stored, and is not there")
        digest, size = sha256(), 0
        for piece in readable.read(facts.key):
            on_piece()
            digest.update(piece)
            size += len(piece)
    except SinkError as error:
        return Finding(Verdict.UNREADABLE, facts.key, error.message)
    if size != facts.size:
        return Finding(Verdict.CHANGED, facts.key, f"{size:,} bytes, not {facts.size:,}")
    if digest.hexdigest() != facts.sha256:
        return Finding(Verdict.CHANGED, facts.key, "of the right size, but with another digest")
    return Finding(Verdict.WHOLE, facts.key)


def count(found: Iterator[Finding], tell: Callable[[Finding], None]) -> Counter[Verdict]:
    """How many there are of each verdict. `tell` is called with those that are not whole."""
    counts: Counter[Verdict] = Counter()
    for finding in found:
        counts[finding.verdict] += 1
        if finding.verdict is not Verdict.WHOLE:
            tell(finding)
    return counts
