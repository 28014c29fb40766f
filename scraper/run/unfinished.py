"""Targets that a stopped run did not finish: each gets a Result `not_reached`.

Owns: where such targets are found (in flight, in the frontier, read and not yet looked at),
and how transfers that were broken off are waited for.
Does not know: why the run stops (`stopping.py`), how a Result is recorded (`account.py`).
"""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure, NotReached, Outcome, Result, Stored, Times
from scraper.run.prefilter import Sifted

if TYPE_CHECKING:
    from scraper.engines.base import Engine
    from scraper.run.robots_queue import RobotsQueue
    from scraper.schedule import Frontier
    from scraper.transfer import Transfer


def not_reached(reason: str) -> Outcome:
    """The outcome of a target that was not finished, since the run stopped for `reason`."""
    return NotReached(Failure(Kind.INTERRUPTED, f"not finished: {reason}", transient=False))


def unfinished(
    in_flight: "Iterable[Transfer]",
    waiting: "Frontier | RobotsQueue",
    unread: Sifted,
    outcome: Outcome,
) -> Iterator[Result]:
    """A Result with `outcome` for every target that has none yet.

    `in_flight`: transfers of targets that were broken off. `unread`: the lines that were read
    ahead; those that need no request keep the outcome that they have.
    """
    now = time.monotonic()
    for transfer in in_flight:
        attempt = transfer.attempt
        yield Result(attempt.target, outcome, attempt.number, Times(total=now - transfer.started))
    for attempt, early in waiting.take_ended_early():
        yield _not_started(attempt, early)
    for attempt in waiting.drain():
        yield _not_started(attempt, outcome)
    yield from unread.ended
    for target, _ in unread.left:
        yield Result(target, outcome)


def ends_of(
    in_flight: "set[Transfer]", engine: "Engine", most_s: float
) -> Iterator[tuple[Attempt, Stored, Times]]:
    """Wait `most_s` for transfers that were broken off, so that they remove their files.

    Yields those whose body was stored all the same.
    """
    until = time.monotonic() + most_s
    while in_flight and time.monotonic() < until:
        for transfer in engine.poll(until - time.monotonic()):
            in_flight.discard(transfer)
            if (end := transfer.completion) is None:
                continue
            if end.partial is not None:
                end.partial.discard()
            if isinstance(end.outcome, Stored):
                yield end.attempt, end.outcome, end.times


def _not_started(attempt: Attempt, outcome: Outcome) -> Result:
    """The Result of a target whose attempt was still to come."""
    return Result(attempt.target, outcome, attempt.number - 1)
