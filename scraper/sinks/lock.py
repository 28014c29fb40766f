"""The lock: one run at a time holds a destination.

A directory is held by a kernel lock (`file_lock.py`). Where objects can be written on a condition
(S3) a destination is held by a lease (`lease.py`). Another sink has no lock.

This module owns the choice between them. It does not know what a run does when it is refused.
"""

import math
from collections.abc import Callable
from typing import Protocol

from scraper.model.errors import DestinationError, Held, ScraperError
from scraper.sinks.base import ConditionalSink, Sink, scheme_of
from scraper.sinks.directory import path_of
from scraper.sinks.file_lock import FileHold
from scraper.sinks.lease import LEASE_KEY, LEASE_S, Lease, Patience

__all__ = ["LEASE_KEY", "LEASE_S", "FileHold", "Lease", "Lock", "hold"]


class Lock(Protocol):
    """A destination that is held. `remark`: what the user should know about it, or ""."""

    remark: str

    def holds(self) -> bool:
        """Whether no other run can have the destination yet. Once false, it stays false."""

    def release(self) -> None:
        """Give it to the next run. Never raises."""


def hold(
    sink: Sink,
    destination: str,
    how: str,
    on_lost: Callable[[str], None],
    most_s: float | None = None,
) -> Lock | None:
    """The lock of `destination`. None if its sink has none.

    `how` is `wait`, `skip` or `fail`. `most_s`: the most seconds that may be waited, None for any
    time. `on_lost` is called from another thread with the reason when the lock is lost. Raises
    Held if another run has it, and DestinationError.
    """
    patience_s = math.inf if most_s is None else most_s
    wait_s = patience_s if how == "wait" else 0.0
    if scheme_of(destination) == "file":
        return FileHold(path_of(destination), wait_s)
    if not isinstance(sink, ConditionalSink):
        return None
    try:
        return Lease(sink, destination, on_lost, patience=Patience(wait_s, patience_s))
    except (DestinationError, Held):
        raise
    except ScraperError as error:
        raise DestinationError(f"can't lock {destination}: {error}") from None
