"""The loop: the whole story of a run, on one thread.

    while there is work:
        take lines in, to wait in the frontier; with --robots at the gate before it
        fill every free slot with a target the frontier says may start
        wait for the engine's next results, or for the frontier's next wake-up
        for each result: retry it later, or record it

One thread owns frontier, manifest and counts, so none of them needs a lock. A
slot is a permit of `BoundedSemaphore(max_concurrency)`: acquired before a
transfer starts (`_start`), released where its completion is taken (`_take`),
nowhere else; the bounded kind catches a double release.

Owns: that order, and the Python entry point `run`. Refuses to know: what follows
a failed attempt (`failure_policy.py`), HTTP, S3, Click, signals. Rejected: workers
that pull targets from a queue; one that waits for a host or a retry would hold
its slot.
"""

import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import scraper
from scraper.engines.base import Engine
from scraper.model.errors import DestinationError, Held, Kind, UsageError
from scraper.model.records import (
    Attempt,
    Failed,
    Failure,
    Outcome,
    Result,
    Stored,
    Times,
)
from scraper.model.settings import Settings, expand_date
from scraper.model.urls import redact
from scraper.report.summary import Places, Summary, Tally, slowest
from scraper.run.build import choose_engine, make_plan
from scraper.run.failure_policy import FailurePolicy, Following
from scraper.run.prefilter import Prefilter
from scraper.run.resources import RunResources
from scraper.run.stopping import GRACE_S, Note, Stop
from scraper.schedule import Frontier
from scraper.sinks.base import disk_of, ignores_case
from scraper.source import lists
from scraper.source.keys import make_rule
from scraper.source.reader import BUFFER, ListReader
from scraper.transfer import Quota, Transfer

if TYPE_CHECKING:
    from scraper.run.robots_queue import RobotsQueue

_TICK_S = 0.5  # the longest sleep: a signal between the last look and the sleep waits that long
_ADMITTED_AT_ONCE = 200  # lines taken in before the engine is looked after again
_JUDGED_FROM = 100  # targets after which a share of failures means something


class Receiver(Protocol):
    """Who hears of Results: of several at once where none of them needed a request."""

    def __call__(self, *results: Result) -> None:
        """Take them, in this order."""


def run(
    urls: Iterable[str | bytes],
    *,
    to: str | os.PathLike[str] = "./out",
    max_concurrency: int = 16,
    **options: Any,
) -> Generator[Result, None, None]:
    """Fetch every target of `urls` into `to`, yielding each Result when it is final.

    `urls` are lines of the list's grammar, taken lazily, on a thread of their
    own; `to` is a directory, `s3://bucket/prefix` or any scheme a sink serves;
    `options` are the command line's, with underscores (`per_host=8`,
    `max_size=1_000_000`, `headers={"X": "y"}`). At most `max_concurrency`
    transfers are in flight. Leaving the iteration early stops the run.

    Raises UsageError at once for a bad option, or a string instead of `urls`; while
    iterating DestinationError when the sink can't be used, and whatever `urls` raises.
    """
    if isinstance(urls, str | bytes):  # an iterable, of characters
        raise UsageError("urls is one string: give a list of URLs, [url]")
    settings = Settings.of(to=to, max_concurrency=max_concurrency, **options)
    return _results(Run(settings, [lists.from_iterable(urls)]))


def _results(run_: "Run") -> Generator[Result, None, None]:
    with run_:
        yield from run_


