"""Who does not read, and what was planted: a run ends when told to, and writes where it may.

A reader of results or of the log that stands still keeps no run from its end: the grace, then
the right status and a whole manifest. What stands in a destination under a name of ours
leads nowhere, and stops nobody for ever.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.command import MANIFEST, WAIT_S, Command
from tests.proof.combined_site import RUN, CombinedSite
from tests.proof.ledger import Ledger
from tests.proof.places import Bucket, Directory, Place
from tests.proof.site import Hold
from tests.proof.test_together import LISTED, Together

if TYPE_CHECKING:
    from tests.s3servers import S3Server

MANY = 1_000  # lines: more than a pipe takes in


@pytest.fixture
def site() -> Iterator[CombinedSite]:
    with CombinedSite(5, 40) as made:
        yield made


@pytest.fixture(params=["directory", "moto"])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    if request.param == "directory":
        return Directory(cli)
    server: S3Server = request.getfixturevalue("moto_server")
    return Bucket(server, server.make_bucket())


@pytest.fixture
def runs(site: CombinedSite, place: Place, cli: Command) -> Together:
    """Over a list with so many repeats that no pipe holds what is said of them."""
    made = Together(site, place, cli)
    path = cli.directory / "list.txt"
    first = path.read_text().splitlines()[0]
    with path.open("a") as file:
        file.write(f"{first}\n" * MANY)
    return made


def whole_manifest(place: Place) -> None:
    """Of what was done by the end."""
    ledger = Ledger.of(place.manifest())
    assert not ledger.torn
    objects = place.files()
    for key, _ in ledger.last("stored"):
        assert key in objects


@pytest.mark.each_value
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("blocked", ["results", "log", "fifo"])
def test_nobody_reads_and_a_signal_ends_it(
    blocked: str, number: signal.Signals, runs: Together, cli: Command
) -> None:
    site = runs.site
    site.begin_run("", Hold(3, "head"))
    with unread(runs, blocked) as process:
        site.wait_until(lambda: site.held or process.poll() is not None, WAIT_S)
        assert process.poll() is None
        process.send_signal(number)
        site.release()
        assert process.wait(WAIT_S) == 128 + number
    whole_manifest(runs.place)
    with runs.running("next", 0, "--resume") as following:
        assert following.process.wait(WAIT_S) == 0, following.said
    runs.all_is_there()


@pytest.mark.each_value
@pytest.mark.parametrize("blocked", ["results", "log", "fifo"])
def test_nobody_reads_and_the_time_of_the_run_is_over(
    blocked: str, runs: Together, cli: Command
) -> None:
    with unread(runs, blocked, "--max-run-time", 2) as process:
        status = process.wait(WAIT_S)
    late = status == 3 and not runs.site.requests_of("blocked")  # it had no destination by then
    assert status in {0, 1} or late
    whole_manifest(runs.place)
    with runs.running("next", 0, "--resume") as following:
        assert following.process.wait(WAIT_S) == 0, following.said
    runs.all_is_there()


def unread(runs: Together, blocked: str, *options: object) -> "subprocess.Popen[bytes]":
    """A run of which nobody reads the results (stdout, or a FIFO) or the log (stderr)."""
    cli = runs.cli
    results = "-"
    if blocked == "fifo":
        os.mkfifo(cli.directory / "fifo")
        results = "fifo"
    words = [*runs.place.words, *options, "-H", f"{RUN}: blocked", "--results", results, "list.txt"]
    streams = {"results": (subprocess.PIPE, subprocess.DEVNULL)}
    streams |= {"log": (subprocess.DEVNULL, subprocess.PIPE)}
    out, err = streams.get(blocked, (subprocess.DEVNULL, subprocess.DEVNULL))
    return subprocess.Popen(
        cli.words(*words),
        cwd=cli.directory,
        env={**cli.environment, **runs.place.environment},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
    )


# ---------------------------------------------------------------- what was planted

Plant = Callable[[Path, Path], None]  # at this path, something about that file elsewhere


def link(at: Path, elsewhere: Path) -> None:
    at.symlink_to(elsewhere)


def hard_link(at: Path, elsewhere: Path) -> None:
    os.link(elsewhere, at)


def fifo(at: Path, elsewhere: Path) -> None:
    os.mkfifo(at)


def folder(at: Path, elsewhere: Path) -> None:
    at.mkdir()
    (at / "full").touch()


def link_to_a_folder(at: Path, elsewhere: Path) -> None:
    at.symlink_to(elsewhere.parent, target_is_directory=True)


NAMES = [
    MANIFEST,
    f"{MANIFEST}.index",
    f"{MANIFEST}.index-journal",
    ".scraper/lock",
    ".scraper/tmp",
]


@pytest.mark.each_value
@pytest.mark.parametrize("plant", [link, hard_link, fifo, folder, link_to_a_folder])
@pytest.mark.parametrize("name", NAMES)
def test_what_was_planted_under_a_name_of_ours_neither_redirects_nor_blocks(
    name: str, plant: Plant, site: CombinedSite, cli: Command, tmp_path: Path
) -> None:
    place = Directory(cli)
    runs = Together(site, place, cli)
    site.begin_run("", Hold(4, "head"))
    with runs.running("killed", 0, "-c", 1) as killed:
        site.wait_until(lambda: site.held or killed.ended, WAIT_S)
    site.release()
    elsewhere = tmp_path / "elsewhere" / "file"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"not theirs\n")
    at = cli.directory / "out" / name
    away = at.with_name("away")
    there = at.exists()
    if there:
        at.rename(away)
    plant(at, elsewhere)
    with runs.running("planted", 0, "--resume") as planted:
        assert planted.process.wait(WAIT_S) in {0, 3}, planted.said
    assert b"Traceback" not in b"".join(planted.said)
    assert elsewhere.read_bytes() == b"not theirs\n"
    assert os.listdir(elsewhere.parent) == ["file"]
    if planted.process.returncode == 3:
        assert site.requests_of("planted") == []
        take_away(at)
        if there:
            away.rename(at)
        with runs.running("last", 0, "--resume") as last:
            assert last.process.wait(WAIT_S) == 0, last.said
    assert place.files().keys() == set(runs.keys)
    assert len(runs.keys) == LISTED


def take_away(at: Path) -> None:
    """Whatever was planted."""
    if at.is_dir() and not at.is_symlink():
        (at / "full").unlink()
        at.rmdir()
    else:
        at.unlink(missing_ok=True)
