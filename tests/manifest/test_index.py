"""The index: the same as a replay of all lines, in bounded memory, and never trusted in doubt."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.manifest import index as index_module
from scraper.manifest.codec import read_entry
from scraper.manifest.identity import plain as identity
from scraper.manifest.index import GONE, OBJECT, Index, Mark, Unusable, open_index
from scraper.manifest.record import encode
from scraper.model import urls
from scraper.model.records import PreviousRecord
from tests.histories import (
    EVERY,
    NAMES,
    RIVALS,
    a_history,
    failed,
    lost,
    number,
    pruned,
    replay,
    response,
    stored,
    target,
    unchanged,
)


def nothing(index: Index) -> None:
    """Fill with no line."""


def taking(*lines: bytes) -> Callable[[Index], None]:
    """Fill with these, if they have not been taken in."""

    def fill(index: Index) -> None:
        if not index.mark.lines:
            index.absorb(lines)

    return fill


@pytest.fixture
def index() -> Iterator[Index]:
    with contextlib.closing(Index()) as made:
        yield made


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_BATCH", 3)


# ---------------------------------------------------------------- what it knows


@pytest.mark.usefixtures("small_batches")
@given(a_history, st.lists(st.integers(0, 40)))
def test_lines_absorbed_in_any_split_come_to_what_a_replay_of_all_does(
    lines: list[bytes], cuts: list[int]
) -> None:
    with contextlib.closing(Index()) as index:
        ends = [*sorted(cuts), len(lines)]
        for start, end in zip([0, *ends], ends, strict=False):
            index.absorb(lines[start:end])
        assert index.find(EVERY) == replay(lines)
        done = {
            one: (known.variant, known.effective, known.size, known.digest, known.modified_ms)
            for one, known in replay(lines).items()
            if known.done
        }
        assert index.done(EVERY) == done
        whole = b"".join(lines)
        assert index.mark == Mark("", zlib.crc32(whole), len(whole), len(lines))
        assert index.empty == (not replay(lines))


@pytest.mark.usefixtures("small_batches")
@given(a_history)
def test_the_lines_that_stand_come_to_the_same_as_all_lines(lines: list[bytes]) -> None:
    with contextlib.closing(Index()) as index, contextlib.closing(Index()) as again:
        index.absorb(lines)
        flags = index.standing()
        assert len(flags) == len(lines)
        left = [line for line, stands in zip(lines, flags, strict=True) if stands]
        assert len(left) == index.count_standing() <= 2 * len(replay(lines))
        again.absorb(left)
        assert again.find(EVERY) == index.find(EVERY) == replay(left)
        keys = {target(name).key for name in NAMES + RIVALS}
        assert [again.what(key) for key in keys] == [index.what(key) for key in keys]
        assert again.totals().objects == index.totals().objects == index.objects().count(OBJECT)
        assert all(again.standing()), "what stands, stands"


def test_a_failure_leaves_the_object_and_its_validators_but_it_is_not_done(index: Index) -> None:
    index.absorb([encode(stored("a", 7)), encode(failed("a", 8))])
    assert index.find(EVERY) == {
        number("a"): PreviousRecord(False, 7, '"7"', "version 7", digest=bytes(32))
    }


@pytest.mark.parametrize("gone", [pruned, lost])
def test_where_an_object_is_gone_no_earlier_owner_of_the_key_comes_back(
    index: Index, gone: Callable[[str, int], bytes]
) -> None:
    key = target("x").key
    lines = [encode(stored("x", 7)), encode(stored("y", 8)), gone("y", 8), encode(failed("y"))]
    index.absorb(lines)
    assert index.find(EVERY) == {
        number("x"): PreviousRecord(False),
        number("y"): PreviousRecord(False),
    }
    assert (index.what(key), index.totals().objects) == (GONE, 0)
    with contextlib.closing(Index()) as again:  # as after compaction
        again.absorb(line for line, stands in zip(lines, index.standing(), strict=True) if stands)
        assert again.find(EVERY) == index.find(EVERY)
        assert again.what(key) == GONE
        again.absorb([encode(stored("x", 9))])
        assert again.find(EVERY)[number("x")].done
        assert again.what(key) == OBJECT


def test_a_lost_object_is_a_failure_and_a_pruned_one_is_not(index: Index) -> None:
    index.absorb([encode(stored("a")), encode(stored("b")), lost("a"), pruned("b")])
    assert index.failures() == bytes([0, 0, 1, 0])
    assert index.objects() == bytes([0, 0, GONE, GONE])
    assert index.totals() == (0, 0, 0, 0, 0)


def test_the_validators_of_a_failure_belong_to_no_object(index: Index) -> None:
    index.absorb([encode(failed("a", 7)), encode(unchanged("b", 7))])
    assert index.find(EVERY) == {
        number("a"): PreviousRecord(False),
        number("b"): PreviousRecord(False),
    }


def test_a_304_sets_no_validators_that_the_stored_body_had_not(index: Index) -> None:
    index.absorb([encode(stored("a", 7)), encode(unchanged("a", 5))])
    assert index.find(EVERY) == {
        number("a"): PreviousRecord(True, 7, '"7"', "version 7", digest=bytes(32))
    }


def test_a_stored_body_without_validators_has_none_from_before(index: Index) -> None:
    index.absorb([encode(stored("a", 7, redirects=1)), encode(stored("a", 6))])
    assert index.find(EVERY) == {number("a"): PreviousRecord(True, 6, None, None, digest=bytes(32))}


def test_validators_know_which_url_they_are_of(index: Index) -> None:
    index.absorb([encode(stored("a", 1, redirects=2)), encode(stored("b", 1))])
    found = index.find(EVERY)
    assert found[number("a")].effective == urls.fingerprint(response(1).url_effective)
    assert found[number("b")].effective == 0


def test_any_number_of_targets_may_be_asked_for_at_once(index: Index) -> None:
    def key(n: int) -> str:
        return f"host_http/{n}"

    index.absorb(encode(stored("a", 1)).replace(b"http/a", key(n).encode()[5:]) for n in range(999))
    url = target("a").url
    ids = [identity(key(n), url) for n in range(1_500)]
    assert index.find(ids).keys() == set(ids[:999])
    assert index.find([]) == {}
    assert index.find(ids[:1] * 500).keys() == {ids[0]}


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize("size", [2**63, 2**64, 10**30, 5.0, True, None, "5", [5]])
def test_a_size_that_is_none_makes_a_line_that_says_nothing(size: object) -> None:
    record = {"url": "http://host/a", "key": "k", "status": "stored", "size": size}
    assert read_entry(record) is None
    largest = json.dumps({**record, "size": 2**63 - 1}).encode()
    with contextlib.closing(Index()) as index:
        index.absorb([largest])
        assert [*index.done([identity("k", "http://host/a")]).values()] == [
            (None, 0, 2**63 - 1, None, None)
        ]


@pytest.mark.parametrize(
    ("url", "key"), [("http://host/b", "host_http/a"), ("http://host/a", "host_http/b")]
)
def test_another_url_or_another_key_is_another_target(url: str, key: str, index: Index) -> None:
    index.absorb([encode(stored("a"))])
    assert identity(target("a").key, target("a").url) in index.find(EVERY)
    assert index.find([identity(key, url)]) == {}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
_fields = {
    "url": st.just("http://host/a") | _json,
    "key": st.just("k") | _json,
    "status": st.sampled_from(["stored", "not_modified", "failed"]) | _json,
    "size": st.integers(0, 10) | _json,
    "etag": _json,
    "last_modified": _json,
    "redirects": _json,
    "url_effective": _json,
}


@given(st.fixed_dictionaries({}, optional=_fields) | _json)
def test_no_line_whatever_it_says_breaks_the_index(record: Any) -> None:
    with contextlib.closing(Index()) as index:
        index.absorb([json.dumps(record).encode() + b"\n", encode(stored("b", 7))])
        assert index.mark.lines == 2
        assert index.find([number("b")]) == {
            number("b"): PreviousRecord(True, 7, '"7"', "version 7", digest=bytes(32))
        }
        for known in index.find([identity("k", "http://host/a")]).values():
            assert isinstance(known.size, int | None)
            assert isinstance(known.etag, str | None)
            assert isinstance(known.last_modified, str | None)


# ---------------------------------------------------------------- all or none


def test_lines_that_break_off_leave_everything_as_it_was(tmp_path: Path) -> None:
    def lines() -> Iterator[bytes]:
        yield encode(stored("b"))
        raise OSError("gone")

    with contextlib.closing(open_index(tmp_path / "i", taking(encode(stored("a"))))) as index:
        mark = index.mark
        with pytest.raises(OSError, match="gone"):
            index.absorb(lines())
        assert index.find(EVERY).keys() == {number("a")}
        assert index.mark == mark
        index.absorb([encode(stored("c"))])
        assert index.find(EVERY).keys() == {number("a"), number("c")}


KILLED = """
import sys
from pathlib import Path
from scraper.manifest import index

