"""Whichever system call fails, or is the last: no lie in the manifest, no part of an object.

PROOF_CALLS=1 fails, and kills at, the k-th call for every k until there is none.
"""

import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.command import MANIFEST, WAIT_S, Command, Ran
from tests.proof.calls import Fault, prefix, strace_works, struck, tampered
from tests.proof.places import Directory
from tests.proof.site import Site
from tests.proof.story import Story

pytestmark = pytest.mark.skipif(not strace_works(), reason="there is no strace that may trace")
each_engine = pytest.mark.parametrize("engine", ["curl", "threads"])

COMMIT = ["openat", "write", "utimensat", "fsync", "close", "mkdir", "rename"]
STOPS = [
    Fault("openat", "error=ENOSPC", 1),
    Fault("openat", "error=EACCES", 1),
    Fault("write", "error=ENOSPC", 1),
    Fault("utimensat", "error=EIO", 1),
    Fault("fsync", "error=EIO", 1),
    Fault("mkdir", "error=EROFS", 1),
    Fault("rename", "error=EIO", 1),
]
CLOSE = Fault("close", "error=EIO", 1)  # not with threads: it would meet their sockets too
FAILS_ONE = [
    Fault("write", "error=EFBIG", 1, bodies=True),
    Fault("utimensat", "error=EPERM", 1),
    Fault("mkdir", "error=EACCES", 1),
    Fault("rename", "error=EACCES", 1),
]


@pytest.fixture
def site() -> Iterator[Site]:
    """Small pages, none of them empty."""
    with Site(30, range(1, 70_000)) as made:
        made.fails = False
        yield made


@pytest.fixture
def story(site: Site, cli: Command) -> Story:
    """One target after the other, so that one fault meets one of them."""
    return Story(site, Directory(cli, str(cli.directory / "out")), cli, "-c", 1)


def strike(
    story: Story, fault: Fault, engine: str, part: slice = slice(None)
) -> tuple[Ran, list[str]]:
    """A run whose work is tampered with, examined; and which calls were."""
    log = story.cli.directory / "strace.log"
    options = ["--max-failures", 1, "--engine", engine]
    with tampered(story, fault, log, *options, part=part) as seen:
        pass
    story.kills += seen.process.returncode == -9
    return story.ended(seen), struck(log)


def not_stored(story: Story) -> list[str]:
    """The targets that the destination did not take."""
    last = story.last_records().items()
    return [key for key, record in last if record.get("error", {}).get("kind") == "sink"]


@each_engine
def test_the_calls_of_a_commit_are_those_that_are_failed_here(engine: str, story: Story) -> None:
    log = story.cli.directory / "strace.log"
    story.cli.prefix = ["strace", "-D", "-f", "-y", "-o", str(log)]
    story.ran("--max-failures", 1, "--engine", engine)
    text = log.read_text(errors="replace")
    ours = re.findall(
        r"^\d+ +(\w+)\(.*(?:/run-\w+/[0-9a-f]+[\">]|[/\"]a\d+[/\">])", text, re.MULTILINE
    )
    names = re.compile(rf"({'|'.join(COMMIT)})(at|64)?2?")
    looks = {"stat", "newfstatat", "statx"}  # is it there still? if not so, it is opened anew
    assert {call for call in ours if not names.fullmatch(call)} <= looks
    assert {found[1] for call in ours if (found := names.fullmatch(call))} == set(COMMIT)


@each_engine
def test_a_call_of_a_commit_that_means_the_end_of_the_disk_stops_the_run(
    engine: str, story: Story
) -> None:
    for fault in [*STOPS, CLOSE] if engine == "curl" else STOPS:
        ran, calls = strike(story, fault, engine)
        assert calls, fault
        assert ran.status == 3, (fault, calls, ran.err)
        assert len([line for line in ran.errors if line.startswith("scraper: ")]) == 1, fault
        assert len(not_stored(story)) == 1, fault
    story.ends()


@each_engine
def test_a_call_of_a_commit_that_fails_for_one_object_fails_that_target_alone(
    engine: str, story: Story
) -> None:
    for number, fault in enumerate(FAILS_ONE):
        ran, calls = strike(story, fault, engine, slice(6 * number, 6 * number + 6))
        assert calls, fault
        assert ran.status == 1, (fault, calls, ran.err)
        assert len(not_stored(story)) == number + 1, fault
    story.ends()


