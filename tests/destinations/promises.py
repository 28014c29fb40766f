"""What is promised of every destination, asked of one: the rows of the table.

Each promise is a function of a Trial. It returns what was seen, in a few words, and raises what a
test would raise. Runs are the installed program, as people run it.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.bench import measure
from tests.destinations.kinds import Place
from tests.destinations.site import Site, body
from tests.e2e.command import WAIT_S, Command, Ran, parsed

if TYPE_CHECKING:
    import subprocess

SECRET = "hunter2hunter2"
FULL = "DESTINATIONS_FULL" in os.environ
FEW, MANY = (2_000, 200_000) if FULL else (200, 2_000)
HUGE = (4 << 30) if FULL else (64 << 20)  # bytes of the largest body
_RUNS = count(1)


@dataclass(frozen=True)
class Trial:
    """A fresh destination, a site, and the program."""

    place: Place
    site: Site
    cli: Command

    def words(self, run: str, *options: object) -> list[object]:
        """A run that calls itself `run`."""
        return [*self.place.words, "-q", "--results", "-", "-H", f"X-Run: {run}", *options]

    def ran(self, *paths: str, options: tuple[object, ...] = (), run: str = "") -> Ran:
        """A run over these pages, to its end."""
        run = run or str(next(_RUNS))
        return self.cli(*self.words(run, *options), *self._urls(paths), env=self.place.environment)

    @contextmanager
    def running(self, *paths: str, run: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A run under way."""
        words = self.words(run, "--resume", "-c", 4, *self._urls(paths))
        with self.cli.start(*words, env=self.place.environment) as process:
            yield process

    def other(self, command: str) -> Ran:
        """Another command on the destination."""
        to, *rest = self.place.words[1:]
        return self.cli(command, to, *rest, env=self.place.environment)

    def _urls(self, paths: tuple[str, ...]) -> list[str]:
        return [f"{self.site.url}{path}" for path in paths]


PAGES = tuple(f"/page/{number}" for number in range(30))


def _whole(trial: Trial) -> str:
    ran = trial.ran("/page/1", "/cut", "/large", options=("--retries", 0))
    kinds = sorted(one.get("error", {}).get("kind", one["status"]) for one in ran.records)
    assert (ran.status, kinds) == (1, ["stored", "stored", "truncated"]), ran.err
    assert sorted(trial.place.bodies()) == sorted([body("/page/1"), body("/large")])
    return "yes"


def _killed(trial: Trial) -> str:
    pages, told = ("/large", *PAGES), set[str]()
    for run, at in (("killed-1", "/page/9"), ("killed-2", "/page/21")):
        trial.site.hold = at
        with trial.running(*pages, run=run) as process:
            assert trial.site.held.wait(WAIT_S)
            process.kill()
            out, _ = process.communicate()
        trial.site.release()
        whole = out[: out.rfind(b"\n") + 1]
        assert not trial.site.asked_by(run) & told, "asked again, though done"
        told |= {one["url"].removeprefix(trial.site.url) for one in parsed(whole)}
    ran = trial.ran(*pages, options=("--resume",), run="last")
    assert ran.status == 0, ran.err
    assert not trial.site.asked_by("last") & told, "asked again, though done"
    found = trial.place.bodies()
    assert {*found} == {body(path) for path in pages}
    assert trial.other("verify").status == 0
    asked = Counter(path for (_, path), number in trial.site.asked.items() for _ in range(number))
    again = sum(asked.values()) - len(asked)
    return f"yes, {again} of {len(pages)} asked again"


def _resumed(trial: Trial) -> str:
    assert trial.ran(*PAGES).status == 0
    ran = trial.ran(*PAGES, options=("--resume",), run="resumed")
    assert (ran.status, trial.site.asked_by("resumed")) == (0, set()), ran.err
    return "yes"


