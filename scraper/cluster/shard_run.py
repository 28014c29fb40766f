"""One shard, as a worker runs it: the ordinary run of a shard, and what a cluster needs beside it.

    answer = run_shard(task, slot, tell, runs)

The worker must see the destination that the coordinator planned in. Beside the run a thread tells
how far it is, and looks for `stop.json`. A run that was told to end ends as any run does: what is
in flight has its grace, and the manifest is whole.

Each run of a shard leaves a small file whose name begins with ATTEMPT. So the coordinator sees for
which shards there was more than one.

Owns: that. Does not know: Dask, what becomes of the answer. Rejected: a process of its own for the
run. It would outlive a worker that is killed, and hold the shard.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scraper.cluster.slots import Slot
from scraper.cluster.task import Message, Task
from scraper.model.errors import ClusterError, DestinationError, Held, NoThread, ScraperError
from scraper.model.threads import start_thread
from scraper.model.urls import redact_text
from scraper.model.version import __version__
from scraper.run.events import log_event
from scraper.run.loop import Run
from scraper.sinks.base import ReadableSink, Sink, SinkOptions, find_sink
from scraper.sinks.own_store import OwnStore
from scraper.sinks.pauses_file import FRESH_S, PausesFile
from scraper.sinks.plans import DONE, PLAN, kept_by
from scraper.sinks.shard_lists import list_lines
from scraper.sinks.stop_file import StopFile
from scraper.source.sources import Source

if TYPE_CHECKING:
    from scraper.schedule import HostMemory

Tell = Callable[[Message], None]
ATTEMPT = "attempt-"
_TOLD = 5  # warnings of one run, at most
_HOSTS = 3  # that wait
_FLIGHTS = 3
_ENDING_S = 7.0  # a nanny kills its worker 8 s after it was told to end
_LAST_GRACE_S = 5.0


class OpenRuns:
    """The runs that are open in this worker."""

    def __init__(self) -> None:
        self._runs: set[Run] = set()
        self._changed = threading.Condition()
        self._ends = False

    def add(self, run: Run) -> None:
        """It is open. Raises ClusterError if the worker ends."""
        with self._changed:
            if self._ends:
                raise ClusterError("the worker ends")
            self._runs.add(run)

    def remove(self, run: Run) -> None:
        """It has ended."""
        with self._changed:
            self._runs.discard(run)
            self._changed.notify_all()

    def end(self) -> None:
        """Stop all runs, and wait for their end."""
        until = time.monotonic() + _ENDING_S
        with self._changed:
            self._ends = True
            for run in self._runs:
                grace_s = min(_LAST_GRACE_S, run.settings.run_limits.grace)
                run.stop("the worker was told to end", grace_s)
            while self._runs and (left_s := until - time.monotonic()) > 0:
                self._changed.wait(left_s)


def run_shard(task: Task, slot: Slot, tell: Tell, runs: OpenRuns) -> Message:
    """Run the shard, and say how that ended: `done`, `stopped`, or an `error` and its text."""
    if task.version != __version__:
        return _error(
            ClusterError(f"scraper {__version__} is at the worker, {task.version} planned")
        )
    settings = task.settings_at(slot)
    sink = find_sink(settings.to, SinkOptions(s3=settings.s3, cacert=settings.http.cacert))
    with closing(sink):
        try:
            return _run(task, slot, tell, runs, sink)
        except ScraperError as error:
            return _error(error)


def _run(task: Task, slot: Slot, tell: Tell, runs: OpenRuns, sink: Sink) -> Message:
    settings, plan = task.settings_at(slot), task.plan
    if isinstance(sink, ReadableSink):
        sink.reach()
    stop_file = StopFile(sink, settings.to, plan)
    own, files = plan.prefix_of(task.shard), OwnStore(sink, settings.to)
    if not files.has(plan.prefix_of(0) + PLAN):
        raise ClusterError(f"the worker sees no plan {plan.number} in the destination")
    names = kept_by(sink, settings.to, plan, task.shard).names
    if DONE in names:
        return {"ended": "done"}
    if stop_file.reason() is not None:
        return {"ended": "stopped"}
    files.create(f"{own}{ATTEMPT}{task.run}-{os.urandom(4).hex()}", b"{}")
    lines = list_lines(sink, settings.to, plan, task.shard)
    source = Source("the list of the shard", lines, of_shard=True)
    notes = _Notes(task, tell)
    run = Run(settings, [source], (), notes, of=task.run)
    runs.add(run)
    beside = _Beside(run, task, stop_file, tell)
    kept = _KeptHosts(run, PausesFile(sink, settings.to, own))
    try:
        with beside, run, _pace_of(slot, run):
            if any(name.startswith(ATTEMPT) for name in names):
                kept.recall()
            beside.has_begun(kept.keep)
            for _ in run:
                pass
    except ScraperError:
        if run.stopped is None or not _is_told_to_end(run):
            raise
    finally:
        runs.remove(run)
    is_done = files.has(own + DONE)
    return {"ended": "done" if is_done else "stopped", "pulse": beside.pulse()}


def _is_told_to_end(run: Run) -> bool:
    """Whether a run that waited for its lock was stopped meanwhile."""
    return not run.begun


@contextmanager
def _pace_of(slot: Slot, run: Run) -> Iterator[None]:
    """Go on with `--rate` where the shard before it in this slot ended."""
    run.view().start_from(slot.next_start)
    try:
        yield
    finally:
        slot.next_start = run.view().next_start


class _Notes:
    """Passes warnings of the run on, not too many of them."""

    def __init__(self, task: Task, tell: Tell) -> None:
        self._task, self._tell, self._told = task, tell, 0

    def __call__(self, level: str, name: str, record: Any) -> None:
        """See `Run`."""
        log_event(level, name, record)
        if level in {"warning", "error"} and "message" in record and self._told < _TOLD:
            self._told += 1
            said = redact_text(str(record["message"]))
            self._tell({"shard": self._task.shard, "note": [level, name, said]})


class _KeptHosts:
    """What the run knows of its hosts, kept for the run after it if its end is seen by nobody."""

    def __init__(self, run: Run, file: PausesFile) -> None:
        self._run, self._file = run, file
        self._kept: dict[str, HostMemory] = {}
        self._again_at = 0.0

    def recall(self) -> None:
        """Leave hosts alone as the run before this one would have done."""
        self._kept = self._file.read()
        self._run.view().recall(self._kept)
        until = time.monotonic() + self._run.settings.politeness.delay
        self._run.paused = lambda: time.monotonic() < until

    def keep(self) -> None:
        """Keep what has changed, and that it is not old. On the thread beside the run."""
        memories, now = self._run.view().memories(), time.monotonic()
        if memories == self._kept and not (memories and now >= self._again_at):
            return
        self._again_at = now + FRESH_S / 4
        with suppress(DestinationError, Held):  # the next look writes it
            self._file.write(memories)
            self._kept = memories


class _Beside:
    """The thread beside a run: a context manager."""

    def __init__(self, run: Run, task: Task, stop_file: StopFile, tell: Tell) -> None:
        self._run, self._task, self._tell = run, task, tell
        self._stop_file = stop_file
        self._keep: Callable[[], None] = lambda: None
        self._over = threading.Event()
        self._begun = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        """Begin."""
        self._tell(self.pulse())
        with suppress(NoThread):
            self._thread = start_thread("shard", self._work)

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def has_begun(self, keep: Callable[[], None]) -> None:
        """The run has its shard. `keep` is called again and again."""
        self._begun, self._keep = True, keep
        self._tell(self.pulse())

    def _work(self) -> None:
        look_at = time.monotonic()
        pulse_at = look_at + self._task.pulse_s
        while True:
            now = time.monotonic()
            if now >= look_at:
                look_at = now + self._stop_file.every_s
                if (reason := self._stop_file.reason()) is not None:
                    self._run.stop(reason)
                    look_at = now + 3600
                self._keep()
            if now >= pulse_at:
                pulse_at = now + self._task.pulse_s
                self._tell(self.pulse())
            if self._over.wait(max(0.0, min(look_at, pulse_at) - time.monotonic())):
                return

    def pulse(self) -> Message:
        """How far the run is. Monotonic clocks of two machines differ, so ages are told."""
        told: Message = {"shard": self._task.shard, "begun": self._begun}
        if not self._begun:
            return told
        seen = self._run.view().snapshot()
        tally = self._run.tally
        flights = sorted(seen.flights, key=lambda one: one.started)[:_FLIGHTS]
        return told | {
            "targets": seen.targets,
            "failures": seen.failures,
            "not_reached": tally.statuses["not_reached"],
            "size": seen.size,
            "in_flight": len(seen.flights),
            "flights": [
                [
                    id(one.identity),
                    redact_text(one.listed),
                    seen.at - one.started,
                    one.received,
                    one.expected,
                    one.size,
                ]
                for one in flights
            ],
            "hosts": [
                [one.host, one.left_s, one.targets, one.is_down, one.reason and one.reason.message]
                for one in seen.hosts[:_HOSTS]
            ],
            "notes": [redact_text(one) for one in seen.notes if one.startswith("the destination")],
        }


def _error(error: ScraperError) -> Message:
    return {"ended": "error", "kind": type(error).__name__, "message": redact_text(str(error))}
