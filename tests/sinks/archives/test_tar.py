"""Tars and tar.gz: every reader reads them, whatever a killed run or a full disk has left."""

import gzip
import io
import os
import random
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.archives.crc import combined
from scraper.sinks.archives.recorded import StoredFacts
from scraper.sinks.archives.sink import ArchiveSink, open_archive_sink
from scraper.sinks.archives.tar_format import head_of, read_head
from scraper.sinks.base import SinkOptions
from scraper.testing import SINK_CASES, Place, SinkCase, store
from tests.proof.places import whole_members
from tests.sinks.archives.opened import sink_of, stored

MODIFIED_MS = 1_445_412_480_000  # of `body_of`
each_form = pytest.mark.parametrize("name", ["out.tar", "out.tar.gz"])
BODIES = {
    "a/empty": b"",
    "a/page": b"<p>page</p>" * 900,
    "a/noise": random.Random(1).randbytes(40_000),
    "ä/日本語/🙂.txt": b"kana",
    "l/" + "n" * 240: b"long",
    "z/block": b"x" * 512,
}


def names_beside(root: Path) -> set[str]:
    """All files but locks, which stay."""
    found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {name for name in found if not name.endswith("/lock")}


@each_form
@pytest.mark.parametrize("case", SINK_CASES, ids=lambda case: case.name)
def test_a_tar_keeps_the_promises_of_sinks(case: SinkCase, name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    def read(key: str) -> bytes | None:
        return dict(whole_members(path)).get(key) if path.exists() else None

    case.run(Place(lambda: sink_of(path, checked=False), read, lambda: names_beside(tmp_path)))


# ---------------------------------------------------------------- readers


def by_gnu_tar(path: Path, into: Path) -> int:
    return run("tar", "-xf", path, "-C", into)


def by_bsdtar(path: Path, into: Path) -> int:
    return run("bsdtar", "-xf", path, "-C", into)


def by_7zip(path: Path, into: Path) -> int:
    if path.suffix == ".gz":  # the outer form first
        run("7z", "x", "-y", f"-o{into}", path)
        path = into / path.stem
        status = run("7z", "x", "-y", f"-o{into}", path)
        path.unlink()
        return status
    return run("7z", "x", "-y", f"-o{into}", path)


def by_tarfile(path: Path, into: Path) -> int:
    with tarfile.open(path) as opened:
        opened.extractall(into, filter="data")
    return 0


def by_tarfile_as_a_stream(path: Path, into: Path) -> int:
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as opened:
        opened.extractall(into, filter="data")
    return 0


def run(*words: object) -> int:
    program = str(words[0])
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, env=environment)
    return done.returncode


READERS = [by_gnu_tar, by_bsdtar, by_7zip, by_tarfile, by_tarfile_as_a_stream]
each_reader = pytest.mark.parametrize("read", READERS)


def unpacked(into: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(into)): one.read_bytes() for one in into.rglob("*") if one.is_file()
    }


@each_reader
@each_form
def test_all_readers_read_it_and_of_a_name_the_last_member(
    read: Callable[[Path, Path], int], name: str, tmp_path: Path
) -> None:
    path, into = tmp_path / name, tmp_path / "into"
    into.mkdir()
    stored(path, {**BODIES, "twice": b"old"})
    stored(path, {"twice": b"newer"})
    assert read(path, into) == 0
    assert unpacked(into) == {**BODIES, "twice": b"newer"}


@each_reader
@each_form
def test_what_a_run_that_is_killed_between_two_bodies_leaves_is_whole_for_all_readers(
    read: Callable[[Path, Path], int], name: str, tmp_path: Path
) -> None:
    path, into = tmp_path / name, tmp_path / "into"
    into.mkdir()
    sink = sink_of(path)
    for key, body in BODIES.items():
        store(sink, key, body)
    left = tmp_path / "left" / name
    left.parent.mkdir()
    shutil.copy(path, left)  # as it is now: nothing was closed
    sink.close()
    assert read(left, into) == 0
    assert unpacked(into) == BODIES
    assert left.read_bytes() == path.read_bytes(), "closing adds nothing"


# ---------------------------------------------------------------- what is torn


