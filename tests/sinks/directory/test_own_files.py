"""Our own files: what was planted under their names is refused, and neither used nor changed."""

import os
import stat
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError
from scraper.sinks.directory.own_files import check_own, open_own, replace_own
from tests.planted import WHAT, plant, untouched

NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT
FLAGS = {
    "append": NEW,
    "read and write": os.O_RDWR | os.O_CREAT,
    "truncate": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "read": os.O_RDONLY,
}


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("what", WHAT)
def test_what_was_planted_is_refused_and_left_alone(what: str, flags: int, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "out/.scraper/file", tmp_path / "elsewhere"
    plant(what, path, elsewhere)
    if what == "hard link" and flags == os.O_RDONLY:
        os.close(open_own(path, flags))  # a backup's; nothing is written
    else:
        with pytest.raises(DestinationError) as caught:
            open_own(path, flags)
        assert "\n" not in str(caught.value)
        assert repr(str(path)) in str(caught.value)
        with pytest.raises(DestinationError):
            check_own(path)
    assert untouched(elsewhere)
    assert os.path.lexists(path)


@pytest.mark.parametrize("what", ["link", "dangling link", "FIFO", "hard link"])
def test_a_directory_of_ours_is_no_link_either(what: str, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "out/.scraper", tmp_path / "elsewhere"
    plant(what, path, elsewhere)
    with pytest.raises(DestinationError):
        open_own(path / "file", NEW)
    with pytest.raises(DestinationError):
        check_own(path / "file")
    assert untouched(elsewhere)


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".scraper").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DestinationError, match="is a link"):
        open_own(tmp_path / ".scraper/file", NEW)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_planted_between_the_look_and_the_open_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, elsewhere = tmp_path / ".scraper/file", tmp_path / "elsewhere"
    for what in WHAT:
        if what == "device" and os.geteuid() != 0:
            continue
        plant(what, path, elsewhere)
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", _nothing_there)
            with pytest.raises(DestinationError):
                open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        assert untouched(elsewhere), what
        if what == "directory":
            path.rmdir()


def _nothing_there(*_: object, **__: object) -> os.stat_result:
    raise FileNotFoundError


def test_a_file_of_ours_is_made_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / ".scraper/file"
    check_own(path)
    for _ in range(2):
        fd = open_own(path, NEW)
        os.write(fd, b"line\n")
        assert os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        os.close(fd)
    check_own(path)
    assert path.read_bytes() == b"line\nline\n"
    fd = open_own(path, os.O_WRONLY | os.O_TRUNC)
    os.close(fd)
    assert path.read_bytes() == b""


def test_a_destination_may_be_reached_by_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    os.close(open_own(tmp_path / "out/.scraper/file", NEW))
    assert (tmp_path / "real/.scraper/file").exists()


@pytest.mark.parametrize("what", [*WHAT, "nothing", "a file"])
def test_a_replacement_has_the_permissions_of_what_it_replaces(what: str, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / ".scraper/file", tmp_path / "elsewhere"
    beside = path.with_name("file.new")
    if what in WHAT:
        plant(what, beside, elsewhere)
    path.parent.mkdir(exist_ok=True)
    elsewhere.write_bytes(b"not ours\n")
    if what == "a file":
        beside.write_bytes(b"left by a run that was killed, and longer than what comes")
    path.write_bytes(b"old")
    path.chmod(0o640)
    owner = (1234, 2345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    if what == "directory":
        with pytest.raises(OSError, match=r".*"), replace_own(path, "file.new"):
            raise AssertionError("not reached")
        assert path.read_bytes() == b"old"
        return
    with replace_own(path, "file.new") as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    found = path.stat()
    assert path.read_bytes() == b"new"
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, *owner)
    assert untouched(elsewhere)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_replacement_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / ".scraper/file"
    path.parent.mkdir()
    path.write_bytes(b"old")

    def fail() -> None:
        with replace_own(path, "file.new") as file:
            file.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"old"
    assert [one.name for one in path.parent.iterdir()] == ["file"]
