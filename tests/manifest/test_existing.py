"""Objects without a record: which are found, in a sink that is near and in a listing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.manifest.codec import (
    NOT_MODIFIED,
    STORED,
    Reading,
    object_modified_ms,
    parse,
    pruned,
    read_entry,
    verified,
)
from scraper.manifest.existing import CONTROL, Finder, NearObjects, unrecorded
from scraper.manifest.index import Index
from scraper.manifest.listed_objects import ListedObjects
from scraper.manifest.record import as_json, encode, to_record
from scraper.model.records import (
    ANY_URL,
    TAKEN_OVER,
    Existing,
    NotModified,
    PreviousRecord,
    Result,
    Skipped,
)
from scraper.sinks.base import Listed, ReadableSink, listing_of, may_have_objects
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.confirmation import existing_of
from tests.histories import response, target

AT_MS = 784111777_250
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
FOUND = Existing(7, AT_MS)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[DirectorySink]:
    made = DirectorySink(tmp_path / "out")
    made.check()
    yield made
    made.close()


def put(sink: DirectorySink, key: str, size: int) -> None:
    path = sink.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, ns=(0, AT_MS * 1_000_000))


def listed(*objects: Listed) -> ListedObjects:
    made = ListedObjects(Reading(), CONTROL)
    made.fill(iter(objects))
    return made


def test_both_find_the_same(sink: DirectorySink) -> None:
    sizes = {"a": 7, "d/b": 8, "empty": 0, "half": 9, "half.aria2": 3}
    for key, size in sizes.items():
        put(sink, key, size)
    far = listed(*(Listed(key, size, AT_MS) for key, size in sizes.items()))
    keys = ["a", "none", "empty", "half", "d/b", "a/b", "d"]
    for finder in (NearObjects(sink), far):
        found: list[Existing | None] = finder.find(keys)
        assert found == [FOUND, None, None, None, Existing(8, AT_MS), None, None]
        finder.close()


def test_own_files_and_links_are_not_found(sink: DirectorySink) -> None:
    put(sink, "d/real", 7)
    own = ".scraper/manifest.jsonl", "d/.scraper-run-0123456789abcdef-0"
    for key in own:
        put(sink, key, 7)
    (sink.root / "link").symlink_to("d/real")
    (sink.root / "linked").symlink_to("d", target_is_directory=True)
    finder: Finder = NearObjects(sink)
    assert finder.find([*own, "link", "linked/real"]) == [None] * 4
    assert finder.find(["d/real"]) == [FOUND]


def test_a_new_destination_has_certainly_no_objects(sink: DirectorySink) -> None:
    assert not may_have_objects(sink)
    put(sink, "a", 1)
    assert may_have_objects(sink)


def test_a_listing_of_any_length_is_looked_up_by_key() -> None:
    many = 30_000  # several batches
    far = listed(*(Listed(f"k/{number}", number, number * 1000) for number in range(many)))
    asked = [*range(1, many, 37), many]
    found = far.find([f"k/{number}" for number in asked])
    assert found == [*(Existing(number, number * 1000) for number in asked[:-1]), None]
    far.close()


def test_a_sink_without_a_listing_tells_sizes_one_by_one(sink: DirectorySink) -> None:
    put(sink, "a", 7)
    assert isinstance(sink, ReadableSink)
    assert Listed("a", 7) in list(listing_of(sink)(""))


def test_what_is_asked_about_an_object_without_a_record() -> None:
    asked = unrecorded(FOUND)
    assert asked is not None
    assert (asked.last_modified, asked.etag, asked.done) == (DATE, None, False)
    assert (asked.effective, asked.variant, asked.recorded) == (ANY_URL, TAKEN_OVER, False)
    for at_ms in (None, 0, 999, -5000, 2**31 * 1000 * 100):
        assert unrecorded(Existing(7, at_ms)) is None


@pytest.mark.parametrize(
    "outcome",
    [Skipped("there", existing=FOUND), NotModified(response(4, 304), FOUND)],
    ids=["skipped", "not_modified"],
)
def test_a_record_of_what_was_taken_over_tells_of_its_object(
    outcome: Skipped | NotModified,
) -> None:
    result = Result(target("a"), outcome)
    record = to_record(result)
    assert (record["size"], record["modified"]) == (7, "1994-11-06T08:49:37.250Z")
    entry = read_entry(parse(encode(result)))
    assert entry is not None
    assert (entry.state, entry.size, entry.modified_ms) == (STORED, 7, AT_MS)
    assert (entry.etag, entry.last_modified, entry.digest) == (None, DATE, None)
    digest = "ab" * 32
    again = read_entry(verified(record, digest, 1.0))
    assert again is not None
    assert again == entry._replace(digest=bytes.fromhex(digest))
    gone = read_entry(pruned(record, "run", 1.0))
    assert gone is not None
    assert pruned(record, "run", 1.0)["modified"] == record["modified"]


@pytest.mark.parametrize("outcome", [Skipped("done"), NotModified(response(4, 304))])
def test_any_other_record_of_that_status_tells_of_no_object(
    outcome: Skipped | NotModified,
) -> None:
    entry = read_entry(parse(encode(Result(target("a"), outcome))))
    assert entry is None or entry.size is None


def test_a_304_tells_of_the_object_that_a_run_has_stored_and_changes_nothing_of_it() -> None:
    digest = bytes.fromhex("ab" * 32)
    known = PreviousRecord(True, 7, '"7"', digest=digest)
    existing = existing_of(known)
    assert existing == Existing(7, sha256=digest.hex())
    record = to_record(Result(target("a"), NotModified(response(4, 304), existing)))
    assert (record["size"], record["sha256"], "modified" in record) == (7, digest.hex(), False)
    entry = read_entry(record)
    assert entry is not None
    assert (entry.state, entry.size, entry.digest) == (NOT_MODIFIED, None, None)
    # Nobody knows the digest of one that was taken over: that it lies there is recorded again.
    taken = known._replace(digest=None, variant=TAKEN_OVER, modified_ms=AT_MS)
    again = to_record(Result(target("a"), NotModified(response(4, 304), existing_of(taken))))
    first = to_record(Result(target("a"), Skipped("there", existing=FOUND)))
    assert read_entry(again) == read_entry(first)
    assert existing_of(known._replace(digest=None)) is None  # an odd record, made by hand


@pytest.mark.parametrize("at", [1e308, -1e308, 1e17, True, "x", None, []])
def test_a_start_that_is_no_time_is_read_as_older_records_are(at: object) -> None:
    known = {"variant": "plain", "started": "1994-11-06T08:49:37.250Z"}
    assert object_modified_ms({**known, "started_at": at}, None) in {AT_MS, 1000}
    now = {"variant": "plain", "started": "1994-11-06T08:49:37Z", "started_at": AT_MS / 1000}
    assert object_modified_ms(now, None) == AT_MS


def test_a_304_about_it_keeps_its_digest() -> None:
    lines = [encode(Result(target("a"), Skipped("there", existing=FOUND)))]
    digested = verified(parse(lines[0]), "ab" * 32, 1.0)
    lines += [as_json(digested) + b"\n", encode(Result(target("a"), NotModified(response(4, 304))))]
    index = Index()
    index.absorb(lines)
    assert index.standing() == bytearray([0, 1, 0])
    index.close()