@each_form
def test_cut_anywhere_it_keeps_each_whole_member_and_is_gone_on_with(
    name: str, tmp_path: Path
) -> None:
    """As a write leaves it that was broken off at that byte; the note says that a run was on."""
    path = tmp_path / name
    sink = sink_of(path)
    ends, own, homes = [0], sink.place.home / ".scraper", tmp_path / "homes"
    for number, (key, body) in enumerate(BODIES.items()):
        store(sink, key, body)
        ends.append(sink._opened().end)
        shutil.copytree(own, homes / str(number))  # as the run has left it that wrote this member
    sink.close()
    whole, keys = path.read_bytes(), list(BODIES)
    for cut in spots(ends, len(whole)):
        count = sum(end <= cut for end in ends[1:])
        path.write_bytes(whole[:cut])
        shutil.rmtree(own)
        shutil.copytree(homes / str(min(count, len(keys) - 1)), own)
        again = sink_of(path)
        assert list(again.keys()) == sorted(keys[:count], key=str.encode), f"cut at {cut}"
        for key in keys[count:]:
            store(again, key, BODIES[key])
        assert {key: b"".join(again.read(key)) for key in list(again.keys())} == BODIES
        again.close()
        assert path.read_bytes() == whole, f"cut at {cut}: other bytes"


def spots(ends: list[int], size: int) -> list[int]:
    """At each edge, beside it, in headers, and at some seeded places between."""
    near = {end + step for end in ends for step in (0, 1, 5, 300, 512, 700, 1024, 1100)}
    near |= {random.Random(7).randrange(size) for _ in range(40)}
    return sorted(spot for spot in near if 0 <= spot <= size)


