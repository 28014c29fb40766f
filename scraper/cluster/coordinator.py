"""ClusterRun: one run, whose shards are run by the workers of a cluster.

It is used as a `Run` is: a context manager, and an iterator, which gives no Results here; those
are in the manifests of the shards. What it does:

    hold the coordinator's lock; take up a plan, or make one
    submit every shard that is not done, the longest first
    until all are done or given up: hear of their progress, submit again what was lost
    told to end, or over a limit of the whole run: write `stop.json`, wait for the shards that run
    add up what the shards have left in the destination

Nothing of its state is needed by another one: what is done is in the destination.

Owns: that order, and when the run stops. Does not know: Dask (`dask_client.py`), Click, how a shard
is run.
"""

import contextlib
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scraper.cluster.account import Account
from scraper.cluster.address import Address
from scraper.cluster.ending import ClusterEnding
from scraper.cluster.left import add_up
from scraper.cluster.local_workers import Beside, engine_modules, warm_up
from scraper.cluster.planned import NO_LINES, Ready, begun, taken_up
from scraper.cluster.shards import Shards, settings_of_shards
from scraper.model.dates import expand_date
from scraper.model.errors import ClusterError, DestinationError, Held, ScraperError, UsageError
from scraper.model.run_id import new_run_id
from scraper.model.settings import Settings
from scraper.model.urls import redact
from scraper.model.version import __version__
from scraper.report.summary import Places, Summary
from scraper.run import planning
from scraper.run.stopping import LAST_GRACE_S, Note, limit_at
from scraper.run.waits import Waits
from scraper.sinks.base import Sink, SinkOptions, find_sink
from scraper.sinks.beginning import insist
from scraper.sinks.coordinator_lock import CoordinatorLock
from scraper.sinks.directory import OWN
from scraper.sinks.lock import Limit
from scraper.sinks.stop_file import StopFile
from scraper.source.sources import Source

if TYPE_CHECKING:
    from scraper.cluster.dask_client import DaskCluster, Event
    from scraper.model.records import Result
    from scraper.report.snapshot import Snapshot

_TICK_S = 0.5
_JUDGED_FROM = 100  # targets; of fewer, a share of failures means nothing
_AFTER_GRACE_S = 6.0  # for stores to take the last records, and for shards to see the stop file


