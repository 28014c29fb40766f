"""Pruning in groups: recorded before it is deleted, stopped between groups, finished later."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from scraper.manifest import prune as prune_module
from scraper.manifest.codec import ANY
from scraper.manifest.file_store import FileManifestStore
from scraper.manifest.key_set import KeySet
from scraper.manifest.prune import Extent, Fate, Unlisted, prune
from scraper.manifest.record import encode, to_record
from scraper.model.errors import Held
from scraper.model.records import Response, Result, Stored, Target
from scraper.sinks.archives.sink import ArchiveSink
from scraper.sinks.base import put_object
from scraper.sinks.directory.sink import DirectorySink
from tests.sinks.archives.opened import sink_of

NAMES = [f"{number}" for number in range(5)]


class Scene:
    """A directory with an object and a record for each of NAMES. No list names any of them.

    With `archive`, a sink of one, that is where the objects are.
    """

    def __init__(self, root: Path, archive: ArchiveSink | None = None) -> None:
        self.sink = DirectorySink(root) if archive is None else archive
        self.sink.check()
        self.place = root
        self.listed = KeySet(ANY)  # nothing
        self.store = FileManifestStore(root / ".scraper/manifest.jsonl", own=True)
        for name in NAMES:
            put_object(self.sink, name, name.encode(), "text/plain")
            record = to_record(_stored(name))
            self.store.append(record)
        self.store.settle()

    def lines(self) -> Iterator[bytes]:
        with open(self.store.place, "rb") as file:
            yield from file

    def unlisted(self) -> Unlisted:
        return Unlisted(self.lines, ANY, self.sink, self.listed)

    def prune(self, may_go_on: Callable[[], bool] = lambda: True) -> list[str]:
        """The keys of what is deleted."""
        with self.unlisted() as unlisted:
            found = prune(unlisted, self.sink, self.store, may_go_on)
            return [one.record["key"] for one in found if one.fate is Fate.DELETED]

    def left(self) -> list[str]:
        """What a next pruning would look at."""
        with self.unlisted() as unlisted:
            return [record["key"] for record in unlisted]

    def there(self) -> list[str]:
        return sorted(key for key in self.sink.keys("") if not key.startswith(".scraper/"))


def _stored(name: str) -> Result:
    url = f"http://host/{name}"
    digest = sha256(name.encode()).hexdigest()
    return Result(
        Target(url, url, "host", name, 1, "urls"), Stored(Response(200, url), 1, digest), 1
    )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    yield from scene_in(tmp_path)


def scene_in(root: Path, archive: ArchiveSink | None = None) -> Iterator[Scene]:
    made = Scene(root, archive)
    yield made
    made.store.close()
    made.store.release()
    made.listed.close()
    made.sink.close()


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_module, "_GROUP", 2)


def test_all_groups_are_deleted_in_order(scene: Scene) -> None:
    with scene.unlisted() as unlisted:
        assert unlisted.extent() == Extent(5, 5, named=False)
    assert scene.prune() == NAMES
    assert scene.there() == scene.left() == []


def test_a_stop_lets_the_rest_be_as_it_was(scene: Scene) -> None:
    assert scene.prune(lambda: len(scene.there()) == 5) == ["0", "1"]
    assert scene.there() == scene.left() == ["2", "3", "4"]
    assert sum(b'"pruned"' in line for line in scene.lines()) == 2
    assert scene.prune() == ["2", "3", "4"]


def test_nothing_is_deleted_once_the_lock_is_lost_and_the_next_one_finishes(scene: Scene) -> None:
    def may_go_on() -> bool:
        if any(b'"pruned"' in line for line in scene.lines()):
            raise Held("another run has it")
        return True

    with pytest.raises(Held):
        scene.prune(may_go_on)
    assert scene.there() == sorted(scene.left()) == NAMES
    (scene.place / "1").write_bytes(b"!")  # another object under a pruned key is not ours
    assert sorted(scene.left()) == ["0", "2", "3", "4"]
    assert sorted(scene.prune()) == ["0", "2", "3", "4"]
    assert scene.there() == ["1"]
    assert scene.left() == []
    records = [line for line in scene.lines() if b'"pruned"' in line]
    assert len(records) == 5, "none is recorded twice"


@pytest.fixture(params=["out.tar", "out.tar.gz", "out.zip"])
def in_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    yield from scene_in(tmp_path, sink_of(tmp_path / request.param))


def test_an_archive_loses_all_or_nothing(in_archive: Scene) -> None:
    def may_go_on() -> bool:
        if new := sorted(in_archive.place.rglob("tmp/run-*/archive")):
            seen.extend(new)
            return False
        return True

    seen: list[Path] = []
    assert in_archive.prune(may_go_on) == []
    assert seen, "the new archive was there when it was told to end"
    assert in_archive.there() == in_archive.left() == NAMES
    assert not any(b'"pruned"' in line for line in in_archive.lines())
    assert in_archive.prune() == NAMES
    assert in_archive.there() == in_archive.left() == []
    assert sum(b'"pruned"' in line for line in in_archive.lines()) == 5


def test_an_archive_loses_nothing_once_the_lock_is_lost(in_archive: Scene) -> None:
    def may_go_on() -> bool:
        if any(b'"pruned"' in line for line in in_archive.lines()):
            raise Held("another run has it")
        return True

    with pytest.raises(Held):
        in_archive.prune(may_go_on)
    in_archive.sink.close()
    (path,) = [one for one in in_archive.place.glob("out.*") if one.is_file()]
    in_archive.sink = sink_of(path)
    assert in_archive.there() == sorted(in_archive.left()) == NAMES
    assert in_archive.prune() == NAMES


def test_a_distant_sink_is_listed_once_for_what_earlier_ones_left(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.prune()
    put_object(scene.sink, "3", b"3", "text/plain")
    put_object(scene.sink, "other", b"3", "text/plain")
    asked: list[str] = []
    seen = DirectorySink.object_stat

    def object_stat(sink: DirectorySink, key: str) -> object:
        asked.append(key)
        return seen(sink, key)

    monkeypatch.setattr(DirectorySink, "near", False)
    monkeypatch.setattr(DirectorySink, "object_stat", object_stat)
    assert scene.left() == ["3"]
    assert set(asked) == {"3"}
    assert scene.prune() == ["3"]


def test_an_object_that_was_stored_again_is_no_left_over(scene: Scene) -> None:
    scene.prune()
    put_object(scene.sink, "3", b"3", "text/plain")
    scene.store(_stored("3"))
    scene.store.settle()
    assert scene.left() == ["3"], "once"
    assert encode(_stored("3")) in list(scene.lines())
