"""A manifest in segments of a sink: read back after anything, compacted."""

import contextlib
import fnmatch
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.manifest import segment_writer
from scraper.manifest import sink_store as store_module
from scraper.manifest.index import Index
from scraper.manifest.open_store import read_lines
from scraper.manifest.record import encode
from scraper.manifest.sink_store import SinkManifestStore
from scraper.model.errors import DestinationError, SinkError
from scraper.model.records import PreviousRecord, Result
from scraper.sinks.base import Sink, Upload
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.s3.sink import S3Sink, open_sink
from scraper.testing import store
from tests.denying import denying
from tests.e2e.watch import until
from tests.histories import (
    EVERY,
    NAMES,
    a_history,
    compacted,
    failed,
    knows,
    number,
    replay,
    stored,
    unchanged,
)
from tests.machine import within
from tests.s3servers import Asked, Front, Refusal, S3Server
from tests.servers import WAIT_S

# ---------------------------------------------------------------- segments


class Flaky:
    """A directory sink that can be read back, and fails when the test says so."""

    near = False

    def __init__(self, root: Path) -> None:
        self.sink = DirectorySink(root)
        self.sink.check()
        self.fault: Callable[[str, str], None] = lambda _what, _key: None
        self.puts: list[str] = []

    def check(self) -> None:
        self.sink.check()

    def open(self, key: str) -> Upload:
        self.fault("put", key)
        self.puts.append(key)
        return self.sink.open(key)

    def close(self) -> None:
        self.sink.close()

    def reach(self) -> None:
        self.sink.reach()

    def size(self, key: str) -> int | None:
        return self.sink.size(key)

    def read(self, key: str) -> Iterator[bytes]:
        self.fault("read", key)
        return self.sink.read(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        self.fault("keys", prefix)
        # In no order, as the protocol has it.
        return iter(sorted(self.sink.keys(prefix), key=lambda key: key[::-1]))

    def remove(self, key: str) -> None:
        self.fault("remove", key)
        self.sink.remove(key)

    @property
    def segments(self) -> list[str]:
        return sorted(self.sink.keys(".scraper/manifest-"))


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[Flaky]:
    made = Flaky(tmp_path)
    yield made
    made.close()


def of(sink: Sink, patience_s: float = WAIT_S) -> SinkManifestStore:
    return SinkManifestStore(sink, "memory://bucket/", patience_s)


def put(sink: Sink, *results: Result) -> None:
    """Write a segment, as a short run does."""
    store = of(sink)
    for result in results:
        store(result)
    store.close()


def segment(flaky: Flaky, number: int, *lines: bytes) -> None:
    store(flaky.sink, f".scraper/manifest-{number:08}-{number:04x}.jsonl", b"".join(lines))


def test_a_short_run_is_one_segment(flaky: Flaky) -> None:
    store = of(flaky)
    assert store.place == "memory://bucket/.scraper/manifest-*.jsonl*"
    assert (store.begun, store.readable) == (False, True)
    store(stored("a"))
    store(stored("b"))
    store.flush()
    assert flaky.segments == []
    store.close()
    assert len(flaky.segments) == 1
    assert b"".join(flaky.sink.read(flaky.segments[0])) == encode(stored("a")) + encode(stored("b"))
    assert of(flaky).begun


def test_a_run_without_a_result_writes_no_segment(flaky: Flaky) -> None:
    store = of(flaky)
    store.flush()
    store.close()
    assert flaky.segments == []


def test_a_segment_that_is_not_full_is_put_again_with_what_has_come(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_S", 0.0)
    store = of(flaky)
    for count, name in enumerate(NAMES, 1):
        store(stored(name))
        store.flush()
        until(lambda: not store._writer.is_busy)
        assert store.recorded == count
        assert knows(of(flaky)).keys() == set(EVERY[:count]), "a killed run forgets nothing else"
        store.flush()
    assert len(flaky.segments) == 1
    assert len(flaky.puts) == 4
    store.close()
    assert len(flaky.puts) == 4, "there was nothing new"


def test_nothing_is_put_before_its_time(flaky: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_S", 100 * WAIT_S)
    store = of(flaky)
    for _ in range(100):
        store(stored("a"))
        store.flush()
    assert flaky.puts == []
    store.close()
    assert len(flaky.puts) == 1


def test_a_full_segment_is_put_at_once_and_followed_by_another(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES", 1000)
    store = of(flaky)
    for n in range(40):
        store(stored(NAMES[n % 4], n + 1))
        store.flush()
    store.close()
    assert len(flaky.segments) == len(set(flaky.puts)) == len(flaky.puts) > 5
    numbers = [int(key.split("-")[1]) for key in flaky.segments]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [len(b"".join(flaky.sink.read(key))) < 1500 for key in flaky.segments]
    assert {previous.size for previous in knows(of(flaky)).values()} == {37, 38, 39, 40}


def test_the_next_run_counts_on_and_touches_no_segment_of_another(flaky: Flaky) -> None:
    for count, name in enumerate(NAMES, 1):
        put(flaky, stored(name, count), stored("a", 10 + count))
    numbers = [int(key.split("-")[1]) for key in flaky.segments]
    assert numbers == [1, 2, 3, 4]
    assert len({key.split("-")[2] for key in flaky.segments}) == 4
    assert {one: previous.size for one, previous in knows(of(flaky)).items()} == dict(
        zip(map(number, NAMES), (14, 2, 3, 4), strict=True)
    )


def test_segments_are_read_in_the_order_of_their_numbers(flaky: Flaky) -> None:
    for n in (10, 2, 100_000_000, 9):
        segment(flaky, n, encode(stored("a", n)))
    store(flaky.sink, ".scraper/manifest-99-zz.jsonl", encode(stored("a", 1)))
    store(flaky.sink, ".scraper/manifest-notes.txt", b"nothing of ours")
    assert knows(of(flaky))[number("a")].size == 100_000_000
    put(flaky, stored("a", 1))
    assert knows(of(flaky))[number("a")].size == 1


@given(st.lists(a_history, max_size=8))
def test_any_segments_come_to_what_a_replay_of_all_lines_does(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[bytes]]
) -> None:
    flaky = Flaky(tmp_path_factory.mktemp("segments"))
    for n, lines in enumerate(segments):
        segment(flaky, n, *lines)
    assert knows(of(flaky)) == replay(line for lines in segments for line in lines)
    flaky.close()


class Killed(BaseException):
    """The process is gone."""


@given(st.lists(a_history, min_size=1, max_size=6), st.integers(0, 20), st.integers(1, 2000))
def test_a_compaction_cut_off_anywhere_changes_nothing_that_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    segments: list[list[bytes]],
    steps: int,
    packed_bytes: int,
) -> None:
    flaky = Flaky(tmp_path_factory.mktemp("killed"))
    expected = replay(line for lines in segments for line in lines)
    for n, lines in enumerate(segments):
        segment(flaky, n, *lines)
    left = steps

    def killed(what: str, key: str) -> None:
        nonlocal left
        if what in {"put", "remove"}:
            left -= 1
            if left < 0:
                raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "PACKED_BYTES", packed_bytes)
        flaky.fault = killed
        with contextlib.suppress(Killed):
            compacted(of(flaky))
        flaky.fault = lambda what, key: None
        assert knows(of(flaky)) == expected
        compacted(of(flaky))
    assert knows(of(flaky)) == expected
    lines_left = list(of(flaky).lines())
    assert len(lines_left) <= 2 * len(expected)
    put(flaky, stored("a", 9))
    assert knows(of(flaky)) == expected | {
        number("a"): PreviousRecord(True, 9, None, "version 9", digest=bytes(32))
    }
    flaky.close()


def test_compacted_segments_are_few_and_packed(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1, 31):
        segment(flaky, n, *(encode(stored(name, n)) for name in NAMES))
    compacted(of(flaky))
    (key,) = flaky.segments
    assert key.startswith(".scraper/manifest-00000030-")
    assert key.endswith(".jsonl.gz")
    packed = b"".join(flaky.sink.read(key))
    assert gzip.decompress(packed) == b"".join(encode(stored(name, 30)) for name in NAMES)
    store = of(flaky)
    for _ in range(2):
        compacted(store)
        (key,) = flaky.segments
        assert gzip.decompress(b"".join(flaky.sink.read(key))) == gzip.decompress(packed)


def test_segments_that_came_since_the_index_was_made_are_read_before_compacting(
    flaky: Flaky,
) -> None:
    put(flaky, stored("a", 1), stored("b", 1))
    store = of(flaky)
    with contextlib.closing(Index()) as index:
        store.catch_up(index)
        store(stored("a", 2))
        store(failed("b"))
        store.close()
        store.catch_up(index)
        store.compact(index)
    records = [json.loads(line) for line in of(flaky).lines()]
    assert [(one["url"][-1], one["status"]) for one in records] == [
        ("b", "stored"),
        ("a", "stored"),
        ("b", "failed"),
    ]


def test_a_manifest_of_nothing_that_stands_is_compacted_away(flaky: Flaky) -> None:
    segment(flaky, 1, b"torn\n", b"{}\n")
    compacted(of(flaky))
    assert flaky.segments == []
    assert not of(flaky).begun


# ---------------------------------------------------------------- a sink that is away


def away(count: int, what: str = "put", *, transient: bool = True) -> Callable[[str, str], None]:
    """Fail that often."""
    left = [count]

    def fault(asked: str, key: str) -> None:
        if asked == what and left[0] > 0:
            left[0] -= 1
            raise SinkError("503 SlowDown", transient=transient)

    return fault


def test_a_sink_that_is_away_for_a_while_is_waited_for(flaky: Flaky) -> None:
    flaky.fault = away(1)
    put(flaky, stored("a"))
    assert knows(of(flaky)).keys() == {number("a")}


def test_a_sink_that_refuses_a_segment_is_told_and_what_is_left_is_tried_once_more(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_S", 0.0)
    flaky.fault = away(1, transient=False)
    store = of(flaky)
    store(stored("a"))
    store.flush()
    until(lambda: not store._writer.is_busy)
    assert store.recorded == 0
    with pytest.raises(DestinationError, match="can't write the manifest: 503 SlowDown"):
        store.flush()
    store(stored("b"))
    store.close()
    assert knows(of(flaky)).keys() == {number("a"), number("b")}


def test_patience_with_a_sink_that_is_away_ends(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_S", 0.0)
    flaky.fault = away(10**9)
    store = of(flaky, patience_s=0.0)
    store(stored("a"))
    store.flush()
    until(lambda: not store._writer.is_busy)
    assert store.recorded == 0
    with pytest.raises(DestinationError, match="can't write the manifest"):
        store.flush()
    monkeypatch.setattr(segment_writer, "_LAST_PATIENCE_S", 0.0)
    with contextlib.suppress(DestinationError):
        store.close()


def test_a_run_that_is_over_does_not_wait_for_long(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "_LAST_PATIENCE_S", 0.0)
    tried = threading.Event()

    def fault(what: str, key: str) -> None:
        tried.set()
        raise SinkError("503 SlowDown", transient=True)

    store = of(flaky, patience_s=10_000.0)
    flaky.fault = fault
    store(stored("a"))
    store._put(full=False)
    assert tried.wait(WAIT_S)
    with within(0, room_s=WAIT_S), pytest.raises(DestinationError):
        store.close()


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("waits", "refusal"),
    [
        (False, Refusal(503, "SlowDown")),
        (False, Refusal(503, "SlowDown", headers={"Retry-After": "1"})),
        (True, Refusal(503, "SlowDown", headers={"Retry-After": "1"})),
    ],
    ids=["busy", "says for how long", "closes meanwhile"],
)
def test_a_store_that_is_busy_when_a_run_is_over_is_waited_for(
    waits: bool, refusal: Refusal, moto_server: S3Server
) -> None:
    """It is busy for two seconds, and is not asked before the time that it says."""
    asked: list[float] = []

    def fault(one: Asked) -> Refusal | None:
        if one.operation != "PUT" or "manifest-" not in one.path:
            return None
        asked.append(time.monotonic())
        return refusal if asked[-1] - asked[0] < 2 else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = open_sink(f"s3://{bucket}/p", front.options())
        sink.check()
        run = SinkManifestStore(sink, f"s3://{bucket}/p/")
        run(stored("a"))
        if waits:
            run._put(full=False)
            until(lambda: bool(asked))
        run.close()
        assert knows(of(sink)).keys() == {number("a")}
        sink.close()
    if refusal.headers:
        assert min(later - earlier for earlier, later in pairwise(asked)) >= 0.9


@pytest.mark.parametrize("what", ["read", "keys"])
def test_segments_that_can_not_be_read_are_told_in_one_line(what: str, flaky: Flaky) -> None:
    put(flaky, stored("a"))
    store = of(flaky)
    flaky.fault = away(9, what, transient=False)
    with pytest.raises(DestinationError, match=r"^can't read the manifest '.*': 503 SlowDown$"):
        knows(store)
    with pytest.raises(DestinationError, match=r"^can't read the manifest"):
        list(read_lines(None, "memory://bucket", flaky))


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"x" * 999)[:-9]], ids=["no gzip", "torn"]
)
def test_a_packed_segment_that_is_broken_is_told_in_one_line(content: bytes, flaky: Flaky) -> None:
    store(flaky.sink, ".scraper/manifest-00000001-ab.jsonl.gz", content)
    with pytest.raises(DestinationError, match=r"manifest-00000001-ab.jsonl.gz' is broken"):
        knows(of(flaky))


