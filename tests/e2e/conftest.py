"""The program, in a directory of its own; where it stores, and by which engine.

A module that needs more of one of these has a fixture of the same name.
"""

from pathlib import Path

import pytest

from scraper.model.options import EngineName
from tests.e2e.breakable import Site
from tests.e2e.command import Command
from tests.e2e.places import SLOW_CLOUDS, Place, place_of
from tests.e2e.runs import Runs
from tests.servers import Serve


@pytest.fixture
def cli(tmp_path: Path) -> Command:
    """Runs the program in an empty directory."""
    directory = tmp_path / "work"
    directory.mkdir()
    return Command(directory)


@pytest.fixture(params=["directory", "moto", *SLOW_CLOUDS])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    """A directory, and a bucket; with PROOF_SLOW one of each other store too."""
    return place_of(request, cli)


@pytest.fixture(params=["threads", "curl"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    """The name of each engine."""
    name: EngineName = request.param
    return name


@pytest.fixture
def site(serve: Serve) -> Site:
    """A site whose pages fail as the test says."""
    return Site(serve)


@pytest.fixture
def runs(cli: Command, place: Place) -> Runs:
    """Runs to that place."""
    return Runs(cli, place)
