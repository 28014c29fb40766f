"""The program, in a directory of its own."""

from pathlib import Path

import pytest

from tests.e2e.command import Command


@pytest.fixture
def cli(tmp_path: Path) -> Command:
    """Runs the program in an empty directory."""
    directory = tmp_path / "work"
    directory.mkdir()
    return Command(directory)
