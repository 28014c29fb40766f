"""Without `s3:DeleteObject` shards, plans and clusters work, and a manifest does not grow.

What a run would delete it makes void, by an empty object. Nobody takes that for a file.
"""

from collections.abc import Iterator

import pytest

from tests.denying import denying
from tests.e2e.command import Command, Ran
from tests.e2e.places import Bucket
from tests.e2e.twelve_hosts import HOSTS, twelve_hosts
from tests.s3servers import Front, S3Server
from tests.servers import HttpFarm

COUNT = 24
REMARK = "s3:DeleteObject is denied: what is over stays there"


@pytest.fixture
def site() -> Iterator[HttpFarm]:
    with twelve_hosts() as farm:
        yield farm


@pytest.fixture
def bucket(moto_server: S3Server) -> Iterator[Bucket]:
    with Front(moto_server.url, denying(moto_server, "DeleteObject")) as front:
        yield Bucket(moto_server, moto_server.make_bucket(), front.url)


class Runs:
    """Runs of one list into a bucket where nobody may delete."""

    def __init__(self, cli: Command, site: HttpFarm, bucket: Bucket) -> None:
        pages = (f"http://{host}:{site.port}/{page}" for page in range(2) for host in HOSTS)
        cli.write("list", *pages)
        self._cli, self._bucket = cli, bucket

    def __call__(self, *words: object) -> Ran:
        ran = self._cli(*words, *self._bucket.words, env=self._bucket.environment)
        assert ran.status == 0, ran.err
        return ran

    def look(self, command: str) -> str:
        """What a command says that only reads."""
        _, place, *options = self._bucket.words
        ran = self._cli(command, place, *options, env=self._bucket.environment)
        assert ran.status == 0, ran.err
        return ran.out

    def segments(self) -> list[bytes]:
        """Those that count."""
        own = [key for key in self._bucket.all() if "/manifest-" in key and "identity" not in key]
        return [body for key in own if (body := self._bucket.read(key))]


@pytest.fixture
def runs(cli: Command, site: HttpFarm, bucket: Bucket) -> Runs:
    return Runs(cli, site, bucket)


def test_a_run_without_shards_follows_runs_of_shards(runs: Runs) -> None:
    for number in range(2):
        ran = runs("list", "--shard", f"{number}/2")
        assert ran.err.count(REMARK) == 1
    for _ in range(2):
        assert f"{COUNT} skipped" in runs("list", "--resume").err
    assert len(runs.segments()) == 1
    assert f"{COUNT} stored" in runs.look("status")
    runs.look("verify")
    assert "shards" not in runs.look("status")
    runs("list", "--shard", "0/3", "--resume")  # another plan begins


def test_a_shard_that_was_done_is_run_again(runs: Runs) -> None:
    runs("list", "--shard", "0/2")
    assert "skipped" in runs("list", "--shard", "0/2", "--resume").err
    runs("list", "--shard", "1/2")
    assert "2 of 2 done" in runs.look("status")


def test_a_plan_gives_way_to_another(runs: Runs, site: HttpFarm) -> None:
    runs("plan", "list", "--shards", 3)
    for _ in range(2):
        runs("plan", "list", "--shards", 2)
    for number in range(2):
        runs("list", "--shard", f"{number}/2")
    assert sum(site.hits.values()) == COUNT


@pytest.mark.slow
def test_a_cluster_begins_in_an_empty_place_and_goes_on(runs: Runs) -> None:
    assert f"{COUNT} stored" in runs("list", "--cluster", "local:2").err
    assert f"{COUNT} skipped" in runs("list", "--cluster", "local:2", "--resume").err
