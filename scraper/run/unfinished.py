"""Targets that a stopped run did not finish: each gets a Result `not_reached`.

Owns: where such targets are found (in flight, in the frontier, read and not yet looked at), and
how transfers that were broken off are waited for.
Does not know: why the run stops (`stopping.py`), how a Result is recorded (`account.py`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure, NotReached, Outcome, Result, Stored, Times
from scraper.run.mirrors import result_of
from scraper.run.prefilter import Sifted
from scraper.run.stopping import LAST_GRACE_S

if TYPE_CHECKING:
    from scraper.engines.base import Engine
    from scraper.run.robots_queue import RobotsQueue
    from scraper.schedule import Frontier
    from scraper.transfer import Transfer


def unfinished(
    in_flight: "Iterable[Transfer]",
    waiting: "Frontier | RobotsQueue",
    unread: Sifted,
    reason: str,
) -> Iterator[Result]:
    """A Result `not_reached` for every target that has none yet; the run stopped for `reason`.

    `in_flight`: transfers of targets that were broken off. `unread`: the lines that were read
    ahead; those that need no request keep the outcome that they have.
    """
    outcome = NotReached(Failure(Kind.INTERRUPTED, f"not finished: {reason}", transient=False))
    now = time.monotonic()
    for transfer in in_flight:
        attempt = transfer.attempt
        took = now - transfer.started
        times = Times(started=time.time() - took, total=took)
        yield result_of(attempt, outcome, attempt.number, times)
    for attempt, early in waiting.take_ended_early():
        yield _not_started(attempt, outcome if attempt.target.mirrors else early)
    for attempt in waiting.drain():
        yield _not_started(attempt, outcome)
    yield from unread.ended
    for target, _ in unread.left:
        yield Result(target, outcome)


def targets_of(
    in_flight: "Iterable[Transfer]", is_robots_txt: Callable[[Attempt], bool]
) -> "list[Transfer]":
    """One transfer for each target in flight, whose body may come in parts."""
    parts = {one.split or one: one for one in in_flight}
    return [one for one in parts.values() if not is_robots_txt(one.attempt)]


def stored_late(
    in_flight: "set[Transfer]", engine: "Engine", is_robots_txt: Callable[[Attempt], bool]
) -> Iterator[Result]:
    """Wait LAST_GRACE_S for transfers that were broken off, so that they remove their files.

    Yields the Results of targets whose body was stored all the same.
    """
    until = time.monotonic() + LAST_GRACE_S
    while in_flight and time.monotonic() < until:
        for transfer in engine.poll(until - time.monotonic()):
            in_flight.discard(transfer)
            if (end := transfer.completion) is None:
                continue
            if end.partial is not None:
                end.partial.discard()
            attempt = end.attempt
            if isinstance(end.outcome, Stored) and not is_robots_txt(attempt):
                yield result_of(attempt, end.outcome, attempt.number, end.times)


def _not_started(attempt: Attempt, outcome: Outcome) -> Result:
    """The Result of a target whose attempt was still to come."""
    return result_of(attempt, outcome, attempt.number - 1)
