"""Resuming: what earlier runs' records make unnecessary, or cheap, in this one.

Owns: the decision for each target: skipped, asked with validators, or fetched
like any other; and when the manifest is compacted. Refuses to know: how records
are kept (`store.py`) and found (`index.py`). Rejected: asking a distant sink
for each object before it is skipped (a request each; `scraper verify` does
that, and a 304 is believed only where the object is still there).
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from scraper.manifest.codec import identity
from scraper.manifest.store import ManifestStore
from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.model.records import PreviousRecord, Skipped, Target
from scraper.model.settings import Earlier
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink

if TYPE_CHECKING:
    from scraper.manifest.index import Index

_COMPACT_FROM = 10_000  # outdated lines, beside as many as still say something
_DONE = Skipped("done in an earlier run")
_UNKNOWN = Skipped("not in the manifest")

_NO_OBJECT = (None, None, 0)

Decision = Skipped | PreviousRecord | None  # None: fetched as if it had never been seen


class IsAnother(Protocol):
    """Says whether a request for `target` surely asks for another form than `variant`.

    `redirected`: another URL answered than the target's own.
    """

    def __call__(self, target: Target, variant: str | None, *, redirected: bool) -> bool:
        """See the class."""


def _never(*_: object, **__: object) -> bool:
    return False


def decide(previous: PreviousRecord | None, earlier: Earlier, *, there: bool) -> Decision:
    """What becomes of a target of which earlier runs left `known`.

    `there`: whether it has an object in the form that is asked for, which was looked for and
    found, or could not be looked for.
    """
    done = previous is not None and previous.done and there
    if earlier.resume and done:
        return _DONE
    if earlier.retry_failed and (done or previous is None):
        return _DONE if done else _UNKNOWN
    asked = (
        there
        and earlier.refresh
        and previous is not None
        and (previous.etag or previous.last_modified)
    )
    return previous if asked else None


def remember(earlier: Earlier, store: ManifestStore, sink: Sink) -> "History":
    """What `store` knows, as far as `earlier` asks for it.

    Raises DestinationError when it can't be read, UsageError when nothing could.
    """
    if not store.readable and (earlier.resume or earlier.retry_failed):
        option = "--resume" if earlier.resume else "--retry-failed"
        raise UsageError(f"{option}: this destination can't be read back; give a --manifest file")
    if not store.begun or not (earlier.resume or earlier.retry_failed or earlier.refresh):
        return History(earlier, sink, None)
    from scraper.manifest.index import open_index

    return History(earlier, sink, open_index(store.index_path, store.catch_up))


class History:
    """What the manifest knows. `index` None: nothing can be, or is to be, remembered."""

    def __init__(self, earlier: Earlier, sink: Sink, index: "Index | None") -> None:
        self._earlier = earlier
        self._readable = sink if isinstance(sink, ReadableSink) and sink.near else None
        self._index = index

    def recall(self, targets: Sequence[Target], is_another: IsAnother = _never) -> list[Decision]:
        """The decision for each of `targets`. Raises DestinationError."""
        if self._index is None:
            return [decide(None, self._earlier, there=False)] * len(targets)
        ids = [identity(target.key, redact(target.url)) for target in targets]
        decisions: list[Decision] = [_DONE] * len(targets)
        left = self._not_done(targets, ids, is_another)
        found = self._index.find([ids[n] for n in left])
        for n in left:
            previous = found.get(ids[n])
            there = (
                previous is not None
                and not is_another(targets[n], previous.variant, redirected=previous.effective != 0)
                and self._has(targets[n].key, previous.size)
            )
            decisions[n] = decide(previous, self._earlier, there=there)
        return decisions

    def _not_done(
        self, targets: Sequence[Target], ids: Sequence[int], is_another: IsAnother
    ) -> Sequence[int]:
        """Which of `targets` need more than a look: most of a resumed run need no more."""
        if not (self._earlier.resume or self._earlier.retry_failed):
            return range(len(targets))
        assert self._index is not None
        done, left = self._index.done(ids), []
        for n, (one, target) in enumerate(zip(ids, targets, strict=True)):
            size, variant, effective = done.get(one, _NO_OBJECT)
            if (
                size is None
                or is_another(target, variant, redirected=effective != 0)
                or not self._has(target.key, size)
            ):
                left.append(n)
        return left

    def close(self, store: ManifestStore, *, whole: bool) -> None:
        """Compact the manifest if the run was whole and most lines before it were outdated.

        If that can't be done it is as whole as before, and the next run will try.
        """
        if self._index is None:
            return
        with contextlib.closing(self._index) as index, contextlib.suppress(DestinationError):
            if whole and self._is_worth_it(index):
                store.catch_up(index)
                store.compact(index)

    def _is_worth_it(self, index: "Index") -> bool:
        lines = index.mark.lines - _COMPACT_FROM
        return lines > 0 and lines > 2 * index.count_standing()

    def _has(self, key: str, size: int | None) -> bool:
        """Whether the object is there, as far as that can be seen from here."""
        if size is None:
            return False
        try:
            return self._readable is None or self._readable.size(key) == size
        except (SinkError, DestinationError):  # it will be said when the object is written
            return False
