"""All features at once, killed at moments that others decide: nothing is lost, torn or done twice.

PROOF_SEEDS=200 tells as many stories for each place; without it a few are told. PROOF_SEED=17
tells that one alone, at each place; `-k directory` where.
"""

import os
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.proof.combined_site import CombinedSite
from tests.proof.combined_story import CombinedStory
from tests.proof.places import Bucket, Directory, Place

PAGES = 18
FEW = 2
PLACES = ["directory", "moto", "rclone", "swift", "gs", "az"]


def seeds() -> range:
    """Which stories are told."""
    if one := os.environ.get("PROOF_SEED"):
        return range(int(one), int(one) + 1)
    return range(int(os.environ.get("PROOF_SEEDS", FEW)))


@pytest.fixture
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    """A directory, or a bucket of each server."""
    if request.param == "directory":
        return Directory(cli)
    server = request.getfixturevalue(f"{request.param}_server")
    return Bucket(server, server.make_bucket())


@pytest.mark.each_value
@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("place", PLACES, indirect=True)
@pytest.mark.timeout(300)
def test_whatever_is_combined_and_whenever_it_is_killed_the_account_is_true(
    seed: int, place: Place, cli: Command, tmp_path: Path
) -> None:
    with CombinedSite(seed, PAGES) as site:
        CombinedStory(seed, site, place, cli).tell()
