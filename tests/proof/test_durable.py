"""A record survives a power cut: what was asked of the disk before it was written, call by call.

No device that forgets can be had here, so the system calls of a run are read in their order.
A name is on the disk when its directory was flushed after the rename (fsync(2), "Description").
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import MANIFEST, WAIT_S, Command
from tests.proof.calls import Fault, prefix, strace_works, struck
from tests.proof.places import Directory
from tests.proof.site import Site
from tests.proof.story import DONE, Story

pytestmark = pytest.mark.skipif(not strace_works(), reason="there is no strace that may trace")
each_engine = pytest.mark.parametrize("engine", ["curl", "threads", "curl --processes 2"])

CALLS = "trace=/^(rename|mkdir|open|fsync|fdatasync|write)(at)?2?$"
_LINE = re.compile(r"(\d+) +(\w+)\((.*?)(?:\) += (-?\d+).*| <unfinished \.\.\.>)", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+)")
_FD = re.compile(r"\d+<(.*?)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class Call:
    """One call that succeeded. `began` and `ended` are places in the order of all calls."""

    name: str
    arguments: str
    began: int
    ended: int

    @property
    def directories(self) -> list[str]:
        """The paths of its descriptors. strace can't tell one that another thread just closed."""
        return _FD.findall(self.arguments) or [""]

    @property
    def texts(self) -> list[str]:
        """Its strings."""
        return _TEXT.findall(self.arguments) or [""]

    def is_of(self, *names: str) -> bool:
        """Whether it is one of these, in any of its forms."""
        return re.sub(r"(at)?2?$", "", self.name) in names


def calls(log: Path) -> list[Call]:
    """What a log of strace tells, in order."""
    found: list[Call] = []
    begun: dict[str, Call] = {}
    for number, line in enumerate(log.read_text(errors="replace").splitlines()):
        if resumed := _RESUMED.match(line):
            call = begun.pop(resumed[1])
            call.ended = number
            if int(resumed[3]) >= 0:
                found.append(call)
        elif seen := _LINE.match(line):
            call = Call(seen[2], seen[3], number, number)
            if seen[4] is None:
                begun[seen[1]] = call
            elif int(seen[4]) >= 0:
                found.append(call)
    return sorted(found, key=lambda call: call.began)


class Log:
    """The calls of one run into `root`."""

    def __init__(self, log: Path, root: Path) -> None:
        self.calls = calls(log)
        self.root = str(root)

    def of(self, *names: str) -> list[Call]:
        """The calls of these names."""
        return [call for call in self.calls if call.is_of(*names)]

    def records(self) -> Iterator[tuple[Call, list[dict[str, Any]]]]:
        """Each write to the manifest, and its records."""
        for call in self.of("write"):
            if call.directories[0] == f"{self.root}/{MANIFEST}":
                text = call.texts[0].encode().decode("unicode_escape")
                yield call, [json.loads(line) for line in text.splitlines()]

    def flushed(self, path: str, after: Call, before: Call) -> bool:
        """Whether the directory at `path` was flushed after one call and before another."""
        return any(
            call.directories[0] == path and call.began > after.ended and call.ended < before.began
            for call in self.of("fsync")
        )

    def made(self, path: str) -> Call | None:
        """The call that made the directory at `path`, if this run did."""
        parent, _, name = path.rpartition("/")
        for call in self.of("mkdir"):
            if [call.directories[0], call.texts[0]] == [parent, name] or call.texts[0] == path:
                return call
        return None

    def renamed(self, path: str, before: Call) -> Call:
        """The last rename to `path` before a call."""
        parent, _, name = path.rpartition("/")
        *_, last = [
            call
            for call in self.of("rename")
            if call.directories[-1] == parent
            and call.texts[-1] == name
            and call.ended < before.began
        ]
        return last


@pytest.fixture
def site() -> Iterator[Site]:
    """Small pages, none of them empty, two to a directory."""
    with Site(30, range(1, 70_000)) as made:
        made.fails = False
        yield made


@pytest.fixture
def story(site: Site, cli: Command) -> Story:
    """Into a directory that is not there yet, nor is the one above it."""
    return Story(site, Directory(cli, "new/out"), cli, "-c", 4)


