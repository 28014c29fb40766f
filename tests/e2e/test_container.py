"""As process 1 of a container, which no init watches over: signals end it, with the right status.

The kernel gives process 1 of a PID namespace no signal that it does not handle. `unshare` makes
such a namespace without a container. The Dockerfile is read here; no test builds an image.
"""

import json
import os
import re
import signal
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.e2e.watch import Process, end, said, until
from tests.servers import Reply, Serve

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "Dockerfile"
UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def may_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


CONTAINED = pytest.mark.skipif(
    not may_unshare(), reason="this system lets us make no PID namespace"
)
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def process_1(process: Process) -> int:
    """The number, as this machine has it, of the process that `unshare` started as number 1."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(lambda: children.read_text() != "")
    number = int(children.read_text())
    status = Path(f"/proc/{number}/status").read_text()
    assert re.search(r"^NSpid:.*\s1$", status, re.MULTILINE)
    return number


@CONTAINED
@SIGNALS
@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_signal_lets_what_is_in_flight_end(
    engine: str, number: signal.Signals, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda request: Reply(body=b"page", delay=go))
    cli.write("list", *(f"{server.url}/{one}\t{one}" for one in range(4)))
    cli.prefix = UNSHARE
    with cli.start("list", "-c", 2, "--engine", engine, bufsize=0) as process:
        server.wait_until(lambda: server.in_flight == 2)
        os.kill(process_1(process), number)
        said(process, f"{number.name}: 2 transfers in flight may end")
        go.set()
        ran = end(process)
    assert ran.status == 128 + number
    assert cli.files() == {"0": b"page", "1": b"page"}
    assert len(cli.records()) == 4


@CONTAINED
@SIGNALS
def test_a_second_signal_ends_it_at_once(
    number: signal.Signals, cli: Command, serve: Serve, go: threading.Event
) -> None:
    server = serve(lambda request: Reply(body=b"page", delay=go))
    cli.prefix = UNSHARE
    with cli.start(f"{server.url}/a", bufsize=0) as process:
        server.wait_until(lambda: server.in_flight == 1)
        inner = process_1(process)
        os.kill(inner, number)
        said(process, f"{number.name}: 1 transfer")
        os.kill(inner, number)
        ran = end(process)
    assert ran.status == 128 + number
    assert [key for key in cli.files() if not key.startswith(".scraper/")] == []


# ---------------------------------------------------------------- the Dockerfile


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in text.splitlines())
        if word
    ]


def test_the_image_runs_the_program_itself_and_not_as_root() -> None:
    last = dict(instructions())
    assert json.loads(last["ENTRYPOINT"]) == ["scraper"]  # no shell, which would keep signals
    assert last["USER"] not in {"root", "0"}
    words = [word for word, _ in instructions()]
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_the_image_is_made_of_what_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    copied: list[str] = []
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            *sources, _to = rest.split()
            copied += sources
    assert all((ROOT / one).exists() for one in copied)
    assert {
        "pyproject.toml",
        project["readme"],
        *project["license-files"],
        "scraper",
        "docs/man",
    } == set(copied)
    for _, rest in instructions():
        for extra in re.findall(r"/source\[(\w+)\]", rest):
            assert extra in project["optional-dependencies"]
        for version in re.findall(r"python:(3\.\d+)", rest):
            assert f"Programming Language :: Python :: {version}" in project["classifiers"]
