"""`scraper list DEST --unlisted LIST --prune`: what no list names is deleted, and nothing else."""

import os
import pty
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL
from subprocess import PIPE, Popen
from threading import Event

import pytest

from tests.e2e.command import WAIT_S, Command, Ran
from tests.e2e.places import SLOW_CLOUDS, Bucket, Directory, Place
from tests.e2e.watch import until
from tests.s3servers import CUT, LOST, Asked, Front
from tests.servers import Reply, Request, Serve

KILLS = Path(__file__).parent / "kill_in_prune"
NAMES = ("a", "b", "c")


class Site:
    """Pages with etags, whose keys are their paths. `conditions`: of the requests so far."""

    def __init__(self, serve: Serve) -> None:
        self.conditions: list[bool] = []
        self.held: Event | None = None
        self.asked = Event()
        self.url = serve(self._answer).url

    def _answer(self, request: Request) -> Reply:
        self.conditions.append("if-none-match" in request.headers)
        self.asked.set()
        if self.held is not None:
            assert self.held.wait(WAIT_S)
        if self.conditions[-1]:
            return Reply(304, {"ETag": '"1"'})
        return Reply(200, {"ETag": '"1"'}, f"body of {request.path}".encode())

    def lines(self, *names: str) -> str:
        return "".join(f"{self.url}/{name}\t{self.key(name)}\n" for name in names)

    @staticmethod
    def key(name: str) -> str:
        return f"site/{name}/page.html"


class Pruning:
    """A destination with the pages of a site, and the command on it."""

    def __init__(self, cli: Command, place: Place, site: Site) -> None:
        self.cli, self.place, self.site = cli, place, site
        self.keep("a")

    def fetch(self, *names: str, options: tuple[str, ...] = ()) -> Ran:
        words = ["-", *self.place.words, *options]
        lines = self.site.lines(*names)
        return self.cli(*words, stdin=lines, env=self.place.environment)

    def keep(self, *names: str) -> None:
        """The list names these only."""
        self.cli.write("keep.txt", *self.site.lines(*names).splitlines())

    def words(self, *options: str) -> list[str]:
        listed = ["--unlisted", "keep.txt", "--prune", "--format", "keys"]
        return ["list", *self.place.words[1:], *listed, *options]

    def __call__(self, *options: str) -> Ran:
        return self.cli(*self.words(*(options or ("--yes",))), env=self.place.environment)

    def recorded(self) -> list[str]:
        """What the manifest says."""
        words = ["list", *self.place.words[1:], "--format", "keys"]
        ran = self.cli(*words, env=self.place.environment)
        assert ran.status == 0, ran.err
        return sorted(ran.lines)

    def verified(self) -> int:
        return self.cli("verify", *self.place.words[1:], env=self.place.environment).status

    def there(self) -> list[str]:
        return sorted(self.place.files())


@pytest.fixture
def site(serve: Serve) -> Site:
    return Site(serve)


def place_of(kind: str, request: pytest.FixtureRequest, cli: Command) -> Place:
    if kind == "directory":
        return Directory(cli)
    server = request.getfixturevalue(f"{kind}_server")
    return Bucket(server, server.make_bucket())


@pytest.fixture(params=["directory", "moto", *SLOW_CLOUDS])
def pruning(request: pytest.FixtureRequest, cli: Command, site: Site) -> Pruning:
    made = Pruning(cli, place_of(request.param, request, cli), site)
    assert made.fetch(*NAMES).status == 0
    return made


@pytest.fixture
def local(cli: Command, site: Site) -> Pruning:
    """In a directory."""
    made = Pruning(cli, Directory(cli), site)
    assert made.fetch(*NAMES).status == 0
    return made


def keys(*names: str) -> list[str]:
    return [Site.key(name) for name in names]


# ---------------------------------------------------------------- what is deleted


def test_what_no_list_names_is_deleted_told_and_recorded(pruning: Pruning) -> None:
    ran = pruning()
    assert (ran.status, sorted(ran.lines)) == (0, keys("b", "c"))
    assert ran.err == "scraper: 2 objects deleted, 20 B\n"
    assert pruning.there() == pruning.recorded() == keys("a")
    assert pruning.verified() == 0
    records = [one for one in pruning.place.records() if one["status"] == "pruned"]
    assert sorted(one["key"] for one in records) == keys("b", "c")
    assert all(one["size"] == 10 and one["sha256"] and one["run"] for one in records)
    again = pruning()
    assert (again.status, again.out, again.err) == (0, "", "scraper: 0 objects deleted, 0 B\n")


