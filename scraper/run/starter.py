"""Starts: every free slot is filled with a transfer that may start.

A slot is a permit of `BoundedSemaphore(max_concurrency)`. It is acquired here before a transfer
starts, and released where its completion is taken (`free`), nowhere else. The bounded kind
notices a double release.

Owns: slots, the transfers in flight, and what comes first: parts of bodies that nobody else
brings, then targets, then other parts (`splitting.py`). Does not know: which target is next
(`schedule/`), what follows the end of a transfer (`loop.py`).
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from scraper.engines.base import Engine
from scraper.model.records import Attempt
from scraper.run.failure_policy import FailurePolicy, Following
from scraper.run.spacing import Spacing
from scraper.run.stopping import Note, Stop
from scraper.schedule import Frontier
from scraper.transfer import Transfer

if TYPE_CHECKING:
    from scraper.run.robots_queue import RobotsQueue
    from scraper.run.splitting import Splitting


class Asked(NamedTuple):
    """Who is asked what may start. `make`: the transfer of an attempt that begins."""

    stop: Stop
    policy: FailurePolicy
    frontier: Frontier
    spacing: Spacing
    splitting: "Splitting | None"
    is_robots_txt: Callable[[Attempt], bool]
    make: Callable[[Attempt, float], Transfer]


class Starter:
    """Used by the loop's thread. `most`: transfers at once."""

    def __init__(self, most: int, asked: Asked, note: Note) -> None:
        self.most = most
        self.in_flight: set[Transfer] = set()
        self._slots = threading.BoundedSemaphore(most)
        self._asked = asked
        self._note = note

    def start(self, engine: Engine, now: float) -> None:
        """Fill the free slots."""
        stop, policy, frontier, spacing, splitting, _, make = self._asked
        if splitting is not None:
            self._start_parts(splitting, engine, now, needed=True)
        while (
            stop.reason is None
            and policy.breaker.may_start(len(self.in_flight), now)
            and frontier.may_start(now)
            and len(self.in_flight) < self.most
            and self._slots.acquire(blocking=False)
        ):
            attempt = frontier.start(now)
            transfer = spacing.resume(attempt, now) or make(attempt, now)
            transfer.by_turns = True
            self._launch(engine, transfer)
        if splitting is not None:
            self._start_parts(splitting, engine, now, needed=False)

    def due(self, now: float) -> float | None:
        """When `start` can do more if nothing else happens; None: only an event helps."""
        _, policy, frontier, _, splitting, _, _ = self._asked
        due, breaker = frontier.wake_at(now), policy.breaker
        if len(self.in_flight) >= self.most:
            return None
        if splitting is not None and (part := splitting.due(now)) != float("inf"):
            due = part if due is None else min(due, part)
        return None if due is None else breaker.starts_at(due, len(self.in_flight))

    def wait(self, following: Following, entrance: "Frontier | RobotsQueue", now: float) -> None:
        """Let the attempt that follows another one wait; at another URL it enters as new ones."""
        attempt, due, elsewhere = following
        if elsewhere:
            entrance.add(attempt, now)
        else:
            self._asked.frontier.add(attempt, now, due, under_way=True)

    def drop(self, key: str) -> None:
        """Remove what is kept of `key` for another turn, which does not come."""
        self._asked.policy.drop(key)
        self._asked.spacing.drop(key)
        if self._asked.splitting is not None:
            self._asked.splitting.drop(key)

    def free(self, transfer: Transfer) -> None:
        """`transfer` has come back: its slot is free."""
        self._slots.release()
        self.in_flight.discard(transfer)

    def _start_parts(
        self, splitting: "Splitting", engine: Engine, now: float, *, needed: bool
    ) -> None:
        """Fill free slots with parts of bodies."""
        stop, breaker = self._asked.stop, self._asked.policy.breaker
        while (
            stop.reason is None
            and breaker.may_start(len(self.in_flight), now)
            and len(self.in_flight) < self.most
            and (part := splitting.start(now, needed=needed)) is not None
        ):
            self._slots.acquire()  # there is one
            self._launch(engine, part)

    def _launch(self, engine: Engine, transfer: Transfer) -> None:
        spacing = self._asked.spacing
        if spacing.may_apply:
            spacing.permit(transfer, always=self._asked.is_robots_txt(transfer.attempt))
        self.in_flight.add(transfer)
        engine.start(transfer)
        if engine.most < self.most:  # the system gives no more threads
            self.most = engine.most
            text = f"the system gives no more threads: at most {self.most} transfers at once"
            self._note("warning", "threads", {"message": text})
