"""Stopping: a run that must start nothing more, and how long it waits for the rest.

    stop.ask("SIGTERM")        from any thread or signal handler; the first reason counts
    stop.wait_on(engine, ...)  whether transfers in flight may go on. They may until the grace
                               is over. Then they are broken off, and have a short while to end

Owns: why the run stops, the error that it ends with, and the grace. Does not know: what is
in flight, what becomes of targets that were not finished (`unfinished.py`).
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from scraper.engines.base import Engine
from scraper.model.errors import DestinationError, Held, ReaderLeft
from scraper.model.settings import RunLimits
from scraper.model.urls import redact_text
from scraper.transfer import Quota

# `docker stop` kills after 10 s. All of this together takes less.
GRACE_S = RunLimits().grace  # for transfers in flight when the run is stopped; --grace
LAST_GRACE_S = 1.0  # for them to end after they were broken off
RECORDS_S = 0.9  # at least, for the last records and the lock; they may use the grace as well

Note = Callable[[str, str, Mapping[str, Any]], None]


def limit_at(begun: float, max_run_time: float | None) -> float:
    """When `--max-run-time` is over, for a run that began at `begun`. Monotonic seconds."""
    return math.inf if max_run_time is None else begun + max_run_time


class Stop:
    """Whether a run stops, and why. Times are monotonic seconds.

    `reason`: None until the run must stop. `give_up_at`: when transfers in flight are broken
    off, afterwards when they are waited for no longer. `abandoned`: whether some were broken off
    and may still be busy. `error`: what the run raises at its end. `cut_short`: whether targets
    were not reached therefore, and `unread`: whether some were not even read; both are known at
    the end. `over_at`: when the destination is waited for no longer. `grace_s`: seconds that
    transfers in flight have. `limit_at`: when `--max-run-time` is over. `wake` is called when
    the run must stop.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        note: Note,
        limit_at: float = math.inf,
        grace_s: float = GRACE_S,
    ) -> None:
        self.reason: str | None = None
        self.error: DestinationError | Held | None = None
        self.give_up_at: float | None = None
        self.abandoned = False
        self.over_at = math.inf
        self.grace_s = grace_s
        self.limit_at = limit_at
        self.cut_short = self.unread = False
        self._wake = wake
        self._note = note
        self._told = False
        self._least: float | None = None

    def ask(self, reason: str, grace_s: float | None = None) -> None:
        """Start nothing more; what is in flight has `grace_s` to end. From any thread or signal.

        None: the grace of the settings.
        """
        if self.give_up_at is None:
            self.reason = redact_text(reason)
            now = time.monotonic()
            self.give_up_at = now + (self.grace_s if grace_s is None else grace_s)
            self.over_at = now + self.grace_s + LAST_GRACE_S
            self._wake()

    def last_moment(self) -> Callable[[], float]:
        """When the destination is waited for no longer. All calls share the least time."""
        if self._least is None:
            self._least = time.monotonic() + RECORDS_S
        least = self._least
        limit = self.limit_at + self.grace_s + LAST_GRACE_S
        return lambda: max(min(self.over_at, limit), least)

    def lost(self, reason: str) -> None:
        """Stop: another run has the destination now, or may have it. From any thread."""
        self.because_of(Held(reason))

    def because_of(self, error: DestinationError | Held, otherwise: str = "") -> None:
        """Stop, and end with `error` if it is the first. From any thread.

        `otherwise`: what is said in the log if it is not.
        """
        if self.error is None:
            self.error = error
            self.ask(str(error), 0.0 if isinstance(error, ReaderLeft) else None)
        elif otherwise:
            self._note("warning", "manifest", {"message": otherwise})
        if isinstance(error, Held):  # another run may be at work: nothing more is stored
            self.give_up_at = time.monotonic()

    def keep_within(self, quota: Quota, now: float) -> None:
        """Stop when a limit of the whole run is reached. A full disk is an error."""
        if self.reason is None and (reached := quota.reached(now)):
            if quota.full is not None:
                self.because_of(quota.full)
            else:
                self._note("warning", "limit", {"message": reached})
                self.ask(reached)

    def wait_on(self, engine: Engine, in_flight: int) -> bool:
        """While the run stops: whether transfers in flight may go on."""
        assert self.give_up_at is not None
        if not self._told:
            self._told = True
            record = {"reason": self.reason, "in_flight": in_flight}
            self._note("warning", "stopping", record)
        if time.monotonic() < self.give_up_at:
            return True
        if self.abandoned:
            return False
        self.abandoned = bool(in_flight)
        engine.give_up()
        self.give_up_at = time.monotonic() + LAST_GRACE_S
        return self.abandoned