class ClusterRun:
    """See the module. The names are those of `Run`, where the same is meant.

    Entering raises ClusterError, DestinationError, Held and UsageError.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[Source],
        cluster: str,
        note: Note = lambda _level, _name, _record: None,
        began: float | None = None,
    ) -> None:
        now = datetime.now().astimezone()
        self.id = new_run_id(now.timestamp())
        self.settings, self.destination = settings, expand_date(settings.to, now)
        self.places = Places(redact(self.destination), "")
        self.paused: Callable[[], bool] = lambda: False
        self.begun = self.abandoned = False
        self.stopped: str | None = None
        self.ending = ClusterEnding()
        self._of_shards = settings_of_shards(settings, self.destination)
        self._address, self._sources, self._note = Address.parse(cluster), sources, note
        self._began = time.monotonic() if began is None else began
        self._start = time.time() - (time.monotonic() - self._began)
        self._limit_at = limit_at(self._began, settings.run_limits.max_run_time)
        options = SinkOptions(s3=settings.s3, cacert=settings.http.cacert)
        self._sink: Sink = find_sink(self.destination, options)
        self._give_up_at: float | None = None
        self._error: ScraperError | None = None
        self._stack = ExitStack()
        self._lock: CoordinatorLock | None = None
        self._cluster: DaskCluster | None = None
        self._shards: Shards
        self._stop_file: StopFile
        self._is_told = False

    # ------------------------------------------------------------ beginning and end

    def __enter__(self) -> Self:
        """Connect, hold the destination, plan, submit all shards."""
        is_local = bool(self._address.local)
        if is_local:
            warm_up(engine_modules(self.settings.engine))
        try:
            from scraper.cluster.dask_client import DaskCluster
        except ImportError as error:
            need = "--cluster needs dask and distributed: pip install 'scraper[cluster]'"
            raise UsageError(f"{need} ({error})") from None
        with ExitStack() as stack:
            stack.callback(self._sink.close)
            insist(self._sink.check, self.settings.retries)
            cluster = DaskCluster(self._address, f"scraper-{self.id}")
            self.abandoned = True  # threads of Dask may wait for a server that never answers
            started = Beside(cluster)
            if not is_local:
                stack.enter_context(started).wait()
            place, how = (self._sink, self.destination), self.settings.lock
            self._lock = CoordinatorLock(*place, how, self._limit(), self._lost)
            stack.callback(self._lock.release)
            if is_local:  # workers come while the lists are divided
                stack.enter_context(started)
            ready = self._planned(cluster)
            self._lock.share(how)
            started.wait()
            self._stop_file = StopFile(self._sink, self.destination, ready.plan)
            self._shards = Shards(ready, cluster, self._of_shards, self.id)
            self._shards.tell = self._note
            below = f"{OWN}/"
            if ready != NO_LINES:
                self._stop_file.remove()
                below = ready.plan.prefix_of(0).replace("/shard-0/", "/shard-*/")
            where = f"{self.places.destination.rstrip('/')}/{below}manifest*"
            self.places = self.places._replace(manifest=where)
            self._submit()
            self._cluster = cluster
            self._stack = stack.pop_all()
        self.abandoned = False
        self.begun = self.ending.begun = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Add up, and leave the cluster."""
        try:
            account = Account(self.id)
            add_up(account, self._sink, self.destination, self._shards.ready)
            ending = self.ending.judged(
                account,
                error,
                self.settings.max_failures,
                self.stopped,
                self._shards.not_done(),
            )
            made = account.summary(self._start, time.time(), ending, self.places)
            self.ending.sum_up(made)
            if not isinstance(error, Held):
                self.ending.keep(self._sink, self.destination, self.settings, self._note)
        finally:
            self._stack.close()

    def _planned(self, cluster: "DaskCluster") -> Ready:
        """The plan, which is taken up or begun."""
        sources = planning.again_readable(self._sources)
        ready = taken_up(self._sink, self.destination, self.settings, sources)
        if ready is not None:
            left = ready.plan.shards - len(ready.done)
            self._say("info", f"going on with {left:,} of {ready.plan.shards:,} shards")
            return ready
        slots = cluster.slots(self.settings.politeness.max_concurrency)

        def note(text: str) -> None:
            self._note("warning", "list", {"message": text})

        return begun(self.settings, sources, slots, note, self._limit())

    def _submit(self) -> None:
        """Begin the shards, unless the time of the run is over already."""
        self._keep_within()
        if self.stopped is None:
            self._shards.submit_all()

    def _limit(self) -> Limit:
        waits = Waits(self.places.destination, self._note)
        left_s = self._limit_at - time.monotonic()
        return Limit(left_s, bool, waits.held, self.settings.retries, waits.failing)

    # ------------------------------------------------------------ the loop

    def __iter__(self) -> "Iterator[Result]":
        """Nothing, at the end. Raises what ends the run."""
        cluster = self._cluster
        assert cluster is not None, "ClusterRun is used in a with statement"
        while self._shards.left and not self._is_over():
            with contextlib.suppress(queue.Empty):
                self._take(cluster.events.get(timeout=_TICK_S))
                while True:
                    self._take(cluster.events.get(block=False))
            self._keep_within()
            self._tell_shards()
        if self._error is not None:
            raise self._error
        yield from ()

    def _take(self, event: "Event") -> None:
        from scraper.cluster.dask_client import Ended, Lost, Told, Woken

        match event:
            case Told(message):
                self._shards.hear(message)
            case Ended(task, answer, killed):
                error = self._shards.end(task, answer, killed, self.stopped)
                if error is not None:
                    self._fail(error)
            case Lost():
                text = f"the scheduler {self._address.url} is gone: its workers end the shards"
                hint = "the same command with --resume does the rest"
                self._fail(ClusterError(f"{text} that run", hint=hint))
            case Woken():
                pass

    # ------------------------------------------------------------ stopping

    def stop(self, reason: str, grace_s: float | None = None) -> None:
        """Have all shards end. From any thread or signal."""
        if self._give_up_at is None:
            self.stopped = reason
            grace_s = self.settings.run_limits.grace if grace_s is None else grace_s
            self._give_up_at = time.monotonic() + grace_s + LAST_GRACE_S + _AFTER_GRACE_S
        self.wake()

    def withdraw(self) -> None:
        """Before it has begun: leave nothing behind that another run would wait for."""
        if self._lock is not None:
            self._lock.release()

    def wake(self) -> None:
        """Look again. From any thread or signal."""
        if self._cluster is not None:
            self._cluster.wake()

    def _fail(self, error: ScraperError) -> None:
        """End, with this error."""
        if self._error is None:
            self._error = error
            self.stop(str(error))
        if isinstance(error, ClusterError | Held):  # nobody would tell how the shards end
            self._give_up_at = time.monotonic()

    def _lost(self, reason: str) -> None:
        self._fail(Held(reason))

    def _is_over(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _keep_within(self) -> None:
        """Stop at a limit of the whole run."""
        if self.stopped is not None:
            return
        if time.monotonic() >= self._limit_at:
            text = f"--max-run-time {self.settings.run_limits.max_run_time:g} s is over"
            self._note("warning", "limit", {"message": text})
            self.stop(text)
        elif self.settings.fail_fast:
            seen = self._shards.pulses
            failures, targets = seen.count("failures"), seen.count("targets")
            judged, budget = max(targets, _JUDGED_FROM), self.settings.max_failures
            if failures and budget.exceeded(failures, judged):
                self.stop("--fail-fast: more failures than --max-failures")

    def _tell_shards(self) -> None:
        """Once the run stops: tell the shards, and forget those that no worker has begun."""
        if self.stopped is None or self._is_told:
            return
        self._is_told = True
        if not isinstance(self._error, ClusterError | Held):
            in_flight = self._shards.pulses.count("in_flight")
            self._note("warning", "stopping", {"reason": self.stopped, "in_flight": in_flight})
            try:
                self._stop_file.write(self.stopped)
            except DestinationError as error:
                self._fail(error)
        self._shards.forget_waiting(self.stopped)

    # ------------------------------------------------------------ what others ask

    def is_news(self, result: "Result") -> bool:
        """See `Run`: no Result is told here."""
        del result
        return True

    def describe(self) -> str:
        """What runs, in one line."""
        assert self._cluster is not None
        workers, ready = len(self._cluster.workers()), self._shards.ready
        left = ready.plan.shards - len(ready.done)
        at_most = self.settings.politeness.max_concurrency
        return (
            f"scraper {__version__}: cluster {self._address.url},"
            f" {workers:,} worker{'s' * (workers != 1)}, {left:,} of {ready.plan.shards:,} shards,"
            f" at most {at_most} at once in each worker, to {self.places.destination}"
        )

    def view(self) -> "ClusterRun":
        """What can be seen of it while it goes."""
        return self

    def snapshot(self) -> "Snapshot":
        """What is to be seen now. From any thread."""
        return self._shards.snapshot()

    def summary(self) -> Summary:
        """The account of the run: of the whole run after its end, until then that of messages."""
        if self.ending.summary is not None:
            return self.ending.summary
        return self.ending.so_far(self.id, self._start, self._shards.pulses, self.places)

    def _say(self, level: str, text: str) -> None:
        self._note(level, "cluster", {"message": text})
