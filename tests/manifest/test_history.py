"""Resuming: the decision for each target, and when the manifest is compacted."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.manifest import history
from scraper.manifest.file_store import FileManifestStore
from scraper.manifest.history import History, decide, remember
from scraper.manifest.record import encode
from scraper.manifest.sink_store import SinkManifestStore
from scraper.model.errors import DestinationError, Kind, SinkError, UsageError
from scraper.model.records import (
    Failed,
    Failure,
    NotReached,
    PreviousRecord,
    Result,
    Skipped,
    Stored,
    Target,
)
from scraper.model.settings import Earlier
from scraper.sinks.base import Sink, Upload
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.object_stat import ObjectStat
from scraper.testing import store
from tests.histories import failed, result, stored, target, unchanged

TAG = '"v1"'
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
DONE = Skipped("done in an earlier run")
RESUME = Earlier(resume=True)
RETRY = Earlier(retry_failed=True)
RETRY_ALL = Earlier(retry_failed=True, all=True)
REFRESH = Earlier()
ANEW = Earlier(refresh=False)

WITH_TAG = PreviousRecord(True, 5, TAG)
WITH_DATE = PreviousRecord(True, 5, None, DATE)
BARE = PreviousRecord(True, 5)
FAILED_REFRESH = PreviousRecord(False, 5, TAG)
NEVER_STORED = PreviousRecord(False)
GONE = PreviousRecord(False, permanent=True)
GONE_REFRESH = PreviousRecord(False, 5, TAG, permanent=True)
LEFT_ALONE = Skipped(
    "failed for good in an earlier run (--all tries it again)", failed_for_good=True
)


# ---------------------------------------------------------------- one decision


@pytest.mark.parametrize(
    ("earlier", "previous", "there", "decision"),
    [
        (RESUME, WITH_TAG, True, DONE),
        (RESUME, BARE, True, DONE),
        (RESUME, WITH_TAG, False, None),
        (RESUME, FAILED_REFRESH, True, FAILED_REFRESH),
        (RESUME, FAILED_REFRESH, False, None),
        (RESUME, NEVER_STORED, False, None),
        (RESUME, None, False, None),
        (RETRY, WITH_TAG, True, DONE),
        (RETRY, WITH_TAG, False, None),
        (RETRY, FAILED_REFRESH, True, FAILED_REFRESH),
        (RETRY, NEVER_STORED, False, None),
        (RETRY, GONE, False, LEFT_ALONE),
        (RETRY, GONE_REFRESH, True, LEFT_ALONE),
        (RETRY_ALL, GONE, False, None),
        (RETRY_ALL, GONE_REFRESH, True, GONE_REFRESH),
        (RESUME, GONE, False, None),
        (REFRESH, GONE_REFRESH, True, GONE_REFRESH),
        (RETRY, None, False, Skipped("not in the manifest", unknown=True)),
        (REFRESH, WITH_TAG, True, WITH_TAG),
        (REFRESH, WITH_DATE, True, WITH_DATE),
        (REFRESH, BARE, True, None),
        (REFRESH, WITH_TAG, False, None),
        (REFRESH, FAILED_REFRESH, True, FAILED_REFRESH),
        (REFRESH, NEVER_STORED, False, None),
        (REFRESH, None, False, None),
        (ANEW, WITH_TAG, True, None),
        (ANEW, None, False, None),
        (Earlier(resume=True, refresh=False), WITH_TAG, True, DONE),
        (Earlier(resume=True, refresh=False), FAILED_REFRESH, True, None),
    ],
)
def test_what_earlier_runs_left_decides(
    earlier: Earlier,
    previous: PreviousRecord | None,
    there: bool,
    decision: Skipped | PreviousRecord | None,
) -> None:
    assert decide(previous, earlier, there=there) == decision


def test_nothing_is_skipped_or_asked_about_without_its_object() -> None:
    for earlier, previous in itertools.product(
        [RESUME, RETRY, REFRESH, ANEW], [WITH_TAG, WITH_DATE, BARE, FAILED_REFRESH, NEVER_STORED]
    ):
        assert decide(previous, earlier, there=False) is None


def test_resume_and_retry_failed_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="--resume and --retry-failed contradict each other"):
        Earlier(resume=True, retry_failed=True)


# ---------------------------------------------------------------- a manifest and a sink


class Place:
    """A directory with a manifest, and what a run remembers of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sink = DirectorySink(root)
        self.sink.check()
        self.manifest = root / "manifest.jsonl"

    def write(self, *results: Result, objects: bool = True) -> None:
        """A run that came to these; an object is as long as its record says."""
        with open(self.manifest, "ab") as file:
            file.writelines(map(encode, results))
        for one in results:
            if isinstance(one.outcome, Stored) and objects:
                store(self.sink, one.target.key, bytes(one.outcome.size))

    def recall(self, earlier: Earlier, *targets: Target, sink: Sink | None = None) -> list[object]:
        store = FileManifestStore(self.manifest)
        history = remember(earlier, store, sink or self.sink)
        decisions = history.recall(targets)
        store.close()
        history.close(store, whole=False)
        store.release()
        return list(decisions)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.sink.close()


