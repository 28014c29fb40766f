"""After a kill: which members have a record, where name, size and second do not tell."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from scraper.sinks.archives.recorded import StoredFacts
from scraper.testing import store
from tests.sinks.archives.opened import sink_of, stored

MODIFIED_MS = 1_445_412_480_000  # of `body_of`

each_form = pytest.mark.parametrize("name", ["out.tar", "out.tar.gz", "out.zip"])


def record(body: bytes, key: str = "page") -> StoredFacts:
    return StoredFacts(key, len(body), MODIFIED_MS, sha256(body).hexdigest())


def killed(path: Path, records: Sequence[StoredFacts], *members: tuple[str, bytes]) -> None:
    """A run that finds `records`, and stores these. It is not closed: that is the kill."""
    sink = sink_of(path)
    sink.settle("m", records)
    for key, body in members:
        store(sink, key, body)


def settled(path: Path, records: Sequence[StoredFacts]) -> dict[str, bytes]:
    """What counts for the next run, which ends in order."""
    sink = sink_of(path)
    sink.settle("m", records)
    sink.all_recorded()
    sink.close()
    after = sink_of(path, checked=False)
    try:
        return {key: b"".join(after.read(key)) for key in after.keys("")}
    finally:
        after.close()


@each_form
def test_a_body_that_was_not_recorded_is_cut_off_if_only_its_digest_is_another(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    stored(path, {"page": b"body A"})
    killed(path, [record(b"body A")], ("page", b"body B"))
    assert settled(path, [record(b"body A")]) == {"page": b"body A"}


@each_form
def test_one_that_was_recorded_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    stored(path, {"page": b"body A"})
    killed(path, [record(b"body A")], ("page", b"body B"))
    assert settled(path, [record(b"body A"), record(b"body B")]) == {"page": b"body B"}


@each_form
def test_a_page_that_is_again_what_it_was_is_not_what_the_last_record_tells_of(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    for body in (b"body A", b"body, longer"):
        stored(path, {"page": body})
    records = [record(b"body A"), record(b"body, longer")]
    killed(path, records, ("page", b"body A"))
    assert settled(path, records) == {"page": b"body, longer"}


@each_form
@pytest.mark.parametrize("new", [b"body B", b"body, longer"])
def test_before_one_with_a_record_it_can_t_be_cut_out_and_the_recorded_one_is_appended_again(
    new: bytes, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    stored(path, {"page": b"body A"})
    killed(path, [record(b"body A")], ("page", new), ("other", b"other"), ("last", b"last"))
    records = [record(b"body A"), record(b"other", "other")]
    killed(path, records)  # by now it is there
    size = path.stat().st_size
    assert settled(path, records) == {"page": b"body A", "other": b"other"}
    assert path.stat().st_size <= size, "once is enough"


@pytest.mark.parametrize("name", ["out.tar", "out.zip"])
def test_one_with_a_record_that_is_damaged_is_not_cut_off(name: str, tmp_path: Path) -> None:
    """Its record tells of no other one, so the object would be lost without a trace."""
    path = tmp_path / name
    stored(path, {"page": b"body A"})
    killed(path, [record(b"body A")], ("page", b"body B"))
    path.write_bytes(path.read_bytes().replace(b"body B", b"body X"))
    assert settled(path, [record(b"body A"), record(b"body B")]) == {"page": b"body X"}