@pytest.mark.parametrize("what", ["put", "remove", "read", "keys"])
def test_a_compaction_that_fails_is_told_in_one_line_and_loses_nothing(
    what: str, flaky: Flaky
) -> None:
    put(flaky, stored("a", 1), unchanged("a"), stored("a", 2))
    put(flaky, stored("b", 3), failed("b"))
    before = knows(of(flaky))
    store = of(flaky)
    with contextlib.closing(Index()) as index:
        store.catch_up(index)
        flaky.fault = away(1, what, transient=False)
        with pytest.raises(DestinationError):
            store.compact(index)
    assert knows(of(flaky)) == before


class OneWay:
    """A sink that can't be read back."""

    def __init__(self, sink: DirectorySink) -> None:
        self.check, self.open, self.close = sink.check, sink.open, sink.close


def test_a_sink_that_can_not_be_read_back_is_written_all_the_same(flaky: Flaky) -> None:
    put(flaky, stored("a"))
    store = of(OneWay(flaky.sink))
    assert (store.readable, store.begun) == (False, False)
    store(stored("b"))
    store.close()
    assert len(flaky.segments) == 2, "nothing of another run is written over"
    numbers = [int(key.split("-")[1]) for key in flaky.segments]
    assert numbers[0] == 1
    assert numbers[1] > 1_500_000_000, "later than whatever may be there"
    records = [json.loads(line) for line in of(flaky).lines()]
    assert [record["url"] for record in records] == ["http://host/a", "http://host/b"]


