"""The loop: the whole story of a run, on one thread.

    while there is work:
        fill every free slot with a target the frontier says may start
        wait for the engine's next results, or for the frontier's next wake-up
        for each result: retry it later, or record it

One thread owns frontier, manifest and counts, so none of them needs a lock. A
slot is a permit of `BoundedSemaphore(max_concurrency)`: acquired before a
transfer starts (`_start`), released where its completion is taken (`_take`),
nowhere else; the bounded kind catches a double release.

Owns: that order, stopping, and the Python entry point `run`. Refuses to know:
HTTP, S3, Click, signals. Rejected: workers that pull targets from a queue; a
worker that waits for a host or a retry would hold its slot.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import scraper
from scraper import lists
from scraper.build import choose_engine, make_plan
from scraper.engines.base import Engine
from scraper.errors import DestinationError, Held, Kind, UsageError
from scraper.frontier import Frontier
from scraper.intake import Intake
from scraper.journal import FileJournal, SinkJournal, open_journal
from scraper.keys import make_rule
from scraper.lock import hold
from scraper.outage import Outage
from scraper.partial import Partial
from scraper.records import (
    Attempt,
    Deferred,
    Failed,
    Failure,
    Result,
    Skipped,
    Stored,
    Target,
    Times,
)
from scraper.resume import Memory, remember
from scraper.retry import Again, Defer, RetryPolicy, Verdict, is_transient
from scraper.seen import Seen
from scraper.settings import Settings, expand_date
from scraper.sinks.base import SinkOptions, find_sink
from scraper.summary import Places, Summary, Tally, slowest
from scraper.transfer import Transfer
from scraper.urls import redact, redact_text

GRACE_S = 10.0  # for transfers in flight when the run is stopped
LAST_GRACE_S = 2.0  # to end by themselves after they were broken off
_TICK_S = 0.5  # the longest sleep: a signal between the last look and the sleep waits that long
_ADMITTED_AT_ONCE = 200  # lines taken in before the engine is looked after again
_JUDGED_FROM = 100  # targets after which a share of failures means something

Receiver = Callable[[Result], None]
Note = Callable[[str, str, Mapping[str, Any]], None]


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
    before. `receivers` are called with each Result after the manifest;
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
        self.abandoned = False  # whether a worker may still be busy after the end
        self.stopped: str | None = None
        self._receivers: list[Receiver] = [self.tally, *receivers]
        self._note = note
        self._error: DestinationError | Held | None = None
        self._recording = True  # until the manifest can't be written
        self._give_up_at: float | None = None
        self._told = False  # that the run stops
        self._slots = threading.BoundedSemaphore(settings.politeness.max_concurrency)
        self._frontier = Frontier(settings.politeness, settings.retries.max_retry_after)
        self._policy = RetryPolicy(settings.retries)
        self._make_engine = choose_engine(settings)
        options = SinkOptions(settings.politeness.max_concurrency, settings.s3)
        self._sink = find_sink(self.destination, options)
        self._plan = make_plan(settings, self._sink)
        self._intake = Intake(sources, make_rule(settings.key, now), self._wake)
        self._engine: Engine | None = None
        self._journal: FileJournal | SinkJournal | None = None
        self._seen: Seen
        self._memory: Memory
        self._held = ExitStack()
        self._in_flight: set[Transfer] = set()
        self._partials: dict[str, Partial] = {}  # by key, of targets that wait for a retry
        self._outage = Outage(settings.retries.retry_max_time)

    def __enter__(self) -> Self:
        """Check the destination and hold it, recall what its manifest knows, begin to read."""
        with ExitStack() as stack:
            stack.callback(self._sink.close)
            self._sink.check()
            lock = hold(self._sink, self.destination, self.settings.lock, self._lost)
            if lock is not None:
                stack.callback(lock.release)
                if lock.remark:
                    self._note("info", "lock", {"message": lock.remark})
            self._open()
            self._held = stack.pop_all()
        return self

    def _open(self) -> None:
        patience_s = self.settings.retries.retry_max_time
        journal = open_journal(self.settings.manifest, self.destination, self._sink, patience_s)
        self._journal = journal
        self.places = replace(self.places, manifest=journal.place)
        with ExitStack() as undone:
            undone.callback(journal.close)
            self._memory = remember(self.settings.earlier, journal, self._sink)
            self._engine = self._make_engine()
            undone.pop_all()
        self._seen = Seen()
        self._intake.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of everything; whatever is still in flight is broken off."""
        assert self._engine is not None
        assert self._journal is not None
        self._intake.close()
        self._engine.give_up()
        self._engine.close()
        self._drop(*self._partials)
        whole = kind is None and self.stopped is None and self._finished()
        try:
            self._journal.close()
        except DestinationError:
            whole = False
            raise
        finally:
            self._memory.close(self._journal, whole=whole)
            self._seen.close()
            self._held.close()

    def __iter__(self) -> Iterator[Result]:
        """Every Result, as it becomes final. Raises DestinationError, ListError at the end."""
        engine = self._engine
        journal = self._journal
        assert engine is not None, "Run is used in a with statement"
        assert journal is not None
        while not self._finished():
            now = time.monotonic()
            yield from self._admit(now)
            self._start(engine, now)
            for transfer in engine.poll(self._timeout(now)):
                yield from self._take(transfer)
            yield from self._take_ended_early()
            self._flush(journal)
            if self._give_up_at is not None and not self._wait_on(engine):
                break
        yield from self._left_over()
        self._flush(journal)
        if self._error is not None:
            raise self._error
        self._intake.reraise()

    def stop(self, reason: str, grace_s: float = GRACE_S) -> None:
        """Start nothing more; what is in flight has `grace_s` to end. From any thread or signal."""
        if self._give_up_at is None:
            self.stopped = redact_text(reason)
            self._give_up_at = time.monotonic() + grace_s
            self._wake()

    def summary(self) -> Summary:
        """The account so far."""
        hosts = slowest(self._frontier.statistics())
        return Summary(self.tally, self.tally.elapsed_s(), hosts, self.places, self.stopped)

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
        client, remark = (getattr(self._sink, name, "") for name in ("client", "remark"))
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
        return self._intake.lines, self._intake.complete

    def _wake(self) -> None:
        if self._engine is not None:
            self._engine.wake()

    def _finished(self) -> bool:
        if self._in_flight:
            return False
        return self.stopped is not None or (self._intake.exhausted and not len(self._frontier))

    def _admit(self, now: float) -> Iterator[Result]:
        """Take lines in, as long as there are some and room for them."""
        taken: list[lists.Read] = []
        for _ in range(min(_ADMITTED_AT_ONCE, self._frontier.room)):
            if self.stopped is not None:
                break  # not away: what was taken needs a result
            item = self._intake.take()
            if item is None:
                break
            taken.append(item)
        for item in taken:
            if isinstance(item, Result):
                yield self._record(item)
        targets, fresh = [item for item in taken if isinstance(item, Target)], []
        for target, early in zip(targets, self._seen.judge_all(targets), strict=True):
            if early is None:
                fresh.append(target)
            else:
                yield self._record(early)
        for target, decision in zip(fresh, self._memory.recall(fresh), strict=True):
            if isinstance(decision, Skipped):
                yield self._record(Result(target, decision))
            else:
                self._frontier.add(Attempt(target, queued_at=now, known=decision), now)
        yield from self._take_ended_early()

    def _start(self, engine: Engine, now: float) -> None:
        """Fill the free slots."""
        while (
            self.stopped is None
            and self._outage.may_start(self.in_flight, now)
            and self._frontier.may_start(now)
            and self._slots.acquire(blocking=False)
        ):
            attempt = self._frontier.start(now)
            partial = self._partials.pop(attempt.target.key, None)
            transfer = Transfer(attempt, self._plan, self._sink, now, partial)
            self._in_flight.add(transfer)
            engine.start(transfer)

    def _timeout(self, now: float) -> float:
        """How long the engine may be waited for before something else is due."""
        waits = [_TICK_S]
        if self._give_up_at is not None:
            waits.append(self._give_up_at - now)
        else:
            if self._frontier.room and not self._intake.exhausted:
                self._intake.hungry = True
                if not self._intake.empty:
                    return 0.0
            if self._intake.exhausted and self._finished():
                return 0.0
            due = self._frontier.wake_at(now)
            if due is not None and self.in_flight < self.settings.politeness.max_concurrency:
                if not self._outage.on:
                    waits.append(due - now)
                elif not self.in_flight:
                    waits.append(max(due, self._outage.until) - now)
        return max(0.0, min(waits))

    def _take(self, transfer: Transfer) -> Iterator[Result]:
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
            self._break(completion.error)
        result = Result(attempt.target, outcome, attempt.number, completion.times)
        if isinstance(outcome, Failed):
            verdict, following = self._after(attempt, outcome.failure, transfer.started, now)
            if isinstance(verdict, Again) and self.stopped is None:
                self._again(result, following, now, verdict.delay_s)
                self._keep(completion.partial, following)
                return
            if isinstance(verdict, Defer):
                result = result._replace(outcome=Deferred(outcome.failure, outcome.response))
        elif isinstance(outcome, Stored):
            self._outage.stored()
        if completion.partial is not None:
            completion.partial.discard()
        yield self._record(result)

    def _after(
        self, attempt: Attempt, failure: Failure, started: float, now: float
    ) -> tuple[Verdict, Attempt]:
        """What follows a failed attempt, and which: an outage of the destination costs none."""
        if failure.kind is Kind.SINK and is_transient(failure):
            was_on, patience = self._outage.on, f"{self._outage.patience_s:g} s"
            if not self._outage.failed(started, now):
                message = f"the destination took no object for {patience}: {failure.message}"
                self._break(DestinationError(message))
            if self._outage.on and not was_on:
                message = f"the destination takes nothing, one at a time tries for {patience}"
                self._note("warning", "outage", {"message": f"{message}: {failure.message}"})
            if self._outage.on:
                return Again(0.0), attempt._replace(first_started=None)
        following = attempt._replace(number=attempt.number + 1)
        return self._policy.decide(failure, attempt, now), following

    def _again(self, failed: Result, following: Attempt, now: float, delay_s: float) -> None:
        """Let the target wait in the frontier, without a slot."""
        failure = failed.failure
        assert failure is not None
        self._frontier.add(following, now, now + delay_s)
        record = {
            "url": redact(following.target.listed),
            "attempt": failed.attempts,
            "delay_s": round(delay_s, 3),
            "kind": failure.kind.value,
            "message": failure.message,
        }
        self._note("debug", "retry", record)

    def _keep(self, partial: Partial | None, following: Attempt) -> None:
        """Put a partial body aside, if it is not one too many (each is an open file)."""
        if partial is None:
            return
        if len(self._partials) < self.settings.politeness.max_concurrency:
            self._partials[following.target.key] = partial
        else:
            partial.discard()

    def _drop(self, *keys: str) -> None:
        """Give partial bodies up: no attempt follows."""
        for key in keys:
            if key in self._partials:
                self._partials.pop(key).discard()

    def _take_ended_early(self) -> Iterator[Result]:
        for attempt, outcome in self._frontier.take_ended_early():
            self._drop(attempt.target.key)
            yield self._record(Result(attempt.target, outcome, attempt.number - 1))

    def _record(self, result: Result) -> Result:
        """Tell everyone, the manifest first; what was skipped has its record there."""
        journal = self._journal
        assert journal is not None
        if not isinstance(result.outcome, Skipped):
            journal(result)
        for receiver in self._receivers:
            receiver(result)
        if self.settings.fail_fast and self.stopped is None and result.failure is not None:
            budget, tally = self.settings.max_failures, self.tally
            if budget.exceeded(tally.failures, max(tally.targets, _JUDGED_FROM)):
                self.stop("--fail-fast: more failures than --max-failures")
        return result

    def _flush(self, journal: FileJournal | SinkJournal) -> None:
        """Write the manifest; if that fails, the run stops, and `__exit__` tries once more."""
        if self._recording:
            try:
                journal.flush()
            except DestinationError as error:
                self._recording = False
                self._break(error)

    def _lost(self, reason: str) -> None:
        """Another run has the destination now. From the lock's thread."""
        self._break(Held(reason))

    def _break(self, error: DestinationError | Held) -> None:
        if self._error is None:
            self._error = error
            self.stop(str(error))

    def _wait_on(self, engine: Engine) -> bool:
        """While stopping: whether what is in flight may go on. After the grace it may not."""
        assert self._give_up_at is not None
        if not self._told:
            self._told = True
            record = {"reason": self.stopped, "in_flight": self.in_flight}
            self._note("warning", "stopping", record)
        if time.monotonic() < self._give_up_at:
            return True
        if self.abandoned:
            return False
        self.abandoned = bool(self._in_flight)
        engine.give_up()
        self._give_up_at = time.monotonic() + LAST_GRACE_S
        return self.abandoned

    def _left_over(self) -> Iterator[Result]:
        """A Result for everything that was read and not finished, when the run was stopped."""
        if self.stopped is None:
            return
        self._intake.close()
        message = f"not finished: {self.stopped}"
        outcome = Failed(Failure(Kind.INTERRUPTED, message, transient=False))
        self.abandoned = bool(self._in_flight)
        for transfer in self._in_flight:
            attempt = transfer.attempt
            times = Times(total=time.monotonic() - transfer.started)
            yield self._record(Result(attempt.target, outcome, attempt.number, times))
        yield from self._take_ended_early()
        for attempt in self._frontier.drain():
            yield self._record(Result(attempt.target, outcome, attempt.number - 1))
        while (item := self._intake.take()) is not None:
            early = item if isinstance(item, Result) else self._seen.judge(item)
            yield self._record(early or Result(_target(item), outcome))


def _target(item: lists.Read) -> Target:
    return item.target if isinstance(item, Result) else item
