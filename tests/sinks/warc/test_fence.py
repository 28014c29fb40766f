"""Once another run may have an archive nothing of it is changed; one process at a time has it."""

import os
from itertools import count
from pathlib import Path

import pytest

from scraper.model.errors import Fenced, Held
from scraper.sinks.base import SinkOptions, find_sink
from scraper.sinks.warc.sink import WarcSink
from tests.sinks.warc.exchanges import archive, finished, store
from tests.warcs import records, said_by_others


def state(root: Path) -> dict[str, bytes]:
    """Every file of the archive but the index, and the temporary files of this process."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and "index.db" not in path.name
        and "tmp" not in path.parts[len(root.parts) :]
    }


def test_two_processes_never_have_one_archive_open_for_writing(tmp_path: Path) -> None:
    with archive(tmp_path) as first:
        store(first, "a", b"a" * 300)
        second = find_sink(f"warc:{tmp_path}", SinkOptions())
        assert isinstance(second, WarcSink)
        second.check()
        with pytest.raises(Held):
            second.recover()
        second.close()
        store(first, "b", b"b" * 300)  # its own hold is not given away
        with pytest.raises(Held):
            second.recover()
        second.close()
    with archive(tmp_path) as second:
        store(second, "c", b"c" * 300)
    assert all(all(said_by_others(path).values()) for path in finished(tmp_path))


def test_behind_the_fence_an_archive_stays_as_it_is(tmp_path: Path) -> None:
    holds = [True]
    with archive(tmp_path, ends=False) as sink:
        sink._fence = lambda: holds[0]
        sink.close()
        sink.check()
        sink.recover()
        store(sink, "a", b"a" * 300)
        before = state(tmp_path)
        assert any(name.endswith(".open") for name in before)
        holds[0] = False
        with pytest.raises(Fenced):
            store(sink, "b", b"b" * 300)
        assert state(tmp_path) == before
        with pytest.raises(Held):
            sink.all_recorded()
        assert state(tmp_path) == before
        sink.close()
        assert state(tmp_path) == before
    with archive(tmp_path) as sink:  # the run that has it now
        assert [one.about["key"] for one in sink.unrecorded()] == ["a"]
    assert said_by_others(finished(tmp_path)[0])["cdxj"]


@pytest.mark.parametrize("pieces", [2, 4, 7])
def test_a_large_body_stops_at_the_fence_and_is_cut_off_by_the_next_run(
    pieces: int, tmp_path: Path
) -> None:
    with archive(tmp_path, ends=False) as sink:
        sink.close()
        sink.check()
        asked = count()
        late = [False]
        sink._fence = lambda: not late[0] or next(asked) < pieces
        sink.recover()
        store(sink, "small", b"s" * 300)
        late[0] = True
        with pytest.raises(Fenced):
            store(sink, "large", os.urandom(10 << 20))
        sizes = {name: len(data) for name, data in state(tmp_path).items()}
        sink.close()
        assert {name: len(data) for name, data in state(tmp_path).items()} == sizes
    with archive(tmp_path) as sink:
        store(sink, "next", b"n" * 300)
    there = [one.url.rpartition("/")[2] for one in records(tmp_path) if one.kind == "response"]
    assert sorted(there) == ["next", "small"]
    assert all(all(said_by_others(path).values()) for path in finished(tmp_path))
