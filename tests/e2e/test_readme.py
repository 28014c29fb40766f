"""Every command that the README shows does what it says, as it stands there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from scraper.demo import Bucket, Site
from tests.e2e.command import WAIT_S, Command, folder, program
from tests.servers import free_port

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ELSEWHERE = ("make ", "pipx ", "eval ", "pip ")  # test_make runs these, or nobody can here


class Demo(NamedTuple):
    """The demo's site, and what its bucket's clients need."""

    url: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Site(0) as site, Bucket(free_port()) as bucket:
        yield Demo(site.url, bucket.environment)


@pytest.fixture
def ready(cli: Command, demo: Demo) -> Command:
    """A directory with the lists that the README names, `out` from an earlier run among them."""
    pages = [f"{demo.url}/articles/{number:04}.html" for number in range(1, 21)]
    cli.write("urls.txt", *pages)
    cli.write("more.txt", *pages[:3], f"{demo.url}/feed.xml")
    cli.environment |= demo.environment
    assert cli("urls.txt", "-q", "--to", "out").status == 0
    return cli


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def commands() -> Iterator[str]:
    for block in blocks("sh"):
        for line in block.splitlines():
            command = re.sub(r"\s{2,}# .*", "", line).strip()
            if command and not command.startswith(ELSEWHERE):
                yield command


def adapted(text: str, cli: Command, demo: Demo) -> str:
    """The same with this demo's addresses, and with places that a test may write to."""
    text = text.replace("http://127.0.0.1:8642", demo.url).replace("s3://my-bucket", "s3://demo")
    return text.replace("/srv/", f"{cli.directory}/").replace("/lists/", f"{cli.directory}/")


def run(command: str, cli: Command) -> subprocess.CompletedProcess[str]:
    """Run `command` in a shell which finds the program."""
    path = f"{Path(program()[0]).parent}:{cli.environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cli.directory,
        env={**cli.environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.mark.parametrize("command", list(dict.fromkeys(commands())))
def test_a_command_of_the_readme_works(command: str, ready: Command, demo: Demo) -> None:
    ran = run(adapted(command, ready, demo), ready)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_first_run_ends_as_the_readme_says(cli: Command) -> None:
    (command,) = (block.removeprefix("$ ") for block in blocks("console"))
    site, s3 = free_port(), free_port()
    listed = (ROOT / "urls.example.txt").read_text().replace("127.0.0.1:8642", f"127.0.0.1:{site}")
    (cli.directory / "urls.example.txt").write_text(listed)
    ran = run(command.replace("demo --", f"demo --port {site} --s3-port {s3} --"), cli)
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stderr.splitlines() if " targets: " in line or line[:2] == "  "]
    shown = blocks("text")[0].splitlines()
    assert len(said) == len(shown)
    took = r" in [\d.]+ s, [\d.]+ MB, [\d.]+/s"
    assert [re.sub(took, "", line) for line in said] == [re.sub(took, "", line) for line in shown]


def test_the_crontab_line_is_quiet_when_all_is_well(ready: Command, demo: Demo) -> None:
    (line,) = (block.strip() for block in blocks("crontab"))
    minute, hour, day, month, weekday, command = line.split(maxsplit=5)
    assert (minute.isdecimal(), hour.isdecimal(), day, month, weekday) == (True, True, *"***")
    for _ in range(2):
        ran = run(adapted(command, ready, demo), ready)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert len(list(ready.directory.rglob("pages/**/*.html"))) == 20


def test_the_service_of_the_systemd_timer_runs(ready: Command, demo: Demo) -> None:
    (unit,) = blocks("ini")
    command = re.search(r"^ExecStart=/usr/local/bin/(.*)$", unit, re.MULTILINE)
    assert command is not None
    ran = run(adapted(command[1], ready, demo), ready)
    assert ran.returncode == 0
    assert all(json.loads(line)["event"] for line in ran.stderr.splitlines())


def test_the_container_of_the_cronjob_runs(ready: Command, demo: Demo) -> None:
    (job,) = blocks("yaml")
    arguments = re.search(r"^\s*args: (\[.*\])$", job, re.MULTILINE)
    assert arguments is not None
    words = json.loads(adapted(arguments[1], ready, demo))
    ran = ready(*words)
    assert ran.status == 0, ran.err
    assert "s3://demo/pages" in ran.err


def test_the_python_example_runs(ready: Command, demo: Demo) -> None:
    (code,) = blocks("python")
    ran = subprocess.run(
        [sys.executable, "-c", adapted(code, ready, demo)],
        cwd=ready.directory,
        env={**os.environ, **ready.environment},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"stored {folder(demo.url)}/feed.xml\n"


def test_the_readme_lists_every_option_that_it_names() -> None:
    from scraper.cli.demo import demo as demo_command
    from scraper.cli.fetch import fetch
    from scraper.cli.verify import verify

    previous = {
        name
        for command in (fetch, verify, demo_command)
        for param in command.params
        for name in (*param.opts, *param.secondary_opts)
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", README))
    assert named <= previous | {"--help"}
