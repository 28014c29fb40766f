"""Beginning and end of the process: what a small run does not wait for, and what it does."""

import subprocess
import sys

import pytest

import scraper
from tests.e2e.command import WAIT_S, Command


def python(cli: Command, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What `code` says in an interpreter of its own, in the directory of the program."""
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        cwd=cli.directory,
        env=cli.environment,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


# ---------------------------------------------------------------- the end

BEGINNING = "import atexit, sys, threading\nfrom scraper.cli import main\n"
LATE_WORK = """
def work():
    threading.main_thread().join()
    print("a thread's work")
threading.Thread(target=work).start()
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("atexit.register(print, 'at the end')", "at the end"),
        (LATE_WORK, "a thread's work"),
        ("sys.stdout.write('not yet flushed, ')", "not yet flushed, scraper"),
    ],
)
def test_what_waits_for_the_end_of_the_process_comes_after_the_command(
    before: str, after: str, cli: Command
) -> None:
    code = f"{BEGINNING}{before}\nsys.argv = ['scraper', '--version']\nmain()"
    ran = python(cli, code)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert after in ran.stdout
    assert f"scraper {scraper.__version__}\n" in ran.stdout


def test_the_command_takes_nothing_apart_at_its_end(cli: Command) -> None:
    code = f"""{BEGINNING}
class Part:
    def __del__(self):
        print("taken apart")
part = Part()
sys.argv = ["scraper", "--version"]
"""
    assert "taken apart" in python(cli, code).stdout
    assert "taken apart" not in python(cli, f"{code}\nmain()").stdout


def test_who_calls_it_with_arguments_goes_on_after_it(cli: Command) -> None:
    called = "try:\n    main(['--nonsense'])\nexcept SystemExit as end:\n    print(end.code)"
    assert python(cli, f"{BEGINNING}{called}").stdout == "2\n"


def test_a_profiler_says_what_it_found(cli: Command) -> None:
    code = "import cProfile; cProfile.run('import scraper.__main__ as it; it.main()')"
    ran = python(cli, f"import sys; sys.argv = ['scraper', '--version']; {code}")
    assert ran.returncode == 0, ran.stderr
    assert "function calls" in ran.stdout
