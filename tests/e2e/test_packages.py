"""What pip installs: the program, its manual pages, and what a package index is told."""

import os
import shutil
import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from scraper.cli.commands import COMMANDS
from scraper.cli.fetch import fetch
from tests.e2e.command import WAIT_S, Command

ROOT = Path(__file__).parent.parent.parent


def python(*words: object, cwd: Path, **env: str) -> str:
    """What `python words` prints."""
    ran = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    to = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", to, ROOT, cwd=to)
    (path,) = to.glob("*.whl")
    return path


@pytest.mark.parametrize("where", ["--prefix", "--target"])
def test_the_manual_pages_of_a_wheel_are_found_where_pip_put_them(
    where: str, wheel: Path, tmp_path: Path
) -> None:
    pip = ("-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-index", "--no-deps")
    there = tmp_path / "there"
    python(*pip, "--ignore-installed", where, there, wheel, cwd=tmp_path)
    (package,) = there.rglob("scraper/__init__.py")
    for command in ("", *COMMANDS):
        words = ("-m", "scraper", "man", *command.split(), "--path")
        path = python(*words, cwd=tmp_path, PYTHONPATH=str(package.parent.parent)).strip()
        page = "scraper" + f"-{command}" * bool(command)
        assert path == str(there / f"share/man/man1/{page}.1")
        assert Path(path).read_bytes() == (ROOT / f"docs/man/{page}.1").read_bytes()


def test_what_a_package_index_is_told(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(archive.read(name).decode())
    classifiers = told.get_all("Classifier", [])
    assert "Operating System :: POSIX" in classifiers
    assert [one for one in classifiers if one.startswith("Programming Language :: Python :: 3.")]
    assert any(
        need.startswith("boto3") and "extra" not in need
        for need in told.get_all("Requires-Dist", [])
    )
    assert told["Description-Content-Type"] == "text/markdown"


def test_every_minor_version_that_is_named_may_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = int(project["requires-python"].removeprefix(">=3."))
    named = [one.rpartition(".")[2] for one in project["classifiers"] if ":: 3." in one]
    assert min(map(int, named)) == least


# ---------------------------------------------------------------- scraper man


def test_the_manual_is_shown_by_man(cli: Command) -> None:
    (cli.directory / "bin").mkdir()
    man = cli.directory / "bin/man"
    man.write_text('#!/bin/sh\necho "shown: $*"\nexit 7\n')
    man.chmod(0o755)
    path = f"{man.parent}:{cli.environment['PATH']}"
    for words in ([], ["verify"]):
        page = cli("man", *words, "--path").out.strip()
        ran = cli("man", *words, env={"PATH": path})
        assert (ran.status, ran.out, ran.err) == (7, f"shown: {page}\n", "")


def test_without_man_the_page_is_named(cli: Command) -> None:
    ran = cli("man", env={"PATH": str(cli.directory)})
    assert ran.status == 1
    assert ran.err.startswith("scraper: there is no 'man' here; the page is /")
    assert ran.err.count("\n") == 1


def test_a_page_that_is_none_is_wrong_usage(cli: Command) -> None:
    ran = cli("man", "nonsense")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "scraper: there is no manual page of 'nonsense'\n"


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man")
def test_man_itself_shows_every_option_and_warns_of_nothing(cli: Command) -> None:
    ran = cli("man", env={"MAN_KEEP_FORMATTING": "", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
    assert (ran.status, ran.err) == (0, "")
    for param in fetch.params:
        for name in param.opts:
            assert not name.startswith("--") or f" {name}" in ran.out
    page = cli("man", "--path").out.strip()
    checked = subprocess.run(
        ["man", "--warnings", "-l", page], capture_output=True, check=True, env=cli.environment
    )
    assert checked.stderr == b""