index._CACHE_KIB = 16
index._BATCH = 500
LINE = '{"url":"http://host/%d","key":"host/%d","status":"stored","size":5,"etag":"%020d"}\\n'

def lines():
    for number in range(4_000):
        yield (LINE % (number, number, number)).encode()
    print("absorbed", flush=True)
    sys.stdin.read()

index.open_index(Path(sys.argv[1]), lambda opened: opened.absorb(lines()))
"""


def test_an_index_that_a_killed_process_left_half_written_knows_nothing_by_halves(
    tmp_path: Path,
) -> None:
    path = tmp_path / "i"
    open_index(path, taking(encode(stored("a")))).close()
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"absorbed\n"
        child.send_signal(signal.SIGKILL)
    assert path.with_name("i-journal").exists(), "it was in the middle of writing"
    assert path.stat().st_size > 100_000
    with contextlib.closing(open_index(path, taking())) as index:
        assert index.mark.lines == 1
        assert len(index.standing()) == index.count_standing() == 1
        assert index.find(EVERY).keys() == {number("a")}


# ---------------------------------------------------------------- files that are no index


def a_database(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(script)


def torn_in_the_middle(path: Path) -> None:
    with contextlib.closing(open_index(path, nothing)) as index:
        index.absorb(encode(stored(f"n{n}", 2)) for n in range(2_000))
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 8192))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no database at all" * 1000),
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
        lambda path: a_database(path, "PRAGMA user_version = 1"),
        lambda path: a_database(path, "CREATE TABLE known (x); CREATE TABLE mark (y)"),
        lambda path: a_database(path, "PRAGMA user_version = 2; CREATE TABLE known (x)"),
        lambda path: a_database(path, "PRAGMA user_version = 99; CREATE TABLE other (x)"),
        torn_in_the_middle,
    ],
    ids=["empty", "garbage", "a head", "version 1", "tables", "no tables", "version 99", "torn"],
)
def test_what_is_no_index_is_replaced_by_one(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "i")
    fill = taking(encode(stored("a")), encode(stored("b")))

    def checked(index: Index) -> None:
        index.clear()
        fill(index)

    with contextlib.closing(open_index(tmp_path / "i", checked)) as index:
        assert index.find(EVERY).keys() == {number("a"), number("b")}
    with contextlib.closing(open_index(tmp_path / "i", nothing)) as index:
        assert index.mark.lines == 2, "it was kept at its place"


def test_an_index_of_another_version_is_not_believed(tmp_path: Path) -> None:
    open_index(tmp_path / "i", taking(encode(stored("a")))).close()
    a_database(tmp_path / "i", "PRAGMA user_version = 1")
    with contextlib.closing(open_index(tmp_path / "i", taking(encode(stored("b"))))) as index:
        assert index.find(EVERY).keys() == {number("b")}


def test_an_index_that_is_torn_where_it_is_looked_up_is_no_traceback(tmp_path: Path) -> None:
    torn_in_the_middle(tmp_path / "i")
    with (
        contextlib.closing(open_index(tmp_path / "i", nothing)) as index,
        pytest.raises(Unusable, match="can't use the index of the manifest: ") as caught,
    ):
        index.find([identity(target(f"n{n}").key, target(f"n{n}").url) for n in range(2_000)])
    assert caught.value.broken


def test_an_index_in_use_is_left_to_its_user(tmp_path: Path) -> None:
    path = tmp_path / "i"
    open_index(path, taking(encode(stored("a")))).close()
    with contextlib.closing(sqlite3.connect(path)) as user:
        user.execute("BEGIN EXCLUSIVE")
        with contextlib.closing(open_index(path, taking(encode(stored("b"))))) as index:
            assert index.find(EVERY).keys() == {number("b")}
        user.execute("ROLLBACK")
    with contextlib.closing(open_index(path, nothing)) as index:
        assert index.find(EVERY).keys() == {number("a")}


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A directory where nobody but root may write, while this process is nobody."""
    if os.geteuid() != 0:
        pytest.skip("takes root to become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        open_index(path / "i", taking(encode(stored("a")))).close()
        os.seteuid(65534)
        try:
            yield path
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["i", "none"])
def test_where_none_may_be_written_it_is_a_temporary_one(name: str, nobodys: Path) -> None:
    def fill(index: Index) -> None:
        index.absorb([encode(stored("b"))])

    with contextlib.closing(open_index(nobodys / name, fill)) as index:
        assert index.find(EVERY).keys() == {number("b")}
    with contextlib.closing(sqlite3.connect(nobodys / "i")) as db:
        assert db.execute("SELECT lines FROM mark").fetchone() == (1,)


