"""Threads, which the system may refuse (`ulimit -u`, `ulimit -v`, a container's limit of tasks).

A run starts the threads that it can't do without before its first request, and ends with NoThread
if one is refused. Work that others may do as well (`submit`) is done by the threads that there are.

Owns: how a refusal looks. Does not know: what the threads do. Rejected: work that the caller does
itself when a thread is refused, in general. The loop would wait for a name server or for S3, and
hear no signal meanwhile.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from scraper.model.errors import NoThread

T = TypeVar("T")
_LOOKS, _LOOK_S = 100, 0.001


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """A daemon thread that does `work`. Raises NoThread."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError):  # RuntimeError: "can't start new thread"
        raise NoThread from None
    return thread


def can_start(number: int) -> bool:
    """Whether the system gives so many threads now."""
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        started.extend(start_thread("trial", over.wait) for _ in range(number))
    except NoThread:
        return False
    finally:
        over.set()
        for thread in started:
            thread.join()
            _await_end(thread)
    return True


def _await_end(thread: threading.Thread) -> None:
    """Wait until the system has taken back a thread that ended for Python (Linux)."""
    for _ in range(_LOOKS):
        if not os.path.exists(f"/proc/self/task/{thread.native_id}"):
            break
        time.sleep(_LOOK_S)


def submit(executor: Executor, work: Callable[[], T]) -> Future[T]:
    """Have `work` done by a thread of `executor`, or by this one if the system gives no more.

    Python's executor raises RuntimeError then, but has queued the work for the threads it has. So
    the first that comes to it does it.
    """
    future: Future[T] = Future()
    untaken = threading.Lock()

    def do() -> None:
        if untaken.acquire(blocking=False):
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)

    try:
        executor.submit(do)
    except (RuntimeError, MemoryError):
        do()
    return future