A, B, C = target("a"), target("b"), target("c")


def test_each_target_has_its_decision_in_order(place: Place) -> None:
    place.write(stored("a", 7), failed("c"))
    assert place.recall(RESUME, A, B, C, A) == [DONE, None, None, DONE]
    assert place.recall(RETRY, A, B, C) == [
        DONE,
        Skipped("not in the manifest", unknown=True),
        None,
    ]
    assert place.recall(REFRESH, A, B, C) == [
        PreviousRecord(True, 7, '"7"', "version 7", digest=bytes(32)),
        None,
        None,
    ]
    assert place.recall(ANEW, A, B, C) == [None, None, None]
    assert place.recall(REFRESH) == []


@pytest.mark.parametrize("size", [None, 0, 6, 8])
def test_an_object_that_is_missing_or_of_another_size_is_noticed(
    size: int | None, place: Place
) -> None:
    place.write(stored("a", 7), objects=False)
    if size is not None:
        store(place.sink, A.key, bytes(size))
    assert place.recall(RESUME, A) == [None]
    assert place.recall(RETRY, A) == [None]
    assert place.recall(REFRESH, A) == [None]


def test_a_directory_where_the_object_was_is_no_object(place: Place) -> None:
    place.write(stored("a", 7), objects=False)
    (place.root / A.key).mkdir(parents=True)
    assert place.recall(RESUME, A) == [None]


def test_a_304_alone_is_no_object(place: Place) -> None:
    place.write(unchanged("a", 7))
    assert place.recall(RESUME, A) == place.recall(REFRESH, A) == [None]


def test_a_304_after_the_body_is_done(place: Place) -> None:
    place.write(stored("a", 7), unchanged("a", 7))
    assert place.recall(RESUME, A) == [DONE]


def test_another_key_or_another_url_is_another_target(place: Place) -> None:
    place.write(stored("a", 7))
    place.write(stored("b", 7))
    assert place.recall(RESUME, A._replace(key="elsewhere")) == [None]
    assert place.recall(RESUME, A._replace(url="http://host/b")) == [None]
    assert place.recall(RESUME, A._replace(listed="HTTP://host/a#top", line=9)) == [DONE]


class Distant(DirectorySink):
    """One where looking is a request."""

    near = False

    def size(self, key: str) -> int | None:
        raise AssertionError("nobody looks there before a request")


class Broken(DirectorySink):
    """One that can't be looked into."""

    def object_stat(self, key: str) -> ObjectStat | None:
        if key == A.key:
            raise SinkError("permission denied", transient=False)
        raise DestinationError("a disk error")


def test_a_distant_sink_is_not_asked_for_each_object(place: Place) -> None:
    place.write(stored("a", 7), failed("b"), unchanged("c"), objects=False)
    assert place.recall(RESUME, A, B, C, sink=Distant(place.root)) == [DONE, None, None]