class Run:
    """One run over some lists: a context manager, and an iterator of its Results.

    Entering checks the destination (DestinationError); nothing is written
    before. `receivers` are called with Results after the manifest;
    `note(level, event, record)` hears of retries, and that what is in flight may end.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[lists.Source],
        receivers: Sequence[Receiver] = (),
        note: Note = lambda _level, _name, _record: None,
    ) -> None:
        now = datetime.now().astimezone()
        self.settings = settings
        self.destination = expand_date(settings.to, now)
        self.tally = Tally()
        self.places = Places(redact(self.destination), "")
        self._receivers = receivers
        self._note = note
        self._recording = True  # until the manifest can't be written
        self._stop = Stop(self._wake, note)
        self._failure_policy = FailurePolicy(settings, self._stop, note)
        self._slots = threading.BoundedSemaphore(settings.politeness.max_concurrency)
        self._frontier = Frontier(settings.politeness, settings.retries.max_retry_after)
        self._make_engine = choose_engine(settings)
        self._resources = RunResources(settings, self.destination)
        sink = self._resources.sink
        self._quota = Quota(settings.run_limits, self.tally.begun, disk_of(sink))
        self._plan = make_plan(settings, sink, self._quota)
        self._robots_queue: RobotsQueue | None = None
        if settings.politeness.robots:
            from scraper.run import robots_queue

            self._robots_queue = robots_queue.RobotsQueue(
                settings, self._plan, self._frontier, note
            )
            self._plan = replace(self._plan, forbids=self._robots_queue.forbids)
        self._entrance: Frontier | RobotsQueue = self._robots_queue or self._frontier
        self._reader = ListReader(sources, make_rule(settings.key, now), self._wake)
        self._engine: Engine | None = None
        self._prefilter: Prefilter
        self._in_flight: set[Transfer] = set()

    def __enter__(self) -> Self:
        """Check the destination and hold it, recall what its manifest knows, begin to read."""
        resources = self._resources
        resources.open(self._quota, self._lost, self._note)
        self.places = self.places._replace(manifest=resources.store.place)
        with ExitStack() as undone:
            undone.callback(resources.close, whole=False)
            self._engine = self._make_engine()
            self._prefilter = Prefilter(
                resources.history, ignores_case=ignores_case(resources.sink)
            )
            undone.pop_all()
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of everything; whatever is still in flight is broken off."""
        assert self._engine is not None
        self._reader.close()
        self._engine.give_up()
        self._engine.close()
        self._failure_policy.close()
        self._prefilter.close()
        whole = kind is None and self._stop.reason is None and self._finished()
        self._resources.close(whole=whole)

    def __iter__(self) -> Iterator[Result]:
        """Every Result, as it becomes final. Raises DestinationError, ListError at the end."""
        engine = self._engine
        assert engine is not None, "Run is used in a with statement"
        while not self._finished():
            now = time.monotonic()
            yield from self._admit(now)
            self._start(engine, now)
            ended = engine.poll(self._timeout(now))
            self._stop.keep_within(self._quota, time.monotonic())
            for transfer in ended:
                result = self._take(transfer)
                if result is not None:
                    yield result
            yield from self._take_ended_early()
            self._flush()
            if self._stop.give_up_at is not None and not self._stop.wait_on(engine, self.in_flight):
                break
        yield from self._left_over()
        self._flush()
        if self._stop.error is not None:
            raise self._stop.error
        self._reader.reraise()

    def stop(self, reason: str, grace_s: float = GRACE_S) -> None:
        """Start nothing more; what is in flight has `grace_s` to end. From any thread or signal."""
        self._stop.ask(reason, grace_s)

    @property
    def stopped(self) -> str | None:
        """Why the run was stopped, None if it was not."""
        return self._stop.reason

    @property
    def cut_short(self) -> bool:
        """Whether a limit of the whole run kept targets from being fetched."""
        return self._stop.cut_short

    @property
    def abandoned(self) -> bool:
        """Whether a worker may still be busy after the end."""
        return self._stop.abandoned

    def summary(self) -> Summary:
        """The account so far."""
        hosts = slowest(self._frontier.statistics())
        return Summary(self.tally, self.tally.elapsed_s(), hosts, self.places, self._stop.reason)

    @property
    def begun(self) -> bool:
        """Whether the destination was found usable and reading has begun."""
        return self._engine is not None

    @property
    def version(self) -> str:
        """Of the package."""
        return scraper.__version__

    def describe(self) -> str:
        """What runs, in one line: engine, client, where to."""
        assert self._engine is not None
        client, remark = (getattr(self._resources.sink, name, "") for name in ("client", "remark"))
        carried = f"{self._engine.name} engine" + (f", {client} client" if client else "")
        carried += f" ({remark})" if remark else ""
        carried += f", at most {self.settings.politeness.max_concurrency} at once"
        return f"scraper {self.version}: {carried}, to {self.places.destination}"

    @property
    def in_flight(self) -> int:
        """Transfers in flight now."""
        return len(self._in_flight)

    @property
    def lines(self) -> tuple[int, bool]:
        """Targets read so far, and whether that is all of them."""
        return self._reader.lines, self._reader.complete

    def _wake(self) -> None:
        if self._engine is not None:
            self._engine.wake()

    def _finished(self) -> bool:
        if self._in_flight:
            return False
        return self._stop.reason is not None or (self._reader.exhausted and not len(self._frontier))

    def _admit(self, now: float) -> Iterator[Result]:
        """Take lines in, as long as there are some and room for them."""
        if self._stop.reason is not None or not self._wants_lines(now):
            return
        items = self._reader.take(min(_ADMITTED_AT_ONCE, self._entrance.room))
        ended, skipped, left, error = self._prefilter.sift(items)
        if error is not None:
            self._stop.because_of(error)
        for target, previous in left:
            self._entrance.add(Attempt(target, queued_at=now, previous=previous), now)
        for result in ended:
            yield self._record(result)
        yield from self._skip(skipped)
        yield from self._take_ended_early()

    def _wants_lines(self, now: float) -> bool:
        """Many at once cost less; but if nothing may start, any line may be of another host."""
        room = self._entrance.room
        return room >= _ADMITTED_AT_ONCE or (room > 0 and not self._frontier.may_start(now))

    def _start(self, engine: Engine, now: float) -> None:
        """Fill the free slots."""
        while (
            self._stop.reason is None
            and self._failure_policy.breaker.may_start(self.in_flight, now)
            and self._frontier.may_start(now)
            and self._slots.acquire(blocking=False)
        ):
            attempt = self._frontier.start(now)
            if self._robots_queue is not None and self._robots_queue.owns(attempt):
                transfer = self._robots_queue.transfer(attempt, now)
            else:
                partial = (
                    self._failure_policy.take(attempt.target.key) if attempt.number > 1 else None
                )
                transfer = Transfer(attempt, self._plan, self._resources.sink, now, partial)
            self._in_flight.add(transfer)
            engine.start(transfer)

    def _timeout(self, now: float) -> float:
        """How long the engine may be waited for before something else is due."""
        waits = [_TICK_S]
        if self._stop.give_up_at is not None:
            waits.append(self._stop.give_up_at - now)
        else:
            if not self._reader.exhausted and self._wants_lines(now):
                self._reader.hungry = True
                if not self._reader.empty:
                    return 0.0
            if self._reader.exhausted and self._finished():
                return 0.0
            due = self._frontier.wake_at(now)
            if due is not None and self.in_flight < self.settings.politeness.max_concurrency:
                breaker = self._failure_policy.breaker
                if not breaker.on:
                    waits.append(due - now)
                elif not self.in_flight:
                    waits.append(max(due, breaker.until) - now)
        return max(0.0, min(waits))

    def _take(self, transfer: Transfer) -> Result | None:
        """One completion: the slot is free again; retry the target later, or record it."""
        self._slots.release()
        self._in_flight.discard(transfer)
        completion = transfer.completion
        assert completion is not None
        attempt, outcome = completion.attempt, completion.outcome
        failure = outcome.failure if isinstance(outcome, Failed) else None
        now = time.monotonic()
        took_s = completion.times.total or 0.0
        self._frontier.ended(attempt, failure, transfer.started, took_s, now)
        if completion.error is not None:
            self._stop.because_of(completion.error)
        robots_queue = (
            self._robots_queue
            if self._robots_queue is not None and self._robots_queue.owns(attempt)
            else None
        )
        end: Outcome = outcome
        if isinstance(outcome, Failed):
            follows = self._failure_policy.of(completion, outcome, transfer.started, now)
            if isinstance(follows, Following):
                self._frontier.add(follows.attempt, now, follows.due)
                return None
            end = follows
        elif isinstance(outcome, Stored) and robots_queue is None:
            self._failure_policy.breaker.stored()
        if completion.partial is not None:
            completion.partial.discard()
        if robots_queue is None:
            return self._record(Result(attempt.target, end, attempt.number, completion.times))
        if self._stop.reason is None:
            robots_queue.answered(attempt, end, transfer.started, now)
        return None

    def _take_ended_early(self) -> Iterator[Result]:
        for attempt, outcome in self._entrance.take_ended_early():
            self._failure_policy.drop(attempt.target.key)
            yield self._record(Result(attempt.target, outcome, attempt.number - 1))

    def _record(self, result: Result) -> Result:
        """Tell everyone, the manifest first."""
        self._resources.store(result)
        self.tally(result)
        for receiver in self._receivers:
            receiver(result)
        if self.settings.fail_fast and self._stop.reason is None and result.failure is not None:
            budget, tally = self.settings.max_failures, self.tally
            if budget.exceeded(tally.failures, max(tally.targets, _JUDGED_FROM)):
                self.stop("--fail-fast: more failures than --max-failures")
        return result

    def _skip(self, skipped: list[Result]) -> list[Result]:
        """Tell everyone but the manifest, which has their records, of many at once."""
        if skipped:
            self.tally.skip(len(skipped))
            for receiver in self._receivers:
                receiver(*skipped)
        return skipped

    def _flush(self) -> None:
        """Write the manifest; if that fails, the run stops, and `__exit__` tries once more."""
        if self._recording:
            try:
                self._resources.store.flush()
            except DestinationError as error:
                self._recording = False
                self._stop.because_of(error)

    def _lost(self, reason: str) -> None:
        """Another run has the destination now. From the lock's thread."""
        self._stop.because_of(Held(reason))

    def _left_over(self) -> Iterator[Result]:
        """A Result for everything that was read and not finished, when the run was stopped."""
        if self._stop.reason is None:
            return
        unread = not self._reader.exhausted
        self._reader.close()
        message = f"not finished: {self._stop.reason}"
        outcome = Failed(Failure(Kind.INTERRUPTED, message, transient=False))
        self._stop.abandoned = bool(self._in_flight)
        for transfer in self._in_flight:
            attempt = transfer.attempt
            if self._robots_queue is not None and self._robots_queue.owns(attempt):
                continue  # its targets are among those that wait
            times = Times(total=time.monotonic() - transfer.started)
            yield self._record(Result(attempt.target, outcome, attempt.number, times))
        yield from self._take_ended_early()
        for attempt in self._entrance.drain():
            yield self._record(Result(attempt.target, outcome, attempt.number - 1))
        ended, skipped, left, _ = self._prefilter.sift(
            self._reader.take(BUFFER)
        )  # what is done stays
        yield from self._skip(skipped)
        for result in (*ended, *(Result(target, outcome) for target, _ in left)):
            yield self._record(result)
        self._stop.cut_short &= unread or self.tally.kinds[Kind.INTERRUPTED.value] > 0
