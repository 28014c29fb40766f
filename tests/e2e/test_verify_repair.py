"""`scraper verify --repair`: what is missing or changed is fetched whole by the next run."""

import os

import pytest

from scraper.sinks.file_lock import FileHold
from tests.e2e.command import Command, without_reader
from tests.e2e.places import SLOW_CLOUDS, Bucket, Directory, Place
from tests.e2e.test_prune import NAMES, Site, place_of
from tests.servers import Serve


@pytest.fixture
def site(serve: Serve) -> Site:
    return Site(serve)


@pytest.fixture(params=["directory", "moto", *SLOW_CLOUDS])
def place(request: pytest.FixtureRequest, cli: Command, site: Site) -> Place:
    made = place_of(request.param, request, cli)
    ran = cli("-", *made.words, stdin=site.lines(*NAMES), env=made.environment)
    assert ran.status == 0
    return made


def damage(place: Place) -> None:
    """Change one bit of b, as a disk may, and delete c."""
    body = b"bodY of /b"
    if isinstance(place, Bucket):
        changed, absent = (f"{place.prefix}/{Site.key(name)}" for name in "bc")
        place.server.damage(place.bucket, changed, body)
        place.server.delete(place.bucket, absent)
        return
    assert isinstance(place, Directory)
    path = place.cli.directory / "out" / Site.key("b")
    times = path.stat()
    path.write_bytes(body)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (place.cli.directory / "out" / Site.key("c")).unlink()


@pytest.mark.parametrize("option", ["", "--resume", "--retry-failed", "without a list"])
def test_the_next_run_fetches_what_was_damaged_whole(
    cli: Command, place: Place, site: Site, option: str
) -> None:
    damage(place)
    verify = ["verify", *place.words[1:]]
    ran = cli(*verify, "--repair", env=place.environment)
    assert ran.status == 1
    assert {tuple(line.split("\t")[:2]) for line in ran.lines} == {
        ("changed", Site.key("b")),
        ("missing", Site.key("c")),
    }
    assert ran.errors[-1] == "2 recorded as not done: the next run fetches them"
    site.conditions.clear()
    words = [*place.words, *([option] if option.startswith("--") else [])]
    if option == "without a list":
        ran = cli("--retry-failed", *place.words, env=place.environment)
    else:
        ran = cli("-", *words, stdin=site.lines(*NAMES), env=place.environment)
    assert ran.status == 0
    assert sorted(site.conditions) == ([False, False] if option else [False, False, True])
    quiet = cli(*verify, "--repair", "-q", env=place.environment)
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    assert place.files() == {Site.key(name): f"body of /{name}".encode() for name in NAMES}


def test_what_is_told_of_them_until_then(cli: Command, place: Place) -> None:
    damage(place)
    cli("verify", *place.words[1:], "--repair", env=place.environment)
    failed = cli("failed", *place.words[1:], "--format", "json", env=place.environment).records
    assert {one["key"] for one in failed} == {Site.key("b"), Site.key("c")}
    assert {one["error"]["kind"] for one in failed} == {"lost"}
    status = cli("status", *place.words[1:], "--json", env=place.environment).records[0]
    assert (status["done"], status["objects"], status["statuses"]["failed"]) == (False, 1, 2)
    assert "without_summary" not in status, "it was no run"
    again = cli("verify", *place.words[1:], "--repair", env=place.environment)
    assert [line.split("\t")[:2] for line in again.lines] == [["unknown", Site.key("b")]]
    assert again.status == 1


def test_a_destination_that_is_held_is_left_alone(cli: Command, site: Site) -> None:
    place = Directory(cli)
    assert cli("-", "--to", "out", stdin=site.lines("b", "c")).status == 0
    damage(place)
    before = place.records()
    hold = FileHold(cli.directory / "out")
    try:
        ran = cli("verify", "out", "--repair")
    finally:
        hold.release()
    assert (ran.status, ran.out, len(ran.complaints)) == (75, "", 1)
    assert place.records() == before
    ran = cli("verify", "nowhere", "--repair")
    assert (ran.status, len(ran.complaints)) == (2, 1)
    assert not (cli.directory / "nowhere").exists()


@pytest.mark.parametrize("repair", [(), ("--repair",)])
def test_a_reader_that_has_left_changes_nothing(
    cli: Command, place: Place, repair: tuple[str, ...]
) -> None:
    damage(place)
    verify = ["verify", *place.words[1:]]
    ran = without_reader(cli, *verify, *repair, env=place.environment)
    assert ran.status == 1, ran.err
    if repair:
        assert ran.errors[-1] == "2 recorded as not done: the next run fetches them"
        assert cli("status", *place.words[1:], env=place.environment).status == 1