def test_what_can_not_be_looked_at_is_fetched(place: Place) -> None:
    place.write(stored("a", 7), stored("b", 7))
    assert place.recall(RESUME, A, B, sink=Broken(place.root)) == [None, None]


class OneWay:
    """A sink that takes and never gives."""

    def check(self) -> None: ...

    def open(self, key: str) -> Upload:
        raise NotImplementedError

    def close(self) -> None: ...


@pytest.mark.parametrize(("earlier", "name"), [(RESUME, "--resume"), (RETRY, "--retry-failed")])
def test_where_nothing_can_be_read_back_it_is_told_what_to_do(earlier: Earlier, name: str) -> None:
    for one in (SinkManifestStore(OneWay(), "x://y"), FileManifestStore(Path("/dev/null"))):
        with pytest.raises(UsageError, match=f"^{name}: .* give a --manifest file$"):
            remember(earlier, one, OneWay())
        one.close()
        one.release()


@pytest.mark.parametrize("earlier", [REFRESH, ANEW])
def test_where_nothing_can_be_read_back_everything_is_fetched(earlier: Earlier) -> None:
    history = remember(earlier, SinkManifestStore(OneWay(), "x://y"), OneWay())
    assert history.recall([A, B]) == [None, None]


def test_a_manifest_that_is_new_makes_no_index(place: Place) -> None:
    for earlier in (RESUME, RETRY, REFRESH):
        decisions = place.recall(earlier, A)
        assert decisions == [
            Skipped("not in the manifest", unknown=True) if earlier is RETRY else None
        ]
    assert {path.name for path in place.root.iterdir()} == {".scraper", "manifest.jsonl"}


# ---------------------------------------------------------------- compacting


