"""The spool: where bodies wait, and that memory is bounded however many there are."""

import tempfile
from pathlib import Path

import pytest

from scraper.sinks.spool import MIB, Spool, Spools


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, this test's alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def spooled(spools: Spools, size: int) -> Spool:
    spool = Spool(spools)
    for start in range(0, size, 65536):
        spool.write(b"x" * min(65536, size - start))
    return spool


def test_what_was_written_is_what_is_kept_in_memory_or_on_disk() -> None:
    spools = Spools(memory=10, memory_of_all=MIB)
    small, large = Spool(spools), Spool(spools)
    for chunk in (b"one ", b"two"):
        small.write(chunk)
        large.write(chunk * 2)
    assert (small.in_memory(), small.size) == (b"one two", 7)
    assert (large.in_memory(), large.size) == (None, 14)
    assert large.on_disk().read_bytes() == b"one one twotwo"
    large.close()
    spools.close()


def test_all_bodies_together_have_so_much_memory_and_no_more() -> None:
    spools = Spools(memory=4 * MIB, memory_of_all=10 * MIB)
    bodies = [spooled(spools, 3 * MIB) for _ in range(6)]
    kept = [body for body in bodies if body.in_memory() is not None]
    assert len(kept) == 3, "three times three, and a fourth would be twelve"
    assert all(body.on_disk().stat().st_size == 3 * MIB for body in bodies if body not in kept)
    for body in bodies:
        body.close()
    spools.close()


@pytest.mark.parametrize("size", [3 * MIB, 9 * MIB])
def test_memory_is_given_back_when_a_body_ends_or_moves_to_the_disk(size: int) -> None:
    spools = Spools(memory=8 * MIB, memory_of_all=10 * MIB)
    for _ in range(10):
        body = spooled(spools, size)
        assert (body.in_memory() is None) is (size > 8 * MIB)
        body.close()
        body.close()
    left = spooled(spools, 8 * MIB)
    assert left.in_memory() is not None
    spools.close()


def test_tiny_bodies_are_kept_in_memory_when_there_is_none_left() -> None:
    spools = Spools(memory=MIB, memory_of_all=0)
    bodies = [spooled(spools, 65536) for _ in range(50)]
    assert all(body.in_memory() == b"x" * 65536 for body in bodies)
    larger = spooled(spools, 65537)
    assert larger.in_memory() is None
    larger.close()
    spools.close()


def test_closing_removes_every_file(temporary: Path) -> None:
    spools = Spools(memory=10, memory_of_all=MIB)
    bodies = [spooled(spools, 100) for _ in range(3)]
    assert all(body.on_disk().exists() for body in bodies)
    bodies[0].close()
    assert len([path for path in temporary.rglob("run-*/*") if path.name != "lock"]) == 2
    for body in bodies[1:]:
        body._file.close()  # as if its thread were gone: the file stays
    spools.close()
    assert list(temporary.rglob("run-*")) == []
    with pytest.raises(OSError, match="the run is over"):
        spooled(spools, 100)


def test_what_a_killed_run_has_left_is_removed_by_one_that_needs_no_file(temporary: Path) -> None:
    """Only `remove_leftovers` is called; another run that is under way keeps its files."""
    other = Spools(memory=10, memory_of_all=MIB)
    kept = spooled(other, 11).on_disk()
    dead = kept.parent.with_name("run-dead")
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "0").write_bytes(b"x" * 11)
    Spools(memory=10, memory_of_all=MIB).remove_leftovers()
    assert list(temporary.rglob("run-*")) == [kept.parent]
    assert kept.exists()
    other.close()
