"""Files and pipes that a run writes: what is there before is kept until it may go."""

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.model.errors import UsageError
from scraper.report.outputs import Output, check, to_append, to_replace
from tests.servers import WAIT_S

OPTION = "--results"


@pytest.fixture
def opened() -> Iterator[list[Output]]:
    made: list[Output] = []
    yield made
    for output in made:
        os.close(output.fd)


def replace(path: Path, opened: list[Output], text: bytes = b"new\n") -> None:
    """What a run does with its results; the file stays open until the test ends."""
    opened.append(to_replace(OPTION, str(path)))
    os.write(opened[-1].fd, text)


# ---------------------------------------------------------------- a new file in the place of one


def test_a_file_that_is_read_while_it_is_replaced_stays_whole(
    tmp_path: Path, opened: list[Output]
) -> None:
    path = tmp_path / "results"
    path.write_bytes(b"last night\n")
    with open(path, "rb") as reader:
        replace(path, opened)
        assert reader.read() == b"last night\n"
    assert path.read_bytes() == b"new\n"
    assert [one.name for one in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o200])
def test_the_new_file_has_the_permissions_of_the_old_one(
    mode: int, tmp_path: Path, opened: list[Output]
) -> None:
    path = tmp_path / "results"
    path.write_bytes(b"last night\n")
    path.chmod(mode)
    replace(path, opened)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_stays_one(tmp_path: Path, opened: list[Output]) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"last night\n")
    link.symlink_to("real")
    replace(link, opened)
    assert link.is_symlink()
    assert real.read_bytes() == b"new\n"


def test_a_file_with_two_names_keeps_both(tmp_path: Path, opened: list[Output]) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"last night\n")
    other.hardlink_to(one)
    replace(one, opened)
    assert one.read_bytes() == other.read_bytes() == b"new\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to another user")
def test_a_file_of_another_user_stays_his(tmp_path: Path, opened: list[Output]) -> None:
    path = tmp_path / "results"
    path.write_bytes(b"last night\n")
    os.chown(path, 12345, 23456)
    replace(path, opened)
    assert path.read_bytes() == b"new\n"
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_file_that_is_not_there_is_made(tmp_path: Path, opened: list[Output]) -> None:
    replace(tmp_path / "results", opened)
    assert (tmp_path / "results").read_bytes() == b"new\n"


def test_two_runs_do_not_write_one_file(tmp_path: Path, opened: list[Output]) -> None:
    path = tmp_path / "results"
    path.write_bytes(b"last night\n")
    replace(path, opened)
    inode = path.stat().st_ino
    with pytest.raises(UsageError, match=f"^--results: another run writes '{path}'$"):
        to_replace(OPTION, str(path))
    assert (path.stat().st_ino, path.read_bytes()) == (inode, b"new\n")
    os.close(opened.pop().fd)
    replace(path, opened, b"newer\n")
    assert path.read_bytes() == b"newer\n"


RACES = """
import os, sys
from scraper.model.errors import UsageError
from scraper.report.outputs import to_replace
sys.stdin.read()
try:
    output = to_replace("--results", sys.argv[1])
except UsageError:
    print("refused", flush=True)
else:
    os.write(output.fd, b"mine\\n")
    print("taken", flush=True)
    os.read(int(sys.argv[2]), 1)
"""


def test_of_many_that_start_at_once_one_gets_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_bytes(b"last night\n")
    held, go = os.pipe()
    words = [sys.executable, "-c", RACES, str(path), str(held)]
    started = [
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[held]
        )
        for _ in range(6)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.close()
    said = []
    for one in started:
        assert one.stdout is not None
        said.append(one.stdout.readline())
    assert sorted(said) == ["refused\n"] * 5 + ["taken\n"]
    assert path.read_bytes() == b"mine\n"
    os.close(go)
    os.close(held)
    for one in started:
        with one:
            one.wait(WAIT_S)


# ---------------------------------------------------------------- pipes, devices, descriptors


def test_a_fifo_that_nobody_reads_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    output = to_replace(OPTION, str(path))
    assert output.fd == -1
    opening = threading.Thread(target=output.open)
    opening.start()
    with open(path, "rb"):
        opening.join(WAIT_S)
        assert output.fd >= 0
        os.close(output.fd)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("opens", ["to_append", "to_replace"])
def test_a_descriptor_by_name_goes_on_where_it_is(name: str, opens: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from scraper.report import outputs; "
        f"os.write(outputs.{opens}('--results', {name!r}).fd, b'more\\n')"
    )
    path = tmp_path / "out"
    path.write_bytes(b"before\n")
    with open(path, "ab") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert path.read_bytes() == b"before\nmore\n"


# ---------------------------------------------------------------- a look beforehand


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "No such file or directory"),
        (".", "Is a directory"),
        ("no/such/file", "No such file or directory"),
        ("file/below", "Not a directory"),
    ],
)
def test_what_cannot_be_written_is_known_before(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        check(OPTION, name)
    assert str(caught.value) == f"--results: can't write {name!r}: {why}"
    for opens in (to_append, to_replace):
        with pytest.raises(UsageError, match=re.escape(str(caught.value))):
            opens(OPTION, name)


def test_to_look_changes_nothing(tmp_path: Path) -> None:
    path, fifo = tmp_path / "results", tmp_path / "fifo"
    path.write_bytes(b"last night\n")
    os.mkfifo(fifo)
    before = path.stat()
    for one in (path, fifo, tmp_path / "none"):
        check(OPTION, str(one))
    assert path.stat() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fifo", "results"]
