"""Whole runs into a destination with other file systems mounted below it."""

from collections.abc import Iterator

import pytest

from tests.e2e.command import Command
from tests.proof.disk import disks_can_be_had, small_disk
from tests.proof.places import Directory
from tests.proof.site import Site
from tests.proof.story import Story

pytestmark = pytest.mark.skipif(
    not disks_can_be_had(), reason="no mount namespace of one's own can be had here"
)
each_engine = pytest.mark.parametrize("engine", ["curl", "threads"])


@pytest.fixture
def site() -> Iterator[Site]:
    """Pages of up to 66 kB, none of them empty, two to a directory."""
    with Site(20, range(1, 70_000)) as made:
        made.fails = False
        yield made


@each_engine
def test_a_run_stores_on_every_file_system_of_its_destination(
    engine: str, site: Site, cli: Command
) -> None:
    (cli.directory / "out").mkdir()
    with small_disk(cli.directory, "out/a3", "20M") as disk:
        cli.prefix = disk.prefix
        Story(site, Directory(disk.view), cli, "-c", 4, "--engine", engine).ends()


@each_engine
def test_a_mount_that_is_full_fails_its_own_targets_and_has_them_when_there_is_room(
    engine: str, site: Site, cli: Command
) -> None:
    (cli.directory / "out").mkdir()
    with small_disk(cli.directory, "out/a3", "4k") as disk:
        cli.prefix = disk.prefix
        story = Story(site, Directory(disk.view), cli, "-c", 4, "--engine", engine)
        ran = story.ran(status=1)
        failed = {
            key: record["error"]
            for key, record in story.last_records("failed").items()
            if key != "gone"
        }
        assert "a3/page 6" in failed, ran.err
        assert failed.keys() <= {"a3/page 6", "a3/page 7"}, ran.err  # it is small: may have room
        assert {error["kind"] for error in failed.values()} == {"sink"}
        assert all("mounted at 'a3'" in error["message"] for error in failed.values())
        disk.resize("20M")
        story.ends()
