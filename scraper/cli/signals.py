"""Signals while `fetch` runs: SIGINT, SIGTERM and SIGHUP, SIGUSR1, and SIGCONT for its display.

The first of SIGINT, SIGTERM and SIGHUP stops the run in order: nothing more is started, and
transfers in flight and readers have a grace. A second one, or one that comes before the run has
begun, ends the process at once. SIGUSR1 asks for the state, as with dd, and stops nothing.

A signal that was ignored when the program began stays ignored: `nohup` does that with SIGHUP, and
a shell script with SIGINT for a command that ends in `&`.

Owns: which signal came, and when. Does not know: how a run stops, what its state is. The handler
writes nothing, because the code that it interrupts may be in the middle of writing.
"""

import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from scraper.model.errors import NoThread
from scraper.model.threads import start_thread

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scraper.cluster.coordinator import ClusterRun
    from scraper.run.loop import Run


class Signals:
    """A context manager. `number` is None until a signal came, `at` in monotonic seconds.

    Set `tell_state` to what SIGUSR1 asks for. It is called on a thread of its own.
    SIGCONT is blocked meanwhile, in all threads that begin. The process goes on all the same, and
    the display finds the signal pending.
    """

    def __init__(self, run: "Run | ClusterRun") -> None:
        self.number: int | None = None
        self.at: float | None = None
        self.tell_state: Callable[[], None] = lambda: None
        self._run = run
        self._mask: Iterable[int] = ()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals."""
        handlers: dict[int, Any] = dict.fromkeys(STOPPING, self._on_signal)
        handlers[signal.SIGUSR1] = self._on_question
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None or not self._run.begun:
            if self.number is None:
                self.number = number
                self._run.withdraw()
            os._exit(128 + number)
        self.number, self.at = number, time.monotonic()
        self._run.stop(signal.Signals(number).name)

    def _on_question(self, _number: int, _frame: FrameType | None) -> None:
        with suppress(NoThread):
            start_thread("state", self.tell_state)
