"""Completions: how an attempt ended, for who started it.

Owns: that record. Does not know: how it came about (`transfer.py`).
"""

from typing import NamedTuple

from scraper.model.errors import DestinationError
from scraper.model.records import Attempt, Failed, NotModified, Response, Stored, Times
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
