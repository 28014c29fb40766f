"""Other file systems below the destination: what can be stored there is, and nothing elsewhere.

Each test runs a script in a user namespace of its own, in which it may mount.
"""

import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--mount", "--map-root-user"]


def may_mount() -> bool:
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(
    not may_mount(), reason="a user namespace of one's own, to mount in, can't be had here"
)

BEGIN = """
import os, subprocess, sys
from pathlib import Path
from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import Blocking
from scraper.sinks.directory.sink import DirectorySink
from scraper.testing import store

root = Path(sys.argv[1])

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

def tmpfs(place, *options):
    place.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", *options, "none", place)

def bind(source, place, *options):
    source.mkdir(parents=True, exist_ok=True)
    place.mkdir(parents=True, exist_ok=True)
    mount("--bind", source, place)
    if options:
        mount("-o", ",".join(["remount", "bind", *options]), place)

def files(place=root):
    return sorted(
        path.relative_to(place).as_posix() for path in place.rglob("*")
        if path.is_file() and not path.relative_to(place).as_posix().startswith(".scraper/")
    )

def tried(key, content=b"x"):
    try:
        store(sink, key, content)
    except (SinkError, DestinationError) as error:
        print(type(error).__name__, error)

def opened():
    global sink
    sink = DirectorySink(root)
    sink.check()
    return sink
"""


