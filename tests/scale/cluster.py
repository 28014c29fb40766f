"""A cluster, by events: workers take shards, start requests, are lost, and go home.

Which request a worker starts next is decided by the program's own frontier, one for each shard that
is open. The network, the servers and the cluster's scheduler are simulated: a request takes as long
as the world says, and the scheduler gives out one shard after the other.

A worker that has a free slot, and no request for it, opens one more shard, up to so many. The shard
opened first comes first. Or it opens so many at once, and each has its part of the slots. A worker
that has nothing to do, and finds nothing, goes home. One that is lost breaks off its requests, and
its last records are lost as well. Its shards are given out again when its lease has ended, and
another worker begins in its place.

Owns: these events. Does not know: how the list was divided (`plans.py`), what is polite
(`judge.py`).
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, NamedTuple

from scraper.model.records import Attempt, Target
from scraper.model.settings import Politeness
from scraper.schedule.frontier import WINDOW, Frontier
from tests.scale.judge import Judge
from tests.scale.plans import Plan
from tests.scale.world import World

_PATIENCE_S = 60.0  # nobody asks for any


class Setup(NamedTuple):
    """The cluster. Times are in seconds.

    `lasts_s`: how long a worker lasts in the mean where workers are lost.
    """

    workers: int
    slots: int
    per_host: int
    delay_s: float
    dispatch_s: float  # of the scheduler, for each shard
    lasts_s: float
    lease_s: float
    forgotten_s: float  # records that are lost with a worker
    restart_s: float


class _Worker:
    """One worker. `life` counts how often it was lost or went home."""

    __slots__ = ("asks", "free", "is_there", "life", "number", "opened", "since", "wakes")

    def __init__(self, number: int) -> None:
        self.number = number
        self.life = 0
        self.is_there = self.asks = False
        self.since = 0.0
        self.opened: list[_Open] = []
        self.free = 0  # slots
        self.wakes = math.inf


class _Open:
    """A shard that a worker has open."""

    __slots__ = ("free", "frontier", "is_lost", "left", "number", "recent", "waiting", "worker")

    def __init__(self, number: int, worker: _Worker, frontier: Frontier, free: int) -> None:
        self.number, self.worker, self.frontier = number, worker, frontier
        self.free = free  # slots
        self.left = 0  # lines that are not done
        self.waiting: list[Attempt] = []  # those that are not in the window
        self.recent: deque[tuple[float, int]] = deque()  # when which host answered
        self.is_lost = False


class Cluster:
    """See the module. After `run`: `paid_s` of all workers together, and `lost` ones."""

    def __init__(self, world: World, plan: Plan, setup: Setup, judge: Judge, seed: int) -> None:
        self._world, self._plan, self._setup, self._judge = world, plan, setup, judge
        self._rng = Random(seed)
        together = setup.workers if plan.is_one else 1
        self._slots = setup.slots * together
        self._slots_each = self._slots // (plan.at_once if plan.has_own else 1)
        self._politeness = Politeness(self._slots, setup.per_host, setup.delay_s)
        self._window = math.inf if plan.is_one else WINDOW // plan.at_once
        self._workers = [_Worker(number) for number in range(setup.workers // together)]
        self._queue = list(range(len(plan.shards)))  # a heap
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._ticket = count()
        self._scheduler_free = 0.0
        self._want_more: list[tuple[_Worker, int]] = []
        self._at_home: list[_Worker] = []
        self.paid_s = 0.0
        self.lost = 0

    def run(self) -> None:
        """Until every line is done."""
        for worker in self._workers:
            self._begin(0.0, worker)
        now = 0.0
        while self._judge.left:
            now, _, happens, arguments = heapq.heappop(self._events)
            happens(now, *arguments)
        for worker in self._workers:
            if worker.is_there:
                self._leave(now, worker)

    def _at(self, due: float, happens: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (due, next(self._ticket), happens, arguments))

    # ------------------------------------------------------------ workers

    def _begin(self, now: float, worker: _Worker) -> None:
        worker.is_there, worker.since = True, now
        worker.free, worker.wakes = self._slots, math.inf
        if self._plan.has_losses:
            lasts_s = self._rng.expovariate(1 / self._setup.lasts_s)
            self._at(now + lasts_s, self._lose, worker, worker.life)
        if self._plan.is_fixed:
            self._open(now, worker, worker.number)
        else:
            self._ask(now, worker)

    def _leave(self, now: float, worker: _Worker) -> None:
        self.paid_s += now - worker.since
        worker.is_there = worker.asks = False
        worker.life += 1

    def _lose(self, now: float, worker: _Worker, life: int) -> None:
        if worker.life != life:
            return
        self.lost += 1
        self._leave(now, worker)
        for _, _, happens, arguments in self._events:
            if happens == self._end and arguments[0].worker is worker and not arguments[0].is_lost:
                self._judge.breaks_off(arguments[1].target.line)
        for one in worker.opened:
            one.is_lost = True
            for ended, host in one.recent:
                if ended > now - self._setup.forgotten_s:
                    self._judge.forgets(host)
            self._at(now + self._setup.lease_s, self._give_back, one.number)
        worker.opened = []
        self._at(now + self._setup.restart_s, self._begin, worker)

    # ------------------------------------------------------------ the scheduler

    def _ask(self, now: float, worker: _Worker) -> None:
        """Let `worker` wait for a shard."""
        worker.asks = True
        self._scheduler_free = max(now, self._scheduler_free) + self._setup.dispatch_s
        self._at(self._scheduler_free, self._answer, worker, worker.life)

    def _answer(self, now: float, worker: _Worker, life: int) -> None:
        if worker.life != life:
            return
        if self._queue:
            worker.asks = False
            self._open(now, worker, heapq.heappop(self._queue))
        elif worker.opened:
            self._want_more.append((worker, life))
        else:
            self._go_home(now, worker)

    def _go_home(self, now: float, worker: _Worker) -> None:
        self._leave(now, worker)
        self._at_home.append(worker)

    def _give_back(self, now: float, number: int) -> None:
        """The lease of a lost worker has ended: another may have its shard."""
        heapq.heappush(self._queue, number)
        while self._want_more:
            worker, life = self._want_more.pop()
            if worker.life == life:
                self._ask(now, worker)
                return
        if self._at_home:
            self._begin(now, self._at_home.pop())

    # ------------------------------------------------------------ requests

    def _open(self, now: float, worker: _Worker, number: int) -> None:
        one = _Open(number, worker, Frontier(self._politeness, _PATIENCE_S), self._slots_each)
        for host in self._plan.shards[number]:
            lines = self._world.lines[host] - self._judge.done[host]
            one.waiting += [_attempt(self._world.names[host], host)] * lines
        one.left = len(one.waiting)
        if one.left > self._window:
            self._rng.shuffle(one.waiting)
        worker.opened.append(one)
        self._take_in(now, one)
        self._fill(now, worker)

    def _take_in(self, now: float, one: _Open) -> None:
        """Fill the window."""
        while one.waiting and len(one.frontier) < self._window:
            one.frontier.add(one.waiting.pop(), now)

    def _fill(self, now: float, worker: _Worker) -> None:
        """Give the free slots away."""
        wakes = math.inf
        for one in worker.opened:
            while worker.free and one.free and one.frontier.may_start(now):
                self._start(now, worker, one)
            if not worker.free:
                return
            due = one.frontier.wake_at(now) if one.free and len(one.frontier) else None
            wakes = min(wakes, math.inf if due is None else due)
        if wakes < worker.wakes:
            worker.wakes = wakes
            self._at(wakes, self._wake, worker, worker.life)
        wants = not worker.asks and len(worker.opened) < self._plan.at_once
        if wants and not self._plan.is_fixed:
            self._ask(now, worker)

    def _wake(self, now: float, worker: _Worker, life: int) -> None:
        if worker.life == life:
            worker.wakes = math.inf
            self._fill(now, worker)

    def _start(self, now: float, worker: _Worker, one: _Open) -> None:
        attempt = one.frontier.start(now)
        host = attempt.target.line
        if self._politeness.delay:
            one.frontier.sent(attempt.target, now)
        takes_s = self._world.answer_s(host, self._judge.begins(host, now))
        worker.free -= 1
        one.free -= 1
        self._at(now + takes_s, self._end, one, attempt, now)
        if one.waiting:
            self._take_in(now, one)

    def _end(self, now: float, one: _Open, attempt: Attempt, started: float) -> None:
        if one.is_lost:
            return
        host = attempt.target.line
        one.frontier.ended(attempt, None, started, now - started, now)
        self._judge.ends(host, now)
        worker = one.worker
        worker.free += 1
        one.free += 1
        one.left -= 1
        if self._plan.has_losses:
            one.recent.append((now, host))
            while one.recent and one.recent[0][0] <= now - self._setup.forgotten_s:
                one.recent.popleft()
        if not one.left:
            worker.opened.remove(one)
        self._fill(now, worker)
        if not worker.opened and (self._plan.is_fixed or (worker.asks and not self._queue)):
            self._go_home(now, worker)


def _attempt(name: str, host: int) -> Attempt:
    """An attempt at each line of `host`. Its `line` is the number of the host."""
    return Attempt(Target(name, name, name, name, host, ""), 0.0, first_started=0.0)
