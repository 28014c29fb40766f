"""What is asked of a destination before the first object, and asked again where that may help.

A store that is busy, or that is started again in this moment, answers 503 for a while. A body that
meets this gets another attempt, and so does the beginning of a run, by the same rules. Only an
answer counts: where nobody answers, the address may be wrong, and that is told at once.

Owns: how long a destination is insisted on. Does not know: what is asked.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TypeVar

from scraper.model.errors import DestinationError, Kind, SinkError
from scraper.model.records import Attempt, Failure, Target
from scraper.model.settings import Retries

T = TypeVar("T")

_NOBODY = Target("", "", "", "", 0, "")
_USUAL = Retries()


def _wait(delay_s: float) -> bool:
    time.sleep(delay_s)
    return False


def insist(
    ask: Callable[[], T],
    retries: Retries = _USUAL,
    wait: Callable[[float], bool] = _wait,
    tell: Callable[[str], None] = lambda _: None,
) -> T:
    """What `ask` returns. It is called until it succeeds, as often as `retries` allows.

    Raises what it raises at last. `wait` waits so many seconds, and returns whether there is no use
    in going on. `tell` is given what is waited for.
    """
    attempt: Attempt | None = None
    while True:
        try:
            return ask()
        except (DestinationError, SinkError) as error:
            from scraper.schedule import Again, RetryPolicy  # few runs need them here

            now = time.monotonic()
            attempt = attempt or Attempt(_NOBODY, queued_at=now, first_started=now)
            failure = Failure(Kind.SINK, str(error), transient=_passes(error))
            failure = failure._replace(retry_after_s=error.retry_after_s)
            verdict = RetryPolicy(retries).decide(failure, attempt, now)
            if not isinstance(verdict, Again):
                raise
            tell(str(error))
            if wait(verdict.delay_s):
                raise
            attempt = attempt._replace(number=attempt.number + 1)


def _passes(error: DestinationError | SinkError) -> bool:
    return bool(error.passing if isinstance(error, DestinationError) else error.transient)


def insist_on_rest(ask: Callable[[], Iterator[T]], name: Callable[[T], str]) -> Iterator[T]:
    """What `ask` iterates over. Where that breaks off, it is asked again and goes on behind that.

    Every item has a `name` of its own. They have to come in the same order each time, whichever it
    is. Raises what `ask` raises before the first item, at once: that is for who asks to insist on.
    """
    rest = ask()
    while True:
        last: T | None = None
        try:
            for last in rest:
                yield last
        except (DestinationError, SinkError) as error:
            if last is None or not _passes(error):
                raise
            rest = insist_on_first(partial(_behind, ask, name, name(last), error))
        else:
            return


def _behind(
    ask: Callable[[], Iterator[T]], name: Callable[[T], str], last: str, error: Exception
) -> Iterator[T]:
    """What comes after the item `last`. Raises `error` if that is gone meanwhile."""
    items = ask()
    if all(name(item) != last for item in items):
        raise error
    return items


def insist_on_first(ask: Callable[[], Iterator[T]]) -> Iterator[T]:
    """What `ask` iterates over; it is asked until the first one comes. Raises what that raises."""

    def begun() -> tuple[list[T], Iterator[T]]:
        items = ask()
        return [*islice(items, 1)], items

    return chain(*insist(begun))