def traced(story: Story, *options: object) -> Log:
    """A run to its end, and its calls."""
    log = story.cli.directory / "strace.log"
    story.cli.prefix = ["strace", "-D", "-f", "-y", "-s", "1000000", "-e", CALLS, "-o", str(log)]
    story.ran("--max-failures", 1, *options)
    story.cli.prefix = []
    return Log(log, story.cli.directory / "new/out")


@each_engine
def test_a_record_is_written_when_the_names_on_the_way_to_its_object_are_on_the_disk(
    engine: str, story: Story
) -> None:
    log = traced(story, "--engine", *engine.split(), "--durable")
    seen = 0
    for write, records in log.records():
        for record in records:
            if record["status"] != "stored":
                continue
            seen += 1
            path = f"{log.root}/{record['key']}"
            directory = path.rpartition("/")[0]
            assert log.flushed(directory, log.renamed(path, write), write), path
            while (made := log.made(directory)) is not None:
                directory = directory.rpartition("/")[0]
                assert log.flushed(directory, made, write), f"{directory}, on the way to {path}"
            assert directory == str(story.cli.directory), "the first that was there before the run"
    assert seen == len(story.keys)


@each_engine
def test_a_result_is_told_when_its_record_is_on_the_disk(engine: str, story: Story) -> None:
    log = traced(story, "--engine", *engine.split(), "--durable")
    flushes = [call for call in log.of("fdatasync", "fsync") if MANIFEST in call.directories[0]]
    created = next(
        call
        for call in log.of("open")
        if call.texts[0].endswith("manifest.jsonl") and "O_CREAT" in call.arguments
    )
    for write, records in log.records():
        assert log.flushed(f"{log.root}/.scraper", created, write)
        flush = next(call for call in flushes if call.began > write.ended)
        for record in records:
            told = next(
                call
                for call in log.of("write")
                if call is not write and record["key"] in call.arguments
            )
            assert told.began > flush.ended, record["key"]


@each_engine
def test_without_it_no_directory_is_flushed_and_the_manifest_once(
    engine: str, story: Story
) -> None:
    log = traced(story, "--engine", *engine.split())
    flushed = [call.directories[0] for call in log.of("fsync", "fdatasync")]
    assert flushed.count(f"{log.root}/{MANIFEST}") == 1, "at the end"
    objects = [path for path in flushed if "/.scraper/tmp/run-" in path]
    assert len(objects) >= len(story.keys), "a name never leads to a body that is not whole"
    assert len(flushed) == len(objects) + 1


def test_a_new_manifest_elsewhere_is_on_the_disk_with_the_directories_above_it(
    site: Site, cli: Command
) -> None:
    file = cli.directory / "records/of/pages/manifest.jsonl"
    story = Story(site, Directory(cli, "new/out", file=file), cli, "-c", 4)
    log = traced(story, "--durable")
    flushed = {call.directories[0] for call in log.of("fsync")}
    here = cli.directory
    assert {str(here), *(f"{here}/{path}" for path in ("records", "records/of"))} <= flushed
    assert str(file.parent) in flushed


@each_engine
def test_names_that_the_disk_refuses_have_no_record_and_the_run_stops(
    engine: str, site: Site, cli: Command
) -> None:
    story = Story(site, Directory(cli), cli, "-c", 4, "--engine", *engine.split(), "--durable")
    (cli.directory / "out/a3").mkdir(parents=True)
    log = cli.directory / "strace.log"
    cli.prefix = prefix(Fault("fsync", "error=EIO", 1), log, cli.directory / "out/a3")
    with story.running("--max-failures", 1) as seen:
        seen.process.wait(WAIT_S)
    cli.prefix = []
    assert struck(log)
    ran = story.ended(seen)
    assert ran.status == 3
    assert [line for line in ran.errors if line.startswith("scraper: ")] == [
        "scraper: the directory takes no more: Input/output error"
    ]
    done = {key for key, record in story.last_records().items() if record["status"] in DONE}
    assert not {key for key in done if key.startswith("a3/")}
    story.ends()
