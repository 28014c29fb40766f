"""Two and three runs at one destination, whose clocks are apart: one works, the others do nothing.

The site says who asked, and how many were at it at once. PROOF_SEEDS=200 tells as many stories
for each place, PROOF_SEED=17 that one; without them a few are told.
"""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.clocks import wrong_clock
from tests.e2e.command import WAIT_S, Command
from tests.proof.combined_site import RUN, CombinedSite
from tests.proof.ledger import DONE, Ledger
from tests.proof.places import Place
from tests.proof.site import Hold
from tests.proof.test_combined import PLACES, place, seeds
from tests.proof.watched import Watched, watched

__all__ = ["place"]
pytestmark = pytest.mark.timeout(300)

HELD = 75
# S3 refuses requests that are more than a quarter of an hour off (moto does not look).
_RARE = {"gs": [pytest.mark.slow], "az": [pytest.mark.slow]}
APART = [
    (place, offset_s)
    for place in PLACES
    for offset_s in ((90, -90, 3600, -3600) if "PROOF_SEEDS" in os.environ else (90,))
    if abs(offset_s) < 900 or place in {"directory", "moto"}
]
AT_ONCE = [place for place in PLACES if place != "rclone"]  # ignores a lease's condition
each_clock = pytest.mark.parametrize(
    ("place", "offset_s"),
    [pytest.param(*one, marks=_RARE.get(one[0], [])) for one in APART],
    indirect=["place"],
)
LISTED = 8  # pages, all of them good


@pytest.fixture
def site() -> Iterator[CombinedSite]:
    with CombinedSite(5, 40) as made:
        yield made


@dataclass
class Together:
    """Runs over the good pages of `site` into `place`, each with a clock of its own."""

    site: CombinedSite
    place: Place
    cli: Command
    urls: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        good = [page for page in self.site.pages if page.sort == "good" and page.way != "endless"]
        pages = [page for page in good if page.size < 100_000][:LISTED]
        self.keys = [f"page {page.number}" for page in pages]
        self.urls = [self.site.url_of(page.host) + page.start for page in pages]
        lines = zip(self.urls, self.keys, strict=True)
        self.cli.write("list.txt", *(f"{url}\t{key}" for url, key in lines))

    @contextmanager
    def running(self, run: str, offset_s: int, *options: object) -> Iterator[Watched]:
        """One of them, told by its clock and its options."""
        words = [*self.place.words, *options, "-H", f"{RUN}: {run}", "--results", "-", "list.txt"]
        environment = {
            **self.place.environment,
            **(wrong_clock(f"{offset_s:+d}s") if offset_s else {}),
        }
        with (
            self.cli.start(*words, env=environment) as process,
            watched(Watched(process), self.site.tell) as seen,
        ):
            yield seen

    def all_is_there(self) -> None:
        """Each page once, whole, as its record says."""
        assert self.place.files().keys() == set(self.keys)
        ledger = Ledger.of(self.place.manifest())
        assert not ledger.torn
        last = {key: record["status"] for (key, _), (_, record) in ledger.last().items()}
        assert last.keys() == set(self.keys)
        assert set(last.values()) <= DONE, last
        assert self.place.leftovers() == []

    def first_did_all(self, first: Watched) -> None:
        """One run alone has asked for everything, two at once at most."""
        assert len(first.results) == LISTED
        assert self.site.max_in_flight <= 2
        self.all_is_there()


@contextmanager
def held_at(runs: Together, number: int, offset_s: int, concurrency: int) -> Iterator[Watched]:
    """A run that has the destination: its `number`-th response is held until `site.release`."""
    runs.site.begin_run("", Hold(number, "head"))
    with runs.running("first", offset_s, "-c", concurrency) as first:
        runs.site.wait_until(lambda: runs.site.held or first.ended, WAIT_S)
        assert not first.ended, first.said
        yield first


