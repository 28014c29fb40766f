"""What follows a failed attempt: another attempt later, or the end of the target.

Another attempt continues the body where the last one broke off. An attempt that the end of the
run broke off is no failure: its target was not reached.

Owns: that decision and the state it needs. This is the retry policy, the circuit breaker of
the destination, and the partial bodies of targets that wait for a retry. A partial body is an
open file, so no more are kept than transfers are allowed. Does not know: where targets wait
(`schedule/frontier.py`), how they are recorded (`account.py`).
"""

from typing import NamedTuple

from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Attempt, Deferred, Failed, Failure, NotReached, Outcome
from scraper.model.settings import Settings
from scraper.model.urls import redact
from scraper.run import mirrors
from scraper.run.stopping import Note, Stop
from scraper.schedule import (
    Again,
    Charge,
    CircuitBreaker,
    Defer,
    HostChange,
    RetryPolicy,
    Verdict,
    is_transient,
)
from scraper.transfer import Completion, Partial

_NO_RESPONSE = frozenset({Kind.CONNECT, Kind.TIMEOUT})


class Following(NamedTuple):
    """The attempt that follows, `due` at the earliest (monotonic seconds).

    `elsewhere`: it is the first one at another URL of the target.
    """

    attempt: Attempt
    due: float
    elsewhere: bool = False


