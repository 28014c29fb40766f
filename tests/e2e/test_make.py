"""`make run`, as a newcomer types it: in a tree of its own, with the installed program."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from scraper.demo import ARTICLES, IMAGES
from tests.e2e.command import WAIT_S, Command, Ran
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Serve, free_port

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


@pytest.fixture
def tree(cli: Command) -> Command:
    """A checkout whose virtual environment is this one, so that make installs nothing."""
    for name in ("Makefile", "pyproject.toml", "urls.example.txt"):
        shutil.copy(ROOT / name, cli.directory / name)
    venv = cli.directory / ".venv"
    venv.mkdir()
    (venv / "bin").symlink_to(Path(sys.executable).parent)
    for stamp in (".python", ".dev", ".demo"):
        (venv / stamp).touch()
    return cli


def make(tree: Command, *arguments: str, **env: str) -> Ran:
    ended = subprocess.run(
        ["make", *arguments],
        cwd=tree.directory,
        env={**tree.environment, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def settled(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What became of every line, whenever it did."""
    facts = ("source", "line", "key", "status", "http_code", "size", "sha256")
    return sorted(tuple(str(one.get(name)) for name in facts) for one in records)


def test_make_run_fetches_the_demo_into_a_directory_and_a_bucket(tree: Command) -> None:
    ports = f"PORT={free_port()}", f"S3_PORT={free_port()}"
    ran = make(tree, "run", *ports, "ARGS=--results -")
    assert ran.status == 0, ran.err
    runs: dict[str, list[dict[str, Any]]] = {}
    for record in ran.records:  # stdout has nothing else
        runs.setdefault(record["run"], []).append(record)
    here, there = runs.values()
    assert f"1 of 2: a list of {len(here)} URLs of a site on loopback, into ./out" in ran.errors
    assert settled(here) == settled(there)
    counts = Counter(record["status"] for record in here)
    assert counts["failed"] == 1
    assert counts["stored"] > ARTICLES + IMAGES
    assert len(re.findall(rf"(?<!\d){len(here)} targets: ", ran.err)) == 2
    assert [line for line in ran.errors if line.endswith("  stored in: ./out")]
    assert [line for line in ran.errors if line.endswith("  stored in: s3://demo/pages")]
    assert len(ran.errors) < 40  # not a line for each URL
    assert [line for line in ran.errors if "The failure is meant" in line]
    stored = {record["key"]: record for record in here if record["status"] == "stored"}
    files = tree.files("out")
    assert set(files) == set(stored)
    for key, body in files.items():
        assert sha256(body).hexdigest() == stored[key]["sha256"]


