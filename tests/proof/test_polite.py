"""Caps, delays, robots.txt and Retry-After hold for a host over all processes, under kills.

The site's log is the judge. What a killed process knew of a host is gone with it: when the last
request began, and for how long the host asked to be left alone. So delays and Retry-After hold
within the life of a run. A cap and robots.txt hold over all lives.
"""

import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.command import WAIT_S, Command, program
from tests.e2e.places import Bucket, Directory, Place
from tests.engines.processes.test_processes import children_of
from tests.proof import short_lease
from tests.proof.polite_site import CAP, DELAY_S, HOSTS, PAGES, PoliteSite
from tests.s3servers import S3Server

SHARDS = 3
OPTIONS = ("--per-host", CAP, "--delay", DELAY_S, "--robots", "--resume", "--lock", "wait", "-q")


@pytest.fixture
def site() -> Iterator[PoliteSite]:
    with PoliteSite() as made:
        yield made


def lives(cli: Command, site: PoliteSite, place: Place, name: str, *words: object) -> None:
    """A run that is killed twice, each time after 8 pages, and then ends by itself."""
    given = ("urls.txt", *OPTIONS, *place.words, *words)
    for life in range(2):
        run = f"{name}-{life}"
        with cli.start(*given, "-H", f"X-Run: {run}", env=place.environment) as process:
            site.wait_until(lambda run=run: len(site.pages_of(run)) >= 8)  # type: ignore[misc]
            process.kill()
            assert process.wait(WAIT_S) == -signal.SIGKILL
    last = cli(*given, "-H", f"X-Run: {name}-2", env=place.environment)
    assert last.status == 1, last.err  # robots.txt forbids some


def all_is_stored(place: Place) -> None:
    assert sorted(place.files().values()) == sorted(
        f"{host}/{n}".encode() for host in HOSTS for n in range(PAGES)
    )


@pytest.fixture
def directory(cli: Command) -> Place:
    return Directory(cli)


@pytest.fixture
def bucket(cli: Command, moto_server: S3Server) -> Place:
    """A lease that a killed run has left ends after so many seconds, and not after a minute."""
    cli.prefix = [sys.executable, short_lease.__file__, "8", str(len(program()))]
    return Bucket(moto_server, moto_server.make_bucket())


@pytest.mark.parametrize(
    ("name", "children"),
    [
        ("directory", ()),
        pytest.param("directory", ("--processes", 2), marks=pytest.mark.slow),
        pytest.param("bucket", (), marks=pytest.mark.slow),
    ],
    ids=["directory", "directory, with children", "bucket"],
)
def test_shards_that_are_killed_are_as_polite_as_one_run(
    name: str,
    children: Sequence[object],
    cli: Command,
    site: PoliteSite,
    request: pytest.FixtureRequest,
) -> None:
    place: Place = request.getfixturevalue(name)
    cli.write("urls.txt", *site.listed)
    planned = cli("plan", "urls.txt", *place.words, "--shards", SHARDS, env=place.environment)
    assert planned.status == 0, planned.err
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            lives(cli, site, place, str(number), "--shard", f"{number}/{SHARDS}", *children)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(SHARDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    site.judge()
    shards = defaultdict(set)
    for one in site.log:
        shards[one.host].add(one.run.partition("-")[0])
    assert [len(of_host) for of_host in shards.values()] == [1] * len(HOSTS)
    assert {*map(tuple, shards.values())} == {("0",), ("1",), ("2",)}
    all_is_stored(place)


@pytest.mark.slow
def test_a_run_with_children_that_is_killed_is_as_polite_as_one_process(
    cli: Command, site: PoliteSite, directory: Place
) -> None:
    cli.write("urls.txt", *site.listed)
    lives(cli, site, directory, "all", "--processes", 2)
    site.judge()
    all_is_stored(directory)


def test_a_run_whose_children_are_killed_is_as_polite_as_one_process(
    cli: Command, site: PoliteSite, directory: Place
) -> None:
    """The run knows all of its hosts: their delays and pauses hold over the lives of children.

    A pause that a child has read, and not yet told the run, is lost with the child. So a child
    dies when the run has told of each pause that the site has asked for.
    """
    cli.write("urls.txt", *site.listed)
    options = [one for one in OPTIONS if one != "-q"]
    words = ("urls.txt", *options, "-v", "--processes", 2, "-H", "X-Run: all")
    pauses = 0
    with cli.start(*words) as process:
        assert process.stderr
        for seen in (8, 24):
            site.wait_until(lambda seen=seen: len(site.pages_of("all")) >= seen)  # type: ignore[misc]
            with site.refusing_nobody() as sent:
                while pauses < sent:
                    line = process.stderr.readline()
                    assert line, "the run has ended"
                    pauses += line.startswith(b"wait ")
                os.kill(children_of(process.pid)[0], signal.SIGKILL)
        assert cli.ended(process).status == 1  # robots.txt forbids some
    site.judge()
    all_is_stored(directory)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param((*OPTIONS, "--per-host", CAP + 1), id="cap"),
        pytest.param((*OPTIONS, "--delay", DELAY_S / 3), id="delay"),
        pytest.param([one for one in OPTIONS if one != "--robots"], id="robots"),
    ],
)
def test_the_judge_finds_who_is_not_polite(
    options: Sequence[object], cli: Command, site: PoliteSite
) -> None:
    cli.write("urls.txt", *site.listed)
    assert cli("urls.txt", *options, "-H", "X-Run: all").status in {0, 1}
    with pytest.raises(AssertionError):
        site.judge()
