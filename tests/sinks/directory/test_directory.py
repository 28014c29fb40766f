"""The directory sink: permissions, times, leftovers, and disks that refuse."""

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.model.records import Response
from scraper.sinks.base import SinkOptions, find_sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.testing import body_of, store


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[DirectorySink]:
    """A checked sink on tmp_path."""
    made = DirectorySink(tmp_path)
    made.check()
    yield made
    made.close()


def run(script: str, *arguments: object, umask: int = -1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, umask=umask)


STORES = """
import sys
from pathlib import Path
from scraper.sinks.directory.sink import DirectorySink
from scraper.testing import store
sink = DirectorySink(Path(sys.argv[1]))
sink.check()
store(sink, "a/b", b"x")
sink.close()
"""


@pytest.mark.parametrize(
    ("umask", "file", "directory"),
    [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o666, 0o777)],
)
def test_permissions_are_what_the_umask_leaves(
    umask: int, file: int, directory: int, tmp_path: Path
) -> None:
    run(STORES, tmp_path / "out", umask=umask)
    assert stat.S_IMODE((tmp_path / "out/a/b").stat().st_mode) == file
    assert stat.S_IMODE((tmp_path / "out/a").stat().st_mode) == directory


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_path_and_a_file_url_mean_the_same_directory(scheme: str, tmp_path: Path) -> None:
    sink = find_sink(f"{scheme}{tmp_path}/new/out", SinkOptions())
    sink.check()
    store(sink, "k", b"x")
    sink.close()
    assert (tmp_path / "new/out/k").read_bytes() == b"x"


def test_the_modification_time_is_the_servers(sink: DirectorySink, tmp_path: Path) -> None:
    store(sink, "k", b"x")
    assert (tmp_path / "k").stat().st_mtime == 1445412480, "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    "said", [None, "", "yesterday", "Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 9999999 07:28:00"]
)
def test_the_modification_time_is_now_when_the_server_says_none(
    said: str | None, sink: DirectorySink, tmp_path: Path
) -> None:
    body = body_of(b"x")
    upload = sink.open("k")
    upload.write(b"x")
    upload.commit(body._replace(response=Response(200, "http://a/", last_modified=said)))
    assert abs((tmp_path / "k").stat().st_mtime - body.fetched_at) < 60


HOLDS = """
import sys
from pathlib import Path
from scraper.sinks.directory.sink import DirectorySink
sink = DirectorySink(Path(sys.argv[1]))
sink.check()
upload = sink.open("k")
upload.write(b"part")
print("written", flush=True)
sys.stdin.read()
"""


def temporary(root: Path) -> list[Path]:
    return [path for path in root.rglob("run-*/*") if path.name != "lock"]


