"""A manifest in a file: read back after anything, indexed, compacted."""

import contextlib
import os
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.manifest import file_store
from scraper.manifest.file_store import FileManifestStore
from scraper.manifest.index import Index, open_index
from scraper.manifest.open_store import read_lines
from scraper.manifest.record import encode
from scraper.model.errors import DestinationError
from scraper.model.records import PreviousRecord, Result
from scraper.sinks.directory.sink import DirectorySink
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
)


def write(path: Path, *results: Result) -> None:
    """Append to the manifest at `path`, as a run does."""
    store = FileManifestStore(path)
    for result in results:
        store(result)
    store.close()
    store.release()


def read(path: Path) -> dict[int, PreviousRecord]:
    """The same, of the manifest at `path`."""
    store = FileManifestStore(path)
    try:
        return knows(store)
    finally:
        store.close()
        store.release()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.jsonl"


# ---------------------------------------------------------------- lines


def test_a_line_is_with_the_system_when_it_was_flushed(path: Path) -> None:
    store = FileManifestStore(path)
    assert (store.begun, store.readable) == (False, True)
    store(stored("a"))
    store.flush()
    assert path.read_bytes() == encode(stored("a"))
    store.close()
    store.release()
    store.close()
    store.release()
    assert path.read_bytes() == encode(stored("a"))


def test_lines_are_appended_to_those_of_earlier_runs(path: Path) -> None:
    write(path, stored("a"))
    store = FileManifestStore(path)
    assert store.begun
    store.close()
    store.release()
    write(path, failed("b"), stored("c"))
    lines = [encode(stored("a")), encode(failed("b")), encode(stored("c"))]
    assert path.read_bytes() == b"".join(lines)
    assert list(read_lines(str(path), "anywhere", DirectorySink(path.parent))) == lines


@given(st.integers(1, len(encode(stored("b", 7)))), st.sampled_from([b"", b"\0", b"\0" * 70_000]))
def test_a_torn_last_line_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, cut: int, zeros: bytes
) -> None:
    path = tmp_path_factory.mktemp("torn") / "manifest.jsonl"
    write(path, stored("a", 5), stored("b", 7))
    os.truncate(path, path.stat().st_size - cut)
    with open(path, "ab") as file:
        file.write(zeros)
    write(path, failed("c"))
    is_whole = cut == 1 and not zeros
    kept = encode(stored("b", 7)) if is_whole else b""
    assert path.read_bytes() == encode(stored("a", 5)) + kept + encode(failed("c"))


@pytest.mark.parametrize(
    "tail",
    [
        encode(stored("b"))[:40] + b"\n",  # an older version ended it
        b"\0" * 4096 + encode(stored("b"))[30:],  # the first block of two was lost
        b"\0" * 4096 + b"\n" + encode(stored("b"))[:9],
        encode(stored("b"))[:40] + b"\0" * 100 + b"\n" + b"\0" * 200_000,
    ],
    ids=["ended", "hole", "two", "many"],
)
def test_all_torn_lines_at_the_end_are_cut_off(path: Path, tail: bytes) -> None:
    write(path, stored("a"))
    with open(path, "ab") as file:
        file.write(tail)
    write(path, failed("c"))
    assert path.read_bytes() == encode(stored("a")) + encode(failed("c"))


@pytest.mark.parametrize("only", [b"\0" * 4096, encode(stored("b"))[:40], b'{"u'])
def test_a_manifest_of_one_torn_line_is_empty(path: Path, only: bytes) -> None:
    path.write_bytes(only)
    store = FileManifestStore(path)
    assert not store.begun
    store(stored("a"))
    store.close()
    store.release()
    assert path.read_bytes() == encode(stored("a"))


@pytest.mark.parametrize(
    "other",
    [b"notes\nand more", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"GIF89a\0\1", b'[{"url":"http://h/'],
)
def test_a_file_that_is_no_manifest_is_never_cut(path: Path, other: bytes) -> None:
    path.write_bytes(other)
    write(path, failed("c"))
    assert path.read_bytes() == other + b"\n" + encode(failed("c"))


