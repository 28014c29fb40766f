"""Retries: whether a failed attempt gets another, and when.

tenacity's strategies decide. They are called on a RetryCallState of ours. tenacity's sleeping
loop and its decorator are not used, because a target that waits holds no slot: the frontier does
the waiting.

Owns: the table of what is retried, and reading Retry-After. Does not know: hosts. Rejected:
urllib3's Retry, which sleeps in the worker and caps Retry-After by itself.
"""

# ruff: noqa: E402 - see `_tornado`

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

# tenacity imports tornado where it is installed (for --cluster), and so asyncio and ssl: as much as
# all the rest of a small run.
_tornado = sys.modules.setdefault("tornado", None)  # type: ignore[arg-type]

from tenacity import Future, RetryCallState, Retrying
from tenacity.retry import retry_if_exception
from tenacity.stop import stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

if _tornado is None:
    del sys.modules["tornado"]

from scraper.model.dates import parse_http_date
from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure
from scraper.model.settings import Retries
from scraper.model.status_codes import status_codes
from scraper.schedule.hosts import Charge

# Of RFC 9110, 6585 and 8470; and what content networks answer when the origin could not be reached
# just now: 520 to 524 and 530 of Cloudflare (developers.cloudflare.com/support, "5xx errors"; not
# 525 and 526, which are about its certificate), 529 of several (overloaded).
RETRIED_CODES = frozenset(
    {202, 408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530}
)
RETRIED_KINDS = frozenset({Kind.CONNECT, Kind.TIMEOUT, Kind.TRUNCATED})


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt, `delay_s` from now at the earliest."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Defer:
    """The server asked for more patience (`wait_s`) than this run has."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt."""


Verdict = Again | Defer | GiveUp


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def patience_of(settings: Retries) -> float:
    """How long a host may be out of reach before it is given up: without retries not at all."""
    return settings.retry_max_time if settings.retries else 0.0


def is_transient(failure: Failure) -> bool:
    """Whether this failure may pass, by the table of the command line's contract."""
    if failure.kind is Kind.HTTP_STATUS:
        return failure.pushback or failure.http_code in RETRIED_CODES
    if failure.transient is not None:
        return failure.transient
    return failure.kind in RETRIED_KINDS


class RetryPolicy:
    """Decides for every target of a run; keeps no state between calls."""

    def __init__(self, settings: Retries) -> None:
        self._max_retry_after = settings.max_retry_after
        self._stop_attempts = stop_after_attempt(settings.retries + 1)
        self._stop_time = stop_before_delay(settings.retry_max_time)
        self._wait = wait_random_exponential(
            multiplier=2 * settings.backoff_min,
            min=settings.backoff_min,
            max=settings.backoff_max,
        )
        self._retry_on = status_codes(settings.retry_on)
        self._retry = retry_if_exception(self._may_pass)
        self._owner = Retrying()  # RetryCallState wants one; it is never called

    def decide(
        self, failure: Failure, attempt: Attempt, now: float, charge: Charge = Charge.ATTEMPT
    ) -> Verdict:
        """What follows `failure` of `attempt`, `now` being monotonic seconds.

        An attempt that costs nothing is followed by another as soon as the host has its turn. No
        attempt begins later than `--retry-max-time` after the first one.
        """
        state = RetryCallState(self._owner, None, (), {})
        state.outcome = Future(attempt.number)
        state.outcome.set_exception(_Failed(failure))
        state.attempt_number = attempt.number - attempt.free
        state.start_time = now if attempt.first_started is None else attempt.first_started
        state.outcome_timestamp = now
        if charge is Charge.LAST or not self._retry(state):
            return GiveUp()
        if failure.kind is Kind.MISMATCH and failure.message == attempt.mismatch:
            return GiveUp()  # the same bytes once more
        asked = failure.retry_after_s
        if asked is not None and asked > self._max_retry_after:
            return Defer(asked)
        if charge is Charge.NOTHING:
            delay = asked or 0.0
        elif self._stop_attempts(state):
            return GiveUp()
        else:
            delay = max(self._wait(state), asked or 0.0)  # "Retry-After: 0" asks for no hammering
        state.upcoming_sleep = delay
        return GiveUp() if self._stop_time(state) else Again(delay)

    def _may_pass(self, error: BaseException) -> bool:
        failure = error.failure if isinstance(error, _Failed) else None
        return failure is not None and (
            is_transient(failure)
            or (failure.kind is Kind.HTTP_STATUS and failure.http_code in self._retry_on)
        )


def retry_after(values: Sequence[str], date: str | None) -> float | None:
    """Seconds to wait by the `Retry-After` lines of a response: the longest of them.

    A date is measured from `date`, the response's own: two clocks seldom agree.
    """
    found = [parse_retry_after(value, parse_http_date(date)) for value in values]
    return max((wait_s for wait_s in found if wait_s is not None), default=None)


def parse_retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds to wait, from delay-seconds or an HTTP date (RFC 9110 10.2.3).

    `now` is seconds since 1970. A date in the past is 0.0; anything else is None.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value.lstrip("0")[:12] or "0")
    date = parse_http_date(value)
    if date is None:
        return None
    return max(0.0, date - (time.time() if now is None else now))