def test_leftovers_of_a_killed_run_are_removed_and_those_of_a_live_one_kept(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        (live,) = temporary(tmp_path)
        other = DirectorySink(tmp_path)
        other.check()
        other.close()
        assert live.exists(), "its run is alive"
        child.send_signal(signal.SIGKILL)
    assert live.exists(), "a killed process removes nothing"
    assert not (tmp_path / "k").exists(), "nor does it leave a part under a final name"
    other = DirectorySink(tmp_path)
    other.check()
    assert temporary(tmp_path) == []
    other.close()
    assert list(tmp_path.rglob("run-*")) == []


def test_a_directory_removed_meanwhile_is_made_again(sink: DirectorySink, tmp_path: Path) -> None:
    store(sink, "a/b/one", b"1")
    (tmp_path / "a/b/one").unlink()
    (tmp_path / "a/b").rmdir()
    store(sink, "a/b/two", b"2")
    assert (tmp_path / "a/b/two").read_bytes() == b"2"


def test_a_directory_moved_away_meanwhile_takes_no_later_object_with_it(
    sink: DirectorySink, tmp_path: Path
) -> None:
    store(sink, "a/b/one", b"1")
    (tmp_path / "a").rename(tmp_path / "done")
    store(sink, "a/b/two", b"2")
    assert (tmp_path / "a/b/two").read_bytes() == b"2"
    assert [path.name for path in (tmp_path / "done/b").iterdir()] == ["one"]


def test_a_directory_that_can_not_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file/below", Path("/proc/nowhere")):
        with pytest.raises(DestinationError) as caught:
            DirectorySink(root).check()
        assert str(caught.value).startswith(f"can't write to directory {str(root)!r}: ")
        assert "\n" not in str(caught.value)


def test_a_key_below_a_file_is_refused_for_good(sink: DirectorySink, tmp_path: Path) -> None:
    store(sink, "a", b"a file")
    with pytest.raises(SinkError) as caught:
        store(sink, "a/b", b"x")
    assert caught.value.transient is False
    assert caught.value.message.startswith("can't write 'a/b': ")
    with pytest.raises(SinkError):
        store(sink, "a/b/c", b"x")
    assert temporary(tmp_path) == []


def test_a_key_where_a_directory_is_is_refused_for_good(
    sink: DirectorySink, tmp_path: Path
) -> None:
    store(sink, "a/b", b"x")
    with pytest.raises(SinkError) as caught:
        store(sink, "a", b"x")
    assert caught.value.transient is False
    assert (tmp_path / "a/b").read_bytes() == b"x"
    assert temporary(tmp_path) == []


def test_too_many_open_files_may_pass(sink: DirectorySink, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(SinkError) as caught:
            sink.open("k")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.transient
    store(sink, "k", b"x")
    assert (tmp_path / "k").read_bytes() == b"x"


FILLS = """
import sys
from pathlib import Path
from scraper.model.errors import DestinationError
from scraper.sinks.directory.sink import DirectorySink
from scraper.testing import store
root = Path(sys.argv[1])
sink = DirectorySink(root)
sink.check()
store(sink, "small", b"x")
try:
    store(sink, "large", b"x" * 1_000_000)
except DestinationError as error:
    print(error)
store(sink, "another", b"y")
print(sorted(path.name for path in root.iterdir()))
print([path.name for path in root.rglob("run-*/*")])
sink.close()
"""


def test_a_full_disk_ends_the_run_and_leaves_no_part(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here to mount a small file system in")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, FILLS],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "the directory takes no more: No space left on device",
        "['.scraper', 'another', 'small']",
        "['lock']",
    ]
    assert done.stderr == ""


def test_a_run_whose_temporary_directory_is_gone_can_store_nothing_more(
    sink: DirectorySink, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / ".scraper")
    with pytest.raises(DestinationError, match=r"^the directory takes no more: No such file"):
        sink.open("k")


def test_what_can_not_be_closed_is_removed_all_the_same(
    sink: DirectorySink, tmp_path: Path
) -> None:
    upload = sink.open("k")
    os.close(upload._fd)
    upload.abort()
    (workspace,) = tmp_path.glob(".scraper/tmp/run-*")
    assert os.listdir(workspace) == ["lock"]


# ---------------------------------------------------------------- read back


def test_what_is_temporary_or_a_link_is_no_key(sink: DirectorySink, tmp_path: Path) -> None:
    store(sink, "a/b", b"x")
    store(sink, ".scraper/manifest-1.jsonl", b"{}")
    sink.open("c").write(b"part")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/d").touch()
    (tmp_path / "a/link").symlink_to(tmp_path / "elsewhere")
    found = sorted(sink.keys())
    assert found == [".scraper/manifest-1.jsonl", "a/b", "elsewhere/d"]
    assert list(sink.keys(".scraper/manifest-")) == [".scraper/manifest-1.jsonl"]
    assert list(sink.keys("none/at/all")) == []


def test_a_directory_is_no_object(sink: DirectorySink, tmp_path: Path) -> None:
    store(sink, "a/b", b"x")
    assert sink.size("a") is None
    assert sink.size("a/b/c") is None
    with pytest.raises(SinkError, match="can't read 'a': Is a directory"):
        list(sink.read("a"))
    with pytest.raises(SinkError, match="can't delete 'a': "):
        sink.remove("a")
    assert (tmp_path / "a/b").read_bytes() == b"x"


def test_a_directory_that_can_not_be_looked_into_is_told(
    sink: DirectorySink, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SinkError, match="'loop/a'"):
        sink.size("loop/a")
    store(sink, "a/b", b"x")
    if os.geteuid() == 0:
        pytest.skip("root may look into anything")
    (tmp_path / "a").chmod(0)
    with pytest.raises(SinkError, match="can't read 'a': Permission denied"):
        list(sink.keys())
    (tmp_path / "a").chmod(0o700)


# ---------------------------------------------------------------- what was planted


def test_a_link_under_the_objects_name_is_replaced_and_not_followed(
    sink: DirectorySink, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    (tmp_path / "k").symlink_to(outside)
    assert sink.size("k") is None, "it is not the object"
    store(sink, "k", b"ours")
    assert outside.read_bytes() == b"theirs"
    assert not (tmp_path / "k").is_symlink()
    assert (tmp_path / "k").read_bytes() == b"ours"


@pytest.mark.parametrize("key", ["a/k", "a/b/k", "a/b/c/k"])
def test_a_link_on_the_way_to_an_object_is_refused(key: str, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "b/c").mkdir(parents=True)
    root.mkdir()
    (root / "a").symlink_to(outside)
    sink = DirectorySink(root)
    sink.check()
    message = f"can't write '{key}': a file or a link is where a directory should be"
    with pytest.raises(SinkError, match=message) as told:
        store(sink, key, b"x")
    assert not told.value.transient
    sink.close()
    assert [path.name for path in outside.rglob("*")] == ["b", "c"]


@pytest.mark.parametrize("planted", [".scraper", ".scraper/tmp"])
def test_a_link_where_temporary_files_would_be_is_refused(planted: str, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / planted).parent.mkdir(parents=True)
    (root / planted).symlink_to(outside)
    with pytest.raises(DestinationError, match="a file or a link is where a directory should be"):
        DirectorySink(root).check()
    assert not list(outside.iterdir())


def test_the_destination_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    sink = DirectorySink(tmp_path / "out")
    sink.check()
    store(sink, "a/k", b"x")
    sink.close()
    assert (tmp_path / "real/a/k").read_bytes() == b"x"


def test_a_key_of_five_hundred_directories_is_stored(sink: DirectorySink, tmp_path: Path) -> None:
    key = "a/" * 511 + "k"
    store(sink, key, b"x")
    assert (tmp_path / key).read_bytes() == b"x"


def test_no_more_directories_are_kept_open_than_there_is_room_for(
    sink: DirectorySink, tmp_path: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(200):
        store(sink, f"{number}/a/k", b"x")
    assert len(os.listdir("/proc/self/fd")) <= before + 40
    assert len(list(tmp_path.glob("*/a/k"))) == 200


# ---------------------------------------------------------------- what is moved meanwhile

MOVED = "it was moved, removed or unmounted"


@pytest.fixture
def out(tmp_path: Path) -> Iterator[DirectorySink]:
    """A checked sink on tmp_path/out."""
    made = DirectorySink(tmp_path / "out")
    made.check()
    yield made
    made.close()


def opened_until_refused(sink: DirectorySink) -> None:
    """The sink looks at the place of its temporary files now and then."""

    def open_again_and_again() -> None:
        while True:
            sink.open("k").abort()

    with pytest.raises(DestinationError, match=r"^the directory takes no more: No such"):
        open_again_and_again()


@pytest.mark.parametrize("key", ["a/two", "a/b/two", "a/b/c/two"])
@pytest.mark.parametrize("moved", ["elsewhere", "out/elsewhere"])
def test_a_directory_replaced_by_a_link_to_where_it_went_takes_no_more_objects(
    moved: str, key: str, out: DirectorySink, tmp_path: Path
) -> None:
    store(out, key.replace("two", "one"), b"1")
    (tmp_path / "out/a").rename(tmp_path / moved)
    (tmp_path / "out/a").symlink_to(tmp_path / moved)
    with pytest.raises(SinkError, match="a file or a link is where a directory should be"):
        store(out, key, b"2")
    store(out, "other/k", b"3")
    names = {path.name for path in (tmp_path / moved).rglob("*") if path.is_file()}
    assert names == {"one"}, "nothing is written to where the link leads"


def test_a_directory_moved_away_with_another_one_in_its_place(
    out: DirectorySink, tmp_path: Path
) -> None:
    store(out, "a/b/one", b"1")
    (tmp_path / "out/a").rename(tmp_path / "away")
    (tmp_path / "out/a/b").mkdir(parents=True)
    store(out, "a/b/two", b"2")
    assert [path.name for path in (tmp_path / "out/a/b").iterdir()] == ["two"]
    assert [path.name for path in (tmp_path / "away/b").iterdir()] == ["one"]


@pytest.mark.parametrize("key", ["two", "a/two", "a/b/two"])
@pytest.mark.parametrize("instead", ["nothing", "directory", "link", "link to it"])
def test_a_destination_that_is_moved_takes_no_more_objects(
    instead: str, key: str, out: DirectorySink, tmp_path: Path
) -> None:
    store(out, "a/b/one", b"1")
    begun = out.open(key)
    begun.write(b"2")
    (tmp_path / "out").rename(tmp_path / "away")
    if instead == "directory":
        (tmp_path / "out").mkdir()
    elif instead == "link":
        (tmp_path / "other").mkdir()
        (tmp_path / "out").symlink_to(tmp_path / "other")
    elif instead == "link to it":
        (tmp_path / "out").symlink_to(tmp_path / "away")
        begun.commit(body_of(b"2"))  # the destination itself may be a link
        assert (tmp_path / "out" / key).read_bytes() == b"2"
        return
    with pytest.raises(DestinationError, match=f"^the directory takes no more: {MOVED}"):
        begun.commit(body_of(b"2"))
    begun.abort()
    opened_until_refused(out)
    files = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"]
    assert files == ["one"]


@pytest.mark.parametrize("moved", [".scraper", ".scraper/tmp"])
@pytest.mark.parametrize("linked", [False, True])
def test_temporary_files_are_written_nowhere_else(
    linked: bool, moved: str, out: DirectorySink, tmp_path: Path
) -> None:
    store(out, "one", b"1")
    (tmp_path / "out" / moved).rename(tmp_path / "away")
    if linked:
        (tmp_path / "out" / moved).symlink_to(tmp_path / "away")
    opened_until_refused(out)
    assert {path.name for path in (tmp_path / "away").rglob("*") if path.is_file()} == {"lock"}


def test_the_process_may_change_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = DirectorySink(Path("out"))
    sink.check()
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    store(sink, "a/k", b"x")
    assert sink.size("a/k") == 1
    assert b"".join(sink.read("a/k")) == b"x"
    assert list(sink.keys()) == ["a/k"]
    sink.remove("a/k")
    store(sink, "a/l", b"x")
    sink.close()
    assert not os.listdir(tmp_path / "else")
    assert [path.name for path in (tmp_path / "out/a").iterdir()] == ["l"]


def test_an_object_behind_a_link_is_not_deleted(out: DirectorySink, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/k").write_bytes(b"theirs")
    (tmp_path / "out/a").symlink_to(tmp_path / "outside")
    with pytest.raises(SinkError, match="can't delete 'a/k': a file or a link is where"):
        out.remove("a/k")
    assert (tmp_path / "outside/k").exists()