@pytest.mark.parametrize("option", ["--refresh", "--resume", "--retry-failed"])
def test_a_pruned_target_that_is_listed_again_is_fetched_whole(local: Pruning, option: str) -> None:
    local()
    local.site.conditions.clear()
    ran = local.fetch("b", options=(option, "--results", "-"))
    assert [one["status"] for one in ran.records] == ["stored"]
    assert local.site.conditions == [False]
    assert local.there() == local.recorded() == keys("a", "b")


def test_status_and_failed_know_nothing_of_what_was_pruned(local: Pruning) -> None:
    local()
    status = local.cli("status", "out", "--json").records[0]
    assert (status["done"], status["objects"], status["targets"]) == (True, 1, 1)
    assert status["runs"][0]["statuses"]["stored"] == 3, "a pruning is no run"
    assert local.cli("failed", "out").out == ""


def test_an_earlier_owner_of_the_key_does_not_come_back(cli: Command, site: Site) -> None:
    pruning = Pruning(cli, Directory(cli), site)
    shared = [f"{site.url}/{name}\tsite/shared.html\n" for name in ("x", "y", "x", "y")]
    for line in (*shared, site.lines("a")):
        assert cli("-", "--to", "out", stdin=line).status == 0
    assert (pruning().status, pruning.recorded(), pruning.there()) == (0, keys("a"), keys("a"))
    site.conditions.clear()
    ran = cli("-", "--to", "out", "--resume", "--results", "-", stdin=shared[0])
    assert [one["status"] for one in ran.records] == ["stored"]
    assert site.conditions == [False]
    ran = cli("list", "out", "--format", "json")
    assert [one["url"] for one in ran.records] == [f"{site.url}/a", f"{site.url}/x"]


def test_empty_directories_go_and_the_destination_stays(local: Pruning) -> None:
    out = local.cli.directory / "out"
    (out / "site/b/mine.txt").write_text("mine")
    (out / "site/empty").mkdir()
    local.cli.write("keep.txt", f"{local.site.url}/other\tother.html", f"{local.site.url}/a\tz")
    assert local("--yes", "--yes").status == 0
    assert sorted(one.name for one in (out / "site").iterdir()) == ["b", "empty"]
    shutil.rmtree(out / "site")
    local.fetch("a")
    assert local("--yes", "--yes").status == 0
    assert [one.name for one in out.iterdir()] == [".scraper"]


def test_a_manifest_elsewhere_is_the_one_that_is_read_and_written(
    cli: Command, site: Site, moto_server: object, request: pytest.FixtureRequest
) -> None:
    place = place_of("moto", request, cli)
    pruning = Pruning(cli, place, site)
    assert pruning.fetch(*NAMES, options=("--manifest", "m.jsonl")).status == 0
    ran = pruning("--yes", "--manifest", "m.jsonl")
    assert (ran.status, sorted(ran.lines)) == (0, keys("b", "c"))
    assert pruning.there() == keys("a")
    last = (cli.directory / "m.jsonl").read_text().splitlines()[-1]
    assert '"pruned"' in last
    assert '"destination"' in last


# ---------------------------------------------------------------- what is not


def test_an_object_that_was_changed_by_hand_stays_and_is_told(pruning: Pruning) -> None:
    _change(pruning.place, Site.key("b"), b"body OF /b")
    ran = pruning()
    assert (ran.status, ran.lines) == (1, keys("c"))
    assert ran.errors[0].startswith(f"scraper: not deleted: {Site.key('b')}: ")
    assert ran.errors[1] == "scraper: 1 object deleted, 10 B; 1 changed since and not deleted"
    assert pruning.there() == pruning.recorded() == keys("a", "b")
    _change(pruning.place, Site.key("b"), b"body of /b and more")
    ran = pruning()
    assert (ran.status, ran.lines) == (1, [])
    _change(pruning.place, Site.key("b"), b"body of /b")  # as it was, at another time
    ran = pruning()
    assert (ran.status, ran.lines, pruning.there()) == (0, keys("b"), keys("a"))


def _change(place: Place, key: str, body: bytes) -> None:
    if isinstance(place, Bucket):
        name = f"{place.prefix}/{key}"
        place.server.put(place.bucket, name, body)
    else:
        assert isinstance(place, Directory)
        path = place.cli.directory / place.name / key
        path.write_bytes(body)


