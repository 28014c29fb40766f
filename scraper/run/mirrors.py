"""Mirrors: which URL of a target comes next, and what is told of the target in the end.

An attempt at a mirror has the target with the mirror's URL, host and password in place of its own.
So caps, gaps, robots.txt and pauses are those of the mirror's host, and nobody else needs to know
of mirrors. A URL whose host is down is asked again after all others, once, and is waited for then.

Owns: that order, and the Result of a target with several URLs. Does not know: what is tried again
at one URL (`failure_policy.py`), where targets wait (`schedule/`). Rejected: the fastest of several
mirrors; a list has its order for a reason, and its first URL is the one that is recorded.
"""

from scraper.model.errors import Kind, is_permanent_failure
from scraper.model.records import (
    Attempt,
    Deferred,
    Earlier,
    Failed,
    Failure,
    Mirror,
    Outcome,
    PreviousRecord,
    Result,
    Times,
)
from scraper.model.urls import fingerprint, redact

_OF_ALL = frozenset({Kind.SINK, Kind.INTERRUPTED})  # no other URL is better


def following(attempt: Attempt, outcome: Outcome, made: int) -> Attempt | None:
    """The first attempt at the next URL of a target; None if there is none, or it would not help.

    `outcome`: how the target ends otherwise. Its failure is transient if the URL is to be asked
    again after the others. `made`: attempts that were made at the URL of `attempt`.
    """
    target = attempt.target
    if not target.mirrors or not isinstance(outcome, Failed | Deferred):
        return None
    if outcome.failure.kind in _OF_ALL:
        return None
    following, *left = target.mirrors
    if outcome.failure.transient and isinstance(outcome, Failed):
        left.append(Mirror(target.listed, target.url, target.host, target.userinfo, late=True))
    listed, url, host, userinfo, late = following
    earlier = attempt.earlier
    told, mirror = _better(attempt, outcome)
    before = 0 if earlier is None else earlier.attempts
    first = target if earlier is None else earlier.target
    return Attempt(
        target._replace(listed=listed, url=url, host=host, userinfo=userinfo, mirrors=tuple(left)),
        attempt.queued_at,
        previous=_of_one_url(attempt.previous, first.url),
        earlier=Earlier(first, before + made, told, mirror, late),
        archived=attempt.archived,
    )


def is_down(attempt: Attempt, failure: Failure) -> bool:
    """Whether `failure` says that the host is down, and another URL is to be asked meanwhile."""
    return failure.unreachable and failure.kind is not Kind.PROXY and not attempt.waits_for_host


def result_of(attempt: Attempt, outcome: Outcome, made: int, times: Times | None = None) -> Result:
    """The Result of the target of `attempt`, at whose URL `made` attempts were made."""
    times = Times() if times is None else times
    if (earlier := attempt.earlier) is None:
        return Result(attempt.target, outcome, made, times, archived=attempt.archived)
    mirror = _mirror(attempt)
    if isinstance(outcome, Failed | Deferred):
        outcome, mirror = _better(attempt, outcome)
    return Result(
        earlier.target, outcome, earlier.attempts + made, times, None, mirror, attempt.archived
    )


def _better(
    attempt: Attempt, outcome: Failed | Deferred
) -> tuple[Failed | Deferred, Mirror | None]:
    """The outcome to tell, and its URL: the last one of those that a later run may better.

    A page that one mirror does not have may still be at another, which could not be asked.
    """
    earlier = attempt.earlier
    if earlier is not None and _is_final(outcome) and not _is_final(earlier.outcome):
        return earlier.outcome, earlier.mirror
    return outcome, _mirror(attempt)


def _is_final(outcome: Failed | Deferred) -> bool:
    failure = outcome.failure
    return isinstance(outcome, Failed) and is_permanent_failure(failure.kind, failure.http_code)


def _mirror(attempt: Attempt) -> Mirror | None:
    """The URL of `attempt`, None if it is the first one of its target."""
    target, earlier = attempt.target, attempt.earlier
    if earlier is None or target.url == earlier.target.url:
        return None
    return Mirror(target.listed, target.url, target.host, target.userinfo)


def _of_one_url(previous: PreviousRecord | None, first: str) -> PreviousRecord | None:
    """The same record, for attempts at any URL: validators are of the URL that sent them."""
    if previous is None or previous.effective:
        return previous
    return previous._replace(effective=fingerprint(redact(first)))
