"""One story: the program against a site and a place, killed again and again, then let finish.

    story = Story(site, place, cli)
    for moment in moments:
        story.killed(moment)       # examines what it left
    story.ends()                   # and what is promised at the end

What is promised at any moment, and examined after each run: an object under a
final name is the page of its key, whole; the last `stored` record has its object,
of its digest; what the manifest showed as done stays done; no later run asks for
it. Torn lines, at most one a kill, say nothing.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from tests.e2e.command import WAIT_S, Command, Ran
from tests.proof.places import Place
from tests.proof.site import GONE, Hold, Site
from tests.proof.watched import Watched, watched

DONE = {"stored", "not_modified"}
_RUNS = count(1)  # of all stories: a site may see several


@dataclass
class Run(Watched):
    """A run of a story."""

    site: Site = field(kw_only=True)
    run: str = field(kw_only=True)

    @property
    def requests(self) -> int:
        """That reached the site."""
        return sum(count for (run, _), count in list(self.site.asked.items()) if run == self.run)


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: once `when` holds, and `later_s` after it; `hold` a response until then."""

    name: str
    when: Callable[[Run], bool]
    hold: Hold | None = None
    later_s: float = 0.0


class Story:
    """Runs over all pages of `site` into `place`, by the program that `cli` runs."""

    def __init__(
        self,
        site: Site,
        place: Place,
        cli: Command,
        *options: object,
        refreshes: bool = False,
    ) -> None:
        self.site = site
        self.place = place
        self.cli = cli
        self.options = [*options] if refreshes else ["--resume", *options]
        self.refreshes = refreshes  # asks for everything again, with validators
        self.keys = {
            f"a{number // 2}/page {number}": path for number, path in enumerate(site.paths)
        }
        self.done: set[str] = set()  # paths that the manifest showed as done
        self.versions = {site.version}  # that an object may be of
        self.unrecorded = False  # whether a killed refresh may have put what it did not record
        self.kills = 0
        self._temporary = cli.directory / "tmp"
        self._temporary.mkdir(exist_ok=True)
        cli.environment["TMPDIR"] = str(self._temporary)
        pages = [f"{site.url}{path}\t{key}" for key, path in self.keys.items()]
        self.list = cli.write("list.txt", f"{site.url}{GONE}\tgone", *pages)

    # ---- runs

    def killed(self, moment: Moment) -> Run:
        """One run, killed at that moment, or ended before it came; then examine."""
        self.site.hold = moment.hold
        with self.running() as seen:
            self.site.wait_until(lambda: moment.when(seen) or seen.ended, WAIT_S)
            with suppress(subprocess.TimeoutExpired):
                seen.process.wait(moment.later_s)
        self.kills += 1
        self.unrecorded = self.refreshes
        self.site.release()
        self.examine(seen.run)
        return seen

    def ran(self, *options: object, status: int = 0) -> Ran:
        """One run to its end, which must be `status`; then examine."""
        with self.running(*options) as seen:
            seen.process.wait(WAIT_S)
        self.unrecorded = False
        ran = self.ended(seen)
        assert ran.status == status, ran.err
        return ran

    def ended(self, seen: Run) -> Ran:
        """What a run said that ended by itself, or was killed at a system call; examined."""
        ran = Ran(
            seen.process.returncode,
            b"".join(seen.results).decode(),
            b"".join(seen.said).decode(),
        )
        assert "Traceback" not in ran.err, ran.err
        self.examine(seen.run)
        return ran

    def ends(self, *options: object) -> Ran:
        """A last run: afterwards all is there, all is recorded, and nothing is left over."""
        ran = self.ran("--max-failures", 1, *options)
        assert self.done == set(self.site.paths)
        assert self.last_records()["gone"]["error"]["kind"] == "http_status"
        objects = self.place.files()
        assert objects.keys() == self.keys.keys(), sorted(objects.keys() ^ self.keys.keys())
        for key, path in self.keys.items():
            assert objects[key] == self.site.body(path), f"{key!r} is not the page of now"
        assert self.place.leftovers() == [], self.place.leftovers()
        assert [path for path in self._temporary.rglob("*") if path.name.startswith("run-")] == []
        return ran

    @contextmanager
    def running(self, *options: object, stdin: int | None = None) -> Iterator[Run]:
        """A run under way; it is killed when the block is left, and read to its end.

        With `stdin` its list is what comes from there.
        """
        run = str(next(_RUNS))
        words = [*self.options, *options, *self.place.words, "-H", f"X-Run: {run}"]
        source, stream = ("list.txt", subprocess.DEVNULL) if stdin is None else ("-", stdin)
        with (
            self.cli.start(
                *words, "--results", "-", source, env=self.place.environment, stdin=stream
            ) as process,
            watched(Run(process, site=self.site, run=run), self.site.tell) as seen,
        ):
            yield seen

    # ---- what is promised

    def examine(self, run: str) -> None:
        """Everything that must hold at any moment, `run` being the last that was made."""
        objects = self.place.files()
        for key, body in objects.items():
            assert key in self.keys, f"{key!r} is nobody's object"
            whole = [self.site.body(self.keys[key], version) for version in self.versions]
            assert body in whole, f"{key!r} has {len(body)} bytes, not {len(whole[0])}"
        stored = self.last_records("stored")
        for key, record in stored.items():
            assert key in objects, f"{key!r} is stored, and not there"
            digest = sha256(objects[key]).hexdigest()
            assert record["sha256"] == digest or self._replaced(key, record)
        asked_again = self.site.asked_by(run) & self.done
        assert self.refreshes or not asked_again, f"asked for, though done: {asked_again}"
        last = self.last_records()
        done = {self.keys[key] for key, record in last.items() if record["status"] in DONE}
        assert done >= self.done, f"no more done: {self.done - done}"
        self.done = done

    def last_records(self, *statuses: str) -> dict[str, dict[str, Any]]:
        """The last record of each key, of these statuses if any are given."""
        records, torn = {}, 0
        for line in self.place.manifest():
            try:
                record = json.loads(line)
            except ValueError:
                torn += 1
            else:
                if not statuses or record["status"] in statuses:
                    records[record["key"]] = record
        assert torn <= self.kills
        return records

    def _replaced(self, key: str, record: dict[str, Any]) -> bool:
        """Whether a run that was killed may have put a version there that it did not record."""
        bodies = [self.site.body(self.keys[key], version) for version in self.versions]
        previous = record["sha256"] in {sha256(body).hexdigest() for body in bodies}
        return previous and self.unrecorded
