"""A run that is killed between an object and its record; then the page is what it was before.

The destination holds body B and the manifest tells of body A, which is as long. No later run may
say of B that it is A.
"""

import os
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from threading import Event
from urllib.parse import unquote

import pytest

from tests.e2e.command import WAIT_S, Command
from tests.e2e.places import SLOW_CLOUDS, Bucket, Directory, Place, place_of
from tests.s3servers import CUT, Asked, Front
from tests.servers import HttpServer, Reply, Request, Serve

KEY = "page.html"
KILLS = Path(__file__).parent / "kill_after_rename"
CLIENTS = {"threads": "boto3", "curl": "curl"}  # of S3, for each engine
DATES = {"A": "Sun, 06 Nov 1994 08:49:37 GMT", "B": "Mon, 07 Nov 1994 08:49:37 GMT"}

each_validator = pytest.mark.parametrize("dated", [False, True], ids=["etag", "date"])
each_way_again = pytest.mark.parametrize(
    ("again", "dated"), [("--resume", False), ("--retry-failed", True)]
)


class Site:
    """One page, which is `now`: A, B, or broken. Its validator is an etag, or a date."""

    def __init__(self, serve: Serve, *, dated: bool) -> None:
        self.now = "A"
        self.asked: list[bool] = []  # for each request, whether it had a condition
        self.server: HttpServer = serve(self._answer)
        self.url = f"{self.server.url}/page"
        self._dated = dated

    def _answer(self, request: Request) -> Reply:
        name = "if-modified-since" if self._dated else "if-none-match"
        said = request.headers.get(name)
        self.asked.append(said is not None)
        if self.now == "broken":
            return Reply(403)
        mark = DATES[self.now] if self._dated else f'"{self.now}"'
        headers = {"Last-Modified" if self._dated else "ETag": mark}
        if said == mark:
            return Reply(304, headers)
        return Reply(200, headers, f"body {self.now}".encode())


class Runs:
    """Runs of one list, by one engine, to one place."""

    def __init__(self, cli: Command, place: Place, engine: str, url: str) -> None:
        self.cli = cli
        self.place = place
        self._words = ["list", "--engine", engine, "--retries", "0", "--results", "-"]
        if isinstance(place, Bucket):
            self._words += ["--s3-client", CLIENTS[engine]]
        cli.write("list", f"{url}\t{KEY}")

    def __call__(self, *options: str) -> str:
        """What became of the page."""
        ran = self.cli(*self._words, *self.place.words, *options, env=self.place.environment)
        assert ran.status in {0, 1}, ran.err
        (record,) = ran.records
        status: str = record["status"]
        return status

    @property
    def stored(self) -> bytes:
        return self.place.files()[KEY]

    def verified(self) -> int:
        """The exit status of `scraper verify`."""
        return self.cli("verify", *self.place.words[1:], env=self.place.environment).status

    def killed(self) -> None:
        """A run that is killed when the object is there and its record is not."""
        before = self._records()
        if isinstance(self.place, Bucket):
            self._killed_at_the_segment(self.place)
        else:
            environment = {"PYTHONPATH": str(KILLS), "KILL_AFTER_RENAME": KEY}
            with self.cli.start(*self._words, *self.place.words, env=environment) as process:
                assert process.wait(WAIT_S) == -SIGKILL
        assert self._records() == before

    def _records(self) -> object:
        """Something that changes with each record."""
        if isinstance(self.place, Bucket):
            return [key for key in self.place.all() if key.startswith(".scraper/manifest-")]
        return self.place.records()

    def _killed_at_the_segment(self, place: Bucket) -> None:
        reached, gone = Event(), Event()

        def fault(asked: Asked) -> tuple[int, str] | None:
            if asked.operation != "PUT" or "/.scraper/manifest-" not in unquote(asked.path):
                return None
            reached.set()
            gone.wait(WAIT_S)
            return CUT, ""

        with Front(place.server.url, fault) as front:
            to = Bucket(place.server, place.bucket, endpoint=front.url)
            with self.cli.start(*self._words, *to.words, env=to.environment) as process:
                assert reached.wait(WAIT_S)
                process.kill()
                process.wait(WAIT_S)
                gone.set()


@pytest.fixture(params=["directory", "moto", "rclone", *SLOW_CLOUDS])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    return place_of(request, cli)


@pytest.fixture(params=["threads", "curl"])
def begin(
    request: pytest.FixtureRequest, cli: Command, place: Place, serve: Serve
) -> Callable[[bool], tuple[Site, Runs]]:
    """A site and runs, of which one has stored A, and one B without a record."""

    def made(dated: bool) -> tuple[Site, Runs]:
        site = Site(serve, dated=dated)
        runs = Runs(cli, place, request.param, site.url)
        assert runs() == "stored"
        site.now = "B"
        runs.killed()
        assert runs.stored == b"body B"
        site.asked.clear()
        return site, runs

    return made


Begin = Callable[[bool], tuple[Site, Runs]]


@pytest.mark.each_value
@each_validator
def test_a_304_of_the_recorded_body_fetches_it_anew(dated: bool, begin: Begin) -> None:
    site, runs = begin(dated)
    site.now = "A"
    assert runs() == "stored"
    assert (runs.stored, runs.verified()) == (b"body A", 0)
    assert site.asked == ([False] if isinstance(runs.place, Directory) else [True, False])
    assert runs() == "not_modified"
    assert site.asked[-1:] == [True]
    assert runs("--resume") == "skipped"


@pytest.mark.each_value
@each_way_again
def test_so_it_is_where_the_last_record_is_a_failure(again: str, dated: bool, begin: Begin) -> None:
    site, runs = begin(dated)
    site.now = "broken"
    assert runs() == "failed"
    site.now = "A"
    assert runs(again) == "stored"
    assert (runs.stored, runs.verified()) == (b"body A", 0)
    assert runs() == "not_modified"


@pytest.mark.each_value
@pytest.mark.parametrize("place", ["directory"], indirect=True)
@each_way_again
def test_a_directory_is_looked_at_before_a_target_counts_as_done(
    again: str,
    dated: bool,
    begin: Begin,
) -> None:
    site, runs = begin(dated)
    site.now = "A"
    assert runs(again) == "stored"
    assert (runs.stored, runs.verified()) == (b"body A", 0)
    assert runs(again) == "skipped"


@pytest.mark.parametrize("place", ["directory"], indirect=True)
def test_a_file_that_was_touched_is_fetched_anew_and_one_with_a_coarse_time_is_not(
    begin: Begin, place: Directory
) -> None:
    _, runs = begin(False)
    assert runs() == "stored"
    path = place.cli.directory / place.name / KEY
    second = path.stat().st_mtime_ns // 10**9 * 10**9
    os.utime(path, ns=(second, second))  # as a file system keeps it that has whole seconds
    assert runs("--resume") == "skipped"
    assert runs() == "not_modified"
    os.utime(path)
    assert runs("--resume") == "stored"
    os.utime(path)
    assert runs() == "stored"
    assert runs() == "not_modified"
