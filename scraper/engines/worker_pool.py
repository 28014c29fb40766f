"""A pool of worker threads, for work that one thread must not wait for.

Owns: its threads, which are made when there is more work than threads. Does not know: the work.

Rejected: ThreadPoolExecutor. The interpreter waits for its threads at its end, however long a
name server takes. Its futures, locks and semaphore are a third of the cost of a put to S3 on
another thread.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable

from scraper.model.errors import DestinationError

NO_THREAD = "the system gives no threads (ulimit -u, ulimit -v)"

Work = Callable[[], None]


class WorkerPool:
    """At most `most` threads, called `name`. Used by one thread. Work must not raise.

    `daemon`: whether the process may end while they work. `most` falls when the system gives no
    more threads: the work waits for those that there are.
    """

    def __init__(self, name: str, most: int, *, daemon: bool) -> None:
        self._name = name
        self.most = most
        self._daemon = daemon
        self._threads = 0
        self._open = 0  # pieces of work not known to be done
        self._done: deque[None] = deque()
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._closed = False

    def do(self, work: Work) -> None:
        """Have `work` done by a thread, in the order of these calls.

        Raises DestinationError when the system does not give a single thread.
        """
        while self._done:
            self._done.popleft()
            self._open -= 1
        self._open += 1
        self._waiting.put(work)
        if self._threads < min(self._open, self.most):
            self._add_thread()

    def close(self) -> None:
        """Begin no more work. Wait for none."""
        self._closed = True
        for _ in range(self._threads):
            self._waiting.put(None)

    def _add_thread(self) -> None:
        try:
            threading.Thread(target=self._run, name=self._name, daemon=self._daemon).start()
        except (RuntimeError, MemoryError):  # RLIMIT_NPROC, or no address space for a stack
            if not self._threads:
                raise DestinationError(NO_THREAD) from None
            self.most = self._threads
        else:
            self._threads += 1

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            if not self._closed:
                work()
                self._done.append(None)