def _refreshed(trial: Trial) -> str:
    assert trial.ran(*PAGES).status == 0
    ran = trial.ran(*PAGES)
    assert {one["status"] for one in ran.records} == {"not_modified"}, ran.err
    assert sorted(trial.place.bodies()) == sorted(map(body, PAGES))
    return "yes"


def _verified(trial: Trial) -> str:
    assert trial.ran("/large", *PAGES).status == 0
    verified, listed = trial.other("verify"), trial.other("list")
    assert verified.status == 0, verified.err
    assert len(listed.lines) == 2 + len(PAGES), listed.err  # and a head
    return "yes"


def _locked(trial: Trial) -> str:
    trial.site.hold = "/page/3"
    with trial.running(*PAGES, run="first") as process:
        assert trial.site.held.wait(WAIT_S)
        second = trial.ran("/page/40", options=("--lock", "fail"), run="second")
        trial.site.release()
        first = trial.cli.ended(process)
    assert (first.status, second.status) == (0, 75), (first.err, second.err)
    assert trial.site.asked_by("second") == set()
    return "yes"


def _secret(trial: Trial) -> str:
    host = trial.site.url.partition("://")[2]
    url = f"http://me:{SECRET}@{host}/page/1?token={SECRET}"
    words = [*trial.words("secret", "-H", f"Authorization: Bearer {SECRET}"), url]
    ran = trial.cli(*words, env=trial.place.environment)
    assert ran.status == 0, ran.err
    everything = [*trial.place.raw(), ran.out.encode(), ran.err.encode()]
    assert not any(SECRET.encode() in data for data in everything)
    return "yes"


def _memory(trial: Trial) -> str:
    peaks = [_peak(trial, [f"/p/{n}" for n in range(number)]) for number in (FEW, MANY)]
    peaks.append(_peak(trial, [f"/huge/{HUGE}"]))
    few, many, huge = (f"{peak / 1e6:.0f}" for peak in peaks)
    large = 128 << 20  # what an object in parts may take
    # The window of a list, and what is kept of its first 250,000 targets (source/duplicates.py).
    # In a store, the file of a web archive that holds the many is a large object itself.
    more = (64 << 20) + (large if trial.place.words[1].startswith("warc+") else 0)
    assert peaks[1] - peaks[0] < more, (few, many, huge)
    assert peaks[2] - peaks[0] < large, (few, many, huge)
    return f"{few}, {many} and {huge} MB"


def _peak(trial: Trial, paths: list[str]) -> int:
    trial.cli.write("list", *(f"{trial.site.url}{path}" for path in paths))
    words = trial.cli.words("fetch", "list", *trial.place.words, "-q")
    environment = {**trial.cli.environment, **trial.place.environment}
    used = measure.run(words, trial.cli.directory, environment, timeout_s=3_600)
    assert used.status == 0, used.said
    return used.peak_bytes


def _refused(trial: Trial) -> str:
    words = [*trial.place.wrong, "-q", "-H", "X-Run: refused", f"{trial.site.url}/page/1"]
    ran = trial.cli(*words, env=trial.place.environment)
    assert (ran.status, len(ran.complaints)) == (3, 1), (ran.status, ran.err)
    assert trial.site.asked_by("refused") == set()
    return "3, one line"


PROMISES: Mapping[str, Callable[[Trial], str]] = {
    "a body that breaks off leaves nothing, others are whole": _whole,
    "kill -9 twice, then gone on with: all there, what was done is not asked again": _killed,
    "a second run with --resume asks for nothing": _resumed,
    "a second run stores nothing that is unchanged (304)": _refreshed,
    "verify finds all whole, list tells all": _verified,
    "of two runs at once one is refused (75)": _locked,
    "no secret of a URL or a header at rest": _secret,
    f"peak memory with {FEW:,} and {MANY:,} objects, and one of {HUGE >> 20:,} MiB": _memory,
    "one that can't be written is refused before any request": _refused,
}
