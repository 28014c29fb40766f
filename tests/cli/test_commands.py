"""The table of commands says what the commands say, and a call imports no other command."""

import subprocess
import sys

import pytest

from scraper.cli.commands import COMMANDS
from tests.commands import every_command

LEFT_OUT = (
    *(
        "export",
        "failed",
        "listing",
        "status",
        "verify",
        "plan",
        "demo",
        "man",
        "completion",
        "place",
    ),
)


def test_the_table_has_the_name_and_the_one_line_of_every_command() -> None:
    told = {name: (one.name, one.get_short_help_str(200)) for name, one in every_command().items()}
    assert told == {name: (name, text) for name, text in COMMANDS.items()}
    assert not any(one.hidden for one in every_command().values())


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"], ["--dry-run", "/dev/null"]])
def test_a_call_imports_no_command_that_it_does_not_run(words: list[str]) -> None:
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from scraper.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *words], check=False, capture_output=True, text=True
    )
    imported = {name for name in ran.stderr.split() if name.startswith("scraper.cli.")}
    assert "scraper.cli.fetch" in imported
    assert not imported & {f"scraper.cli.{name}" for name in LEFT_OUT}
