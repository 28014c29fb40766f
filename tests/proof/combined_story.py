"""A combined story: everything that a seed says, over rounds that are killed, then a whole one.

    with CombinedSite(seed, PAGES) as site:
        CombinedStory(seed, site, place, cli).tell()

The seed decides the site, the list, and of each round its options, the moment at which it is
killed (by what the site, the S3 server or the reader of results has seen, never by the clock)
and by which signal. What it does not decide is the order in which threads and processes run.
What must hold is in `judge.py`.
"""

import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.command import WAIT_S, Command
from tests.proof import judge
from tests.proof.combined_list import make_list
from tests.proof.combined_site import MOST, RUN, CombinedSite
from tests.proof.judge import Round
from tests.proof.ledger import Ledger
from tests.proof.places import Bucket, Place
from tests.proof.site import Hold
from tests.proof.watched import Watched, watched
from tests.s3servers import CUT, LOST, Asked, Front

_EARLIER = ["--resume", "--resume", "--refresh", "--refresh", "--retry-failed", "--no-refresh"]
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a run is told to end. `number` counts what `kind` names.

    held: a response is held (`hold`); requests, bytes: that the site has seen; results: lines of
    --results; puts: to the S3 server, of which the last is carried out only if `lost`; begun;
    never: it ends by itself.
    """

    kind: str
    number: int = 0
    hold: Hold | None = None
    lost: bool = False

    def has_come(self, site: CombinedSite, run: str, seen: Watched, front: "Turnstile") -> bool:
        """Whether it has."""
        come = {
            "held": site.held,
            "requests": len(site.asked[run]) >= self.number,
            "bytes": site.bytes[run] >= self.number,
            "results": len(seen.results) >= self.number,
            "puts": front.stopped,
            "begun": seen.begun,
            "never": False,
        }
        return come[self.kind]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round does. `how`: kill, term, int, or twice (SIGTERM, and once more)."""

    options: tuple[str, ...]
    concurrency: int
    per_host: int
    earlier: str
    robots: bool
    raw: bool
    max_failures: int
    changes: bool  # whether the pages change before it
    limited: bool = False  # by --max-total-size, --max-run-time or --fail-fast
    moment: Moment = field(default_factory=lambda: Moment("never"))
    how: str = "kill"


def make_plan(dice: random.Random, place: Place, *, raw: bool, last: bool = False) -> Plan:
    """A round; the `last` one has no limits and is not killed."""
    concurrency, per_host = dice.choice([1, 2, 3, 8, 32]), dice.choice([0, 0, 1, 2])
    earlier = dice.choice([one for one in _EARLIER if not (last and one == "--retry-failed")])
    robots, max_failures = dice.random() < 0.5, dice.choice([0, 2, 100])
    engine = dice.choice(["curl", "threads"])
    options = ["--engine", engine, "-c", concurrency, "--per-host", per_host, earlier]
    options += ["--max-failures", max_failures, "--max-size", MOST, "--max-redirects", 4]
    options += ["--continue-above", dice.choice(["1", "1k", "8M"])]
    options += [*["--robots"] * robots, *["--raw"] * raw]
    if isinstance(place, Bucket):
        options += ["--s3-client", dice.choice(["boto3", "curl"])]
    limit = None if last else dice.choice([None] * 5 + ["size", "time", "failures"])
    if limit == "size":
        options += ["--max-total-size", dice.choice([10_000, 200_000, 1_000_000])]
    elif limit == "time":
        options += ["--max-run-time", dice.choice([0.3, 1, 2])]
    elif limit == "failures":
        options += ["--fail-fast"]
    plan = Plan(
        tuple(map(str, options)),
        concurrency,
        per_host,
        earlier,
        robots,
        raw,
        max_failures,
        dice.random() < 0.6,
        limit is not None,
    )
    if last:
        return plan
    return _killed(plan, dice, puts=isinstance(place, Bucket))


def _killed(plan: Plan, dice: random.Random, *, puts: bool) -> Plan:
    number = dice.randint(1, 30)
    moments = [
        Moment("held", number, Hold(number, dice.choice(["head", "half"]))),
        Moment("held", 1, Hold(dice.randint(1, 6), dice.choice(["head", "half"]))),
        Moment("requests", number),
        Moment("bytes", dice.choice([1, 1_000, 50_000, 500_000, 1_200_000])),
        Moment("results", number),
        Moment("begun"),
        Moment("never"),
    ]
    if puts:
        moments += [Moment("puts", number, lost=dice.random() < 0.5)] * 3
    how = dice.choice(["kill"] * 6 + ["term", "int", "twice"])
    return Plan(**{**_as_dict(plan), "moment": dice.choice(moments), "how": how})


def _as_dict(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in Plan.__slots__}


class Turnstile(Front):
    """Before an S3 server: the `number`-th PUT waits for `release`, and is cut or lost then."""

    def __init__(self, upstream: str, number: int, *, lost: bool, tell: Callable[[], None]) -> None:
        self.stopped = False
        self._left = number
        self._answer = (LOST if lost else CUT, "")
        self._tell = tell
        self._go = threading.Event()
        self._busy = 0
        self._idle = threading.Condition()
        super().__init__(upstream, self._meets)

    def _meets(self, asked: Asked) -> tuple[int, str] | None:
        with self._idle:
            self._left -= asked.operation.startswith("PUT")
            if self._left or self._go.is_set() or not asked.operation.startswith("PUT"):
                return None
        self.stopped = True
        self._tell()
        self._go.wait(WAIT_S)
        return self._answer

    def carry(self, request: Any) -> None:
        """Count who is under way."""
        with self._idle:
            self._busy += 1
        try:
            with suppress(OSError):  # nobody is there any more to hear the answer
                super().carry(request)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def release(self) -> None:
        """Let it go, and wait until all that came is carried out."""
        self._go.set()
        with self._idle:
            assert self._idle.wait_for(lambda: not self._busy, WAIT_S)


