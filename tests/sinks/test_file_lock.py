"""The lock of a directory: one file, locked by the kernel, whatever was planted under its name."""

import fcntl
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import scraper
from scraper.model.errors import DestinationError, Held
from scraper.sinks.directory.own_files import lock_own
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.file_lock import FileHold
from scraper.sinks.lock import leave_nothing
from tests.planted import WHAT, plant, untouched
from tests.servers import WAIT_S, Reply, Serve

HOLDS = """
import sys
from pathlib import Path
from scraper.sinks.file_lock import FileHold
held = FileHold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
# How 0.1.0 locked: filelock on the same path.
OLD_HOLDS = HOLDS.replace(
    "from scraper.sinks.file_lock import FileHold\nheld = FileHold(Path(sys.argv[1]))",
    "import fcntl, os\n"
    "fd = os.open(Path(sys.argv[1], '.scraper/lock'), os.O_RDWR | os.O_TRUNC | os.O_CREAT, 0o644)\n"
    "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
)


def test_a_directory_is_held_by_one_and_free_again_after(tmp_path: Path) -> None:
    first = FileHold(tmp_path)
    with pytest.raises(Held, match="another run holds"):
        FileHold(tmp_path)
    assert first.holds()
    first.release()
    first.release()
    FileHold(tmp_path).release()


def test_a_lock_whose_file_is_removed_at_the_end_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    worst: list[int] = []

    def run(number: int) -> None:
        for _ in range(50):
            sink = DirectorySink(tmp_path)
            sink.check()
            lock = FileHold(tmp_path, math.inf)
            inside.append(number)
            worst.append(len(inside))
            inside.pop()
            leave_nothing(lock, sink)
            lock.release()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert set(worst) == {1}
    sink = DirectorySink(tmp_path)
    sink.check()
    lock = FileHold(tmp_path)
    leave_nothing(lock, sink)
    lock.release()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("script", [HOLDS, OLD_HOLDS], ids=["now", "0.1.0"])
def test_a_directory_is_free_when_its_run_was_killed(script: str, tmp_path: Path) -> None:
    (tmp_path / ".scraper").mkdir()
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Held):
            FileHold(tmp_path)
        process.kill()
        process.wait()
    FileHold(tmp_path).release()


def test_who_waits_for_a_directory_gets_it(tmp_path: Path) -> None:
    first = FileHold(tmp_path)
    got = threading.Event()

    def wait() -> None:
        FileHold(tmp_path, wait_s=math.inf).release()
        got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.is_set()
    first.release()
    assert got.wait(WAIT_S)
    waiting.join()


def test_of_two_runs_on_a_directory_the_second_is_refused(serve: Serve, tmp_path: Path) -> None:
    release = threading.Event()
    server = serve(lambda _: Reply(body=b"page", delay=release))
    first = scraper.run([f"{server.url}/a"], to=str(tmp_path))
    ended: list[str] = []
    running = threading.Thread(target=lambda: ended.extend(one.status for one in first))
    running.start()
    server.wait_until(lambda: server.in_flight == 1)
    with pytest.raises(Held):
        list(scraper.run([f"{server.url}/b"], to=str(tmp_path)))
    release.set()
    running.join()
    assert ended == ["stored"]
    assert server.total == 1


@pytest.mark.parametrize("what", WHAT)
def test_a_planted_lock_is_refused(what: str, tmp_path: Path) -> None:
    plant(what, tmp_path / "out/.scraper/lock", tmp_path / "elsewhere")
    with pytest.raises(DestinationError):
        FileHold(tmp_path / "out", wait_s=math.inf)
    assert untouched(tmp_path / "elsewhere")


def test_a_lock_file_keeps_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / ".scraper").mkdir()
    (tmp_path / ".scraper/lock").write_bytes(b"what anybody wrote")
    FileHold(tmp_path).release()
    assert (tmp_path / ".scraper/lock").read_bytes() == b"what anybody wrote"


def test_a_lock_file_that_was_replaced_meanwhile_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".scraper/lock"
    flock = fcntl.flock

    def replace_first(fd: int, operation: int) -> None:
        monkeypatch.undo()
        path.unlink()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    fd = lock_own(path)
    assert fd is not None
    assert os.path.samestat(os.fstat(fd), path.stat())
    with pytest.raises(Held):
        FileHold(tmp_path)
    os.close(fd)


def test_a_directory_that_can_not_be_locked_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".scraper").write_bytes(b"a file")
    with pytest.raises(DestinationError) as caught:
        FileHold(tmp_path)
    assert "\n" not in str(caught.value)