def test_make_run_with_a_list_fetches_that_one(
    tree: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/a.txt": b"a"})
    tree.write("mine.txt", f"{server.url}/a.txt\ta")
    ran = make(tree, "run", "URLS=mine.txt")
    assert ran.status == 0, ran.err
    assert tree.files("out") == {"a": b"a"}
    bucket = moto_server.make_bucket()
    s3 = {**CREDENTIALS, "AWS_ENDPOINT_URL": moto_server.url}
    ran = make(tree, "run", "URLS=mine.txt", f"TO=s3://{bucket}/x", "ARGS=-q", **s3)
    assert ran.status == 0, ran.err
    assert moto_server.read(bucket, "x/a") == b"a"


def test_make_run_tells_of_a_run_that_failed(tree: Command, serve: Serve) -> None:
    server = serve({})
    tree.write("mine.txt", f"{server.url}/gone")
    ran = make(tree, "run", "URLS=mine.txt", "ARGS=-q")
    assert ran.status == 2  # make's own way to say it
    assert "http_status: HTTP 404" in ran.err


def test_make_alone_tells_what_there_is(tree: Command) -> None:
    ran = make(tree)
    assert (ran.status, ran.err) == (0, "")
    assert [line.split()[:2] for line in ran.lines][:3] == [
        ["make", "help"],
        ["make", "run"],
        ["make", "test"],
    ]
    assert sorted(os.listdir(tree.directory / ".venv")) == [".demo", ".dev", ".python", "bin"]


def test_make_with_another_python_works_beside_the_usual_one_and_says_so(tree: Command) -> None:
    other = f".venv-{sys.version_info.major}.{sys.version_info.minor}"
    (tree.directory / other / "bin").mkdir(parents=True)
    for stamp in (".python", ".dev"):
        (tree.directory / other / stamp).touch()
    said = tree.directory / "said"
    for name, does in (
        ("python", f'echo "$0 $*" >> {said}; echo Python 9.9'),
        ("ruff", ""),
        ("mypy", ""),
    ):
        program = tree.directory / other / "bin" / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    ran = make(tree, "test", f"PYTHON={sys.executable}")
    assert (ran.status, ran.err) == (0, "")
    assert ran.lines[0] == f"testing with Python 9.9 of {other}"
    started = said.read_text().splitlines()[-1]
    assert started == f"{other}/bin/python -m pytest -n 4 --maxschedchunk 2"
    ran = make(tree, "test", "PYTHON=python0")
    assert ran.status == 2
    assert "PYTHON=python0: there is no such Python" in ran.err


def test_make_audit_that_hears_of_no_holes_where_some_are_known_has_audited_nothing(
    tree: Command,
) -> None:
    """pip-audit says so, and ends well, where its service is not the whole of PyPI."""
    program = tree.directory / ".venv/audit/bin/pip-audit"
    program.parent.mkdir(parents=True)
    (tree.directory / ".venv/.audit").touch()
    program.write_text("#!/bin/sh\necho 'No known vulnerabilities found' >&2\n")
    program.chmod(0o755)
    ran = make(tree, "audit")
    assert ran.status == 2
    assert (
        ran.errors[1] == "audit: nothing was audited: who knows of holes can not be asked from here"
    )


def test_make_run_ends_with_what_to_look_at_and_each_command_of_it_works(tree: Command) -> None:
    ran = make(tree, "run", f"PORT={free_port()}", f"S3_PORT={free_port()}")
    assert ran.status == 0, ran.err
    end = ran.err[ran.err.index("\nLook:") :]
    shown = re.findall(r"^(?:Look:|Next:|     ) +(\S.*?)(?: {3,}.*)?$", end, re.MULTILINE)
    assert len(shown) > 4
    for command in shown:
        if not command.startswith(("make", "README.md")):
            again = subprocess.run(
                ["sh", "-c", command], cwd=tree.directory, capture_output=True, check=False
            )
            assert again.returncode == 0, command


def test_make_says_what_pip_installs_and_fails_where_pip_does(tree: Command) -> None:
    venv = tree.directory / ".venv"
    (venv / ".demo").unlink()
    (venv / ".dev").unlink()
    (venv / "bin").unlink()
    (venv / "bin").mkdir()
    pip = venv / "bin/python"
    said = (
        "Collecting boto3>=1.36\\nCollecting urllib3!=2.2.0,<3\\nInstalling collected packages: x"
    )
    for status in (3, 0):
        pip.write_text(f"#!/bin/sh\nprintf '{said}\\n'\nexit {status}\n")
        pip.chmod(0o755)
        ran = make(tree, ".venv/.demo")
        assert ran.lines[0].startswith("installing into .venv, from the package index")
        assert ran.lines[1:] == [" boto3 urllib3", "unpacking them ..."]
        assert ran.status == (2 if status else 0)
        assert (venv / ".demo").exists() == (status == 0)


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(("uid", "works"), [(0, True), (0, False), (1000, True)])
def test_make_test_installs_what_it_tries_from_debian_where_it_can(
    uid: int, works: bool, tree: Command
) -> None:
    script(tree.directory, "id", f"echo {uid}")
    script(tree.directory, "dpkg", "test $2 = zsh")  # zsh alone is there
    script(tree.directory, "apt-get", f'echo "$*" >> asked; {"true" if works else "false"}')
    shown = make(tree, "-n", "test").out
    (recipe,) = (line for line in shown.splitlines() if "zsh fish" in line)
    assert shown.index(recipe) < shown.index("-m pytest")
    path = f"{tree.directory}:{tree.environment['PATH']}"
    ended = subprocess.run(
        ["sh", "-c", recipe],
        cwd=tree.directory,
        env={**tree.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    asked = tree.directory / "asked"
    assert ended.returncode == 0
    if uid:
        assert (ended.stdout, ended.stderr, asked.exists()) == ("", "", False)
        return
    assert ended.stdout == "installing from Debian: fish faketime strace jq aria2 wget2\n"
    assert ended.stderr == ("" if works else "that did not work: they are left out\n")
    assert [line.split()[1] for line in asked.read_text().splitlines()] == (
        ["update", "install"] if works else ["update"]
    )


@pytest.mark.slow
def test_make_cluster_demo_loses_a_worker_and_nothing_else(tree: Command) -> None:
    ports = f"PORT={free_port()}", f"S3_PORT={free_port()}", f"DASK_PORT={free_port()}"
    ran = make(tree, "cluster-demo", *ports)
    assert ran.status == 0, ran.out + ran.err
    assert "-- worker 1 was killed --" in ran.err
    assert "240 targets: 240 stored in " in ran.err
    assert "12 of 12 done" in ran.out