class CombinedStory:
    """See the module. `log` tells what was done, for the person who looks why it failed."""

    def __init__(self, seed: int, site: CombinedSite, place: Place, cli: Command) -> None:
        self.site = site
        self.place = place
        self.cli = cli
        self.log: list[str] = []
        self.rounds: list[Round] = []
        self._dice = random.Random(f"story {seed}")
        self.lines = make_list(site, random.Random(f"list {seed}"))
        self._temporary = cli.directory / "tmp"
        self._temporary.mkdir(exist_ok=True)
        cli.environment |= {"TMPDIR": str(self._temporary), "PYTHONHASHSEED": "0"}
        cli.write("list.jsonl.txt", *(line.text for line in self.lines))

    def tell(self) -> None:
        """All rounds, then a whole one; each is judged."""
        raw = self._dice.random() < 0.2
        try:
            for _ in range(self._dice.randint(3, 5)):
                self.round(make_plan(self._dice, self.place, raw=raw))
            last = make_plan(self._dice, self.place, raw=raw, last=True)
            self.round(last)
            judge.at_the_end(self, last.earlier, self._temporary)
            again = make_plan(self._dice, self.place, raw=raw, last=True)
            if self._dice.random() < 0.3:
                self.round(Plan(**{**_as_dict(again), "changes": False}))
        except BaseException as error:
            error.add_note("\n".join(["the story so far:", *self.log]))
            raise

    def round(self, plan: Plan) -> Round:
        """One run as planned; then judge what it left."""
        number = len(self.rounds) + 1
        self.site.round += plan.changes
        before = Ledger.of(self.place.manifest())
        objects = self.place.files()
        self.log.append(f"{number}: {plan}")
        with self._front(plan.moment) as front, self._running(plan, str(number), front) as seen:
            self.site.wait_until(
                lambda: seen.ended or plan.moment.has_come(self.site, str(number), seen, front),
                WAIT_S,
            )
            told = self._end(plan, seen, front)
        assert self._text(seen).count("Traceback") == 0, self._text(seen)
        made = Round(
            number=number,
            plan=plan,
            before=before,
            objects_before=objects,
            after=Ledger.of(self.place.manifest()),
            objects=self.place.files(),
            status=seen.process.returncode,
            signalled=told,
            results=_whole(seen.results),
            summary=_summary(seen.said),
            said=self._text(seen),
        )
        self.log.append(f"   {made.signalled or 'not told to end'}, status {made.status}")
        self.rounds.append(made)
        judge.after_a_round(self, made)
        return made

    def _end(self, plan: Plan, seen: Watched, front: Turnstile) -> str:
        """Signal the run if it is still there, and wait for its end; which signal that was."""
        number, told = _SIGNALS.get(plan.how, signal.SIGTERM), ""
        if plan.moment.kind != "never" and not seen.ended:
            told = plan.how
            seen.process.send_signal(number)
        if told == "twice":
            self.site.wait_until(lambda: seen.ended or seen.said_any(b'"stopping"'), WAIT_S)
            seen.process.send_signal(number)
        if told in {"kill", "twice"}:
            seen.process.wait(WAIT_S)
        self.site.release()
        front.release()
        if seen.process.wait(WAIT_S) != -signal.SIGKILL and told == "kill":
            return ""  # it was quicker
        return told

    @contextmanager
    def _front(self, moment: Moment) -> Iterator[Turnstile]:
        """The proxy before the S3 server. Without an S3 server it sees no request."""
        upstream = self.place.server.url if isinstance(self.place, Bucket) else "http://127.0.0.1:1"
        never = 1_000_000
        number = moment.number if moment.kind == "puts" else never
        with Turnstile(upstream, number, lost=moment.lost, tell=self.site.tell) as front:
            yield front

    @contextmanager
    def _running(self, plan: Plan, run: str, front: Turnstile) -> Iterator[Watched]:
        self.site.begin_run(run, plan.moment.hold)
        words = [*plan.options, *self.place.words, "-H", f"{RUN}: {run}", "--log-format", "json"]
        if plan.moment.kind == "puts":
            assert isinstance(self.place, Bucket)
            words = [front.url if word == self.place.server.url else word for word in words]
        with (
            self.cli.start(
                *words, "--results", "-", "list.jsonl.txt", env=self.place.environment
            ) as process,
            watched(Watched(process), self.site.tell) as seen,
        ):
            yield seen

    @staticmethod
    def _text(seen: Watched) -> str:
        return b"".join(seen.said).decode()


def _whole(lines: list[bytes]) -> list[dict[str, Any]]:
    """The lines that were written to their end."""
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def _summary(lines: list[bytes]) -> dict[str, Any] | None:
    for line in lines:
        with suppress(ValueError):
            record: dict[str, Any] = json.loads(line)
            if record.get("event") == "summary":
                return record
    return None
