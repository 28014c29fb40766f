"""Verifying: the manifest compared with the objects that are really there.

For each key the last record of a stored body tells size and digest. The object is read and
compared. Of an object that was taken over only the size and the time are known, until a digest is
recorded. An object without such a record is unknown. A URL whose object another URL has replaced
under the same key is told too: the manifest says that it was stored, and it is not there.

Owns: that comparison. Does not know: how it is shown (`cli/verify.py`). Rejected: trusting sizes
and times; a disk that lies keeps both.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import orjson

from scraper.manifest.codec import Reading, lost, object_modified_ms, verified
from scraper.manifest.index import DENIED, GONE, OBJECT, Index
from scraper.model.errors import BadTarget, Damaged, SinkError
from scraper.model.expected import Digests, Expected, expected_of
from scraper.model.settings import Retries
from scraper.model.threads import submit
from scraper.sinks.base import ReadableSink, object_stat_of
from scraper.sinks.beginning import insist, insist_on_first
from scraper.sinks.directory import OWN
from scraper.sinks.object_stat import ObjectStat, is_recorded


class Verdict(StrEnum):
    """What became of an object since it was recorded.

    TAKEN_OVER: it was there before any run (--skip-existing), is as it was then, and nobody knows
    its digest; no fault. UNKNOWN: no record explains it. REPLACED: another URL was stored under its
    key since, which is no fault.
    """

    WHOLE = "whole"
    TAKEN_OVER = "taken_over"
    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"
    REPLACED = "replaced"


GOOD = frozenset({Verdict.WHOLE, Verdict.TAKEN_OVER, Verdict.REPLACED})
_USUAL, _ONCE = Retries(), Retries(retries=0)
_NO_RECORD = "no record explains it"
_NO_DIGEST = "it was there before any run, and its digest is not known (--repair records it)"
_GONE = "it was pruned, or found changed, and is there"


class Facts(NamedTuple):
    """What a record says of its object: `size` in bytes, `sha256` hexadecimal.

    `sha256` is "" for an object that was taken over. `modified_ms` is its time then, in
    milliseconds since 1970, and None for any other. `expected`: what its list said of it, None for
    nothing, and where it said that of another form of the body.
    """

    key: str
    size: int
    sha256: str
    modified_ms: int | None = None
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one object. `detail` is for people.

    `record` is that of the object, where it is the last one that was stored under its key.
    `sha256`: the digest that was found, of an object whose digest nobody knew.
    """

    verdict: Verdict
    key: str
    detail: str = ""
    record: Mapping[str, Any] | None = None
    sha256: str = ""

    def repairing(self, run: str) -> dict[str, Any] | None:
        """The record by which the next run fetches the object. None if that would not help.

        For an object that was taken over it is the record with the digest that was found.
        """
        if self.record is not None and self.verdict is Verdict.TAKEN_OVER:
            return verified(self.record, self.sha256, time.time())
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
    index, reader = Index("", reading), _Reader(readable)
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
                        else submit(pool, partial(reader.compare, record))
                    )
                if len(waiting) >= 2 * max_concurrency:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        for key in insist_on_first(partial(readable.keys, "")):
            if not key.startswith(f"{OWN}/") and (what := index.what(key)) != OBJECT:
                yield Finding(Verdict.UNKNOWN, key, _GONE if what == GONE else _NO_RECORD)
    finally:
        index.close()


def _result(found: Finding | Future[Finding]) -> Finding:
    return found if isinstance(found, Finding) else found.result()


def facts_of(record: Mapping[str, Any]) -> Facts:
    """What `record` says of its object."""
    digest = record.get("sha256", "")
    modified_ms = None if digest else object_modified_ms(record, None)
    expected = None
    if "expected" in record and "expected_of" not in record:
        with contextlib.suppress(BadTarget, AttributeError):
            expected = expected_of(record["expected"])
    return Facts(record["key"], record["size"], digest, modified_ms, expected)


class _Reader:
    """Reads objects. While one can't be read, each other one is tried once: it may be all."""

    def __init__(self, readable: ReadableSink) -> None:
        self._readable = readable
        self._patient = True

    def compare(self, record: Mapping[str, Any]) -> Finding:
        """What became of the object of `record`."""
        found = compare(self._readable, facts_of(record), patient=self._patient)
        self._patient = found.verdict is not Verdict.UNREADABLE
        return replace(found, record=record)


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
    readable: ReadableSink,
    facts: Facts,
    on_piece: Callable[[], None] = lambda: None,
    *,
    patient: bool = True,
) -> Finding:
    """What became of one object, which is read. `on_piece` is called again and again meanwhile.

    `patient`: a read that fails for a moment is tried again.
    """
    try:
        read = partial(_read, readable, facts, on_piece)
        found = insist(read, _USUAL if patient else _ONCE)
    except Damaged as error:
        return Finding(Verdict.CHANGED, facts.key, error.message)
    except SinkError as error:
        return Finding(Verdict.UNREADABLE, facts.key, error.message)
    if found is None:
        return Finding(Verdict.MISSING, facts.key, "it was stored, and is not there")
    stat, digest = found
    if digest.size == facts.size and not facts.sha256:
        return _without_digest(facts, stat, digest.hexdigest())
    detail = _difference(facts, digest)
    return Finding(Verdict.CHANGED if detail else Verdict.WHOLE, facts.key, detail)


def _read(
    readable: ReadableSink, facts: Facts, on_piece: Callable[[], None]
) -> tuple[ObjectStat, Digests] | None:
    stat = object_stat_of(readable)(facts.key)
    if stat is None:
        return None
    digest = Digests(facts.expected or Expected())
    for piece in readable.read(facts.key):
        on_piece()
        digest.update(piece)
    return stat, digest


def _difference(facts: Facts, found: Digests) -> str:
    """How an object differs from its record, "" if it does not."""
    if found.size != facts.size:
        return f"{found.size:,} bytes, not {facts.size:,}"
    if found.hexdigest() != facts.sha256:
        return "of the right size, but with another digest"
    differs = found.difference(facts.expected) if facts.expected else None
    return f"not as its list says: {differs}" if differs else ""


def _without_digest(facts: Facts, stat: ObjectStat, digest: str) -> Finding:
    """What became of an object of the right size that was taken over. `digest` was found."""
    if not is_recorded(stat, facts.size, None, facts.modified_ms):
        return Finding(Verdict.CHANGED, facts.key, "of the right size, but of another time")
    return Finding(Verdict.TAKEN_OVER, facts.key, _NO_DIGEST, sha256=digest)


def count(found: Iterator[Finding], tell: Callable[[Finding], None]) -> Counter[Verdict]:
    """How many there are of each verdict. `tell` is called with those that are not whole."""
    counts: Counter[Verdict] = Counter()
    for finding in found:
        counts[finding.verdict] += 1
        if finding.verdict is not Verdict.WHOLE:
            tell(finding)
    return counts