def ends(run: Watched, status: int = 0) -> None:
    """It ends by itself, or has ended."""
    assert run.process.wait(2 * WAIT_S) == status, run.said


@each_clock
def test_a_live_run_keeps_its_destination_whatever_the_clock_of_another_says(
    offset_s: int, site: CombinedSite, place: Place, cli: Command
) -> None:
    runs = Together(site, place, cli)
    with held_at(runs, 2, 0, concurrency=2) as first:
        how = "skip" if offset_s < 0 else "fail"
        with runs.running("other", offset_s, "--lock", how) as other:
            ends(other, HELD)
        assert other.results == []
        assert not first.ended
        assert site.requests_of("other") == []
        site.release()
        ends(first)
    runs.first_did_all(first)


@each_clock
def test_who_waits_for_a_run_of_another_clock_goes_on_when_that_is_done(
    offset_s: int, site: CombinedSite, place: Place, cli: Command
) -> None:
    runs = Together(site, place, cli)
    with (
        held_at(runs, 2, offset_s, concurrency=2) as first,
        runs.running("waits", 0, "--lock", "wait", "--resume", "-c", 2) as waits,
    ):
        site.release()
        ends(first)
        ends(waits)
    assert site.requests_of("waits") == [], "all was done"
    runs.first_did_all(first)


@each_clock
def test_a_run_that_was_killed_leaves_its_destination_to_the_next_at_once(
    offset_s: int, site: CombinedSite, place: Place, cli: Command
) -> None:
    runs = Together(site, place, cli)
    with held_at(runs, 3, offset_s, concurrency=1) as first:
        first.process.kill()
        ends(first, -signal.SIGKILL)
    site.release()
    with runs.running("next", 0, "--resume") as following:
        ends(following)
    runs.all_is_there()


@pytest.mark.each_value
@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(
    ("place", "clocks"),
    [
        pytest.param(
            place,
            [0, 0, 0, *(offset_s for one, offset_s in APART if one == place)],
            marks=_RARE.get(place, []),
        )
        for place in AT_ONCE
    ],
    indirect=["place"],
    ids=AT_ONCE,
)
def test_of_runs_that_start_at_once_one_works(
    seed: int, clocks: list[int], site: CombinedSite, place: Place, cli: Command
) -> None:
    dice = random.Random(f"together {seed}")
    runs = Together(site, place, cli)
    for number in range(3):
        concurrency = dice.choice([1, 2, 4])
        site.begin_run("", Hold(dice.randint(1, 4), "head"))
        options = ["-c", concurrency, "--engine", dice.choice(["curl", "threads"]), "--no-refresh"]
        offsets = dice.sample(clocks, dice.choice([2, 3]))
        with ExitStack() as stack:
            seen = {
                f"{number} {nth}": stack.enter_context(
                    runs.running(f"{number} {nth}", offset_s, *options)
                )
                for nth, offset_s in enumerate(offsets)
            }
            site.wait_until(partial(_one_is_left, seen), 3 * WAIT_S)
            site.wait_until(lambda: site.held, WAIT_S)
            (worker,) = [run for run, one in seen.items() if not one.ended]
            others = [one for run, one in seen.items() if run != worker]
            assert [one.process.returncode for one in others] == [HELD] * len(others), [
                (run, one.said, site.requests_of(run)) for run, one in seen.items()
            ]
            killed = dice.random() < 0.5
            if killed:
                seen[worker].process.kill()
                seen[worker].process.wait()
            site.release()
            assert seen[worker].process.wait(WAIT_S) == (-9 if killed else 0), seen[worker].said
        asked = {run for run in seen if site.requests_of(run)}
        assert asked == {worker}
        assert site.most_at_once[worker] <= concurrency, site.worst[worker]
    with runs.running("last", 0, "--resume") as last:
        assert last.process.wait(WAIT_S) == 0, last.said
    runs.all_is_there()


def _one_is_left(seen: dict[str, Watched]) -> bool:
    return sum(not one.ended for one in seen.values()) <= 1
