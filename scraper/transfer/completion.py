"""Completions: how an attempt ended, for who started it.

Owns: that record, and what an error means for it. Does not know: how it came about (`transfer.py`).
"""

from typing import NamedTuple

from scraper.model.errors import DestinationError, Kind, ReaderLeft, TransferError
from scraper.model.records import (
    Attempt,
    Failed,
    Failure,
    NotModified,
    Response,
    Stored,
    Times,
)
from scraper.model.urls import redact_text
from scraper.schedule import Announced
from scraper.transfer.partial import Partial


class InPart(NamedTuple):
    """One part of the body is there, and others are missing (--split). `response` has it all."""

    response: Response


class Completion(NamedTuple):
    """The end of an attempt.

    `error` is set when the destination as a whole is to blame. `partial` is what a further
    attempt may continue; the caller that takes the completion discards it if there is none.
    `announced`: the limit that the last response announced.
    """

    attempt: Attempt
    outcome: Stored | NotModified | Failed | InPart
    times: Times
    error: DestinationError | None = None
    partial: Partial | None = None
    announced: Announced | None = None


def failure_of(
    error: TransferError | DestinationError, response: Response | None, *, answered: bool
) -> Failure:
    """The failure that `error` is. `answered`: the host has sent a response, so it is reachable."""
    if not isinstance(error, TransferError):
        kind = Kind.INTERRUPTED if isinstance(error, ReaderLeft) else Kind.SINK
        return Failure(kind, redact_text(str(error)), transient=False)
    return Failure(
        kind=error.kind,
        message=redact_text(error.message),
        transient=error.transient,
        unreachable=error.unreachable and not answered,
        http_code=response.http_code if response else None,
        retry_after_s=error.retry_after_s,
        proxy=error.proxy,
        shared=error.shared,
        closed=error.closed,
    )