@pytest.mark.usefixtures("aws")
def test_the_place_that_is_told_has_all_segments_in_their_order(
    moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = S3Sink(bucket, "p", moto_server.options(client=s3_client))
    sink.check()

    def opened() -> SinkManifestStore:
        made = SinkManifestStore(sink, f"s3://{bucket}/p/")
        made.start()
        return made

    for result in (stored("a"), stored("a", 2)):
        run = opened()
        run(result)
        run.close()
    compacted(opened())
    run = opened()
    run(stored("b"))
    run.close()
    segments = [f"s3://{bucket}/{key}" for key in sorted(moto_server.keys(bucket))]
    segments = [name for name in segments if not name.endswith("probe")]
    assert fnmatch.filter(segments, run.place) == segments
    assert [name.rpartition("-")[2].partition(".")[2] for name in segments] == ["jsonl.gz", "jsonl"]
    types = []
    for name in segments:
        key = name.removeprefix(f"s3://{bucket}/")
        head = moto_server.client.head_object(Bucket=bucket, Key=key)
        assert not head.get("ContentEncoding")
        types.append(head["ContentType"])
    assert types == ["application/gzip", "application/x-ndjson"]
    assert knows(opened()).keys() == {number("a"), number("b")}


@pytest.mark.usefixtures("aws")
def test_segments_that_may_not_be_deleted_are_made_void(moto_server: S3Server) -> None:
    """Each compaction leaves one copy of the records, and not one more than the last one."""
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, denying(moto_server, "DeleteObject")) as front:
        sink = open_sink(f"s3://{bucket}/p", front.options())
        sink.check()
        with contextlib.closing(sink):
            for version in range(3):
                put(sink, *(stored(name, version) for name in NAMES))
                compacted(of(sink))
                lines = [*of(sink).lines()]
                assert len(lines) == len(NAMES)
    keys = {key for key in moto_server.keys(bucket) if "/manifest-" in key and "key" not in key}
    assert len(keys) > 1
    assert len([key for key in keys if moto_server.read(bucket, key)]) == 1