@each_form
def test_what_a_killed_run_has_not_recorded_is_cut_off_and_nothing_else(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    stored(path, {"before": b"by an earlier run, whose manifest is gone"})
    sink = sink_of(path)
    sink.settle("m", ())
    for key in ("one", "two", "three"):
        store(sink, key, key.encode())
    killed = [StoredFacts("one", 3, MODIFIED_MS), StoredFacts("three", 99, MODIFIED_MS)]
    # it is not closed: that is the kill
    again = sink_of(path)
    again.settle("m", killed)
    assert [key for key, _ in whole_members(path)] == ["before", "one"]
    store(again, "two", b"two")
    again.all_recorded()
    again.close()
    assert [key for key, _ in whole_members(path)] == ["before", "one", "two"]
    last = sink_of(path)
    last.settle("m", ())  # the run before ended in order: nothing is cut off
    last.close()
    assert [key for key, _ in whole_members(path)] == ["before", "one", "two"]


def test_the_records_of_another_manifest_cut_nothing_off(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    sink = sink_of(path)
    sink.settle("m", ())
    store(sink, "one", b"one")
    again = sink_of(path)
    again.settle("another", ())
    assert list(again.keys()) == ["one"]


def test_a_disk_that_is_full_in_the_middle_of_a_member_leaves_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    script = f"""
import resource, signal
from scraper.model.errors import DestinationError
from tests.sinks.archives.test_tar import sink_of, store
from pathlib import Path
sink = sink_of(Path({str(path)!r}))
store(sink, "first", b"x" * 50_000)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))
try:
    store(sink, "second", b"y" * 50_000)
except DestinationError as error:
    print(error)
store(sink, "third", b"z" * 10_000)
"""
    import sys

    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout == "the archive takes no more: File too large\n"
    assert [key for key, _ in whole_members(path)] == ["first", "third"]
    assert path.read_bytes().endswith(bytes(1024))


# ---------------------------------------------------------------- others' archives


def foreign(path: Path, **options: object) -> None:
    with tarfile.open(path, "w", **options) as made:  # type: ignore[call-overload]
        for key in ("theirs/" + "x" * 150, "theirs/ä"):
            member = tarfile.TarInfo(key)
            member.size = 3
            made.addfile(member, io.BytesIO(b"abc"))
        made.addfile(tarfile.TarInfo("theirs/empty"))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_of_another_program_is_appended_to(form: int, tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    foreign(path, format=form)
    sink = sink_of(path)
    assert sink.size("theirs/ä") == 3
    store(sink, "ours", b"ours")
    sink.close()
    assert len(whole_members(path)) == 4
    assert dict(whole_members(path))["ours"] == b"ours"


def test_what_would_be_lost_by_appending_is_refused_in_one_line(tmp_path: Path) -> None:
    gz, two, sparse = tmp_path / "a.tar.gz", tmp_path / "b.tar", tmp_path / "c.tar"
    with tarfile.open(gz, "w:gz") as made:
        made.addfile(tarfile.TarInfo("theirs"))
    foreign(two)
    two.write_bytes(two.read_bytes() * 2)
    foreign(sparse)
    sparse.write_bytes(sparse.read_bytes()[:1536] + b"no header" * 1000)
    for path, why in (gz, "another program"), (two, "behind its end"), (sparse, "can't be read"):
        before = path.read_bytes()
        with pytest.raises(DestinationError, match=why):
            store(sink_of(path), "ours", b"ours")
        assert path.read_bytes() == before


def appended_by_a_user(path: Path, *keys: str) -> None:
    """As a user does it after a kill."""
    if path.suffix == ".tar":
        for key in keys:
            (path.parent / key).write_bytes(b"mine")
        subprocess.run(["tar", "rf", path, "-C", path.parent, *keys], check=True)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "a") as opened:
            for key in keys:
                opened.writestr(key, b"mine")
    else:
        path.write_bytes(path.read_bytes() + gzip.compress(b"mine"))


def sink_for(path: Path) -> ArchiveSink:
    kind = "zip" if path.suffix == ".zip" else "tar"
    sink = open_archive_sink(f"{kind}:{path}", SinkOptions())
    sink.check()
    return sink


each_archive = pytest.mark.parametrize("name", ["out.tar", "out.tar.gz", "out.zip"])


@each_archive
@pytest.mark.parametrize("what", ["appended", "replaced", "overwritten"])
def test_after_a_kill_what_a_user_put_there_stays(what: str, name: str, tmp_path: Path) -> None:
    """The killed run has recorded nothing; the archive is refused, in one line with a way out."""
    path, other = tmp_path / name, tmp_path / f"other-{name}"
    sink = sink_for(path)
    sink.settle("m", ())
    for key in ("one", "two"):
        store(sink, key, key.encode())  # it is not closed: that is the kill
    theirs = sink_for(other)
    for key in ("one", "their"):
        store(theirs, key, b"theirs")
    theirs.close()
    if what == "appended":
        appended_by_a_user(path, "mine")
    elif what == "replaced":
        other.rename(path)
    else:
        path.write_bytes(other.read_bytes())  # the same inode
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(DestinationError) as raised:
            sink_for(path).settle("m", ())
        assert raised.value.hint, "a way out"
        assert path.read_bytes() == before


def test_after_a_kill_the_way_out_keeps_what_a_user_appended(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    sink = sink_of(path)
    sink.settle("m", ())
    store(sink, "one", b"one")
    appended_by_a_user(path, "mine")
    with pytest.raises(DestinationError, match="did not write") as raised:
        sink_of(path).settle("m", ())
    assert raised.value.hint is not None
    subprocess.run(raised.value.hint.partition(" keeps ")[0], shell=True, check=True)
    again = sink_of(path)
    again.settle("m", ())
    store(again, "two", b"two")
    again.close()
    assert [key for key, _ in whole_members(path)] == ["one", "mine", "two"]


@each_archive
@pytest.mark.parametrize("what", ["notes", "torn", "torn in the first member"])
def test_without_a_note_nothing_is_cut_off(what: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    sink = sink_for(path)
    for key in ("one", "two"):
        store(sink, key, random.Random(key).randbytes(3000))
    ends = [0, *(one.end for one in sink._opened().members.by_place())]
    sink.close()
    shutil.rmtree(sink.place.home)
    whole = path.read_bytes()
    cut = ends[1] + 2000 if what == "torn" else 1200
    before = b"milk, eggs, and so on ..\n" if what == "notes" else whole[:cut]
    path.write_bytes(before)
    with pytest.raises(DestinationError) as raised:
        sink_for(path).settle("m", ())
    assert path.read_bytes() == before
    assert raised.value.hint is not None
    if what == "torn":  # the way out, or that it is ours by the record
        sink = sink_for(path)
        sink.settle("m", [StoredFacts("two", 3000, MODIFIED_MS)])
        sink.all_recorded()
        sink.close()
        assert list(sink_for(path).keys()) == ["one"]
        path.write_bytes(before)
        subprocess.run(raised.value.hint.partition(" cuts ")[0], shell=True, check=True)
        sink = sink_for(path)
        store(sink, "two", random.Random("two").randbytes(3000))
        sink.close()
        assert path.read_bytes() == whole


def test_behind_a_damaged_member_of_a_tar_gz_all_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "out.tar.gz"
    dice = random.Random(5)
    whole = {f"m{number}": dice.randbytes(3000) for number in range(4)}
    stored(path, whole)
    data = bytearray(path.read_bytes())
    for number in (1, 3):
        at = {one.name: one for one in sink_of(path)._opened().members.by_place()}[f"m{number}"]
        data[at.offset : at.offset + 3] = b"\xff" * 3  # no deflate begins so
    path.write_bytes(data)
    reader = sink_of(path, checked=False)
    assert sorted(reader.keys()) == ["m0", "m2"]
    assert b"".join(reader.read("m2")) == whole["m2"]
    with pytest.raises(DestinationError, match="damaged") as raised:
        store(sink_of(path), "new", b"new")
    assert path.read_bytes() == data
    assert "verify" in (raised.value.hint or "")


def test_a_damaged_member_of_a_tar_gz_is_not_offered_to_be_cut_off_with_all_behind_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.tar.gz"
    stored(path, {f"m{number}": b"body" for number in range(4)})
    data = bytearray(path.read_bytes())
    second = list(sink_of(path)._opened().members.by_place())[1]
    data[second.offset] ^= 1  # the flag of the last block of a stream: as if it ended there
    path.write_bytes(data)
    with pytest.raises(DestinationError) as raised:
        sink_of(path).settle("m", ())
    assert "truncate" not in (raised.value.hint or "")
    assert path.read_bytes() == data
    assert {"m2", "m3"} <= set(sink_of(path, checked=False).keys())


@each_archive
def test_an_empty_file_is_taken_and_one_whose_end_is_missing(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    sink = sink_for(path)
    store(sink, "one", b"one")
    sink.close()
    shutil.rmtree(sink.place.home)
    whole = path.read_bytes()
    for missing in (1, 10, 15):
        path.write_bytes(whole[:-missing])
        again = sink_for(path)
        again.settle("m", ())
        again.all_recorded()
        again.close()
        assert path.read_bytes() == whole


@each_form
def test_removed_members_are_gone_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    stored(path, {**BODIES, "a/page": b"old"})
    stored(path, BODIES)
    sink = sink_of(path)
    sink.remove("a/noise")
    with pytest.raises(SinkError):
        list(sink.read("a/noise"))
    sink.close()
    left = {key: body for key, body in BODIES.items() if key != "a/noise"}
    assert whole_members(path) == [*left.items()], "replaced ones are gone too"
    if name.endswith(".gz"):
        assert zlib.decompress(path.read_bytes(), 31), "the trailer is right"


def test_the_same_bodies_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tar.gz", "b.tar.gz"):
        stored(tmp_path / name, BODIES)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_it_notices_that_it_was_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    sink = sink_of(path)
    path.with_name("elsewhere.tar").write_bytes(b"")
    sink.settle("", ())
    path.rename(tmp_path / "elsewhere.tar")
    with pytest.raises(DestinationError, match="moved or removed"):
        store(sink, "one", b"one")


def test_crcs_of_two_texts_make_that_of_both() -> None:
    dice = random.Random(3)
    for size in (0, 1, 100, 65_537):
        first, second = dice.randbytes(dice.randrange(1000)), dice.randbytes(size)
        both = combined(zlib.crc32(first), zlib.crc32(second), size)
        assert both == zlib.crc32(first + second)


def test_the_headers_of_a_member_of_9_gib_with_a_long_name_are_read_as_written() -> None:
    head = head_of("ä" * 150, 9 << 30, 1_445_412_480)
    found = read_head(lambda at, size: head[at : at + size], 0)
    assert found is not None
    assert (found.name, found.size, found.data) == ("ä" * 150, 9 << 30, len(head))
    with tarfile.open(fileobj=io.BytesIO(head)) as opened:
        assert (opened.next() or tarfile.TarInfo()).size == 9 << 30
