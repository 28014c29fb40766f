"""Calls that may never return, and how long a run waits for them.

A destination that is silent, or a name server, may keep a call for ever. Python can't break
such a call off. So it is made on a thread of its own, and the run waits for that thread.

Owns: that thread. Does not know: what is called. Rejected: time limits of the S3 clients. They
are per request and per attempt, and none of them bounds a look-up of a name.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from scraper.model.errors import NoThread
from scraper.model.threads import start_thread

_TICK_S = 0.1  # the time may change while the call is waited for
T = TypeVar("T")


class _Call(Generic[T]):
    """One call, on a daemon thread: a process may end while it lasts."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object]) -> None:
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self.result: T
        self._work = work
        self._undo = undo
        self._lock = threading.Lock()
        self._late = False  # nobody waits any more

    def run(self) -> None:
        """Make the call. What it returns too late is undone."""
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.error = error
        with self._lock:
            self.ended.set()
            late = self._late
        if late and self.error is None:
            self._undo(self.result)

    def give_up(self) -> None:
        """Nobody waits any more, and nobody takes the result."""
        with self._lock:
            self._late = True
            ended = self.ended.is_set()
        if ended and self.error is None:
            self._undo(self.result)


def call_until(
    work: Callable[[], T],
    until: Callable[[], float],
    undo: Callable[[T], object] = lambda _: None,
) -> T:
    """Return what `work` returns, or raise what it raises.

    `until` is when it is waited for no longer, in monotonic seconds; it is asked again and
    again. Raises TimeoutError then. When `work` returns after all, `undo` is given the result,
    on the thread of `work`. Where the system gives no thread, `work` may take its own time: S3
    clients have limits for each request, and a file is near.
    """
    call = _Call(work, undo)
    try:
        start_thread("call", call.run)
    except NoThread:  # a record that is written late is better than one that is lost
        return work()
    try:
        while not call.ended.wait(_TICK_S):
            if time.monotonic() >= until():
                raise TimeoutError  # noqa: TRY301 - given up like an interruption
    except BaseException:  # KeyboardInterrupt too, in a program that uses the package
        call.give_up()
        raise
    if call.error is not None:
        raise call.error
    return call.result
