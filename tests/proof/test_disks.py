"""Full disks, directories that refuse, no more descriptors: said, recorded, gone on with."""

import os
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import WAIT_S, Command, Ran
from tests.proof.disk import disks_can_be_had, small_disk
from tests.proof.places import Bucket, Directory
from tests.proof.site import HUGE, Hold, Site
from tests.proof.story import Run, Story
from tests.s3servers import S3Server

needs_a_disk = pytest.mark.skipif(
    not disks_can_be_had(), reason="no mount namespace of one's own can be had here"
)
FULL = "No space left on device"


@pytest.fixture
def site() -> Iterator[Site]:
    """Pages of up to 66 kB, a megabyte of them, none of them empty."""
    with Site(40, range(1, 70_000)) as made:
        made.fails = False
        yield made


def said(ran: Ran) -> str:
    """The one line that says why a run could not go on."""
    (line,) = [line for line in ran.errors if line.startswith("scraper: ")]
    return line


@needs_a_disk
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_disk_that_is_full_stops_the_run_and_one_with_room_goes_on(
    concurrency: int, site: Site, cli: Command
) -> None:
    with small_disk(cli.directory, "out", "300k") as disk:
        cli.prefix = disk.prefix
        story = Story(site, Directory(disk.view), cli, "-c", concurrency)
        ran = story.ran(status=3)
        assert FULL in said(ran)
        assert 0 < len(story.done) < len(site.paths)
        assert len(story.place.files()) == len(story.done)
        assert FULL in said(story.ran(status=3))
        disk.resize("20M")
        story.ends()


@needs_a_disk
def test_a_disk_that_has_no_room_for_the_manifest_stops_the_run_and_one_with_room_goes_on(
    site: Site, cli: Command
) -> None:
    with small_disk(cli.directory, "records", "8k") as disk:
        cli.prefix = disk.prefix
        file = disk.view.directory / "records/manifest.jsonl"
        story = Story(site, Directory(cli, file=file), cli, "-c", 4)
        assert FULL in said(story.ran(status=3))
        assert len(story.place.files()) <= len(story.done) + 8  # in flight when it was full
        assert FULL in said(story.ran(status=3))
        disk.resize("1M")
        story.ends()


def test_a_manifest_that_takes_nothing_stops_the_run(site: Site, cli: Command) -> None:
    story = Story(site, Directory(cli, file=Path("/dev/full")), cli, "-c", 4)
    story.options.remove("--resume")
    with story.running() as seen:
        assert seen.process.wait(WAIT_S) == 3
    assert seen.said_any(f"scraper: can't write the manifest '/dev/full': {FULL}".encode())
    assert seen.requests <= 8


# ---------------------------------------------------------------- directories that refuse

BOUND = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]  # root, bound by permissions


@contextmanager
def held_at(story: Story, number: int, *options: object) -> Iterator[Run]:
    """A run whose `number`-th response is held while the block does something; then it ends."""
    story.site.hold = Hold(number, "head")
    with story.running(*options) as seen:
        story.site.wait_until(lambda: story.site.held or seen.ended, WAIT_S)
        yield seen
        story.site.release()
        seen.process.wait(WAIT_S)


def refused(story: Story) -> dict[str, str]:
    """What could not be stored, and why."""
    last = story.last_records().items()
    errors = {key: record["error"] for key, record in last if record["status"] == "failed"}
    return {key: error["message"] for key, error in errors.items() if error["kind"] == "sink"}


def test_a_directory_that_may_not_be_written_to_costs_only_what_goes_there(
    site: Site, cli: Command
) -> None:
    cli.prefix = BOUND if os.geteuid() == 0 else []
    story = Story(site, Directory(cli), cli, "-c", 1)
    place = cli.directory / "out/a9"
    with held_at(story, 4) as seen:
        place.mkdir()
        place.chmod(0o500)
    ran = story.ended(seen)
    assert ran.status == 1
    assert refused(story) == {
        key: f"can't write {key!r}: Permission denied" for key in story.keys if key[:3] == "a9/"
    }
    assert len(story.done) == len(site.paths) - 2
    place.chmod(0o700)
    story.ends()


def test_a_file_where_a_directory_should_be_costs_only_what_goes_there(
    site: Site, cli: Command
) -> None:
    story = Story(site, Directory(cli), cli, "-c", 4)
    (cli.directory / "out").mkdir()
    (cli.directory / "out/a9").touch()
    with story.running() as seen:
        seen.process.wait(WAIT_S)
    (cli.directory / "out/a9").unlink()
    ran = story.ended(seen)
    assert ran.status == 1
    assert refused(story).keys() == {key for key in story.keys if key[:3] == "a9/"}
    story.ends()


@pytest.mark.parametrize("gone", [".scraper/tmp", "."])
def test_a_destination_that_is_removed_in_the_middle_stops_the_run(
    gone: str, site: Site, cli: Command
) -> None:
    story = Story(site, Directory(cli), cli, "-c", 1)
    with held_at(story, 6) as seen:
        shutil.rmtree(cli.directory / "out" / gone)
        story.done.clear()
    ran = story.ended(seen)
    told = "scraper: the directory takes no more: No such file or directory: "
    assert re.fullmatch(rf"{told}'\.scraper/tmp/run-\w+'", said(ran))
    assert ran.status == 3
    assert seen.requests <= 7
    story.ends()


# ---------------------------------------------------------------- no more descriptors


@pytest.mark.parametrize("engine", ["curl", "threads"])
def test_no_descriptors_for_a_while_are_waited_for(engine: str, site: Site, cli: Command) -> None:
    story = Story(site, Directory(cli), cli, "-c", 8, "--engine", engine)
    with held_at(story, 6, "-v") as seen:
        pid = seen.process.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
        site.release()
        # Until targets failed a second time: whatever follows a failure must need no descriptor.
        site.wait_until(lambda: seen.said_any(b"attempt=2") or seen.ended, WAIT_S)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    ran = story.ended(seen)
    assert ran.status == 1  # of the page that is gone
    assert story.done == set(site.paths)
    story.ends()


@needs_a_disk
def test_a_body_on_its_way_to_s3_that_does_not_fit_on_the_disk_is_a_failure_of_its_own(
    cli: Command, moto_server: S3Server
) -> None:
    with Site(1, range(HUGE, HUGE + 1)) as site, small_disk(cli.directory, "tmp", "1M") as disk:
        site.fails = False
        cli.prefix = disk.prefix
        story = Story(site, Bucket(moto_server, moto_server.make_bucket()), cli)
        story.ran(status=1)
        (key,) = story.keys
        assert refused(story) == {key: f"can't store {key!r}: can't spool it: {FULL}"}
        disk.resize("20M")
        story.ends()
