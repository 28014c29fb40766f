"""The conformance suite finds the sinks that break a promise."""

import os
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError
from scraper.model.records import Stored
from scraper.sinks.base import Body, Upload
from scraper.sinks.directory.open_directories import OpenDirectory
from scraper.sinks.directory.sink import DirectorySink, FileUpload
from scraper.sinks.put_request import PutRequest, Route
from scraper.testing import check_sink


class InPlace:
    """An upload that writes under the final name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def write(self, chunk: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(chunk)

    def commit(self, body: Body) -> Stored:
        return body.stored()

    def abort(self) -> None:
        pass


class WritesInPlace(DirectorySink):
    def open(self, key: str) -> Upload:  # type: ignore[override]
        return InPlace(self.root / key)


class LeavesAborted(DirectorySink):
    def open(self, key: str) -> FileUpload:
        assert self._directories is not None
        return LeftUpload(self, self._directories.at(""), f"left-{next(self._names)}", key)


class LeftUpload(FileUpload):
    def abort(self) -> None:
        self._close()


class FlatKeys(DirectorySink):
    def place(self, temporary: OpenDirectory, name: str, key: str) -> None:
        super().place(temporary, name, key.replace("/", "_"))


class KeepsTheFirst(DirectorySink):
    def place(self, temporary: OpenDirectory, name: str, key: str) -> None:
        if not (self.root / key).exists():
            super().place(temporary, name, key)


class NeverCloses(DirectorySink):
    def close(self) -> None:
        assert self._files is not None
        lock = self._files._lock
        assert lock is not None
        os.close(lock)


class Durable(DirectorySink):
    def __init__(self, root: Path) -> None:
        super().__init__(root, durable=True)


class SyncsOnce(DirectorySink):
    synced = False

    def sync(self) -> None:
        if self.synced:
            raise DestinationError("not again")
        self.synced = True


class PutsElsewhere(DirectorySink):
    def open(self, key: str) -> FileUpload:
        upload = super().open(key)
        request = PutRequest("http://127.0.0.1:1/", {}, b"", Route(), 10.0, lambda _end: None)
        upload.put_request = lambda _body: request  # type: ignore[attr-defined]
        return upload


def run_suite(sink: type[DirectorySink], root: Path) -> None:
    def read(key: str) -> bytes | None:
        path = root / key
        return path.read_bytes() if path.exists() else None

    def names() -> list[str]:
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]

    check_sink(lambda: sink(root), read, names)


@pytest.mark.parametrize("sink", [DirectorySink, Durable])
def test_a_good_sink_passes(sink: type[DirectorySink], tmp_path: Path) -> None:
    run_suite(sink, tmp_path)


@pytest.mark.parametrize(
    ("sink", "sentence"),
    [
        (WritesInPlace, "nothing is seen before the commit: after open, 'unseen/page' holds"),
        (LeavesAborted, "abort leaves nothing: aborts left"),
        (FlatKeys, "what is stored is what is read: after the commit, 'round-trip/empty' holds"),
        (KeepsTheFirst, "the last commit wins: after it was replaced, 'replaced/page' holds"),
        (SyncsOnce, "sync, if there is one, may be called at any time: while other threads store"),
        (
            PutsElsewhere,
            "a put request, if there is one, stores the object: after its put request, 'put-req",
        ),
        (NeverCloses, "close gives up open uploads and leaves nothing: a closed sink left"),
    ],
)
def test_a_broken_promise_is_told_in_a_sentence(
    sink: type[DirectorySink], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError) as caught:
        run_suite(sink, tmp_path)
    assert str(caught.value).startswith(sentence)


def test_a_sink_that_can_not_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DestinationError):
        run_suite(DirectorySink, tmp_path / "file")
