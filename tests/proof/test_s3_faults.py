"""S3 that goes away and comes back, has enough, or refuses: waited for, or said and resumed."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.command import WAIT_S, Command, Ran
from tests.proof.places import Bucket
from tests.proof.site import Hold, Site
from tests.proof.story import Moment, Run, Story
from tests.s3servers import Asked, Front, S3Server, Wire, rclone


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(30, range(70_000)) as made:
        made.fails = False
        yield made


def refusals(seen: Run) -> Counter[bytes]:
    """By URL, how often the destination refused it so far and it is tried again, as -v tells."""
    return Counter(line.split()[1] for line in list(seen.said) if b" kind=sink " in line)


def said(ran: Ran) -> str:
    """The one line that says why a run could not go on."""
    (line,) = [line for line in ran.errors if line.startswith("scraper: ")]
    return line


@pytest.mark.parametrize("client", ["boto3", "curl"])
def test_a_server_that_is_gone_for_a_while_is_waited_for_without_slots(
    client: str, site: Site, cli: Command, tmp_path: Path
) -> None:
    buckets = tmp_path / "buckets"
    buckets.mkdir()
    with ExitStack() as later:
        with rclone(buckets) as server:
            place = Bucket(server, server.make_bucket())
            story = Story(site, place, cli, "-c", 8, "--s3-client", client, "-v")
            site.hold = Hold(10, "half")
            seen = later.enter_context(story.running("--max-failures", 1))
            site.wait_until(lambda: site.held or seen.ended, WAIT_S)
        site.release()
        site.wait_until(lambda: refusals(seen).total() >= 10, WAIT_S)
        site.wait_until(lambda: site.in_flight == 0, WAIT_S)
        later.enter_context(rclone(buckets, server.url.removeprefix("http://")))
        seen.process.wait(WAIT_S)
        ran = story.ended(seen)
        assert ran.status == 0
        assert "attempt=0" not in ran.err
        story.ends()


def test_a_storm_of_slow_down_costs_no_target_its_attempts(
    site: Site, cli: Command, moto_server: S3Server
) -> None:
    storm = threading.Event()

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (503, "SlowDown") if storm.is_set() and asked.operation == "PUT" else None

    with Front(moto_server.url, fault) as front:
        place = Bucket(moto_server, moto_server.make_bucket(), front.url)
        story = Story(site, place, cli, "-c", 8, "--retries", 1, "-v")
        site.hold = Hold(5, "half")
        with story.running("--max-failures", 1) as seen:
            site.wait_until(lambda: site.held or seen.ended, WAIT_S)
            storm.set()
            site.release()
            site.wait_until(lambda: seen.ended or 2 in refusals(seen).values(), WAIT_S)
            storm.clear()
            seen.process.wait(WAIT_S)
        assert story.ended(seen).status == 0
        story.ends()


@pytest.mark.parametrize("kept", ["bucket", "file"])
@pytest.mark.parametrize("client", ["boto3", "curl"])
def test_credentials_that_expire_stop_the_run_and_fresh_ones_go_on(
    client: str, kept: str, site: Site, cli: Command, moto_server: S3Server
) -> None:
    expired, fresh = threading.Event(), threading.Event()

    def fault(asked: Asked) -> tuple[int, str] | None:
        if asked.number > 12 and asked.operation == "PUT":
            expired.set()
        return (400, "ExpiredToken") if expired.is_set() and not fresh.is_set() else None

    file = cli.directory / "manifest.jsonl" if kept == "file" else None
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        place = Bucket(moto_server, bucket, front.url, file=file)
        story = Story(site, place, cli, "-c", 4, "--s3-client", client)
        ran = story.ran(status=3)
        assert "ExpiredToken: as the test wants" in said(ran)
        stored = place.files()
        assert 0 < len(stored) < len(site.paths)
        assert len(story.done) == len(stored) or file is None  # its last seconds had no place to go
        fresh.set()
        story.ends()


def test_a_bucket_that_is_removed_stops_the_run(
    site: Site, cli: Command, moto_server: S3Server
) -> None:
    place, client = Bucket(moto_server, moto_server.make_bucket()), moto_server.client
    story = Story(site, place, cli, "-c", 1)
    site.hold = Hold(5, "half")
    with story.running() as seen:
        site.wait_until(lambda: site.held or seen.ended, WAIT_S)
        for key in moto_server.keys(place.bucket):
            client.delete_object(Bucket=place.bucket, Key=key)
        client.delete_bucket(Bucket=place.bucket)
        site.release()
        seen.process.wait(WAIT_S)
    client.create_bucket(Bucket=place.bucket)
    ran = story.ended(seen)
    assert ran.status == 3
    assert "there is no such bucket" in said(ran)
    assert seen.requests <= 6
    story.ends()


def test_an_upload_that_is_cut_in_the_middle_is_made_again(
    cli: Command, moto_server: S3Server
) -> None:
    with Site(4, range(300_000, 10_000_000)) as site:
        site.fails = False
        with closing(Wire(moto_server.url, 200_000, times=3)) as wire:
            wire.cut.set()
            place = Bucket(moto_server, moto_server.make_bucket(), wire.url)
            story = Story(site, place, cli, "-c", 2)
            story.ends()
            assert wire.stuck.is_set()


def is_set(event: threading.Event, _: Run) -> bool:
    """For a Moment."""
    return event.is_set()


@contextmanager
def stopping(
    story: Story, server: S3Server, operation: str, number: int
) -> Iterator[tuple[str, threading.Event]]:
    """An endpoint where the `number`-th such request for a packed or outdated segment stands still.

    And what tells that it does; it goes nowhere when the block is left.
    """
    stopped, over = threading.Event(), threading.Event()
    matching = count(1)

    def fault(asked: Asked) -> tuple[int, str] | None:
        segment = "/.scraper/manifest-" in asked.path and asked.operation == operation
        packs = asked.path.endswith(".gz") or operation == "DELETE"
        if not segment or not packs or next(matching) != number:
            return None
        stopped.set()
        story.site.tell()
        over.wait(WAIT_S)
        return 0, ""

    with Front(server.url, fault) as front:
        yield front.url, stopped
        over.set()


@pytest.mark.skipif(not os.environ.get("PROOF_SEEDS"), reason="PROOF_SEEDS is not set")
def test_killed_while_it_compacts_the_manifest_the_next_run_reads_the_same(
    site: Site, cli: Command, moto_server: S3Server
) -> None:
    place = Bucket(moto_server, moto_server.make_bucket())
    story = Story(site, place, cli)
    story.killed(Moment("with a few stored", lambda seen: len(seen.results) > 9))
    story.ends()
    outdated = b"".join(place.manifest()) * 200
    for number in (1, 2, 3):
        key = f"{place.prefix}/.scraper/manifest-{number:08}-0.jsonl"
        moto_server.client.put_object(Bucket=place.bucket, Key=key, Body=outdated)
    for operation, number in (("PUT", 1), ("DELETE", 1), ("DELETE", 2)):
        with stopping(story, moto_server, operation, number) as (endpoint, stopped):
            story.place = Bucket(moto_server, place.bucket, endpoint)
            story.killed(Moment("while it compacts", partial(is_set, stopped)))
            assert stopped.is_set()
    story.place = place
    assert len(place.manifest()) > 10_000
    story.ends()
    assert len(place.manifest()) < 100
