"""Small files of ours, in a directory and in a bucket."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scraper.model.errors import DestinationError
from scraper.sinks.base import Sink, folders_of
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.own_store import OwnStore
from scraper.sinks.s3.sink import open_sink

if TYPE_CHECKING:
    from tests.s3servers import S3Server

pytestmark = pytest.mark.usefixtures("aws")

PLANS = ".scraper/plans/"


@pytest.fixture(params=["directory", "boto3", "auto"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnStore]:
    sink: Sink
    if request.param == "directory":
        name, sink = str(tmp_path), DirectorySink(tmp_path)
    else:
        server: S3Server = request.getfixturevalue("moto_server")
        name = f"s3://{server.make_bucket()}/p"
        sink = open_sink(name, server.options(client=request.param))
    with closing(sink):
        sink.check()
        yield OwnStore(sink, name)


def test_a_file_is_made_replaced_and_removed(own: OwnStore) -> None:
    key = f"{PLANS}0001-of-2/shard-0/plan.json"
    assert own.read(key) is None
    assert not own.has(key)
    own.remove(key)
    assert own.create(key, b"one")
    assert (own.read(key), own.has(key)) == (b"one", True)
    own.replace(key, b"two")
    assert own.read(key) == b"two"
    own.remove(key)
    assert own.read(key) is None


def test_names_and_folders_below_a_prefix(own: OwnStore) -> None:
    assert [*own.names(PLANS)] == own.folders(PLANS) == []
    for name in ("0001-of-2/shard-0/a", "0001-of-2/shard-1/b", "0002-of-3/shard-0/a b+ü"):
        own.create(PLANS + name, b"x")
    assert sorted(own.folders(PLANS)) == ["0001-of-2", "0002-of-3"]
    assert sorted(own.folders(f"{PLANS}0001-of-2/")) == ["shard-0", "shard-1"]
    assert sorted(own.names(f"{PLANS}0001-of-2/")) == ["shard-0/a", "shard-1/b"]
    assert [*own.names(f"{PLANS}0002-of-3/shard-0/")] == ["a b+ü"]


def test_a_link_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/0001-of-2").mkdir(parents=True)
    (tmp_path / "out/.scraper").mkdir(parents=True)
    (tmp_path / "out/.scraper/plans").symlink_to(tmp_path / "elsewhere")
    with closing(DirectorySink(tmp_path / "out")) as sink:
        own = OwnStore(sink, str(tmp_path / "out"))
        for ask in (own.folders, lambda prefix: [*own.names(prefix)]):
            with pytest.raises(DestinationError, match="is a link"):
                ask(PLANS)
        with pytest.raises(DestinationError, match="is a link"):
            own.create(f"{PLANS}0001-of-2/x", b"")


def test_a_sink_that_knows_no_folders_lists_its_keys() -> None:
    class Plain:
        def keys(self, prefix: str = "") -> Iterator[str]:
            yield from (key for key in ("a/b/c", "a/b/d", "a/e", "f/g/h") if key.startswith(prefix))

    plain: Any = Plain()
    assert {*folders_of(plain, "a/")} == {"b"}
