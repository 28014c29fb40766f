"""History: what earlier runs' records make unnecessary, or cheap, in this one.

Owns: the decision for each target, which is to skip it, to take over the object that lies at its
key, to ask with validators, or to fetch it as if it were new; and when the manifest is compacted.
Does not know: how records are kept (the stores) and found (`index.py`), how objects without a
record are found (`existing.py`), what a 304 means (`transfer/`). Rejected: asking a distant sink
for each object before it is skipped. That is a request each; `scraper verify` does it.
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from scraper.manifest.checked import plain_variant, was_checked
from scraper.manifest.codec import Reading, bad_line
from scraper.manifest.identity import Identity
from scraper.manifest.store import ManifestStore
from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.model.records import Existing, PreviousRecord, Result, Skipped, Target
from scraper.model.settings import Earlier
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink, ignores_case, may_have_objects, object_stat_of
from scraper.sinks.exchanges import record_of
from scraper.sinks.object_stat import is_recorded

if TYPE_CHECKING:
    from scraper.manifest.existing import Finder
    from scraper.manifest.index import Index
    from scraper.manifest.told_lines import ToldLines

_COMPACT_FROM = 10_000  # outdated lines, beside as many as still say something
_DONE = Skipped("done in an earlier run")
_UNKNOWN = Skipped("not in the manifest", unknown=True)
_PERMANENT = Skipped(
    "failed for good in an earlier run (--all tries it again)", failed_for_good=True
)
_TAKEN_OVER = "it was there already, without a record (--skip-existing)"

Decision = Skipped | PreviousRecord | None  # None: fetched as if it were new


class IsAnother(Protocol):
    """Says whether a request for `target` surely asks for another form than `variant`.

    `redirected`: another URL answered than the target's own.
    """

    def __call__(self, target: Target, variant: str | None, *, redirected: bool) -> bool:
        """See the class."""


def _never(*_: object, **__: object) -> bool:
    return False


def leaves_alone(earlier: Earlier) -> bool:
    """Whether what failed for good is not tried again."""
    return earlier.retry_failed and not earlier.all


def decide(previous: PreviousRecord | None, earlier: Earlier, *, there: bool) -> Decision:
    """The decision for a target of which earlier runs left `previous`.

    `there`: its object was found, in the form that is asked for, or the manifest says so and the
    sink is too far to look.
    """
    done = previous is not None and previous.done and there
    if earlier.resume and done:
        return _DONE
    if earlier.retry_failed and (done or previous is None):
        return _DONE if done else _UNKNOWN
    if previous is not None and previous.permanent and leaves_alone(earlier):
        return _PERMANENT
    asked = (
        there
        and earlier.refresh
        and previous is not None
        and (previous.etag or previous.last_modified)
    )
    return previous if asked else None


def remember(earlier: Earlier, store: ManifestStore, sink: Sink) -> "History":
    """The history that `store` has, as far as `earlier` asks for one.

    Raises DestinationError when the store can't be read, and UsageError when `earlier` needs a
    store that can be read and this one never can.
    """
    if not store.readable and (option := _needs_records(earlier)):
        raise UsageError(f"{option}: this destination can't be read back; give a --manifest file")
    if not store.begun or not (_needs_records(earlier) or _looks(earlier)):
        return History(earlier, sink, store.identity, None, _finder(earlier, store, sink))
    from scraper.manifest.index import open_index

    reading = Reading(ignores_case(sink), store.destination)
    index = open_index(store.index_path, store.catch_up, reading)
    try:
        return History(earlier, sink, store.identity, index, _finder(earlier, store, sink))
    except BaseException:
        index.close()
        raise


def _looks(earlier: Earlier) -> bool:
    """Whether objects that have no record are looked for. Those that have one are known then."""
    return earlier.refresh or earlier.skip_existing


def _finder(earlier: Earlier, store: ManifestStore, sink: Sink) -> "Finder | None":
    empty = isinstance(sink, ReadableSink) and sink.near and not may_have_objects(sink)
    if empty or not _looks(earlier):
        return None
    from scraper.manifest.existing import finder

    return finder(earlier, sink, begun=store.begun)


def _needs_records(earlier: Earlier) -> str:
    """The option that makes no sense without records, "" if none was given."""
    names = ("resume", "retry_failed", "new_failures")
    return next((f"--{name.replace('_', '-')}" for name in names if getattr(earlier, name)), "")


class History:
    """What the manifest knows of a run's targets. With `index` None it knows nothing.

    `told`: what a part of the same run has told before.
    """

    told: "ToldLines | None" = None

    def __init__(
        self,
        earlier: Earlier,
        sink: Sink,
        identity: Identity,
        index: "Index | None",
        finder: "Finder | None" = None,
    ) -> None:
        self._earlier = earlier
        self._finder, self._sink = finder, sink
        near = sink if isinstance(sink, ReadableSink) and sink.near else None
        self._stat = object_stat_of(near) if near is not None else None
        self._identity = identity
        self._index = index

    @property
    def leaves_alone(self) -> bool:
        """Whether what failed for good is not tried again."""
        return leaves_alone(self._earlier)

    def recall(self, targets: Sequence[Target], is_another: IsAnother = _never) -> list[Decision]:
        """The decision for each of `targets`. Raises DestinationError."""
        decisions = self._recall(targets, is_another)
        if self._finder is not None:
            decisions = self._with_existing(targets, decisions)
        return decisions if self.told is None else self.told.over(targets, decisions)

    def _recall(self, targets: Sequence[Target], is_another: IsAnother) -> list[Decision]:
        """The same, by the records alone."""
        if self._index is None:
            return [decide(None, self._earlier, there=False)] * len(targets)
        ids = [*map(self._identity.of, targets)]
        decisions: list[Decision] = [_DONE] * len(targets)
        left = self._not_done(targets, ids, is_another)
        found = self._index.find([ids[n] for n in left])
        for n in left:
            previous = found.get(ids[n])
            fits = previous is None or was_checked(targets[n], previous.variant)
            if previous and (plain := plain_variant(previous.variant)) is not previous.variant:
                previous = previous._replace(variant=plain)
            there = (
                previous is not None
                and fits
                and not is_another(targets[n], previous.variant, redirected=previous.effective != 0)
                and self._has(targets[n].key, previous.size, previous.digest, previous.modified_ms)
            )
            decisions[n] = decide(previous, self._earlier, there=there)
        return decisions

    def _with_existing(
        self, targets: Sequence[Target], decisions: list[Decision]
    ) -> list[Decision]:
        """`decisions`, where objects without a record are taken over, or asked about.

        Where a size or digests are expected, such an object is read, or it is fetched.
        """
        assert self._finder is not None
        takes_over = self._earlier.skip_existing
        pairs = enumerate(zip(targets, decisions, strict=True))
        asked = [
            n for n, (one, known) in pairs if known is None and (takes_over or not one.expected)
        ]
        found = self._finder.find([targets[n].key for n in asked])
        for n, existing in zip(asked, found, strict=True):
            if existing is None or (self._index is not None and self._index.what(targets[n].key)):
                continue  # nothing is there, or a record tells of what is there
            if takes_over:
                if not self._is_as_expected(targets[n], existing):
                    continue
                decisions[n] = Skipped(_TAKEN_OVER, existing=existing)
            else:
                from scraper.manifest.existing import unrecorded

                decisions[n] = unrecorded(existing)
        return decisions

    def _is_as_expected(self, target: Target, existing: Existing) -> bool:
        """Whether an object is what the list expects of `target`, if it expects anything."""
        if target.expected is None:
            return True
        from scraper.manifest.existing import is_as_expected

        sink = self._sink
        return isinstance(sink, ReadableSink) and is_as_expected(
            sink, target.key, existing, target.expected
        )

    def has_failed(self, result: Result) -> bool:
        """Whether this target had failed already when it was tried last. Never raises."""
        if self._index is None:
            return False
        target = result.target
        one = self._identity.of(target) if target.key else bad_line(redact(target.listed))
        with contextlib.suppress(DestinationError):
            return self._index.has_failed(one)
        return False

    def _not_done(
        self, targets: Sequence[Target], ids: Sequence[int], is_another: IsAnother
    ) -> Sequence[int]:
        """Which of `targets` are not done. Most targets of a resumed run are, which is quick."""
        if not (self._earlier.resume or self._earlier.retry_failed):
            return range(len(targets))
        assert self._index is not None
        found, left = self._index.done(ids), []
        for n, (one, target) in enumerate(zip(ids, targets, strict=True)):
            if one in found:
                variant, effective, size, digest, modified_ms = found[one]
                if (
                    was_checked(target, variant)
                    and not is_another(target, plain_variant(variant), redirected=effective != 0)
                    and self._has(target.key, size, digest, modified_ms)
                ):
                    continue
            left.append(n)
        return left

    def close(self, store: ManifestStore, *, whole: bool) -> None:
        """Compact the manifest if the run was whole and most lines before it were outdated.

        Where that fails the manifest is as it was, and the next run tries again.
        """
        if self._finder is not None:
            with contextlib.suppress(DestinationError):
                self._finder.close()
        if self._index is None:
            return
        with contextlib.closing(self._index) as index, contextlib.suppress(DestinationError):
            store.confirm(index)
            keeps_all = record_of(self._sink) is not None  # each record of an archive has a line
            if whole and not keeps_all and self._is_worth_it(index):
                store.catch_up(index)
                store.compact(index)

    def _is_worth_it(self, index: "Index") -> bool:
        lines = index.mark.lines - _COMPACT_FROM
        return lines > 0 and lines > 2 * index.count_standing()

    def _has(
        self, key: str, size: int | None, digest: bytes | None, modified_ms: int | None
    ) -> bool:
        """Whether the recorded object is there. A distant sink is believed without a look."""
        if size is None:
            return False
        if self._stat is None:
            return True
        try:
            return is_recorded(self._stat(key), size, digest, modified_ms)
        except (SinkError, DestinationError):  # storing the object will say it
            return False