@each_engine
def test_killed_at_a_call_of_a_commit_the_next_run_goes_on(engine: str, story: Story) -> None:
    for number, call in enumerate(COMMIT):
        ran, calls = strike(story, Fault(call, "signal=KILL", 1 + number % 2), engine)
        assert calls, call
        assert ran.status == -9, call
    story.ends()


def of_the_manifest(story: Story, fault: Fault, *ends: str) -> Ran:
    """A run in which calls are tampered with that have to do with what is kept under its name."""
    manifest = story.cli.directory / "out" / MANIFEST
    log = story.cli.directory / "strace.log"
    paths = [manifest.with_name(f"{manifest.name}{end}") for end in ends]
    names = [Path(path.name) for path in paths]  # as they are opened from an open directory
    story.cli.prefix = prefix(fault, log, *paths, *names)
    with story.running("--max-failures", 1) as seen:
        seen.process.wait(WAIT_S)
    story.cli.prefix = []
    assert struck(log), fault
    story.kills += seen.process.returncode == -9
    return story.ended(seen)


def test_a_manifest_that_fails_stops_the_run_and_the_next_one_goes_on(story: Story) -> None:
    for fault in [
        Fault("write", "error=ENOSPC", 1),
        Fault("write", "error=EIO", 3),
        Fault("openat", "error=EMFILE", 1),
        Fault("read", "error=EIO", 1),
        Fault("lseek", "error=EIO", 2),
        Fault("fsync", "error=EIO", 1),
    ]:
        ran = of_the_manifest(story, fault, "")
        assert ran.status == 3, (fault, ran.err)
        assert len([line for line in ran.errors if line.startswith("scraper: ")]) == 1, fault
    story.ends()


def test_an_index_that_can_not_be_kept_is_none_and_the_manifest_is_read_without(
    story: Story,
) -> None:
    story.ends()
    index = story.cli.directory / "out" / f"{MANIFEST}.index"
    for call in ("openat", "pread64", "pwrite64", "fdatasync", "unlink"):
        for action in ("error=EIO", "signal=KILL"):
            index.unlink(missing_ok=True)
            ran = of_the_manifest(story, Fault(call, action, 3), "", ".index", ".index-journal")
            assert ran.status == (-9 if "KILL" in action else 0)
    story.ends()


def test_killed_while_it_compacts_the_manifest_the_next_run_reads_the_same(story: Story) -> None:
    story.ends()
    path = story.cli.directory / "out" / MANIFEST
    path.write_bytes(b"".join(story.place.manifest() * 500))  # of which nearly all is outdated
    for call in ("openat", "chmod", "write", "fsync", "rename"):
        ran = of_the_manifest(story, Fault(f"f?{call}", "signal=KILL", 1), ".compact")
        assert ran.status == -9, call
        assert len(story.place.manifest()) > 10_000
    assert of_the_manifest(story, Fault("fsync", "error=EIO", 1), ".compact").status == 0
    assert len(story.place.manifest()) > 10_000
    story.ends()
    assert len(story.place.manifest()) < 100


EVERY_ONE = [  # not a socket's close with threads: nobody can do anything about that
    (engine, call, action)
    for engine in ("curl", "threads")
    for call in (*COMMIT, "read", "fcntl", "unlink", "pwrite64", "flock")
    for action in ("error=EIO", "error=EACCES", "error=EMFILE", "signal=KILL")
    if (engine, call) != ("threads", "close") or action == "signal=KILL"
]


@pytest.mark.skipif(not os.environ.get("PROOF_CALLS"), reason="PROOF_CALLS is not set")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("engine", "call", "action"), EVERY_ONE if os.environ.get("PROOF_CALLS") else EVERY_ONE[:1]
)
def test_whichever_call_fails_no_record_lies(
    engine: str, call: str, action: str, site: Site, tmp_path: Path
) -> None:
    for number in count(1):
        directory = tmp_path / f"{number}"
        directory.mkdir()
        cli = Command(directory)
        story = Story(site, Directory(cli), cli, "-c", 1)
        _, calls = strike(story, Fault(call, action, number), engine, slice(4))
        if not calls:
            return
        story.ends()
