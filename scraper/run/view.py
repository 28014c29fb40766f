"""What can be seen of a run while it goes, from another thread.

Owns: a `Snapshot`, taken when it is asked for. Nothing is counted for it: the loop, the transfers
and the frontier know everything already, so a run that nobody watches pays nothing. Containers
of the loop's thread are copied in one step before they are looked at, and CPython lets no other
thread in meanwhile. Does not know: rates, words for transfers and hosts, when it is asked.
"""

import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from scraper.report.snapshot import Flight, Load, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scraper.engines.base import Engine
    from scraper.report.tally import Tally
    from scraper.run.failure_policy import FailurePolicy
    from scraper.run.loop import Run
    from scraper.schedule import Frontier, HostMemory
    from scraper.source.reader import ListReader
    from scraper.transfer import Transfer


class Parts(NamedTuple):
    """The parts of a run that are looked at."""

    in_flight: "set[Transfer]"
    frontier: "Frontier"
    policy: "FailurePolicy"
    reader: "ListReader"


def flight_of(transfer: "Transfer", engine: "Engine") -> Flight:
    """What is to be seen of `transfer`, which `engine` carries out. May be asked by any thread.

    Of a transfer that brings a part of a body: what is to be seen of all of it.
    """
    received, expected, size = transfer.progress
    more = engine.unwritten(transfer)
    listed, started = transfer.attempt.target.listed, transfer.started
    if transfer.split is not None:
        started = transfer.split.origin.started
    return Flight(
        transfer.split or transfer, listed, started, received + more, expected, size + more
    )


class RunView:
    """Of one run that has begun."""

    def __init__(self, run: "Run", engine: "Engine | None", parts: Parts) -> None:
        assert engine is not None
        self._run = run
        self._engine = engine
        self._parts = parts

    def wake(self) -> None:
        """Let the run look again whether it is held back."""
        self._run.wake()

    def snapshot(self) -> Snapshot:
        """What is to be seen now."""
        now, tally = time.monotonic(), self._run.tally
        reader = self._parts.reader
        whole = {one.split or one: one for one in list(self._parts.in_flight)}
        flights = [flight_of(one, self._engine) for one in whole.values()]
        return Snapshot(
            at=now,
            targets=tally.targets,
            failures=tally.failures,
            size=tally.size + sum(flight.size for flight in flights),
            lines=reader.lines if reader.complete else None,
            flights=flights,
            hosts=self._parts.frontier.waits(now),
            notes=self._notes(now),
            limit_rate=self._run.settings.limits.limit_rate,
        )

    @property
    def tally(self) -> "Tally":
        """The counts so far."""
        return self._run.tally

    def memories(self) -> "dict[str, HostMemory]":
        """What the next run should know of hosts, if this one is killed."""
        return self._parts.frontier.memories(time.monotonic())

    def recall(self, memories: "Mapping[str, HostMemory]") -> None:
        """Go on with these hosts as another run would have done. On the thread of the loop."""
        for host, memory in memories.items():
            self._parts.frontier.recall(host, memory, time.monotonic())

    @property
    def next_start(self) -> float:
        """Nothing starts before, by --rate."""
        return self._parts.frontier.next_start

    def start_from(self, at: float) -> None:
        """Start nothing before. On the thread of the loop."""
        self._parts.frontier.next_start = at

    def load(self) -> Load:
        """How busy it is now, in numbers: for metrics."""
        now, (in_flight, frontier, policy, _) = time.monotonic(), self._parts
        hosts = Counter(host.state.in_a_word(now) for host in frontier.statistics())
        return Load(len(in_flight), len(frontier), hosts, policy.breaker.is_open)

    def _notes(self, now: float) -> list[str]:
        """What the whole run waits for."""
        in_flight, frontier, policy, reader = self._parts
        notes, breaker = [], policy.breaker
        if breaker.is_open:
            left_s = max(0.0, breaker.until - now)
            notes.append(f"the destination refuses objects, next try in {left_s:.0f} s")
        elif now < breaker.asked_until:
            notes.append(f"the destination asks to wait, {breaker.asked_until - now:.0f} s more")
        if self._run.paused():
            notes.append("waiting for who reads the results or the log")
        if not (in_flight or len(frontier) or reader.complete) and reader.empty:
            notes.append("waiting for lines of the list")
        return notes
