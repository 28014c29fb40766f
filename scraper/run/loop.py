"""The loop: the whole story of a run, on one thread.

    while there is work:
        take lines in; they wait in the frontier, with --robots in the queue before it
        fill every free slot with a target that the frontier says may start
        wait for the engine's next results, or for the frontier's next wake-up
        for each result: retry it later, or record it
        settle the account: the manifest has it, then everyone is told

One thread owns the frontier, the manifest and the counts, so none of them needs a lock. A
transfer has a slot from its start (`starter.py`) until its completion is taken (`_take`).

Owns: that order. Does not know: what may start (`starter.py`), what follows a failed attempt
(`failure_policy.py`), how a Result is recorded (`account.py`), HTTP, S3, Click, signals.
Rejected: workers that pull targets from a queue. One that waits for a host or for a retry would
hold its slot.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scraper.model.dates import expand_date
from scraper.model.errors import UsageError
from scraper.model.records import Attempt, Failed, Outcome, Result, Stored
from scraper.model.run_id import new_run_id
from scraper.model.settings import Settings
from scraper.model.urls import redact
from scraper.report.summary import Places, Summary
from scraper.run.account import Account, Receiver
from scraper.run.build import (
    Opened,
    choose_engine,
    describe,
    divide_bodies,
    make_plan,
    obey_robots,
    open_engine,
    proxy_names,
    transfer_type,
)
from scraper.run.ending import RunEnding
from scraper.run.failure_policy import FailurePolicy, Following
from scraper.run.mirrors import result_of
from scraper.run.prefilter import Prefilter
from scraper.run.resources import RunResources
from scraper.run.spacing import Spacing
from scraper.run.starter import Asked, Starter
from scraper.run.stopping import Note, Stop, limit_at
from scraper.run.unfinished import stored_late, targets_of, unfinished
from scraper.schedule import Charge, Frontier, patience_of
from scraper.sinks.base import disk_of
from scraper.source.keys import make_rule
from scraper.source.reader import BUFFER, ListReader
from scraper.source.sources import Source
from scraper.transfer import Completion, InPart, Quota, Transfer

if TYPE_CHECKING:
    from scraper.engines.base import Engine
    from scraper.run.view import RunView

_TICK_S = 0.5  # the longest wait: a signal just before a wait is heard after it
_SOON_S = 0.02  # for the manifest to have the last Results, while nothing else goes on
_ADMITTED_AT_ONCE = 200  # lines taken in before the engine is looked after again


class Run:
    """One run over some lists: a context manager, and an iterator of its Results.

    Entering checks the destination and raises DestinationError; nothing is written before.
    `receivers` hear of Results once the manifest has them. `note(level, event, record)` hears of
    retries, and that transfers in flight may end. `begun`: since when it lasts (monotonic). `id` is
    on all records; `of` is that of a larger run. While `paused` nothing starts; then call `wake`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - facts of one run
        self,
        settings: Settings,
        sources: Sequence[Source],
        receivers: Sequence[Receiver] = (),
        note: Note = lambda _level, _name, _record: None,
        begun: float | None = None,
        of: str = "",
    ) -> None:
        now, self._process = datetime.now().astimezone(), os.getpid()
        self.id = of or new_run_id(now.timestamp())
        self.settings, self.destination = settings, expand_date(settings.to, now)
        self.places, self._note = Places(redact(self.destination), "", shard=settings.shard), note
        self.paused: Callable[[], bool] = lambda: False
        begun, limits = time.monotonic() if begun is None else begun, settings.run_limits
        self._stop = Stop(self.wake, note, limit_at(begun, limits.max_run_time), limits.grace)
        self._account = Account(settings, receivers, self._stop, begun)
        self.tally, self.is_news = self._account.tally, self._account.is_news
        self.ending = RunEnding(self.id, self.tally, settings.max_failures, self._stop)
        self._failure_policy = FailurePolicy(settings, self._stop, note)
        patience, longest_s = patience_of(settings.retries), settings.retries.max_retry_after
        through = proxy_names(settings.http)
        self._frontier = Frontier(settings.politeness, longest_s, patience, through)
        self._spacing = Spacing(self._frontier, self.wake, settings.politeness)
        self._make_engine, self._transfer = choose_engine(settings), transfer_type(settings)
        self._resources = RunResources(settings, self.destination, self.id, is_part=bool(of))
        self._quota = Quota(limits, begun, disk_of(self._resources.sink))
        plan = make_plan(settings, self._resources.sink, self._quota)
        plan, self._splitting = divide_bodies(settings, plan, self._frontier, self.wake, note)
        self._plan, self._robots_queue = obey_robots(settings, plan, self._frontier, note)
        self._entrance = self._robots_queue or self._frontier
        rule = make_rule(settings.key, now)
        self._reader = ListReader(sources, rule, self.wake, settings.store_compressed)
        self._engine: Engine | None = None
        self._prefilter: Prefilter
        policies = self._failure_policy, self._frontier, self._spacing, self._splitting
        asked = Asked(self._stop, *policies, self._is_robots_txt, self._make_transfer)
        self._starter = Starter(settings.politeness.max_concurrency, asked, note)
        self._in_flight = self._starter.in_flight

    def __enter__(self) -> Self:
        """Check the destination, lock it, read what its manifest knows, begin to read lists."""
        resources = self._resources
        resources.open(self._quota, self._stop.lost, self._note)
        self._account.store = resources.store
        self._account.has_failed = resources.history.has_failed
        self.places = self.places._replace(manifest=resources.store.place)
        with ExitStack() as undone:
            undone.callback(resources.close, self._stop.last_moment(), whole=False)
            opened = Opened(resources, self._quota, self._robots_queue, self._note)
            engine = self._engine = open_engine(self._make_engine, self.settings, opened)
            undone.callback(engine.close)
            self._prefilter = Prefilter(resources.history, self._plan, resources.sink)
            undone.callback(self._prefilter.close)
            self._reader.start(resources.shard)
            undone.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything; what is still in flight is broken off.

        After a fork this does nothing in the child: files, locks and sockets are the parent's.
        """
        if os.getpid() != self._process:
            return
        engine = self._engine
        assert engine is not None
        whole = kind is None and self._stop.reason is None and self._finished()
        if not whole:
            self._stop.ask("the iteration was left", 0.0)
        self._reader.close()
        engine.give_up()
        if not self._stop.abandoned:  # what is stored after all need not be asked for again
            for result in stored_late(self._in_flight, engine, self._is_robots_txt):
                self._account.record(result)
        engine.close()
        self._failure_policy.close()
        self._spacing.close()
        if self._splitting is not None:
            self._splitting.close(self._in_flight)
        self._prefilter.close()
        self.ending.sum_up(error, self.places, self._frontier)
        self.ending.keep(self._resources, self._note)
        whole = whole and not self._stop.cut_short
        self._resources.close(self._stop.last_moment(), whole=whole, recorded=error is None)

    def __iter__(self) -> Iterator[Result]:
        """Every Result, when it is final. Raises DestinationError, Held, ListError, UsageError."""
        for told in self._turns():
            for result in told:
                yield result
                if os.getpid() != self._process:
                    raise UsageError("this run belongs to the process that began it")

    def _turns(self) -> Iterator[Sequence[Result]]:
        """The loop, turn by turn: the Results that each turn tells."""
        engine = self._engine
        assert engine is not None, "Run is used in a with statement"
        self.ending.begun = True
        while not self._finished():
            now = time.monotonic()
            if self._stop.reason is None:
                self._resources.check_lock()
            if self._stop.reason is None and not self.paused():
                self._admit(now)
                self._starter.start(engine, now)
            yield self._account.settle(idle=self._is_idle())
            ended = engine.poll(self._timeout(now))
            now = time.monotonic()
            self._stop.keep_within(self._quota, now)
            self._spacing.take_sent(now)
            for transfer in ended:
                self._take(transfer)
            self._record_ended_early()
            if self._stop.give_up_at is not None and not self._stop.wait_on(engine, self.in_flight):
                break
        self._record_unfinished()
        yield self._account.finish()
        if self._stop.error is not None:
            raise self._stop.error
        self._reader.tell(self._note)
        if self._reader.incomplete:
            self._stop.unread = self._stop.cut_short = True
        self._reader.reraise()

    # ------------------------------------------------------------ what others ask

    def stop(self, reason: str, grace_s: float | None = None) -> None:
        """Start nothing more; what is in flight has `grace_s` to end. From any thread or signal.

        None: the grace of the settings.
        """
        self._stop.ask(reason, grace_s)
        self._resources.leave()

    def withdraw(self) -> None:
        """Before it has begun: leave nothing behind that another run would wait for."""
        self._resources.withdraw()

    def wake(self) -> None:
        """End the wait for the engine: something has changed. From any thread or signal."""
        if self._engine is not None:
            self._engine.wake()

    @property
    def stopped(self) -> str | None:
        """Why the run was stopped, None if it was not."""
        return self._stop.reason

    @property
    def abandoned(self) -> bool:
        """Whether a thread may still wait for a server or for the destination after the end."""
        return self._stop.abandoned or self._resources.abandoned

    def summary(self) -> Summary:
        """The account of the run: of the whole run after its end, until then the account so far."""
        return self.ending.summary or self.ending.so_far(self.places, self._frontier)

    @property
    def begun(self) -> bool:
        """Whether the destination was found usable and reading has begun."""
        return self._engine is not None

    def describe(self) -> str:
        """What runs, in one line: engine, client, destination."""
        assert self._engine is not None
        used = self._engine, self._resources.sink
        rate, to = self.settings.limits.limit_rate, self.places.destination
        return describe(*used, at_once=self._starter.most, destination=to, limit_rate=rate)

    @property
    def in_flight(self) -> int:
        """Transfers in flight now."""
        return len(self._in_flight)

    def view(self) -> "RunView":
        """What can be seen of it while it goes, once it has begun."""
        from scraper.run.view import Parts, RunView  # a run that nobody watches needs none

        parts = Parts(self._in_flight, self._frontier, self._failure_policy, self._reader)
        return RunView(self, self._engine, parts)

    # ------------------------------------------------------------ one turn of the loop

    def _is_idle(self) -> bool:
        """Whether there is nothing to do but to wait for lines."""
        return not self._in_flight and not len(self._frontier)

    def _finished(self) -> bool:
        if self._in_flight:
            return False
        return self._stop.reason is not None or (self._reader.exhausted and not len(self._frontier))

    def _admit(self, now: float) -> None:
        """Take lines in, as long as there are some and room for them."""
        if not self._wants_lines(now):
            return
        most = BUFFER if self._is_idle() else _ADMITTED_AT_ONCE  # nobody waits for the engine
        items = self._reader.take(min(most, self._entrance.room))
        self._reader.tell(self._note)
        ended, skipped, left, error = self._prefilter.sift(items)
        if error is not None:
            self._stop.because_of(error)
        for target, previous in left:
            self._entrance.add(Attempt(target, queued_at=now, previous=previous), now)
        for result in ended:
            self._account.record(result)
        self._account.skip(skipped)
        self._record_ended_early()

    def _wants_lines(self, now: float) -> bool:
        """Many at once cost less; but if nothing may start, any line may be of another host."""
        room = self._entrance.room
        return room >= _ADMITTED_AT_ONCE or (room > 0 and not self._frontier.may_start(now))

    def _make_transfer(self, attempt: Attempt, now: float) -> Transfer:
        if self._robots_queue is not None and self._robots_queue.owns(attempt):
            return self._robots_queue.transfer(attempt, now)
        if self._splitting and (part := self._splitting.resume(attempt, now)):
            return part
        partial = self._failure_policy.take(attempt.target.key) if attempt.number > 1 else None
        return self._transfer(attempt, self._plan, self._resources.sink, now, partial)

    def _timeout(self, now: float) -> float:
        """How long the engine may be waited for before something else is due."""
        waits = [_TICK_S]
        if self._stop.give_up_at is not None:
            waits.append(self._stop.give_up_at - now)
        else:
            if self._account.has_untold and self._is_idle():
                waits.append(_SOON_S)
            if self._reader.exhausted and self._finished():
                return 0.0
            if self.paused():
                return min(waits)
            if not self._reader.exhausted and self._wants_lines(now):
                self._reader.hungry = True
                if not self._reader.empty:
                    return 0.0
            if (due := self._starter.due(now)) is not None:
                waits.append(due - now)
        return max(0.0, min(waits))

    def _is_robots_txt(self, attempt: Attempt) -> bool:
        return self._robots_queue is not None and self._robots_queue.owns(attempt)

    def _take(self, transfer: Transfer) -> None:
        """One transfer comes back: its slot is free; go on later, retry it later, or record it."""
        self._starter.free(transfer)
        completion, now = transfer.completion, time.monotonic()
        if transfer.split is not None:
            assert self._splitting is not None
            assert self._engine is not None
            ending = self._splitting.take(transfer, now, self._engine.break_off)
            if ending is not None:
                self._follow(*ending, now)
            return
        if completion is None:
            self._failure_policy.tell(self._spacing.put_back(transfer, now))
            return
        attempt, end, announced = completion.attempt, completion.outcome, completion.announced
        failure = end.failure if isinstance(end, Failed) else None
        started = transfer.hop_started
        took_s = now - started if attempt.hop else completion.times.total or 0.0
        change = self._frontier.ended(attempt, failure, started, took_s, now, announced)
        self._failure_policy.tell(change)
        charge = Charge.ATTEMPT if failure is None else self._frontier.charge(attempt)
        self._follow(completion, transfer.started, charge, now)

    def _follow(self, completion: Completion, started: float, charge: Charge, now: float) -> None:
        """An attempt has ended, as its host knows: retry the target later, or record it."""
        attempt, error, end = completion.attempt, completion.error, completion.outcome
        assert not isinstance(end, InPart)
        outcome: Outcome = end
        is_robots_txt = self._is_robots_txt(attempt)
        if error is not None:
            self._stop.because_of(error)
        if isinstance(end, Failed):
            follows = self._failure_policy.of(completion, end, started, now, charge)
            if isinstance(follows, Following):
                self._starter.wait(follows, self._entrance, now)
                if self._robots_queue is not None and is_robots_txt:
                    self._robots_queue.turn_away(attempt, end.failure)
                return
            outcome = follows
        elif isinstance(end, Stored) and not is_robots_txt:
            self._failure_policy.stored()
        if completion.partial is not None:
            completion.partial.discard()
        if not is_robots_txt:
            self._account.record(result_of(attempt, outcome, attempt.number, completion.times))
        elif self._robots_queue is not None and self._stop.reason is None:
            self._robots_queue.answered(attempt, outcome, started, now)

    def _record_ended_early(self) -> None:
        """Record targets that end without another request, because of their host."""
        for attempt, outcome in self._entrance.take_ended_early():
            self._starter.drop(attempt.target.key)
            if following := self._failure_policy.elsewhere(attempt, outcome, attempt.number - 1):
                self._entrance.add(following, time.monotonic())
            else:
                self._account.record(result_of(attempt, outcome, attempt.number - 1))

    def _record_unfinished(self) -> None:
        """When the run was stopped: record everything that was read and not finished."""
        if self._stop.reason is None:
            return
        self._stop.unread = not self._reader.exhausted
        self._reader.close()
        self._stop.abandoned = bool(self._in_flight)
        in_flight = targets_of(self._in_flight, self._is_robots_txt)
        read_ahead = self._prefilter.sift(self._reader.take(BUFFER))
        self._account.skip(read_ahead.skipped)
        for result in unfinished(in_flight, self._entrance, read_ahead, self._stop.reason):
            self._account.record(result)
        self._stop.cut_short = self._stop.unread or self.tally.statuses["not_reached"] > 0
