"""Killed at any moment, the program loses nothing and does nothing twice.

PROOF_SEEDS=200 tells as many stories of random kills for each place (default: 2).
"""

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.proof.places import Bucket, Directory, Place, can_be_read_back
from tests.proof.site import Hold, Site
from tests.proof.story import Moment, Seen, Story

SEEDS = int(os.environ.get("PROOF_SEEDS", "2"))
KILLS = 5  # in one story
PAGES = 30

MakePlace = Callable[[], Place]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(PAGES) as made:
        yield made


@pytest.fixture(params=["directory", "moto", "rclone", "moto-file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A directory; buckets that hold their manifest; a bucket with a manifest on the disk."""
    kind, _, file = request.param.partition("-")
    if kind == "directory":
        return Directory(tmp_path / "out")
    if not file and not can_be_read_back():
        pytest.skip("the S3 sink can't be read back yet, so it holds no manifest to resume from")
    server = request.getfixturevalue(f"{kind}_server")
    manifest = tmp_path / "manifest.jsonl" if file else None
    return Bucket(server, server.make_bucket(), server.url, manifest)


def in_order(concurrency: int) -> Sequence[Moment]:
    """Moments from before the first request to after the last result."""
    return [
        Moment(
            "before anything was asked", lambda seen: seen.said_any(b"scraper "), Hold(1, "head")
        ),
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

    def results(seen: Seen) -> bool:
        return len(seen.results) >= number

    return dice.choice(
        [
            Moment("held", lambda seen: seen.site.held, hold, later_s),
            Moment("requests", lambda seen: seen.requests >= number, None, later_s),
            Moment("results", results, None, later_s),
            Moment("seconds", lambda _: True, None, dice.random() * 2),
        ]
    )


@pytest.mark.parametrize("concurrency", [1, 8])
def test_killed_at_each_stage_a_run_is_gone_on_with(
    concurrency: int, site: Site, place: Place, tmp_path: Path
) -> None:
    story = Story(site, place, tmp_path / "home", "-c", concurrency, "--continue-above", "1k")
    for moment in in_order(concurrency):
        story.killed(moment)
    story.ends()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_random_moments_nothing_is_lost_or_done_twice(
    seed: int, site: Site, place: Place, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    story = Story(site, place, tmp_path / "home", "-c", dice.choice([1, 3, 8, 32]))
    for _ in range(KILLS):
        story.killed(at_random(dice))
    story.ends()


def test_a_record_is_written_before_the_next_page_is_asked_for(site: Site, tmp_path: Path) -> None:
    site.fails = False
    place = Directory(tmp_path / "out")
    story = Story(site, place, tmp_path / "home", "-c", 1)
    story.killed(Moment("with five stored", lambda seen: seen.site.held, Hold(6, "head")))
    assert len(story.done) == 5


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.999])
def test_a_torn_last_line_costs_one_target_and_no_other(
    kept: float, site: Site, tmp_path: Path
) -> None:
    place = Directory(tmp_path / "out")
    story = Story(site, place, tmp_path / "home")
    story.killed(Moment("early", lambda seen: len(seen.results) >= 6))
    *whole, last = place.manifest()
    path = tmp_path / "out/.scraper/manifest.jsonl"
    path.write_bytes(b"".join([*whole, last[: int(len(last) * kept)]]))  # as a power cut leaves it
    story.done.discard(story.keys.get(json.loads(last)["key"], ""))
    story.killed(Moment("later", lambda seen: len(seen.results) >= 9))
    story.ends()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_refresh_that_is_killed_leaves_old_pages_or_new_ones_and_is_made_good_by_the_next(
    seed: int, site: Site, place: Place, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    story = Story(site, place, tmp_path / "home", refreshes=True)
    story.ends()
    site.version, story.versions = 2, {1, 2}
    for _ in range(KILLS):
        story.killed(at_random(dice))
    story.ends()
