"""Whatever a killed run leaves, the next one appends behind the last whole unit."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError
from scraper.sinks.warc import journal
from tests.sinks.warc.exchanges import archive, finished, store
from tests.warcs import members, records, said_by_others

PAGES = [random.Random(number).randbytes(300) for number in range(4)]
GOOD = {"gzip": True, "warcio": True, "fastwarc": True, "cdxj": True}


def killed(root: Path) -> Path:
    """The open file of a run that stored three pages and was killed."""
    with archive(root, ends=False) as sink:
        for number in range(3):
            store(sink, f"{number}", PAGES[number])
    (path,) = root.glob("*.warc.gz.open")
    return path


def urls(root: Path) -> list[str]:
    """Of the responses, in the order of the file."""
    return [one.url.rpartition("/")[2] for one in records(root) if one.kind == "response"]


@pytest.mark.parametrize("reboot", [False, True])
def test_a_file_cut_at_any_byte_of_its_last_unit_ends_with_the_unit_before(
    reboot: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = killed(tmp_path)
    (own,) = tmp_path.glob(".scraper/warc/*.journal")
    whole, lines = path.read_bytes(), own.read_bytes()
    starts = [at for at, _ in members(whole)]
    last = starts[-2]  # of the last request
    if reboot:
        monkeypatch.setattr(journal, "boot", lambda: "another")
    for size in range(last, len(whole), 7):
        path.write_bytes(whole[:size])
        own.write_bytes(lines)
        with archive(tmp_path, ends=False) as sink:
            told = [one.archived.start for one in sink.unrecorded()]
            assert os.path.getsize(path) == last
            assert len(told) == 2
            assert (sink.object_stat("1") is None, sink.object_stat("2") is None) == (False, True)
    with archive(tmp_path) as sink:
        assert store(sink, "3", PAGES[3]).start == last
    assert urls(tmp_path) == ["0", "1", "3"]
    assert said_by_others(finished(tmp_path)[0]) == GOOD


def zeros(_: bytes) -> bytes:
    return bytes(3_000)


def noise(_: bytes) -> bytes:
    return random.Random(0).randbytes(3_000)


def half(whole: bytes) -> bytes:
    *_, (_, member) = members(whole)
    return member[: len(member) // 2]


def a_request(whole: bytes) -> bytes:
    *_, (_, request), _ = members(whole)
    return request


def a_unit(whole: bytes) -> bytes:
    *_, (_, request), (_, response) = members(whole)
    return request + response


@pytest.mark.parametrize("tail", [zeros, noise, half, a_request, a_unit])
@pytest.mark.parametrize("reboot", [False, True])
def test_what_no_line_of_the_journal_tells_is_cut_off(
    tail: Callable[[bytes], bytes], reboot: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = killed(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + tail(whole))
    if reboot:
        monkeypatch.setattr(journal, "boot", lambda: "another")
    with archive(tmp_path) as sink:
        assert len(list(sink.unrecorded())) == 3
        store(sink, "3", PAGES[3])
        assert [b"".join(sink.read(f"{number}")) for number in range(4)] == PAGES
    assert urls(tmp_path) == ["0", "1", "2", "3"]
    assert said_by_others(finished(tmp_path)[0]) == GOOD


def test_a_file_whose_journal_is_lost_keeps_its_whole_units(tmp_path: Path) -> None:
    path = killed(tmp_path)
    with open(path, "ab") as file:
        file.write(a_request(path.read_bytes()))
    for own in tmp_path.glob(".scraper/warc/*"):
        own.unlink()
    with archive(tmp_path) as sink:
        assert list(sink.unrecorded()) == []
    assert urls(tmp_path) == ["0", "1", "2"]
    assert not list(tmp_path.glob("*.open"))
    assert said_by_others(finished(tmp_path)[0]) == GOOD  # it has an index


def test_a_run_killed_while_a_file_got_its_name_is_made_good(tmp_path: Path) -> None:
    path = killed(tmp_path)
    final = path.with_name(path.name.removesuffix(".open"))
    os.link(path, final)
    with archive(tmp_path, ends=False) as sink:
        assert len(list(sink.unrecorded())) == 3
    assert not path.exists()
    assert said_by_others(final) == GOOD  # its index was missing, too


def test_two_files_of_one_name_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    path = killed(tmp_path)
    final = path.with_name(path.name.removesuffix(".open"))
    final.write_bytes(b"mine")
    with pytest.raises(DestinationError, match="move one of them away"), archive(tmp_path):
        pass
    assert final.read_bytes() == b"mine"


def test_a_file_without_a_whole_record_is_removed(tmp_path: Path) -> None:
    path = killed(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with archive(tmp_path) as sink:
        assert list(sink.unrecorded()) == []
        assert sink.object_stat("0") is None
    assert not list(tmp_path.glob("*.warc.gz*"))


def test_an_index_that_lacks_its_last_lines_is_written_anew(tmp_path: Path) -> None:
    with archive(tmp_path, ends=False) as sink:
        for number in range(3):
            store(sink, f"{number}", PAGES[number])
        sink.close()  # finished, and not recorded
    (index,) = tmp_path.glob("*.cdxj")
    index.write_bytes(index.read_bytes().splitlines(keepends=True)[0])
    with archive(tmp_path):
        pass
    assert said_by_others(finished(tmp_path)[0]) == GOOD
