"""Fixtures for the tests of engines: each test runs once for each engine."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scraper.model.settings import Http, Limits
from tests.conformance.engine_bench import ENGINES, Bench, MakeBench


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine."""
    return str(request.param)


@pytest.fixture
def bench(engine: str, tmp_path: Path) -> Iterator[MakeBench]:
    """Make a Bench with the engine, some limits, some HTTP settings."""
    with ExitStack() as stack:

        def make(limits: Limits | None = None, http: Http | None = None) -> Bench:
            made = Bench(ENGINES[engine], tmp_path / "out", limits or Limits(), http or Http())
            stack.callback(made.close)
            return made

        yield make