class FailurePolicy:
    """See the module. `stop`: the run's; it stops when the destination fails for too long.

    `breaker` is public: the loop asks it what may start.
    """

    def __init__(self, settings: Settings, stop: Stop, note: Note) -> None:
        self.breaker = CircuitBreaker(settings.retries.retry_max_time)
        self._policy = RetryPolicy(settings.retries)
        self._longest_s = settings.retries.max_retry_after
        self._most = settings.politeness.max_concurrency
        self._partials: dict[str, Partial] = {}  # by key
        self._stop = stop
        self._note = note

    def of(
        self,
        completion: Completion,
        failed: Failed,
        started: float,
        now: float,
        charge: Charge = Charge.ATTEMPT,
    ) -> Following | Failed | Deferred | NotReached:
        """What follows `completion`, which `failed`: another attempt, or how the target ends.

        `charge`: what the host says that it costs.
        The next attempt takes the partial body. If none follows, the completion keeps it.
        """
        attempt, failure = completion.attempt, failed.failure
        verdict, following = self._after(attempt, failure, started, now, charge)
        if attempt.target.mirrors and completion.error is None:
            turned = self._mirrored(attempt, failed, verdict)
            if turned is not None:
                if completion.partial is not None:
                    completion.partial.discard()
                return Following(turned, now, elsewhere=True)
            if not isinstance(verdict, Again) and mirrors.following(attempt, failed, 0) is not None:
                # The run stops before the next URL: nobody knows yet that the target fails.
                why = f"not finished: {self._stop.reason}"
                return NotReached(Failure(Kind.INTERRUPTED, why, transient=False), failed.response)
        if isinstance(verdict, Again) and self._stop.reason is None:
            self._tell_retry(attempt, failure, verdict.delay_s)
            self._keep(completion.partial, following)
            return Following(following, now + verdict.delay_s)
        if isinstance(verdict, Defer):
            return Deferred(failure, failed.response)
        if failure.kind is Kind.INTERRUPTED:
            return NotReached(failure, failed.response)
        return failed

    def _mirrored(self, attempt: Attempt, failed: Failed, verdict: Verdict) -> Attempt | None:
        """The attempt at another URL that follows `attempt`, None if none does yet."""
        failure = failed.failure
        again = isinstance(verdict, Again)
        if again and not (mirrors.is_down(attempt, failure) or failure.kind is Kind.MISMATCH):
            return None
        late = again and failure.kind is not Kind.MISMATCH
        outcome: Failed | Deferred = Failed(failure._replace(transient=late), failed.response)
        if isinstance(verdict, Defer):
            outcome = Deferred(failure, failed.response)
        return self.elsewhere(attempt, outcome, attempt.number)

    def elsewhere(self, attempt: Attempt, outcome: Outcome, made: int) -> Attempt | None:
        """The attempt at another URL of a target that ends with `outcome` at this one.

        `made`: attempts that were made at this one.
        """
        following = mirrors.following(attempt, outcome, made)
        if following is None or self._stop.reason is not None:
            return None
        assert isinstance(outcome, Failed | Deferred)
        record = {
            "url": redact(attempt.target.listed),
            "next": redact(following.target.listed),
            "kind": outcome.failure.kind.value,
            "message": outcome.failure.message,
        }
        self._note("debug", "mirror", record)
        return following

    def stored(self) -> None:
        """Note that the destination took an object."""
        if not self.breaker.failures:
            return
        if self.breaker.is_open:
            message = "the destination takes objects again"
            self._note("info", "circuit_breaker", {"message": message})
        self.breaker.succeeded()

    def tell(self, change: HostChange | None) -> None:
        """Tell what changed for a host, if anything did."""
        if change is not None:
            self._note("debug", change.event, change.record)

    def take(self, key: str) -> Partial | None:
        """Hand the partial body of `key` to the next attempt."""
        return self._partials.pop(key, None)

    def drop(self, key: str) -> None:
        """Remove the partial body of `key`: no attempt follows."""
        if key in self._partials:
            self._partials.pop(key).discard()

    def close(self) -> None:
        """Remove all partial bodies."""
        for key in list(self._partials):
            self.drop(key)

    def _after(
        self, attempt: Attempt, failure: Failure, started: float, now: float, charge: Charge
    ) -> tuple[Verdict, Attempt]:
        """The verdict, and the next attempt. While the breaker is open, no attempt is used up."""
        if failure.kind is Kind.SINK and is_transient(failure):
            if failure.retry_after_s is not None:
                self.breaker.wait_until(now + min(failure.retry_after_s, self._longest_s))
            was_open, patience = self.breaker.is_open, f"{self.breaker.patience_s:g} s"
            if not self.breaker.failed(started, now):
                message = f"the destination refused all objects for {patience}: {failure.message}"
                self._stop.because_of(DestinationError(message))
            if self.breaker.is_open and not was_open:
                message = "the destination refuses all objects, one target at a time tries"
                message += f" for {patience}"
                self._note(
                    "warning", "circuit_breaker", {"message": f"{message}: {failure.message}"}
                )
            if self.breaker.is_open:
                return Again(0.0), attempt._replace(first_started=None)
        free = attempt.free + (charge is Charge.NOTHING)
        if failure.shared and charge is Charge.ATTEMPT:  # once, as the next one is not shared
            charge = Charge.NOTHING
            free += 1
        # A request that ended its connection may end others with it, so it is asked alone. If the
        # server closed one of its own, another one does not help: it may be one too many.
        alone = attempt.fresh or not failure.closed
        unanswered = failure.kind in _NO_RESPONSE and not failure.unreachable
        fresh = failure.shared or (unanswered and alone)
        mismatch = failure.message if failure.kind is Kind.MISMATCH else ""
        following = attempt._replace(
            number=attempt.number + 1, free=free, hop="", fresh=fresh, mismatch=mismatch
        )
        return self._policy.decide(failure, attempt, now, charge), following

    def _tell_retry(self, attempt: Attempt, failure: Failure, delay_s: float) -> None:
        record = {
            "url": redact(attempt.target.listed),
            "attempt": attempt.number,
            "delay_s": round(delay_s, 3),
            "kind": failure.kind.value,
            "message": failure.message,
        }
        self._note("debug", "retry", record)

    def _keep(self, partial: Partial | None, following: Attempt) -> None:
        """Keep a partial body for the next attempt, if there are not too many."""
        if partial is None:
            return
        if len(self._partials) < self._most:
            self._partials[following.target.key] = partial
        else:
            partial.discard()
