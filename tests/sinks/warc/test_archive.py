"""What an archive writes is what its readers read: gzip, warcio, FastWARC, cdxj-indexer."""

import gzip
import itertools
import os
import random
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from scraper.model.errors import Damaged, DestinationError, SinkError
from scraper.sinks.base import SinkOptions, find_sink
from scraper.sinks.warc.sink import WarcSink
from tests.sinks.warc.exchanges import PLAIN, archive, begun, finished, store
from tests.warcs import payload, records, records_of, said_by_others

PAGE = b"<html>a page</html>" * 50
LARGE = random.Random(19).randbytes(700_000)
CODED = (b"HTTP/1.1 200 OK\r\n", b"Content-Encoding: gzip\r\n")
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GOOD = {"gzip": True, "warcio": True, "fastwarc": True, "cdxj": True}


@pytest.mark.parametrize("body", [b"", PAGE, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("coded", [False, True], ids=["plain", "gzip"])
def test_every_form_of_a_body_is_read_by_all(
    body: bytes, chunked: bool, coded: bool, tmp_path: Path
) -> None:
    lines = (CODED if coded else PLAIN) + ((CHUNKED,) if chunked else ())
    wire = gzip.compress(body, mtime=0) if coded else body
    with archive(tmp_path) as sink:
        store(sink, "page", body, lines=lines, wire=wire)
        assert b"".join(sink.read("page")) == body
    (path,) = finished(tmp_path)
    assert said_by_others(path) == GOOD
    info, request, response = records(tmp_path)
    assert [info.kind, request.kind, response.kind] == ["warcinfo", "request", "response"]
    assert response.body == body
    assert response.http.get_header("Transfer-Encoding") is None
    assert response.http.get_header("Content-Length") == str(len(wire))
    assert request.head["WARC-Concurrent-To"] == response.head["WARC-Record-ID"]
    with open(path, "rb") as stream:
        (read,) = (
            one.reader.read()
            for one in ArchiveIterator(
                stream, record_types=WarcRecordType.response, parse_http=True, auto_decode="all"
            )
        )
    assert read == body


@pytest.mark.parametrize(
    ("line", "status", "protocol"),
    [
        (b"HTTP/1.0 200 OK\r\n", "HTTP/1.0 200 OK", "http/1.0"),
        (b"HTTP/2 200\r\n", "HTTP/1.1 200 ", "h2"),
        (b"HTTP/2 404 \r\n", "HTTP/1.1 404 ", "h2"),
        (b"HTTP/1.1 200\n", "HTTP/1.1 200 ", "http/1.1"),
    ],
)
def test_players_get_a_status_line_that_they_take(
    line: bytes, status: str, protocol: str, tmp_path: Path
) -> None:
    with archive(tmp_path) as sink:
        store(sink, "page", PAGE, lines=(line, b"X-Odd:v  \n", b"X-Odd: w\n"))
    *_, response = records(tmp_path)
    assert response.block.startswith(f"{status}\r\nX-Odd:v  \r\nX-Odd: w\r\n".encode())
    assert ("WARC-Protocol", protocol) in response.fields
    assert response.head["WARC-IP-Address"] == "::1"
    assert said_by_others(finished(tmp_path)[0]) == GOOD


def test_equal_payloads_are_stored_once_also_by_a_later_run(tmp_path: Path) -> None:
    for run in ("first", "second"):
        with archive(tmp_path) as sink:
            for number in range(3):
                store(sink, f"{run}{number}", PAGE)
                assert b"".join(sink.read(f"{run}{number}")) == PAGE
            store(sink, f"{run}-empty", b"")
    every = records(tmp_path)
    kinds = [one.kind for one in every if one.url.endswith(("0", "1", "2")) and one.indexed]
    assert kinds == ["response"] + 5 * ["revisit"]
    assert all(payload(one, every) == PAGE for one in every if one.kind == "revisit")
    assert all(said_by_others(path) == GOOD for path in finished(tmp_path))
    assert sum(one.kind == "response" and one.body == b"" for one in every) == 2  # nothing is saved


@pytest.mark.parametrize("body", [PAGE, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("harm", ["cut", "bit"])
def test_no_record_refers_to_one_that_is_damaged(harm: str, body: bytes, tmp_path: Path) -> None:
    """Seen by a stranger: bodies were fetched again, and written as references to what was lost."""
    with archive(tmp_path) as sink:
        place = store(sink, "page", body)
    (path,) = finished(tmp_path)
    with path.open("r+b") as file:
        if harm == "cut":
            file.truncate(place.offset + place.length // 2)
        else:
            file.seek(place.offset + place.length // 2)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
    with archive(tmp_path) as sink:
        with pytest.raises(Damaged, match="no whole record"):
            list(sink.read("page"))
        for key in ("page", "another"):
            store(sink, key, body)
            assert b"".join(sink.read(key)) == body
    kinds = [one.kind for one in records_of(finished(tmp_path)[-1]) if one.indexed]
    assert kinds == ["response", "revisit"]


def test_what_came_whole_is_not_told_as_cut_off(tmp_path: Path) -> None:
    """A body that is not what its coding says. Nobody disconnected."""
    with archive(tmp_path) as sink:
        recording = begun(sink, "page", (*CODED, b"Content-Length: %d\r\n" % len(PAGE)))
        recording.body(PAGE)
        recording.broken("disconnect")
        recording.seal()
    assert "WARC-Truncated" not in records(tmp_path)[-1].head


def test_files_are_rolled_at_their_size_and_no_name_is_used_twice(tmp_path: Path) -> None:
    bodies = [random.Random(number).randbytes(3_000) for number in range(12)]
    for run in (0, 6):
        with archive(tmp_path, warc_size=10_000) as sink:
            places = [store(sink, f"{n}", bodies[n]) for n in range(run, run + 6)]
            assert len({place.file for place in places}) == 2
    paths = finished(tmp_path)
    assert len(paths) == 4
    assert sorted(one.with_suffix("").with_suffix(".cdxj").name for one in paths) == sorted(
        path.name for path in tmp_path.glob("*.cdxj")
    )
    assert all(said_by_others(path) == GOOD for path in paths)
    assert sorted(one.url for one in records(tmp_path) if one.kind == "response") == sorted(
        f"http://example.com/{number}" for number in range(12)
    )
    assert not list(tmp_path.glob("*.open"))
    assert not list(tmp_path.glob(".scraper/warc/*.journal"))


def test_a_run_that_stores_nothing_leaves_no_file(tmp_path: Path) -> None:
    with archive(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".scraper"]


def test_a_disk_that_is_full_takes_nothing_of_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.pwrite, itertools.count()

    def short(fd: int, data: bytes, at: int) -> int:
        if next(room) == 0:
            return real(fd, memoryview(data)[:100], at)
        raise OSError(28, "No space left on device")

    with archive(tmp_path) as sink:
        before = store(sink, "whole", PAGE)
        with monkeypatch.context() as full:
            full.setattr(os, "pwrite", short)
            with pytest.raises(DestinationError, match="No space left"):
                store(sink, "torn", b"x" * 5_000)
        after = store(sink, "later", b"y" * 5_000)
        assert after.start == before.offset + before.length
        assert sink.object_stat("torn") is None
    assert said_by_others(finished(tmp_path)[0]) == GOOD


def test_nothing_is_deleted_from_an_archive(tmp_path: Path) -> None:
    with archive(tmp_path) as sink:
        store(sink, "a/page", PAGE)
        store(sink, "b", b"b")
        assert list(sink.keys("a/")) == ["a/page"]
        with pytest.raises(SinkError, match="nothing is deleted"):
            sink.remove("a/page")
        with pytest.raises(SinkError, match="takes exchanges"):
            sink.open("c")


def test_an_archive_file_that_is_gone_takes_its_objects_along(tmp_path: Path) -> None:
    with archive(tmp_path) as sink:
        store(sink, "a", PAGE)
    finished(tmp_path)[0].unlink()
    with archive(tmp_path) as sink:
        assert sink.object_stat("a") is None
        with pytest.raises(SinkError, match="No such file"):
            b"".join(sink.read("a"))


@pytest.mark.parametrize("name", ["c#a", "c?a", "c%23a", "c?mode=memory", "a b", "caf\udce9"])
def test_an_index_lies_in_its_archive_whatever_that_is_called(name: str, tmp_path: Path) -> None:
    """Seen: `#` ended the path, and the index went into a file beside the archive."""
    (tmp_path / "c").write_bytes(b"somebody's")
    root = tmp_path / name
    with archive(root) as sink:
        store(sink, "a", PAGE)
    with archive(root) as sink:
        assert list(sink.keys()) == ["a"]
    reader = find_sink(f"warc:{root}", SinkOptions())
    assert isinstance(reader, WarcSink)
    assert list(reader.keys()) == ["a"]
    reader.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["c", name])
    assert (tmp_path / "c").read_bytes() == b"somebody's"
    assert (root / ".scraper/warc/index.db").read_bytes().startswith(b"SQLite")


def test_all_keys_are_listed_while_there_is_a_journal(tmp_path: Path) -> None:
    """Seen: of a page of the index and one of the journals, the next began behind the greater."""
    expected = []
    for ends, keys in (
        (True, [f"k{number:05}" for number in range(2_500)]),
        (False, [*(f"z{number:02}" for number in range(30)), "a", "k00007"]),
    ):
        expected += keys
        with archive(tmp_path, ends=ends) as sink:
            for key in keys:
                store(sink, key, b"")
            assert list(sink.keys()) == sorted(set(expected))
    reader = find_sink(f"warc:{tmp_path}", SinkOptions())
    assert isinstance(reader, WarcSink)
    assert list(reader.keys()) == sorted(set(expected))
    assert list(reader.keys("k02")) == [key for key in expected if key.startswith("k02")]
    reader.close()


@pytest.mark.parametrize("kind", ["request", "revisit", "response"])
def test_an_object_with_a_damaged_record_is_damaged_whichever_it_is(
    kind: str, tmp_path: Path
) -> None:
    with archive(tmp_path) as sink:
        for key, end in (("first", b"1"), ("second", b"2"), ("third", b"1")):
            store(sink, key, b"one page" * 300 + end)
    (path,) = finished(tmp_path)
    *_, harmed = [one for one in records(tmp_path) if one.kind == kind]
    data = bytearray(path.read_bytes())
    data[harmed.offset + len(harmed.member) - 8] ^= 1  # its CRC
    path.write_bytes(data)
    key = harmed.url.rpartition("/")[2]
    reader = find_sink(f"warc:{tmp_path}", SinkOptions())
    assert isinstance(reader, WarcSink)
    where = f"{harmed.file} at byte {harmed.offset:,}"
    with pytest.raises(Damaged, match=f"^{where} is no whole record"):
        b"".join(reader.read(key))
    assert b"".join(reader.read("first")).startswith(b"one page")
    reader.close()