def ran(script: str, root: Path) -> list[str]:
    """The lines that the script prints."""
    command = [*UNSHARE, sys.executable, "-c", BEGIN + script, str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


@pytest.mark.parametrize("key", ["mnt/k", "mnt/a/b/k"])
@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("how", ["tmpfs(place)", "bind(root.parent / 'disk', place)"])
def test_objects_on_another_file_system_are_stored(
    how: str, when: str, key: str, root: Path
) -> None:
    script = f"""
place = root / "mnt"
content = os.urandom(3_000_001)
if {when!r} == "before":
    {how}
opened()
store(sink, "here/k", b"here")
if {when!r} == "during":
    store(sink, {key!r}, b"below the mount")
    {how}
for content in (b"", b"first", content):
    store(sink, {key!r}, content)
    assert (root / {key!r}).read_bytes() == content
print(oct((root / {key!r}).stat().st_mode), (root / {key!r}).stat().st_mtime)
print(sorted(sink.keys("mnt")), files(place))
store(sink, "here/k", b"here again")
print(os.listdir(sink._files.path))
print(sink.blocking)
sink.close()
print(files(), os.listdir(root / ".scraper/tmp"))
"""
    assert ran(script, root) == [
        "0o100644 1445412480.0",
        f"['{key}'] ['{key.removeprefix('mnt/')}']",
        "['lock']",
        "Blocking.COMMIT",
        f"['here/k', '{key}'] ['lock']",
    ]


def test_a_mount_where_temporary_files_are_kept_changes_nothing(root: Path) -> None:
    script = """
tmpfs(root / ".scraper")
opened()
store(sink, "a/k", b"x")
store(sink, "k", b"y")
sink.close()
print(files())
"""
    assert ran(script, root) == ["['a/k', 'k']"]


@pytest.mark.parametrize("before_it", ["[]", "['mnt/a/k']"])
def test_a_read_only_mount_fails_its_own_objects_only_and_the_next_before_its_body_is_fetched(
    before_it: str, root: Path
) -> None:
    script = f"""
for key in {before_it}:
    (root / "disk" / key).parent.mkdir(parents=True)
bind(root / "disk/mnt", root / "mnt", "ro")
opened()
tried("mnt/a/k")
try:
    sink.open("mnt/b/k")
except SinkError as error:
    print(error.transient, error)
tried("other/k")
mount("-o", "remount,bind,rw", root / "mnt")
tried("mnt/b/k")
sink.close()
print(files())
"""
    why = "Read-only file system (on the file system mounted at 'mnt')"
    assert ran(script, root) == [
        f"SinkError can't write 'mnt/a/k': {why}",
        f"False can't write 'mnt/b/k': {why}",
        "['disk/mnt/b/k', 'mnt/b/k', 'other/k']",
    ]


def test_a_full_mount_fails_its_own_objects_only_and_keeps_no_part(root: Path) -> None:
    script = """
tmpfs(root / "mnt", "-o", "size=64k")
opened()
tried("mnt/a", b"x" * 1_000_000)
print(files(root / "mnt"), os.listdir(sink._files.path))
tried("other", b"x" * 1_000_000)
tried("mnt/b")
sink.close()
print(files())
"""
    why = "No space left on device (on the file system mounted at 'mnt')"
    assert ran(script, root) == [
        f"SinkError can't write 'mnt/a': {why}",
        "[] ['lock']",
        "['mnt/b', 'other']",
    ]


@pytest.mark.parametrize("killed_at", ["os.rename", "os.utime"])
def test_a_copy_of_a_killed_run_is_no_object_and_the_next_run_removes_it(
    killed_at: str, root: Path
) -> None:
    script = f"""
tmpfs(root / "mnt")
(root / "mnt/.scraper-run-0123456789abcdef-mine").write_bytes(b"of somebody else")
if os.fork() == 0:
    calls = []
    def killing(event, arguments):
        if event == {killed_at!r}:
            calls.append(event)
            if len(calls) == 2:  # the first is of the temporary file: it is on another mount
                os.kill(os.getpid(), 9)
    sys.addaudithook(killing)
    store(opened(), "mnt/a/k", b"whole")
print(os.wait()[1])
left = files()
print(len(left), left[0].startswith("mnt/.scraper-run-"), left[1].startswith("mnt/a/.scraper-run"))
other = DirectorySink(root)
other.reach()
print(list(other.keys("mnt/a")))
opened().close()
print(files(), os.listdir(root / ".scraper/tmp"))
"""
    assert ran(script, root) == [
        "9",
        "2 True True",
        "[]",
        "['mnt/.scraper-run-0123456789abcdef-mine'] ['lock']",
    ]


def test_a_live_run_keeps_its_copy_while_another_one_begins(root: Path) -> None:
    script = """
tmpfs(root / "mnt")
opened()
def other(event, arguments):
    if event == "os.rename" and arguments[0].startswith(".scraper-run-"):
        subprocess.run([sys.executable, "-c", '''
import sys
from pathlib import Path
from scraper.sinks.directory.sink import DirectorySink
sink = DirectorySink(Path(sys.argv[1]))
sink.check()
sink.close()
''', str(root)], check=True)
        print("another run began and ended")
sys.addaudithook(other)
store(sink, "mnt/k", b"whole")
sink.close()
print(files())
"""
    assert ran(script, root) == ["another run began and ended", "['mnt/k']"]


@pytest.mark.parametrize("planted", ["../../outside", "../outside", "/outside", "link"])
def test_a_planted_note_removes_nothing_outside_and_nothing_else(planted: str, root: Path) -> None:
    name = ".scraper-run-0123456789abcdef-0"
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / name).write_bytes(b"theirs")
    (root / "link").symlink_to(outside)
    (root / "k").write_bytes(b"ours")
    run = root / ".scraper/tmp/run-0123456789abcdef"
    run.mkdir(parents=True)
    (run / "0.copied-into").write_text(planted)
    (run / "..%2fk.copied-into").write_text("")
    assert ran("opened().close(); print(files())", root)[0].startswith("['k'")
    assert (outside / name).exists()
    assert not run.exists()


def test_a_destination_that_is_unmounted_or_covered_takes_no_more_objects(root: Path) -> None:
    script = """
tmpfs(root)
opened()
store(sink, "a/k", b"x")
upload = sink.open("a/l")
upload.write(b"x")
subprocess.run(["umount", "--lazy", root], check=True)
try:
    while True:
        sink.open("b/k").abort()
except DestinationError as error:
    print(error)
try:
    from scraper.testing import body_of
    upload.commit(body_of(b"x"))
except DestinationError as error:
    print(error)
sink.close()
print(os.listdir(root))
"""
    (first, second, left) = ran(script, root)
    assert first.startswith(
        "the directory takes no more: No such file or directory: '.scraper/tmp/"
    )
    assert second == "the directory takes no more: it was moved, removed or unmounted"
    assert left == "[]"
