"""Shards: those of one run, at a cluster: submitted, heard of, submitted again.

Owns: what follows from each event of the cluster. Does not know: when the run stops
(`coordinator.py`), the account.
"""

from dataclasses import replace
from os.path import abspath
from typing import TYPE_CHECKING, Any

from scraper.cluster.board import Board
from scraper.cluster.planned import Ready
from scraper.cluster.task import Message, Task
from scraper.cluster.view import Pulses
from scraper.model.errors import DestinationError, ScraperError, UsageError
from scraper.model.settings import Http, Settings
from scraper.model.version import __version__
from scraper.report.snapshot import Snapshot
from scraper.sinks.home import home_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scraper.cluster.dask_client import DaskCluster
    from scraper.run.stopping import Note

_MANY_SLOTS = 50  # of so many, each tells once a second how far it is
_OWN_WORDS = {"list", "limit", "circuit_breaker"}  # warnings that keep their name


class Shards:
    """See the module. `ready`: the plan. `run`: the id of the run. `tell` hears of warnings."""

    def __init__(self, ready: Ready, cluster: "DaskCluster", settings: Settings, run: str) -> None:
        self.ready, self.pulses = ready, Pulses()
        self.tell: Note = lambda _level, _name, _record: None
        self._board = Board(set(range(ready.plan.shards)) - ready.done)
        self._cluster, self._settings, self._run = cluster, settings, run
        self._slots = cluster.slots(settings.politeness.max_concurrency)
        self._submitted = 0

    @property
    def left(self) -> bool:
        """Whether a shard is neither done nor given up."""
        return bool(self._board.left)

    def submit_all(self) -> None:
        """Submit every shard that is not done, the longest first."""
        for shard in sorted(self._board.left):
            self._submit(shard)

    def hear(self, message: Message) -> None:
        """A worker tells how far it is with a shard, or passes a warning on."""
        if "note" in message:
            level, name, text = message["note"]
            self._say(level, f"shard {message['shard']}: {text}", name)
        else:
            self.pulses.take(message)

    def end(
        self, task: Task, answer: Message, why: str, stopped: str | None
    ) -> ScraperError | None:
        """A task has ended: its shard is done, or run again. Or the run ends with this error.

        `why`: that its worker was lost, in words. `stopped`: why the run is told to end.
        """
        shard, how = task.shard, answer["ended"]
        self.pulses.end(shard, answer.get("pulse"), is_done=how == "done")
        if how == "done":
            self._board.done(shard)
        elif how == "error" and answer["kind"] not in {"Held", "ClusterError"}:
            self._board.give_up(shard, answer["message"])
            kind = UsageError if answer["kind"] == "UsageError" else DestinationError
            return kind(f"shard {shard}: {answer['message']}")
        elif stopped is not None:
            self._board.give_up(shard, stopped)
        else:
            self._again(shard, why or answer.get("message") or "its worker was told to end")
        return None

    def forget_waiting(self, why: str) -> None:
        """Give up the shards that no worker has begun."""
        waiting = {shard for shard in self._board.left if not self.pulses.is_open(shard)}
        self._cluster.cancel(waiting)
        for shard in waiting:
            self._board.give_up(shard, why)

    def not_done(self) -> str:
        """Which shards are not done, and why; "" if all are."""
        given_up, left = self._board.given_up, self._board.left
        count = len(left) + len(given_up)
        if not count:
            return ""
        first = min([*given_up, *left])
        some = f"{count:,} shards are not done, such as {first}"
        text = f"shard {first} is not done" if count == 1 else some
        return f"{text} ({given_up[first]})" if given_up.get(first) else text

    def snapshot(self) -> Snapshot:
        """What is to be seen now. From any thread."""
        lines, done = self.ready.lines, self.ready.done
        notes = [] if self.pulses.open else ["waiting for workers"]
        notes += [f"shard {shard} is given up" for shard in [*self._board.given_up][:3]]
        before = sum(lines[shard] for shard in done)
        return self.pulses.snapshot({"targets": before}, sum(lines), notes)

    def _again(self, shard: int, why: str) -> None:
        if self._board.lost(shard, why):
            self._say("warning", f"shard {shard} is run again: {why}")
            self._submit(shard)
        else:
            self._say("error", f"shard {shard} is given up: {why}")

    def _submit(self, shard: int) -> None:
        turn = self._submitted % self._slots
        self._submitted += 1
        task = Task(
            self.ready.plan,
            shard,
            self._run,
            self._settings,
            self._slots,
            turn,
            f"scraper-{self._run}",
            max(1.0, self._slots / _MANY_SLOTS),
            __version__,
        )
        self._cluster.submit(task, self._board.priority_of(shard), self._submitted)

    def _say(self, level: str, text: str, name: str = "") -> None:
        self.tell(level, name if name in _OWN_WORDS else "cluster", {"message": text})


def settings_of_shards(settings: Settings, destination: str) -> Settings:
    """The settings that all shards of a run have: its totals are the coordinator's to keep.

    Files are named from the root on. Raises UsageError.
    """
    to = destination
    if (home := home_of(destination)) is not None:
        to = abspath(home)
        if "{" in to or "}" in to:
            raise UsageError(f"--cluster: the path {to!r} has braces: use another directory")
    limits = replace(settings.run_limits, max_run_time=None)
    http = _with_whole_paths(settings.http)
    return replace(settings, to=to, http=http, fail_fast=False, lock="wait", run_limits=limits)


def _with_whole_paths(http: Http) -> Http:
    names = ("cacert", "cert", "cert_key", "cookies")
    whole: Callable[[Any], Any] = lambda path: path and abspath(path)  # noqa: E731
    return replace(http, **{name: whole(getattr(http, name)) for name in names})
