"""Zips: every reader opens them, whenever the run is killed, and finds each name once."""

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.archives import zip_format
from scraper.sinks.archives.members import Member
from scraper.sinks.archives.recorded import StoredFacts
from scraper.testing import SINK_CASES, Place, SinkCase, store
from tests.sinks.archives.opened import sink_of, stored

MODIFIED_MS = 1_445_412_480_000  # of `body_of`
BODIES = {
    "a/empty": b"",
    "a/page": b"<p>page</p>" * 900,
    "a/noise": random.Random(1).randbytes(200_000),
    "ä/日本語/🙂.txt": b"kana",
    "l/" + "n" * 240: b"long",
}


def listed(path: Path) -> list[tuple[str, bytes]]:
    """As Python's zipfile reads it, each member checked against its CRC."""
    with zipfile.ZipFile(path) as opened:
        return [(name, opened.read(name)) for name in opened.namelist()]


def again_and_again(key: str, path: Path) -> bytes | None:
    """The member, though the file may change while it is opened."""
    for _ in range(50):
        try:
            return dict(listed(path)).get(key) if path.exists() else None
        except (zipfile.BadZipFile, OSError, NotImplementedError):
            continue
    raise AssertionError("it can't be opened")


@pytest.mark.parametrize("case", SINK_CASES, ids=lambda case: case.name)
def test_a_zip_keeps_the_promises_of_sinks(case: SinkCase, tmp_path: Path) -> None:
    path = tmp_path / "out.zip"

    def names() -> set[str]:
        found = (str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file())
        return {name for name in found if not name.endswith("/lock")}

    case.run(
        Place(lambda: sink_of(path, checked=False), lambda key: again_and_again(key, path), names)
    )


# ---------------------------------------------------------------- readers


def by_zipfile(path: Path, into: Path) -> int:
    with zipfile.ZipFile(path) as opened:
        opened.extractall(into)
    return 0


def by_unzip(path: Path, into: Path) -> int:
    return run("unzip", "-q", "-o", path, "-d", into)


def by_bsdtar(path: Path, into: Path) -> int:
    return run("bsdtar", "-xf", path, "-C", into)


def by_7zip(path: Path, into: Path) -> int:
    return run("7z", "x", "-y", f"-o{into}", path)


def run(*words: object) -> int:
    program = str(words[0])
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, env=environment)
    return done.returncode


READ_ON = [by_bsdtar, by_7zip]  # they need no directory
READERS = [by_zipfile, by_unzip, *READ_ON]
each_reader = pytest.mark.parametrize("read", READERS)


def unpacked(into: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(into)): one.read_bytes() for one in into.rglob("*") if one.is_file()
    }


@each_reader
def test_all_readers_read_it_and_find_the_last_body_of_each_name(
    read: Callable[[Path, Path], int], tmp_path: Path
) -> None:
    path, into = tmp_path / "out.zip", tmp_path / "into"
    into.mkdir()
    stored(path, {**BODIES, "twice": b"old"})
    stored(path, {"twice": b"newer"})
    assert read(path, into) == 0
    assert unpacked(into) == {**BODIES, "twice": b"newer"}
    assert [name for name, _ in listed(path)].count("twice") == 1


