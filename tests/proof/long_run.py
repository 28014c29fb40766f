"""An hour against a real store: runs that are killed, stopped, and started beside each other.

    python -m tests.proof.long_run --minutes 60 --server radosgw

A site on loopback has pages that take from 0.2 to 3 s, from nothing to 70 MB (in parts). Scene
after scene a list of new pages is fetched into the same destination, with leases of a minute as
they are:

- quiet: a run of some minutes ends with 0;
- killed: kill -9 at any moment, again and again, and each next run goes on at once;
- stopped: SIGSTOP until another run has taken over; then it wakes, asks for nothing, ends with 75;
- together: of three runs that begin at once one works, the others end with 75 and ask for nothing;
- beside: a run that begins beside another one ends with 75 and asks for nothing.

The site's own log is judged after each scene: no run had more requests at once than its cap, none
asked for what was done. At the end each object is compared with its page, `scraper verify` is run,
and nothing may be left over, but for parts of uploads that were killed. The last line is the
verdict; the exit status is 0 if all held.

Owns: this story. It is no test that pytest collects: it is too long.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tests.e2e.command import Command
from tests.proof.ledger import DONE, Ledger
from tests.proof.places import Bucket
from tests.proof.watched import Watched, watched
from tests.servers import HttpServer, Reply, Request
from tests.stores.servers import BY_NAME

RUN = "x-run"
CAP = 8
HELD = 75
LONG_S = 600.0  # for what should come within a minute or two
_SIZES = (0, 1, 1_000, 8_191, 65_537, 300_000)
_TOGETHER = 3


@dataclass
class Seen:
    """A request at the site, in seconds of the monotonic clock."""

    run: str
    path: str
    begun: float


class SlowSite(HttpServer):
    """Pages that are a function of their path, and a log of who asked for them."""

    def __init__(self) -> None:
        self.log: list[Seen] = []
        self.most_at_once: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        super().__init__(self._reply, keep_requests=False)

    @staticmethod
    def body(path: str) -> bytes:
        """Most are small; one of 300 waits on the disk, one of 1200 goes in parts."""
        number, dice = int(path[3:]), random.Random(path)
        size = 70_000_000 if number % 1200 == 99 else 9_000_000 if number % 300 == 49 else 0
        return dice.randbytes(size or dice.choice(_SIZES))

    def of(self, run: str) -> list[Seen]:
        """The requests of a run so far."""
        with self._changed:
            return [seen for seen in self.log if seen.run == run]

    def tell(self) -> None:
        """Something happened elsewhere: whoever waits looks again."""
        with self._changed:
            self._changed.notify_all()

    def _begin(self, request: Request) -> None:
        super()._begin(request)
        run = request.headers.get(RUN, "")
        with self._changed:
            self.log.append(Seen(run, request.path, time.monotonic()))
            self._now[run] += 1
            self.most_at_once[run] = max(self.most_at_once[run], self._now[run])
            self._changed.notify_all()

    def _end(self, request: Request) -> None:
        with self._changed:
            self._now[request.headers.get(RUN, "")] -= 1
        super()._end(request)

    def _reply(self, request: Request) -> Reply:
        threading.Event().wait(0.2 + 2.8 * random.Random(f"{request.path} late").random() ** 2)
        return Reply(200, {"ETag": f'"{request.path[3:]}"'}, self.body(request.path))


@dataclass
class Story:
    """The scenes. `broken`: what did not hold."""

    site: SlowSite
    place: Bucket
    cli: Command
    dice: random.Random
    pages: int = 0
    runs: int = 0
    kills: int = 0
    scenes: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A line of the log."""
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def holds(self, promise: str, *, that: bool) -> None:
        """Note whether it held."""
        if not that:
            self.broken.append(promise)
            self.say(f"BROKEN: {promise}")

    # ---- runs

    def list_of(self, pages: int) -> None:
        """The list of the next scene: pages that nobody has asked for."""
        paths = [f"/p/{number}" for number in range(self.pages, self.pages + pages)]
        self.pages += pages
        self.cli.write("list.txt", *(f"{self.site.url}{path}\t{path[1:]}" for path in paths))

    @contextmanager
    def running(self, *options: object) -> Iterator[tuple[str, Watched]]:
        """A run, which is judged when the block is left."""
        self.runs += 1
        run = str(self.runs)
        done = self.done()
        words = [*self.place.words, "-q", "--resume", "-c", CAP, "-H", f"{RUN}: {run}", *options]
        with (
            self.cli.start(*words, "list.txt", env=self.place.environment) as process,
            watched(Watched(process), self.site.tell) as seen,
        ):
            yield run, seen
        asked = {one.path for one in self.site.of(run)}
        self.holds(f"run {run} asks for nothing that was done", that=not asked & done)
        most = self.site.most_at_once[run]
        self.holds(f"run {run} has {CAP} at once at most, and had {most}", that=most <= CAP)
        said = b"".join(seen.said)
        self.holds(f"run {run} has no traceback", that=b"Traceback" not in said)

    def ends(self, run: str, seen: Watched, status: int) -> None:
        """It ends by itself, with this status."""
        found = seen.process.wait(LONG_S)
        self.holds(f"run {run} ends with {status}, not {found}: {seen.said}", that=found == status)

    def begins(self, run: str, seen: Watched) -> None:
        """Wait for its first request, or for its end."""
        self.site.wait_until(lambda: bool(self.site.of(run)) or seen.ended, LONG_S)

    def done(self) -> set[str]:
        """The paths that the manifest shows as done."""
        return {f"/{key}" for key, _ in Ledger.of(self.place.manifest()).done()}

    # ---- scenes

    def quiet(self) -> None:
        """A run of several renewals of the lease."""
        self.list_of(500)
        with self.running() as (run, seen):
            self.ends(run, seen, 0)

    def killed(self) -> None:
        """Killed again and again."""
        self.list_of(300)
        for _ in range(self.dice.randint(2, 5)):
            with self.running() as (run, seen):
                self.begins(run, seen)
                self.holds(f"run {run} begins after a kill: {seen.said}", that=not seen.ended)
                threading.Event().wait(self.dice.uniform(0, 12))
                seen.process.kill()
                self.kills += 1
        with self.running() as (run, seen):
            self.ends(run, seen, 0)

    def stopped(self) -> None:
        """Stopped until another has taken over."""
        self.list_of(300)
        with self.running() as (first, one):
            self.begins(first, one)
            threading.Event().wait(self.dice.uniform(0, 12))
            one.process.send_signal(signal.SIGSTOP)
            with self.running("--lock", "wait") as (second, other):
                self.begins(second, other)
                before, records = len(self.site.of(first)), self.records_of(first)
                one.process.send_signal(signal.SIGCONT)
                self.ends(first, one, HELD)
                self.ends(second, other, 0)
            after = len(self.site.of(first)) - before
            self.holds(f"run {first} asks for nothing when it wakes, not {after}", that=not after)
            more = self.records_of(first) - records
            self.holds(f"run {first} records nothing when it wakes, not {more}", that=more <= 0)

    def records_of(self, run: str) -> int:
        """How many pages that this run asked for first are recorded by now."""
        first = {one.path for one in self.site.of(run)}
        others = {one.path for one in self.site.log if one.run != run}
        return len(self.done() & (first - others))

    def together(self) -> None:
        """Three at once."""
        self.list_of(80)
        with ExitStack() as stack:
            runs = [stack.enter_context(self.running()) for _ in range(_TOGETHER)]
            statuses = sorted(seen.process.wait(LONG_S) for _, seen in runs)
            asked = [run for run, _ in runs if self.site.of(run)]
            # One that comes to it when the first has ended finds everything done.
            right = 0 in statuses and {*statuses} <= {0, HELD} and len(asked) == 1
            self.holds(f"one of three works: {statuses}, {asked} asked", that=right)

    def beside(self) -> None:
        """One beside another that works."""
        self.list_of(150)
        with self.running() as (first, one):
            self.begins(first, one)
            for how in ("fail", "skip"):
                with self.running("--lock", how) as (second, other):
                    found = other.process.wait(LONG_S)
                # One that comes to it when the first has ended finds everything done.
                right = found == HELD or (found == 0 and one.ended)
                self.holds(f"run {second} ends with {HELD}, not {found}: {other.said}", that=right)
                self.holds(f"run {second} asks for nothing", that=not self.site.of(second))
            self.ends(first, one, 0)

    def play(self, minutes: float) -> None:
        """Scene after scene, for so long."""
        until = time.monotonic() + 60 * minutes
        scenes: list[Callable[[], None]] = []
        while time.monotonic() < until:
            if not scenes:
                scenes = [self.quiet, self.killed, self.stopped, self.together, self.beside]
                self.dice.shuffle(scenes)
            scene = scenes.pop()
            begun, asked = time.monotonic(), len(self.site.log)
            scene()
            self.scenes[scene.__name__] += 1
            took_s, more = time.monotonic() - begun, len(self.site.log) - asked
            self.say(f"{scene.__name__}: {took_s:.0f} s, {more} requests, {self.pages} pages")

    def judge(self) -> None:
        """What is there at the end."""
        files, ledger = self.place.files(), Ledger.of(self.place.manifest())
        keys = {f"p/{number}" for number in range(self.pages)}
        wrong = [key for key in files if files[key] != self.site.body(f"/{key}")]
        self.holds(
            f"all pages are there, not {len(files)} of {len(keys)}", that=files.keys() == keys
        )
        self.holds(f"each is whole, not {wrong}", that=not wrong)
        last = {key: record for (key, _), (_, record) in ledger.last().items()}
        undone = [key for key in keys if last.get(key, {}).get("status") not in DONE]
        self.holds(f"each is recorded, not {undone}", that=not undone)
        digests = {key: sha256(body).hexdigest() for key, body in files.items()}
        other = [key for key, one in last.items() if digests.get(key) != one.get("sha256")]
        self.holds(f"records have the digests of the objects, not {other}", that=not other)
        self.holds("the manifest has no torn line", that=not ledger.torn)
        unfinished = self.place.server.unfinished(self.place.bucket)
        left = [one for one in self.place.leftovers() if one not in unfinished]
        self.holds(f"nothing is left over: {left}", that=not left)
        most = CAP * self.kills
        self.holds(
            f"uploads are unfinished by kills alone: {unfinished}", that=len(unfinished) <= most
        )
        verified = self.cli("verify", *self.place.words[1:], env=self.place.environment)
        self.holds(f"verify ends with 0: {verified}", that=verified.status == 0)
        again = Counter(one.path for one in self.site.log)
        twice = sum(count - 1 for count in again.values())
        self.say(f"{dict(self.scenes)}: {self.runs} runs, {len(self.site.log)} requests,")
        self.say(f"{twice} of them again, for what a run that ended early had not recorded")


def main() -> int:
    """Play it. The exit status is 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--server", choices=sorted(BY_NAME), default="radosgw")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="long-")))
        (home / "s").mkdir()
        (home / "run").mkdir()
        server = stack.enter_context(BY_NAME[given.server].start(home / "s"))
        site = stack.enter_context(SlowSite())
        place = Bucket(server, server.make_bucket())
        story = Story(site, place, Command(home / "run"), random.Random(given.seed))
        story.say(f"{given.server} at {server.url}, {given.minutes:g} minutes")
        story.play(given.minutes)
        story.judge()
        verdict = "; ".join(story.broken)
        story.say(f"VERDICT: {f'BROKEN: {verdict}' if verdict else 'all held'}")
    return 1 if story.broken else 0


if __name__ == "__main__":
    sys.exit(main())