@pytest.mark.parametrize("place", ["directory", "no/such/directory/i"])
def test_where_none_can_be_it_is_a_temporary_one(place: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with contextlib.closing(open_index(tmp_path / place, taking(encode(stored("a"))))) as index:
        assert index.find(EVERY).keys() == {number("a")}
    assert {path.name for path in tmp_path.rglob("*")} == {"directory"}


def test_what_the_filling_raises_is_raised_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    open_index(tmp_path / "i", taking(encode(stored("a")))).close()

    def broken(index: Index) -> None:
        raise OSError("no manifest")

    with pytest.raises(OSError, match="no manifest"):
        open_index(tmp_path / "i", broken)
    with contextlib.closing(open_index(tmp_path / "i", nothing)) as index:
        assert index.mark.lines == 1


# ---------------------------------------------------------------- memory

MEASURED = """
import sys
from pathlib import Path
from scraper.manifest import index

index._CACHE_KIB = 1024
index._BATCH = 10_000
LINE = '{"url":"http://host/%d","key":"host/%d","status":"stored","size":5,"etag":"%020d"}\\n'

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

def lines():
    for number in range(150_000):
        yield (LINE % (number, number, number)).encode()
        if number == 30_000:
            print(peak())

index.open_index(Path(sys.argv[1]), lambda opened: opened.absorb(lines())).close()
print(peak())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "i")]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    early, late = map(int, told.stdout.split())
    assert (tmp_path / "i").stat().st_size > 8_000_000
    assert late - early < 3 * 1024  # KiB