def test_what_is_not_there_any_more_is_recorded(pruning: Pruning) -> None:
    if isinstance(place := pruning.place, Bucket):
        name = f"{place.prefix}/{Site.key('b')}"
        place.server.delete(place.bucket, name)
    else:
        shutil.rmtree(pruning.cli.directory / "out/site/b")
    ran = pruning()
    assert (ran.status, ran.lines, pruning.recorded()) == (0, keys("c"), keys("a"))
    assert ran.err == "scraper: 1 object deleted, 10 B; 1 not there any more\n"


@pytest.mark.parametrize("final", [False, True], ids=["directory", "file"])
def test_links_are_not_followed(local: Pruning, final: bool) -> None:
    at = local.cli.directory / "out" / ("site/b/page.html" if final else "site/b")
    elsewhere = local.cli.directory / "elsewhere"
    at.rename(elsewhere)
    at.symlink_to(elsewhere)
    ran = local()
    assert (ran.status, ran.lines) == (1, keys("c"))
    assert "a link" in ran.errors[0]
    assert at.is_symlink()
    assert (elsewhere if final else elsewhere / "page.html").is_file()
    assert local.recorded() == keys("a", "b")


# ---------------------------------------------------------------- when it is refused


def test_without_a_terminal_it_is_refused_and_a_dry_run_only_lists(local: Pruning) -> None:
    ran = local("--format", "keys")
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert sorted(local("--dry-run").lines) == keys("b", "c")
    assert sorted(local("--dry-run", "--yes").lines) == keys("b", "c")
    listed = ["--unlisted", "keep.txt"]
    url = f"{local.site.url}/b"
    for words in (["--prune", "--yes"], [*listed, "--yes"], [url, *listed, "--prune", "--yes"]):
        ran = local.cli("list", "out", *words)
        assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert local.there() == local.recorded() == keys("a", "b", "c")


def test_lists_that_seem_to_be_the_wrong_ones_are_refused(local: Pruning) -> None:
    ran = local("--yes", "--key", "hash")
    assert (ran.status, sorted(ran.lines)) == (0, keys("b", "c")), (
        "keys that are given are the same"
    )
    local.fetch(*NAMES)
    for lines in (["http://other/"], [*local.site.lines("a").splitlines(), "no URL"]):
        local.cli.write("keep.txt", *lines)
        ran = local()
        assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
        assert local.there() == keys("a", "b", "c")
    ran = local("--yes", "--yes")
    assert (ran.status, sorted(ran.lines)) == (0, keys("b", "c"))


@contextmanager
def asked(pruning: Pruning) -> Iterator[tuple[Popen[bytes], int]]:
    """The command on a terminal, which has asked its question. The test writes to the number."""
    ours, theirs = pty.openpty()
    try:
        streams = {"stdin": theirs, "stderr": theirs, "stdout": PIPE}
        words = pruning.words()
        with pruning.cli.start(*words, env=pruning.place.environment, **streams) as process:
            os.close(theirs)
            heard = b""
            while b"[y/N]" not in heard:
                heard += os.read(ours, 4096)
            assert all(key.encode() in heard for key in keys("b", "c"))
            yield process, ours
    finally:
        os.close(ours)


def answered(process: Popen[bytes]) -> tuple[int, list[str]]:
    assert process.stdout is not None
    out = process.stdout.read().decode().splitlines()
    return process.wait(WAIT_S), sorted(out)


def test_the_question_is_asked_while_the_destination_is_held(pruning: Pruning) -> None:
    with asked(pruning) as (process, terminal):
        assert pruning().status == 75, "two at once"
        os.write(terminal, b"\n")
        assert answered(process) == (1, [])
    assert pruning.there() == pruning.recorded() == keys("a", "b", "c")
    with asked(pruning) as (process, terminal):
        process.send_signal(SIGINT)
        assert answered(process) == (130, [])
    with asked(pruning) as (process, terminal):
        os.write(terminal, b"y\n")
        assert answered(process) == (0, keys("b", "c"))
    assert pruning.there() == pruning.recorded() == keys("a")


