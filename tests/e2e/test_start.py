"""Beginning and end of the process: what a small run does not wait for, and what it does."""

import subprocess
import sys

import pytest

import scraper
from tests.e2e.command import WAIT_S, Command
from tests.servers import HttpServer, Reply, routed

# What an ordinary run, all of it stored in a directory, has no use for. What a failure needs is
# there from the start: a run that can open no more files could import nothing either.
NEEDLESS = {
    "asyncio",
    "boto3",
    "botocore",
    "certifi",
    "email",
    "http.client",
    "importlib.metadata",
    "multiprocessing",
    "netrc",
    "scraper.schedule.robots",
    "requests",
    "rich",
    "scraper.run.robots_queue",
    "scraper.manifest.index",
    "scraper.report.progress",
    "scraper.run.remote",
    "scraper.sinks.s3.sink",
    "scraper.manifest.verify",
    "setproctitle",
    "shutil",
    "ssl",
    "tempfile",
    "urllib.request",
    "urllib3",
}


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


def test_a_run_without_failures_imports_nothing_that_it_does_not_need(cli: Command) -> None:
    pytest.importorskip("pycurl")
    with HttpServer(routed({"/a": Reply(body=b"a"), "/b": Reply(body=b"b")})) as server:
        cli.write("list.txt", f"{server.url}/a", f"{server.url}/b")
        ran = python(
            cli,
            """
import sys
from scraper.cli import main
try:
    main(["list.txt", "--engine", "curl", "-q"])
finally:
    print(*sys.modules)
""",
        )
    assert (ran.returncode, ran.stderr, len(cli.files())) == (0, "", 2)
    loaded = set(ran.stdout.split())
    assert {"scraper.engines.curl.engine", "scraper.sinks.directory.sink"} <= loaded
    assert sorted(NEEDLESS & loaded) == []


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
