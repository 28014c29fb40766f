"""Caps, delays, robots.txt and Retry-After hold for a host over all processes, under kills.

The site's log is the judge. What a killed process knew of a host is gone with it: when the last
request began, and for how long the host asked to be left alone. So delays and Retry-After hold
within the life of a run. A cap and robots.txt hold over all lives.
"""

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.command import WAIT_S, Command
from tests.engines.processes.test_processes import children_of
from tests.proof.polite_site import CAP, DELAY_S, HOSTS, PAGES, PoliteSite

SHARDS = 3
OPTIONS = ("--per-host", CAP, "--delay", DELAY_S, "--robots", "--resume", "--lock", "wait", "-q")


@pytest.fixture
def site() -> Iterator[PoliteSite]:
    with PoliteSite() as made:
        yield made


def lives(cli: Command, site: PoliteSite, name: str, *words: object) -> None:
    """A run that is killed twice, each time after 8 pages, and then ends by itself."""
    given = ("urls.txt", *OPTIONS, *words)
    for life in range(2):
        run = f"{name}-{life}"
        with cli.start(*given, "-H", f"X-Run: {run}") as process:
            site.wait_until(lambda run=run: len(site.pages_of(run)) >= 8)  # type: ignore[misc]
            process.kill()
            assert process.wait(WAIT_S) == -signal.SIGKILL
    assert cli(*given, "-H", f"X-Run: {name}-2").status == 1  # robots.txt forbids some


def all_is_stored(cli: Command) -> None:
    stored = [body for name, body in cli.files().items() if not name.startswith(".scraper/")]
    assert sorted(stored) == sorted(f"{host}/{n}".encode() for host in HOSTS for n in range(PAGES))


@pytest.mark.parametrize(
    "children",
    [
        pytest.param((), id="shards"),
        pytest.param(("--processes", 2), id="shards with children", marks=pytest.mark.slow),
    ],
)
def test_shards_that_are_killed_are_as_polite_as_one_run(
    children: Sequence[object], cli: Command, site: PoliteSite
) -> None:
    cli.write("urls.txt", *site.listed)
    assert cli("plan", "urls.txt", "--to", "out", "--shards", SHARDS).status == 0
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            lives(cli, site, str(number), "--shard", f"{number}/{SHARDS}", *children)
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
    all_is_stored(cli)


@pytest.mark.slow
def test_a_run_with_children_that_is_killed_is_as_polite_as_one_process(
    cli: Command, site: PoliteSite
) -> None:
    cli.write("urls.txt", *site.listed)
    lives(cli, site, "all", "--processes", 2)
    site.judge()
    all_is_stored(cli)


def test_a_run_whose_children_are_killed_is_as_polite_as_one_process(
    cli: Command, site: PoliteSite
) -> None:
    """The run knows all of its hosts: their delays and pauses hold over the lives of children."""
    cli.write("urls.txt", *site.listed)
    with cli.start("urls.txt", *OPTIONS, "--processes", 2, "-H", "X-Run: all") as process:
        for seen in (8, 24):
            site.wait_until(lambda seen=seen: len(site.pages_of("all")) >= seen)  # type: ignore[misc]
            os.kill(children_of(process.pid)[0], signal.SIGKILL)
        assert cli.ended(process).status == 1  # robots.txt forbids some
    site.judge()
    all_is_stored(cli)


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