def test_a_run_that_holds_the_destination_is_left_alone(local: Pruning) -> None:
    local.site.held = Event()
    local.site.asked.clear()
    with local.cli.start("-", "--to", "out", stdin=PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(local.site.lines("d").encode())
        process.stdin.flush()
        assert local.site.asked.wait(WAIT_S)
        ran = local()
        assert (ran.status, ran.out, len(ran.complaints)) == (75, "", 1)
        local.site.held.set()
        assert local.cli.ended(process).status == 0
    assert local.there() == keys("a", "b", "c", "d")


# ---------------------------------------------------------------- killed, stopped, refused


def _finished(pruning: Pruning) -> None:
    """What a pruning that was killed has left is deleted by the next one."""
    assert Site.key("a") in pruning.there()
    assert pruning().status == 0
    assert pruning.there() == pruning.recorded() == keys("a")
    assert pruning.verified() == 0
    assert pruning().out == ""


@pytest.mark.parametrize("moment", ["write", "written", "unlink", "unlinked", "rmdir"])
def test_killed_at_any_moment_it_is_finished_by_the_next_one(local: Pruning, moment: str) -> None:
    environment = {"PYTHONPATH": str(KILLS), "KILL_IN_PRUNE": moment}
    ran = local.cli(*local.words("--yes"), env=environment)
    assert ran.status == -SIGKILL
    assert local.recorded() == keys("a", "b", "c") if moment == "write" else keys("a")
    _finished(local)


@pytest.fixture(params=["moto", pytest.param("rclone", marks=pytest.mark.each_pair)])
def bucket(request: pytest.FixtureRequest, cli: Command, site: Site) -> Pruning:
    """In a bucket."""
    made = Pruning(cli, place_of(request.param, request, cli), site)
    assert made.fetch(*NAMES).status == 0
    return made


def through(pruning: Pruning, front: Front) -> Pruning:
    """The same, by way of `front`."""
    place = pruning.place
    assert isinstance(place, Bucket)
    return Pruning(pruning.cli, Bucket(place.server, place.bucket, front.url), pruning.site)


def upstream(pruning: Pruning) -> str:
    assert isinstance(pruning.place, Bucket)
    return str(pruning.place.server.url)


@pytest.mark.parametrize("operation", ["PUT", "DELETE"])
@pytest.mark.parametrize("what", [CUT, LOST], ids=["before", "after"])
def test_killed_at_any_request_it_is_finished_by_the_next_one(
    bucket: Pruning, operation: str, what: int
) -> None:
    running: list[Popen[bytes]] = []
    started = Event()

    def kill() -> None:
        assert started.wait(WAIT_S)
        running[0].kill()

    def is_meant(asked: Asked) -> bool:
        is_ours = ".scraper/manifest-" in asked.path or ".html" in asked.path
        return asked.operation == operation and is_ours

    def fault(asked: Asked) -> tuple[int, str] | None:
        if not is_meant(asked):
            return None
        if what == CUT:
            kill()
        return what, ""

    def alter(asked: Asked, body: bytes) -> bytes:  # the store carries it out after that
        if is_meant(asked):
            kill()
        return body

    with Front(upstream(bucket), fault, alter=alter) as front:
        words, environment = through(bucket, front).words("--yes"), bucket.place.environment
        with bucket.cli.start(*words, env=environment) as process:
            running.append(process)
            started.set()
            assert process.wait(WAIT_S) == -SIGKILL
        if what == LOST:
            until(lambda: _carried(bucket, operation))
    _finished(bucket)


def _carried(pruning: Pruning, operation: str) -> bool:
    """Whether the store has done it."""
    if operation == "DELETE":
        return len(pruning.there()) < len(NAMES)
    assert isinstance(pruning.place, Bucket)
    return sum(key.startswith(".scraper/manifest-0") for key in pruning.place.all()) > 1


def test_told_to_end_it_ends_the_group_and_says_so(bucket: Pruning) -> None:
    begun, go_on = Event(), Event()

    def fault(asked: Asked) -> None:
        if asked.operation == "DELETE" and ".html" in asked.path:
            begun.set()
            assert go_on.wait(WAIT_S)

    with Front(upstream(bucket), fault) as front:
        words, environment = through(bucket, front).words("--yes"), bucket.place.environment
        with bucket.cli.start(*words, env=environment) as process:
            assert begun.wait(WAIT_S)
            process.send_signal(SIGINT)
            go_on.set()
            ran = bucket.cli.ended(process)
    assert (ran.status, sorted(ran.lines)) == (130, keys("b", "c"))
    assert bucket.there() == bucket.recorded() == keys("a")


@pytest.mark.parametrize("answer", [(409, "InvalidObjectState"), (403, "AccessDenied")])
def test_what_the_store_refuses_to_delete_is_told_and_tried_again(
    bucket: Pruning, answer: tuple[int, str]
) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        return answer if asked.operation == "DELETE" and "/b/" in asked.path else None

    with Front(upstream(bucket), fault) as front:
        ran = through(bucket, front)()
    assert (ran.status, ran.lines) == (1, keys("c"))
    assert ran.errors[0].startswith(f"scraper: not deleted: {Site.key('b')}: ")
    assert bucket.there() == keys("a", "b")
    _finished(bucket)
