"""Killed at any moment, the program loses nothing and does nothing twice.

PROOF_SEEDS=200 tells as many stories of random kills for each place; without it a few are told.
"""

import json
import os
import random
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.command import MANIFEST, Command
from tests.file_servers import SERVERS
from tests.proof.places import Archive, Bucket, Directory, Files, Place
from tests.proof.site import Hold, Site
from tests.proof.story import Moment, Run, Story
from tests.proof.web_archives import WebArchive

SEEDS = int(os.environ.get("PROOF_SEEDS", "0"))
KILLS = 5  # in one story
PAGES = 30
ARCHIVES = ["out.tar", "out.tar.gz", "out.zip", "warc"]
PLACES = ["directory", "moto", "rclone", "moto-file", "gs", "az", *SERVERS, *ARCHIVES]


def stories(*few: tuple[str, int]) -> pytest.MarkDecorator:
    """Places and numbers: these few, or with PROOF_SEEDS all of them."""
    many = [(place, number) for place in PLACES for number in range(SEEDS)]
    return pytest.mark.parametrize(("place", "number"), many or few, indirect=["place"])


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(PAGES) as made:
        yield made


@pytest.fixture
def place(request: pytest.FixtureRequest, cli: Command, tmp_path: Path) -> Place:
    """A directory; archives; buckets that hold their manifest, or have it on the disk."""
    if getattr(request, "param", "").startswith("out."):
        return Archive(cli, request.param)
    kind, _, file = getattr(request, "param", "directory").partition("-")
    if kind == "directory":
        return Directory(cli)
    if kind in SERVERS:
        return Files(request.getfixturevalue("file_server")(kind), uuid.uuid4().hex)
    if kind == "warc":
        return WebArchive(cli)
    server = request.getfixturevalue(f"{kind}_server")
    manifest = tmp_path / "manifest.jsonl" if file else None
    return Bucket(server, server.make_bucket(), file=manifest)


def in_order(concurrency: int) -> Sequence[Moment]:
    """Moments from before the first request to after the last result."""
    return [
        Moment("before anything was asked", lambda seen: seen.begun, Hold(1, "head")),
        Moment("when the first request was sent", lambda seen: seen.site.held, Hold(1, "head")),
        Moment("in the first response", lambda seen: seen.site.held, Hold(1, "half")),
        Moment("after the first result", lambda seen: len(seen.results) >= 1),
        Moment("in a later response", lambda seen: seen.site.held, Hold(concurrency + 4, "half")),
        Moment("after a few results", lambda seen: len(seen.results) >= PAGES // 2),
        Moment("in the summary", lambda seen: seen.said_any(b" targets: ")),
        Moment("when it ended", lambda seen: seen.ended),
    ]


def at_random(dice: random.Random) -> Moment:
    """After so many requests, or results, or seconds; or within a response."""
    number, later_s = dice.randint(1, PAGES), dice.choice([0.0, 0.0, dice.random() / 20])
    hold = Hold(number, dice.choice(["head", "half"]))

    def results(seen: Run) -> bool:
        return len(seen.results) >= number

    return dice.choice(
        [
            Moment("held", lambda seen: seen.site.held, hold, later_s),
            Moment("requests", lambda seen: seen.requests >= number, None, later_s),
            Moment("results", results, None, later_s),
            Moment("seconds", lambda _: True, None, dice.random() * 2),
        ]
    )


@pytest.mark.parametrize(
    ("place", "concurrency"),
    [(place, concurrency) for place in PLACES for concurrency in (1, 8)]
    if SEEDS
    else [
        ("directory", 1),
        ("moto", 8),
        ("sshd", 8),
        ("out.tar.gz", 8),
        ("out.zip", 8),
        ("warc", 8),
    ],
    indirect=["place"],
)
def test_killed_at_each_stage_a_run_is_gone_on_with(
    concurrency: int, site: Site, place: Place, cli: Command
) -> None:
    story = Story(site, place, cli, "-c", concurrency, "--continue-above", "1k")
    for moment in in_order(concurrency):
        story.killed(moment)
    story.ends()
    verified = cli("verify", *place.words[1:], env=place.environment)
    assert (verified.status, verified.out) == (0, "")


def test_a_run_with_children_that_is_killed_at_each_stage_is_gone_on_with(
    site: Site, place: Place, cli: Command
) -> None:
    story = Story(site, place, cli, "-c", 8, "--continue-above", "1k", "--processes", 2)
    for moment in in_order(8):
        story.killed(moment)
    story.ends()


@stories(("directory", 1), ("rclone", 1), ("ftpd", 1), ("out.tar", 1), ("out.zip", 3), ("warc", 1))
def test_killed_at_random_moments_nothing_is_lost_or_done_twice(
    number: int, site: Site, place: Place, cli: Command
) -> None:
    dice = random.Random(number)
    story = Story(site, place, cli, "-c", dice.choice([1, 3, 8, 32]))
    for _ in range(KILLS):
        story.killed(at_random(dice))
    story.ends()


def test_a_record_is_written_before_the_next_page_is_asked_for(
    site: Site, place: Place, cli: Command
) -> None:
    site.fails = False
    story = Story(site, place, cli, "-c", 1)
    story.killed(Moment("with five ended", lambda seen: seen.site.held, Hold(6, "head")))
    assert len(place.manifest()) == 5  # the page that is gone, and four others


def test_a_torn_last_line_costs_one_target_and_no_other(
    site: Site, place: Place, cli: Command
) -> None:
    story = Story(site, place, cli)
    story.killed(Moment("early", lambda seen: len(seen.results) >= 6))
    *whole, last = place.manifest()
    path = cli.directory / "out" / MANIFEST
    path.write_bytes(b"".join([*whole, last[: len(last) // 2]]))  # as a power cut leaves it
    story.done.discard(story.keys.get(json.loads(last)["key"], ""))
    story.killed(Moment("later", lambda seen: len(seen.results) >= 9))
    story.ends()


@stories(("directory", 1), ("out.tar", 2))
def test_a_refresh_that_is_killed_leaves_old_pages_or_new_ones_and_is_made_good_by_the_next(
    number: int, site: Site, place: Place, cli: Command
) -> None:
    dice = random.Random(number)
    story = Story(site, place, cli, refreshes=True)
    story.ends()
    site.version, story.versions = 2, {1, 2}
    for _ in range(KILLS):
        story.killed(at_random(dice))
    story.ends()
