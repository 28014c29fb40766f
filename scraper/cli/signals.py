"""Signals: SIGINT and SIGTERM while `fetch` runs, and SIGCONT for its display.

The first one stops the run in order: nothing more is started, and transfers in flight and readers
have a grace. A second one, or one that comes before the run has begun, ends the process at once.

Owns: which signal came, and when. Does not know: how a run stops. The handler writes
nothing, because the code that it interrupts may be in the middle of writing.
"""

import os
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scraper.run.loop import Run


class Signals:
    """A context manager. `number` is None until a signal came, `at` in monotonic seconds.

    SIGCONT is blocked meanwhile, in all threads that begin. The process goes on all the same, and
    the display finds the signal pending.
    """

    def __init__(self, run: "Run") -> None:
        self.number: int | None = None
        self.at: float | None = None
        self._run = run
        self._mask: Iterable[int] = ()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals."""
        caught = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._on_signal) for number in caught}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None or not self._run.begun:
            os._exit(128 + number)
        self.number, self.at = number, time.monotonic()
        self._run.stop(signal.Signals(number).name)