def test_members_have_their_times_and_are_smaller_where_they_can_be(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    stored(path, BODIES)
    with zipfile.ZipFile(path) as opened:
        page, noise = opened.getinfo("a/page"), opened.getinfo("a/noise")
    assert page.date_time == (2015, 10, 21, 7, 28, 0)
    assert (page.compress_type, noise.compress_type) == (8, 0)
    assert page.compress_size < 200
    assert sum(len(body) for body in BODIES.values()) > path.stat().st_size


# ---------------------------------------------------------------- killed


@contextmanager
def after_each_call(then: Callable[[], None]) -> Iterator[None]:
    """Call `then` after each call that changes a file: what a kill at that moment would leave."""
    patch = pytest.MonkeyPatch()
    for name in ("pwrite", "ftruncate"):
        call = getattr(os, name)

        def called(*given: object, call: Callable[..., object] = call) -> object:
            result = call(*given)
            then()
            return result

        patch.setattr(os, name, called)
    try:
        yield
    finally:
        patch.undo()


@pytest.mark.parametrize("before", [0, 700])
def test_after_each_system_call_it_can_be_opened_and_what_it_lists_is_whole(
    before: int, tmp_path: Path
) -> None:
    """With few members, and with a directory that is longer than what zipfile looks back."""
    path = tmp_path / "out.zip"
    sink = sink_of(path)
    for number in range(before):
        store(sink, f"{'long/' * 20}{number}", b"x" * 50)
    store(sink, "first", b"first")
    counts: list[int] = []

    def look() -> None:
        with zipfile.ZipFile(path) as opened:
            counts.append(len(opened.namelist()))
            for name in opened.namelist()[-20:]:
                opened.read(name)

    look()
    with after_each_call(look):
        for number in range(12):
            store(sink, f"new/{number}", random.Random(number).randbytes(number * 9_000))
        sink.close()
    assert counts == sorted(counts), "nothing that was listed is lost"
    assert (counts[0], counts[-1]) == (before + 1 if before == 0 else counts[0], before + 13)
    assert len(counts) > 24


WRITER = """
import random, sys
from pathlib import Path
from tests.sinks.archives.opened import sink_of, stored
from tests.sinks.archives.test_zip import sink_of, store
sink, dice = sink_of(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
for number in range(int(sys.argv[3]), 100_000):
    store(sink, f"{'long/' * 20}{number}", b"%d " % number * dice.randrange(20_000))
    print(number, flush=True)
"""


def is_cut(path: Path) -> bool:
    """Whether it was killed within the one call that puts a directory behind the hole."""
    copy = path.read_bytes().rpartition(bytes(4096))[2].lstrip(b"\0")
    return copy.startswith(b"PK\1\2") and b"PK\5\6" not in copy


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_all_readers_open_it_and_nothing_committed_is_lost(
    seed: int, tmp_path: Path
) -> None:
    path, dice, count = tmp_path / "out.zip", random.Random(seed), 0
    for kill in range(3):
        words = [sys.executable, "-c", WRITER, str(path), str(seed), str(count)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(dice.randrange(20, 400)):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        del said
        for number, read in enumerate(READ_ON if is_cut(path) else READERS):
            into = tmp_path / f"{kill}-{number}"
            into.mkdir()
            assert read(path, into) in {0, 1}, read.__name__  # 1: unzip and 7z warn
            assert len(unpacked(into)) >= count * 0.9, read.__name__
        sink = sink_of(path)
        keys = list(sink.keys())
        numbers = sorted(int(key.rpartition("/")[2]) for key in keys)
        assert numbers == list(range(len(numbers)))
        count = len(numbers)
        last = f"{'long/' * 20}{count - 1}"
        assert set(b"".join(sink.read(last)).split()) <= {b"%d" % (count - 1)}
        sink.close()
        assert len(listed(path)) == count


def test_what_a_killed_run_has_not_recorded_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    stored(path, {"before": b"by an earlier run"})
    sink = sink_of(path)
    sink.settle("m", ())
    for key in ("one", "two"):
        store(sink, key, key.encode())
    again = sink_of(path)
    again.settle("m", [StoredFacts("one", 3, MODIFIED_MS)])
    assert [key for key, _ in listed(path)] == ["before", "one"]
    store(again, "two", b"two")
    again.close()
    assert [key for key, _ in listed(path)] == ["before", "one", "two"]


def test_a_disk_that_is_full_in_the_middle_of_a_member_leaves_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    script = f"""
import random, resource, signal
from scraper.model.errors import DestinationError, SinkError
from tests.sinks.archives.test_zip import sink_of, store
from pathlib import Path
sink, noise = sink_of(Path({str(path)!r})), random.Random(1).randbytes(3_000_000)
store(sink, "first", noise)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
try:
    store(sink, "second", noise)
except DestinationError as error:
    print(error)
store(sink, "third", noise[:100_000])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout == "the archive takes no more: File too large\n"
    assert [key for key, _ in listed(path)] == ["first", "third"]


# ---------------------------------------------------------------- others, and large ones


def test_a_zip_of_another_program_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    for data in (io.BytesIO(), io.BytesIO(b"no zip at all")):
        if not data.getvalue():
            with zipfile.ZipFile(data, "w") as made:
                made.writestr("theirs", b"theirs")
        path.write_bytes(data.getvalue())
        with pytest.raises(DestinationError, match="another program"):
            store(sink_of(path), "ours", b"ours")
        assert path.read_bytes() == data.getvalue()


def test_removed_members_are_gone_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    stored(path, {**BODIES, "a/page": b"old"})
    stored(path, BODIES)
    sink = sink_of(path)
    sink.remove("a/noise")
    sink.close()
    assert dict(listed(path)) == {key: BODIES[key] for key in BODIES if key != "a/noise"}
    assert path.stat().st_size < 10_000
    assert sorted(sink_of(path).keys()) == sorted(set(BODIES) - {"a/noise"})


def test_headers_of_very_large_members_say_their_sizes_in_the_fields_of_zip64() -> None:
    sizes = {"size": 5 << 32, "packed": 5 << 32}
    head = zip_format.local_header("big", 1_445_412_480, 7, **sizes)
    member = zip_format.read_local(head, 6 << 32)
    expected = Member("big", 6 << 32, (6 << 32) + len(head), (11 << 32) + len(head), *sizes.values())  # fmt: skip # noqa: E501
    assert member == expected._replace(modified_s=1_445_412_480, crc=7, packed=5 << 32)
    for one in (
        member,
        member._replace(offset=7, data=7 + len(head), end=7 + len(head) + (5 << 32)),
    ):
        entry = zip_format.central_entry(one)
        assert zip_format.read_entry(entry) == (len(entry), one.offset, one)
        assert zip_format.entry_offset(entry) == one.offset
    entry = zip_format.central_entry(member)
    end = zip_format.end_record(70_000, len(entry), 12 << 32)
    assert zip_format.read_end(entry + end) == (12 << 32, len(entry), 70_000)


@pytest.mark.slow
def test_a_member_of_five_gibibytes_and_many_members_are_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    sink, piece = sink_of(path), random.Random(1).randbytes(1 << 20)
    from tests.sinks.archives.large import store_large

    store_large(sink, "large", piece, 5 << 10)
    for number in range(66_000):
        store(sink, f"small/{number}", b"%d" % number)
    sink.close()
    with zipfile.ZipFile(path) as opened:
        assert len(opened.namelist()) == 66_001
        assert opened.getinfo("large").file_size == 5 << 30
        assert opened.read("small/65999") == b"65999"
    for words in (["unzip", "-tqq", path], ["bsdtar", "-tf", path], ["7z", "t", path]):
        assert run(*words) == 0


# ---------------------------------------------------------------- damaged


FIVE = {f"m{number}": b"%d" % number * (number * 40) for number in range(1, 6)}


def damaged(path: Path, at: int) -> None:
    """Flip one bit."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def offsets(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as opened:
        return {one.filename: one.header_offset for one in opened.infolist()}


# Bytes of a header: signature, flags, method, CRC, packed size, size, length of the name, name.
@pytest.mark.parametrize("byte", [0, 6, 8, 14, 19, 23, 27, 30])
@pytest.mark.parametrize("key", list(FIVE))
def test_behind_a_damaged_header_all_members_are_read_by_the_directory(
    key: str, byte: int, tmp_path: Path
) -> None:
    path = tmp_path / "out.zip"
    stored(path, {**FIVE, "m3": b"old"})
    stored(path, FIVE)
    damaged(path, offsets(path)[key] + byte)
    whole = path.read_bytes()
    reader = sink_of(path, checked=False)
    assert sorted(reader.keys()) == sorted(FIVE)
    others = {name: body for name, body in FIVE.items() if name != key}
    assert {name: b"".join(reader.read(name)) for name in others} == others
    with pytest.raises(SinkError, match="damaged"):
        b"".join(reader.read(key))
    with pytest.raises(DestinationError, match="damaged") as raised:
        sink_of(path).settle("m", ())
    assert raised.value.hint is not None
    assert "verify" in raised.value.hint
    assert "truncate" not in raised.value.hint
    assert path.read_bytes() == whole


def test_a_damaged_member_that_was_replaced_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    stored(path, {**FIVE, "m2": b"old" * 50})
    old = offsets(path)["m2"]
    stored(path, FIVE)
    damaged(path, old)
    sink = sink_of(path)
    assert {key: b"".join(sink.read(key)) for key in list(sink.keys())} == FIVE
    store(sink, "new", b"new")
    sink.close()
    assert dict(listed(path)) == {**FIVE, "new": b"new"}


# Bytes of an entry: CRC, packed size, size, offset, name.
@pytest.mark.parametrize("byte", [16, 20, 24, 42, 44, 46])
def test_a_damaged_entry_of_the_directory_takes_no_other_member_with_it(
    byte: int, tmp_path: Path
) -> None:
    path = tmp_path / "out.zip"
    stored(path, FIVE)
    whole = path.read_bytes()
    entry = whole.index(b"PK\1\2", whole.index(b"PK\1\2") + 1)
    damaged(path, entry + byte)
    reader = sink_of(path, checked=False)
    found = set(reader.keys())
    assert found >= set(FIVE) - {"m2"}
    for name in set(FIVE) - {"m2"}:
        assert b"".join(reader.read(name)) == FIVE[name]
    with pytest.raises(DestinationError) as raised:
        sink_of(path).settle("m", ())
    assert "truncate" not in (raised.value.hint or "")


def test_what_another_program_appended_is_not_offered_to_be_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    stored(path, FIVE)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr("mine", b"mine")
    with pytest.raises(DestinationError, match="another program") as raised:
        sink_of(path).settle("m", ())
    assert raised.value.hint == "--to another archive"