def test_a_run_that_died_between_two_writes_loses_only_what_was_not_flushed(path: Path) -> None:
    write(path, stored("a"))
    with open(path, "ab") as file:
        file.write(encode(stored("b"))[:-1] + b"\n" + encode(stored("c"))[:30])
    write(path)  # a run without a result
    assert read(path).keys() == {number("a"), number("b")}
    assert path.read_bytes() == encode(stored("a")) + encode(stored("b"))


@pytest.mark.parametrize("place", ["/dev/null", "pipe"])
def test_what_can_not_be_read_back_is_written_all_the_same(place: str, tmp_path: Path) -> None:
    path, reader = tmp_path / place, None
    if place == "pipe":
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    store = FileManifestStore(path)
    assert (store.readable, store.begun, store.index_path) == (False, False, None)
    store(stored("a"))
    store.flush()
    store.close()
    store.release()
    if reader is not None:
        assert os.read(reader, 9999) == encode(stored("a"))
        os.close(reader)


@pytest.mark.parametrize("name", ["", "file/below", "/proc/none"])
def test_a_manifest_that_can_not_be_had_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DestinationError, match=r"^can't write the manifest '.*': ") as caught:
        FileManifestStore(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told_and_the_file_is_closed() -> None:
    store = FileManifestStore(Path("/dev/full"))
    store(stored("a"))
    with pytest.raises(DestinationError, match="No space left on device"):
        store.flush()
    with pytest.raises(DestinationError, match="No space left on device"):
        store.close()
    store.close()
    store.release()


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file takes more: the kernel writes what fits, then it fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("part", [1, 30])
def test_a_line_that_a_full_disk_takes_in_part_is_taken_back(path: Path, part: int) -> None:
    first, second = stored("a"), stored("b")
    store = FileManifestStore(path)
    store(first)
    store(second)
    with largest_file(len(encode(first)) + part):
        with pytest.raises(DestinationError, match="File too large"):
            store.flush()
        assert path.stat().st_size == len(encode(first)) + part
        with pytest.raises(DestinationError, match="File too large"):
            store.close()
    assert path.read_bytes() == encode(first)


def test_what_a_full_disk_does_not_take_is_tried_again_at_the_end(path: Path) -> None:
    store = FileManifestStore(path)
    with largest_file(len(encode(stored("a"))) + 10):
        for name in "abc":
            store(stored(name))
            with contextlib.suppress(DestinationError):
                store.flush()
    store.close()
    store.release()
    assert path.read_bytes() == b"".join(encode(stored(name)) for name in "abc")


def test_a_torn_line_is_not_taken_back_if_another_run_wrote_after_it(path: Path) -> None:
    store = FileManifestStore(path)
    store(stored("a"))
    with largest_file(30), pytest.raises(DestinationError):
        store.flush()
    with open(path, "ab") as file:
        file.write(encode(stored("b")))
    with largest_file(30), pytest.raises(DestinationError):
        store.close()
    assert path.read_bytes() == encode(stored("a"))[:30] + encode(stored("b"))


def test_a_manifest_with_a_torn_line_that_takes_nothing_is_told(path: Path) -> None:
    path.write_bytes(b"torn")
    with largest_file(4), pytest.raises(DestinationError, match="File too large"):
        FileManifestStore(path)


def move(path: Path) -> None:
    path.rename(path.with_name("moved"))


def remove(path: Path) -> None:
    path.unlink()


def edit(path: Path) -> None:
    """As `sed -i` and most editors do."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def move_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


@pytest.mark.parametrize("change", [move, remove, edit, move_directory])
def test_a_manifest_that_lost_its_name_takes_no_more_and_says_so(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "_IN_PLACE_S", 0.0)
    path = tmp_path / "own" / "manifest.jsonl"
    store = FileManifestStore(path)
    store(stored("a"))
    store.flush()
    change(path)
    store(stored("b"))
    with pytest.raises(DestinationError, match="was moved, removed or replaced"):
        store.flush()
    assert store.recorded == 1
    with pytest.raises(DestinationError, match="was moved, removed or replaced"):
        store.close()
    store.release()


def test_a_manifest_behind_a_link_is_in_its_place(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.touch()
    link.symlink_to(real)
    store = FileManifestStore(link)
    store(stored("a"))
    store.close()
    store.release()
    assert real.read_bytes() == link.read_bytes() != b""


# ---------------------------------------------------------------- a file and its index


@given(st.lists(a_history, max_size=5))
def test_runs_find_what_all_runs_before_them_left(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[bytes]]
) -> None:
    path = tmp_path_factory.mktemp("runs") / "manifest.jsonl"
    for count, lines in enumerate(runs, 1):
        with open(path, "ab") as file:
            file.writelines(lines)
        assert read(path) == replay(line for run in runs[:count] for line in run)


def overwrite(path: Path, lines: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(lines)
        file.truncate()


def replace(path: Path, lines: bytes) -> None:
    path.with_name("new").write_bytes(lines)
    path.with_name("new").replace(path)


def lines_of(*versions: int) -> bytes:
    """A line for each of 40 targets, those that are looked up in the middle."""
    names = [f"{n}" for n in range(18)] + list(NAMES) + [f"{n}" for n in range(22, 40)]
    every = zip(names, [*versions, *([1] * 40)], strict=False)
    return b"".join(encode(stored(name, version)) for name, version in every)


IN_THE_MIDDLE = [1] * 18 + [7] * 4  # a version as long as the first


@pytest.mark.parametrize("how", [overwrite, replace])
@pytest.mark.parametrize(
    "content",
    [
        lines_of(*IN_THE_MIDDLE, *[1] * 17, 7),
        lines_of(7, *IN_THE_MIDDLE[1:]),
        lines_of(*[1] * 19)[:2000],
        lines_of(*IN_THE_MIDDLE)[:8000] + lines_of(*[2] * 40),
        lines_of(*[2] * 40),
        b"",
    ],
    ids=["end", "beginning", "shorter", "shorter, and appended to", "another", "empty"],
)
def test_a_manifest_that_is_another_now_is_read_from_its_beginning(
    how: Callable[[Path, bytes], None], content: bytes, path: Path
) -> None:
    path.write_bytes(lines_of())
    assert len(read(path)) == 4
    how(path, content)
    expected = replay(content.splitlines())
    assert read(path) == {one: expected[one] for one in EVERY if one in expected}


def test_a_manifest_that_was_edited_line_by_line_is_read_anew(path: Path) -> None:
    path.write_bytes(lines_of())
    before = read(path)
    replace(path, lines_of(*IN_THE_MIDDLE))  # as sed -i does: as long as before, with its ends
    assert path.stat().st_size == len(lines_of())
    assert read(path) != before


def test_an_edit_in_place_of_the_same_length_is_noticed(path: Path) -> None:
    path.write_bytes(lines_of())
    assert read(path)[number("a")].size == 1
    size = path.stat().st_size
    overwrite(path, lines_of(*IN_THE_MIDDLE))
    assert path.stat().st_size == size
    assert read(path)[number("a")].size == 7


def dated_back(path: Path, lines: bytes) -> None:
    """Write in place, and give the file its old dates: only its time of change tells."""
    found = path.stat()
    overwrite(path, lines)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("how", [overwrite, replace, dated_back])
def test_an_edit_of_a_large_manifest_is_noticed_without_reading_it_each_time(
    how: Callable[[Path, bytes], None], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "ALWAYS_READ_BYTES", 0)
    path.write_bytes(lines_of())
    write(path, stored("a", 3))
    assert read(path)[number("a")].size == 3
    # Two changes in one tick of the kernel's clock leave one date: wait until it has moved on.
    begun = path.stat().st_ctime_ns
    while _now_ns(path) <= begun:
        pass
    how(path, lines_of(*IN_THE_MIDDLE) + encode(stored("b", 3)))
    assert {one.size for one in read(path).values()} == {7, 3}


def _now_ns(path: Path) -> int:
    """The time that the file system would give a file now."""
    probe = path.with_name("probe")
    probe.write_bytes(b"")
    return probe.stat().st_ctime_ns


def bytes_read() -> int:
    """What this process has read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_large_manifest_that_is_as_it_was_left_is_not_read_again(path: Path) -> None:
    noise = b'{"url":"' + b"x" * 1_000_000 + b'"}\n'
    path.write_bytes(noise * 20)

    def run() -> int:
        store = FileManifestStore(path)
        with contextlib.closing(open_index(store.index_path, store.catch_up)) as index:
            store(stored("a"))
            store.close()
            store.confirm(index)
            store.release()
        store = FileManifestStore(path)
        before = bytes_read()
        open_index(store.index_path, store.catch_up).close()
        store.close()
        store.release()
        return bytes_read() - before

    assert path.stat().st_size > file_store.ALWAYS_READ_BYTES
    assert run() < 1_000_000
    os.utime(path)
    store = FileManifestStore(path)
    before = bytes_read()
    open_index(store.index_path, store.catch_up).close()
    assert bytes_read() - before > 20_000_000, "somebody touched it: it is compared"
    store.close()
    store.release()


def test_the_index_stands_beside_its_manifest(path: Path) -> None:
    write(path, stored("a"))
    read(path)
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.index"}


def test_a_manifest_that_can_not_be_read_is_told_in_one_line(path: Path) -> None:
    store = FileManifestStore(path)
    path.rename(path.with_name("away"))
    with pytest.raises(DestinationError, match=r"^can't read the manifest '.*'") as caught:
        knows(store)
    assert "\n" not in str(caught.value)
    path.with_name("away").rename(path)
    store.close()
    store.release()


# ---------------------------------------------------------------- a file, compacted


@given(a_history)
def test_a_compacted_file_says_the_same_in_fewer_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("compacted") / "manifest.jsonl"
    path.write_bytes(b"".join(lines))
    before = read(path)
    compacted(FileManifestStore(path))
    left = path.read_bytes().splitlines(keepends=True)
    assert read(path) == before == replay(left)
    assert len(left) <= 2 * len(before)
    assert set(left) <= set(lines)
    write(path, stored("a", 9))
    assert read(path) == before | {
        number("a"): PreviousRecord(True, 9, None, "version 9", digest=bytes(32))
    }
    assert not path.with_name(path.name + ".compact").exists()


def test_lines_appended_since_the_index_was_brought_up_to_date_stand(path: Path) -> None:
    write(path, stored("a", 1), stored("a", 2))
    store = FileManifestStore(path)
    with contextlib.closing(Index()) as index:
        store.catch_up(index)
        store(stored("a", 3))
        store(stored("b", 4))
        store.close()
        store.release()
        store.compact(index)
    assert path.read_bytes() == b"".join(
        [encode(stored("a", 2)), encode(stored("a", 3)), encode(stored("b", 4))]
    )


def test_a_compacted_file_keeps_its_permissions_and_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "manifest.jsonl"
    link.symlink_to(real)
    write(link, stored("a", 1), stored("a", 2))
    real.chmod(0o640)
    compacted(FileManifestStore(link))
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_bytes() == encode(stored("a", 2))


def test_what_a_killed_compaction_left_is_written_over(path: Path) -> None:
    write(path, stored("a", 1), stored("a", 2))
    path.with_name("manifest.jsonl.compact").write_bytes(b"x" * 10_000)
    assert read(path)[number("a")].size == 2
    compacted(FileManifestStore(path))
    assert path.read_bytes() == encode(stored("a", 2))


def test_a_compaction_that_can_not_be_made_changes_nothing(path: Path) -> None:
    write(path, stored("a", 1), stored("a", 2))
    path.with_name("manifest.jsonl.compact").mkdir()
    before = path.read_bytes()
    with pytest.raises(DestinationError, match="can't write the manifest"):
        compacted(FileManifestStore(path))
    assert path.read_bytes() == before
