"""Archives written anew: what other programs put there stays, and no file of theirs is touched."""

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.rewrite import replaced
from scraper.testing import store
from tests.sinks.archives.opened import sink_of, stored

each_archive = pytest.mark.parametrize("name", ["out.tar", "out.tar.gz", "out.zip"])


def their_tar(path: Path, form: str) -> None:
    """A tar of GNU tar with a member of each kind, long names and a header for all behind it."""
    top = path.parent / "src"
    long = f"{'l' * 90}/{'m' * 90}"
    (top / long).mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a").write_bytes(b"a" * 700)
    (top / "z").write_bytes(b"z")
    (top / "hard").hardlink_to(top / "a")
    (top / long / "hard").hardlink_to(top / "z")
    (top / "sym").symlink_to("a")
    (top / long / "sym").symlink_to("x" * 200)
    os.mkfifo(top / "fifo")
    comment = ["--pax-option=comment=all"] if form == "pax" else []
    words = ["tar", f"--format={form}", *comment, "--sort=name", "-cf", str(path), "src"]
    subprocess.run(words, cwd=path.parent, check=True)


def pieces(path: Path) -> list[bytes]:
    """Each member as it stands in the file, with all headers before it."""
    data, found, at = path.read_bytes(), [], 0
    with tarfile.open(path) as opened:
        for member in opened:
            end = member.offset_data + (-(-member.size // 512) * 512 if member.isreg() else 0)
            found.append(data[at:end])
            at = end
    assert not data[at:].strip(b"\0")
    return found


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7"])
def test_members_of_another_program_stay_byte_for_byte(form: str, tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    if form in {"gnu", "pax"}:
        their_tar(path, form)
    else:
        (tmp_path / "src").mkdir()
        (tmp_path / "src/sym").symlink_to("a")
        (tmp_path / "src/a").touch()
        (tmp_path / "src/hard").hardlink_to(tmp_path / "src/a")
        subprocess.run(["tar", f"--format={form}", "-cf", path, "src"], cwd=tmp_path, check=True)
    with tarfile.open(path) as opened:
        theirs = dict(zip(opened.getnames(), pieces(path), strict=True))
    stored(path, {"one": b"1", "two": b"2" * 600, "src/sym": b"ours"})
    stored(path, {"two": b"3"})
    before = pieces(path)
    sink = sink_of(path)
    sink.remove("one")
    sink.close()
    with tarfile.open(path) as opened:
        names = opened.getnames()
    assert names[-2:] == ["src/sym", "two"]
    assert names.count("src/sym") == 1, "ours took the place of their link"
    kept = [piece for key, piece in theirs.items() if key != "src/sym"]
    assert pieces(path) == [*kept, before[-2], before[-1]]


def test_a_file_that_their_hard_link_refers_to_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    their_tar(path, "gnu")
    theirs = pieces(path)
    stored(path, {"src/a": b"ours", "src/z": b"ours"})
    sink = sink_of(path)
    sink.remove("src/z")
    sink.close()
    assert pieces(path)[:-1] == theirs
    (tmp_path / "into").mkdir()
    subprocess.run(["tar", "-xf", path, "-C", tmp_path / "into"], check=True)
    assert (tmp_path / "into/src/hard").read_bytes() == b"a" * 700
    assert (tmp_path / "into/src/a").read_bytes() == b"ours"


def test_two_files_of_one_name_that_another_program_wrote_stay(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    for verb in ("c", "r"):
        (tmp_path / "twice").write_text(verb)
        (tmp_path / "twice").chmod(0o600)
        subprocess.run(["tar", f"{verb}f", path, "twice"], cwd=tmp_path, check=True)
    theirs = pieces(path)
    stored(path, {"one": b"1"})
    sink = sink_of(path)
    sink.remove("one")
    sink.close()
    assert pieces(path) == theirs


def test_a_header_for_all_members_stays_when_the_one_behind_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    with tarfile.open(path, "w", pax_headers={"comment": "all"}) as made:
        made.addfile(tarfile.TarInfo("goes"))
    stored(path, {"stays": b"1"})
    sink = sink_of(path)
    sink.remove("goes")
    sink.close()
    with tarfile.open(path) as opened:
        assert opened.getnames() == ["stays"]
        assert opened.pax_headers == {"comment": "all"}


@each_archive
def test_files_beside_it_are_not_touched_and_none_is_left(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    stored(path, {"one": b"1", "two": b"2"})
    others = [tmp_path / f"{name}.new", tmp_path / f".{name}.new", tmp_path / ".scraper-new-x"]
    for other in others:
        other.write_bytes(b"precious")
    path.chmod(0o640)
    sink = sink_of(path)
    sink.remove("one")
    sink.close()
    assert [other.read_bytes() for other in others] == [b"precious"] * 3
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(sink_of(path).keys()) == ["two"]
    assert beside(tmp_path) == sorted([*(one.name for one in others), name, f"{name}.scraper"])
    assert temporary(path) == []


def beside(root: Path) -> list[str]:
    return sorted(os.listdir(root))


def temporary(path: Path) -> list[str]:
    """Directories of runs in the home."""
    home = path.with_name(f"{path.name}.scraper") / ".scraper/tmp"
    return [str(one) for one in home.glob("run-*")]


KILLED = """
import os, sys, signal
from pathlib import Path
from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.rewrite import replaced
with replaced(ArchiveFile(Path(sys.argv[1]), writes=True, durable=False), lambda: None) as new:
    new.put(b"half", 0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@each_archive
@pytest.mark.parametrize("where", ["in our directory", "beside"])
@pytest.mark.parametrize("then", ["a run", "another pruning"])
def test_what_a_killed_rewrite_left_is_removed_by_the_next_run(
    then: str, where: str, name: str, tmp_path: Path, other_disk: Callable[[], Path]
) -> None:
    path = tmp_path / "here" / name
    path.parent.mkdir()
    if where == "beside":  # our directory is a link to another disk
        path.with_name(f"{name}.scraper").symlink_to(other_disk())
    stored(path, {"one": b"1", "two": b"2"})
    whole = path.read_bytes()
    words = [sys.executable, "-c", KILLED, str(path)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == whole
    assert len(temporary(path)) == 1
    assert len(beside(path.parent)) == (3 if where == "beside" else 2)
    sink = sink_of(path)
    if then == "a run":
        sink.settle("m", ())
        store(sink, "three", b"3")
        sink.all_recorded()
    else:
        sink.remove("one")
    sink.close()
    assert beside(path.parent) == [name, f"{name}.scraper"]
    assert temporary(path) == []
    assert "two" in list(sink_of(path).keys())


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Makes a directory on another file system than that of `tmp_path`."""

    def make() -> Path:
        place = Path("/dev/shm")  # a tmpfs that every Linux has
        if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no other file system")
        made.append(tempfile.TemporaryDirectory(dir=place))
        return Path(made[-1].name)

    made: list[tempfile.TemporaryDirectory[str]] = []
    yield make
    for one in made:
        one.cleanup()


def test_what_fails_leaves_the_archive_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    stored(path, {"one": b"1"})
    whole = path.read_bytes()
    old = ArchiveFile(path, writes=True, durable=False)

    def fail() -> None:
        with replaced(old, lambda: None) as new:
            new.put(b"half", 0)
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        fail()
    old.close()
    assert path.read_bytes() == whole
    assert temporary(path) == []
