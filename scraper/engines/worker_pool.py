"""A pool of worker threads, for work that one thread must not wait for.

Owns: its threads. The first is made with the pool, so that no work is ever left without one. The
others are made when there is more work than threads. Does not know: the work.

Rejected: ThreadPoolExecutor. The interpreter waits for its threads at its end, however long a
name server takes. Its futures, locks and semaphore are a third of the cost of a put to S3 on
another thread.
"""

import queue
from collections import deque
from collections.abc import Callable

from scraper.model.errors import NoThread
from scraper.model.threads import start_thread

Work = Callable[[], None]


class WorkerPool:
    """At most `most` threads, called `name`. Used by one thread. Work must not raise.

    The process may end while they work. `most` falls when the system gives no more threads: the
    work waits for those that there are. Raises NoThread when the system gives none.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self.most = most
        self._open = 0  # pieces of work not known to be done
        self._done: deque[None] = deque()
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._closed = False
        start_thread(name, self._run)
        self._threads = 1

    def do(self, work: Work) -> None:
        """Have `work` done by a thread, in the order of these calls."""
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
            start_thread(self._name, self._run)
        except NoThread:
            # One goes back: a log whose reader waits, and the last calls of the run, need one.
            if self._threads > 1:
                self._waiting.put(None)
                self._threads -= 1
            self.most = self._threads
        else:
            self._threads += 1

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            if not self._closed:
                work()
                self._done.append(None)