def run(place: Place, *results: Result, whole: bool = True, earlier: Earlier = REFRESH) -> None:
    """A run over targets that come to these results."""
    store = FileManifestStore(place.manifest)
    history: History = remember(earlier, store, place.sink)
    decisions = history.recall([one.target for one in results])
    for one, decision in zip(results, decisions, strict=True):
        if not isinstance(decision, Skipped):
            store(one)
    store.close()
    history.close(store, whole=whole)
    store.release()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact from the fifth outdated line on."""
    monkeypatch.setattr(history, "_COMPACT_FROM", 4)


def lines(place: Place) -> int:
    return len(place.manifest.read_bytes().splitlines())


@pytest.mark.usefixtures("soon")
def test_the_manifest_is_compacted_when_most_of_its_lines_are_outdated(place: Place) -> None:
    lengths = []
    for version in range(1, 20):
        run(place, stored("a", version), stored("b", version))
        lengths.append(lines(place))
    assert max(lengths) <= 2 * 2 + 4 + 2 * 2
    assert min(lengths[5:]) == 2
    assert place.recall(REFRESH, A) == [None], "no object was written by these runs"
    store(place.sink, A.key, bytes(19))
    assert place.recall(RESUME, A) == [DONE]


@pytest.mark.usefixtures("soon")
def test_a_nightly_run_over_an_unchanged_site_keeps_it_short(place: Place) -> None:
    place.write(stored("a", 7), stored("b", 7))
    lengths = []
    for _ in range(20):
        run(place, unchanged("a", 7), unchanged("b", 7))
        lengths.append(lines(place))
    assert lengths == [4, 6, 8, 10, 2] * 4, "it is not rewritten each night"
    assert place.recall(REFRESH, A) == [
        PreviousRecord(True, 7, '"7"', "version 7", digest=bytes(32))
    ]


@pytest.mark.usefixtures("soon")
def test_a_manifest_of_targets_that_are_all_different_is_left_alone(place: Place) -> None:
    for start in range(0, 100, 10):
        run(place, *(stored(f"n{n}") for n in range(start, start + 10)))
    assert lines(place) == 100


@pytest.mark.usefixtures("soon")
def test_a_manifest_that_would_not_get_shorter_is_left_alone(place: Place) -> None:
    place.write(*(stored(f"n{n}") for n in range(10)))
    run(place, *(failed(f"n{n}") for n in range(10)))
    before = place.manifest.read_bytes()
    run(place, *(failed(f"n{n}") for n in range(10)))
    assert place.manifest.read_bytes().startswith(before)
    assert lines(place) == 30


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("whole", "earlier"), [(False, REFRESH), (True, ANEW)], ids=["stopped", "nothing remembered"]
)
def test_a_run_that_was_stopped_or_remembers_nothing_compacts_nothing(
    whole: bool, earlier: Earlier, place: Place
) -> None:
    for version in range(1, 20):
        run(place, stored("a", version), whole=whole, earlier=earlier)
    assert lines(place) == 19


@pytest.mark.usefixtures("soon")
def test_a_compaction_that_fails_is_no_failure_of_the_run(place: Place) -> None:
    (place.root / "manifest.jsonl.compact").mkdir()
    for version in range(1, 20):
        run(place, stored("a", version))
    assert lines(place) == 19


def test_nothing_is_compacted_for_a_few_lines(place: Place) -> None:
    for version in range(1, 50):
        run(place, stored("a", version))
    assert lines(place) == 49


def test_results_that_are_no_objects_are_not_remembered(place: Place) -> None:
    place.write(result("a", Skipped("done")), stored("b", 1))
    assert place.recall(RESUME, A, B) == [None, DONE]


# ---------------------------------------------------------------- what had failed before

NEWS = Earlier(refresh=False, new_failures=True)
NOWHERE = Target("nonsense", "", "", "", 1, "urls")


def not_reached(name: str) -> Result:
    failure = Failure(Kind.INTERRUPTED, "not finished: SIGINT")
    return Result(target(name), NotReached(failure))


def bad_line() -> Result:
    return Result(NOWHERE, Failed(Failure(Kind.BAD_URL, "no scheme")))


@pytest.mark.parametrize(
    ("records", "had_failed"),
    [
        ([], False),
        ([failed("a")], True),
        ([stored("a", 1)], False),
        ([failed("a"), stored("a", 1)], False),
        ([stored("a", 1), failed("a")], True),
        ([failed("a"), unchanged("a")], False),
        ([not_reached("a")], False),
        ([failed("a"), not_reached("a")], True),
        ([failed("a"), not_reached("a"), not_reached("a")], True),
        ([failed("a"), stored("a", 1), not_reached("a")], False),
        ([not_reached("a"), failed("a")], True),
        ([failed("b")], False),
    ],
)
@pytest.mark.parametrize("compacted", [False, True])
def test_a_target_had_failed_if_it_did_when_it_was_tried_last(
    records: list[Result], had_failed: bool, compacted: bool, place: Place
) -> None:
    place.write(*records)
    store = FileManifestStore(place.manifest)
    history = remember(NEWS, store, place.sink)
    if compacted and history._index is not None:
        store.close()
        store.compact(history._index)
        store.release()
        history._index.close()
        store = FileManifestStore(place.manifest)
        history = remember(NEWS, store, place.sink)
    assert history.has_failed(failed("a")) == had_failed
    store.close()
    history.close(store, whole=False)
    store.release()


def test_a_line_that_is_no_target_had_failed_too(place: Place) -> None:
    place.write(bad_line())
    store = FileManifestStore(place.manifest)
    history = remember(NEWS, store, place.sink)
    assert history.has_failed(bad_line())
    assert not history.has_failed(Result(NOWHERE._replace(listed="other"), bad_line().outcome))
    store.close()
    history.close(store, whole=False)
    store.release()


def test_what_was_not_reached_is_fetched_by_resume_and_by_retry_failed(place: Place) -> None:
    place.write(stored("a", 5), not_reached("a"), not_reached("b"))
    for earlier in (RESUME, RETRY):
        assert all(
            not isinstance(one, Skipped) for one in place.recall(earlier, target("a"), target("b"))
        )
