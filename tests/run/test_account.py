"""The account: recorded first, told afterwards, in order; what --fail-fast makes of it."""

import time
from pathlib import Path
from typing import Any

import pytest

from scraper.manifest import StoreTimeouts, open_store
from scraper.model.errors import DestinationError, Kind, SinkError
from scraper.model.records import Failed, Failure, Result, Skipped, Target
from scraper.model.settings import Settings
from scraper.run.account import Account
from scraper.run.stopping import Stop
from scraper.sinks.base import Body, Sink
from scraper.sinks.directory.sink import DirectorySink
from tests.e2e.watch import until


def result(number: int, outcome: Any = None) -> Result:
    name = str(number)
    target = Target(f"http://a/{name}", f"http://a/{name}", "a", name, number, "list")
    return Result(target, outcome or Failed(Failure(Kind.CONNECT, "refused")))


class Scene:
    """An account over a directory, or over segments in one, and what was told."""

    def __init__(self, to: Path, *, segments: bool = False, **options: Any) -> None:
        self.told: list[int] = []
        self.stop = Stop(lambda: None, lambda *_: None)
        settings = Settings.of(to=to, **options)
        self.account = Account(settings, [self._hear], self.stop, time.monotonic())
        self.sink: Sink = DirectorySink(to)
        self.sink.check()
        destination = "other://there" if segments else str(to)
        self.account.store = open_store(None, destination, self.sink, StoreTimeouts(120.0))

    def _hear(self, *results: Result) -> None:
        self.told += [one.target.line for one in results]

    def settle(self, *, idle: bool = False) -> list[int]:
        return [one.target.line for one in self.account.settle(idle=idle)]


def test_a_file_has_a_result_before_it_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.account.record(result(1))
    scene.account.record(result(2))
    assert scene.told == []
    assert scene.settle() == [1, 2] == scene.told
    assert (tmp_path / ".scraper/manifest.jsonl").read_bytes().count(b"\n") == 2
    assert scene.settle() == []


def test_segments_have_a_result_before_it_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, segments=True)
    scene.account.record(result(1))
    assert scene.settle() == []  # its segment is not due yet
    assert scene.account.has_untold
    scene.settle(idle=True)
    until(lambda: scene.settle() == [1] or scene.told == [1])
    (segment,) = (tmp_path / ".scraper").glob("manifest-*")
    assert segment.read_bytes().count(b"\n") == 1
    scene.account.record(result(2))
    assert [one.target.line for one in scene.account.finish()] == [2]


def test_skipped_ones_are_told_at_once_and_never_recorded(tmp_path: Path) -> None:
    scene = Scene(tmp_path, segments=True)
    scene.account.record(result(1))
    scene.account.skip([result(2, Skipped("done"))])
    assert scene.settle() == [2]
    assert scene.account.tally.statuses == {"failed": 1, "skipped": 1}


def test_what_can_not_be_recorded_is_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, segments=True)

    def refuse(_: Body) -> None:
        raise SinkError("403 AccessDenied", transient=False)

    upload = type(scene.sink.open("probe"))
    monkeypatch.setattr(upload, "commit", lambda _, body: refuse(body))
    scene.account.record(result(1))
    scene.settle(idle=True)
    until(lambda: bool(scene.settle()) or scene.stop.reason is not None)
    assert scene.told == []
    assert isinstance(scene.stop.error, DestinationError)
    assert [one.target.line for one in scene.account.finish()] == [1]


def test_fail_fast_stops_over_the_budget(tmp_path: Path) -> None:
    scene = Scene(tmp_path, fail_fast=True, max_failures=1)
    scene.account.record(result(1))
    assert scene.stop.reason is None
    scene.account.record(result(2))
    assert scene.stop.reason == "--fail-fast: more failures than --max-failures"
