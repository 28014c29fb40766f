"""The entry point for asyncio: `scraper.arun`.

The run's loop has a thread of its own. Its Results go through a buffer to the task that iterates.
While the buffer is full the run starts nothing more. So a slow task holds the run back, and
memory stays bounded. The thread never waits for the task, so it hears at once that it was left.

The thread ends, with nothing left of the run, when the iteration is left: by `aclose`, by the end
of an `async with`, by an error or a cancellation while a Result is awaited, when the task that
iterates is cancelled elsewhere, and when nobody refers to the iterator any more.

Owns: that thread, that buffer, and how both end. Does not know: how a run goes (`loop.py`), what
options mean (`api.py`). Rejected: `asyncio.to_thread(next, results)`. It hops between threads for
each Result, which takes longer than a small fetch; and a thread that waits in `next` can't be
cancelled.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import closing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from scraper.model.options import Listed, Options
from scraper.model.threads import start_thread
from scraper.report.summary import Summary
from scraper.run.api import make_run, results_of
from scraper.run.loop import Run
from scraper.run.result import Result

if TYPE_CHECKING:
    import threading

_AHEAD = 100  # Results that may wait for the task, beside those in flight and those it has taken


class AsyncResults(AsyncGenerator[Result, None]):
    """The Results of one run: an asynchronous iterator, and a context manager that ends the run.

    The run begins when the first Result is asked for. `aclose`, and the end of an `async with`,
    return when the run is over and its destination is free.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._thread = _RunThread(run)
        self._results = _results(self._thread)

    def __del__(self) -> None:
        """End the run, though no event loop may be there to wait for that."""
        self._thread.leave()

    async def __anext__(self) -> Result:
        """The next Result. Raises DestinationError, Held, ListError, and what `urls` raises."""
        self._thread.end_with(asyncio.current_task())
        return await anext(self._results)

    async def asend(self, value: None) -> Result:
        """The same as `anext`."""
        self._thread.end_with(asyncio.current_task())
        return await self._results.asend(value)

    async def athrow(
        self,
        kind: BaseException | type[BaseException],
        value: object = None,
        trace: TracebackType | None = None,
    ) -> Result:
        """End the run, and raise the error."""
        error = value if isinstance(value, BaseException) else kind
        if trace is not None and isinstance(error, BaseException):
            error = error.with_traceback(trace)
        return await self._results.athrow(error)

    async def aclose(self) -> None:
        """End the run: break off what is in flight, close the manifest, unlock the destination."""
        await self._results.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the run."""
        await self.aclose()

    @property
    def summary(self) -> Summary:
        """The account of the run: of the whole run after its end, until then the account so far."""
        return self._thread.summary or self._run.summary()


def arun(
    urls: Iterable[Listed],
    *,
    to: str | os.PathLike[str] = "./out",
    **options: Unpack[Options],
) -> AsyncResults:
    """Do what `scraper.run` does, for `async for`.

    `urls` is an ordinary iterable. It is iterated by a thread and may block. Raises what `run`
    raises, in the same places.
    """
    return AsyncResults(make_run(urls, to, options))


async def _results(thread: "_RunThread") -> AsyncGenerator[Result, None]:
    thread.start()
    try:
        while taken := await thread.take():
            for result in taken:
                yield result
        thread.reraise()
    finally:
        await thread.end()


class _Left(Exception):
    """The iteration was left."""


class _RunThread:
    """The thread of one run, and the buffer between it and the event loop.

    `leave` may be called from any thread, the other methods from that of the event loop.
    `summary` is None until the run has ended.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer: deque[Result] = deque()
        self._hungry = False  # the task waits for the next Result
        self._left = False
        self._ended = False
        self._error: BaseException | None = None
        self.summary: Summary | None = None
        self._task: asyncio.Task[object] | None = None  # the last one that took Results
        self._loop: asyncio.AbstractEventLoop
        self._news: asyncio.Event
        self._over: asyncio.Event
        self._thread: threading.Thread
        run.paused = self._is_held

    def start(self) -> None:
        """Begin the run. Raises NoThread."""
        self._loop = asyncio.get_running_loop()
        self._news, self._over = asyncio.Event(), asyncio.Event()
        self._thread = start_thread("run", self._work)

    async def take(self) -> list[Result]:
        """The Results that are there, once there are some. Empty at the end of the run."""
        await asyncio.sleep(0)  # a turn for other tasks, also while there are Results all the time
        while True:
            ended = self._ended
            if taken := [self._buffer.popleft() for _ in range(len(self._buffer))]:
                if len(taken) >= _AHEAD:  # it was full
                    self._run.wake()
                return taken
            if ended:
                return []
            self._news.clear()
            self._hungry = True
            if not self._buffer and not self._ended:
                await self._news.wait()

    def end_with(self, task: "asyncio.Task[object] | None") -> None:
        """Leave the run when `task` is cancelled, whatever it does between two Results."""
        if task is not self._task:
            if self._task is not None:
                self._task.remove_done_callback(self._on_end_of)
            if task is not None:
                task.add_done_callback(self._on_end_of)
            self._task = task

    def reraise(self) -> None:
        """Raise the error that ended the run, if one did."""
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Have the run end as soon as it can."""
        self._left = True
        if not self._ended:
            if not self._run.begun:  # it may wait for a lock, or for a silent destination
                self._run.stop("the iteration was left", 0.0)
            self._run.wake()

    async def end(self) -> None:
        """Leave the run, and wait until it is over."""
        self.leave()
        self.end_with(None)
        await self._over.wait()
        self._thread.join()  # it has nothing more to do

    def _on_end_of(self, task: "asyncio.Task[object]") -> None:
        if task.cancelled():
            self.leave()

    def _is_held(self) -> bool:
        """Whether the run may start nothing more. Raises _Left, which ends it where it is."""
        if self._left:
            raise _Left
        return len(self._buffer) >= _AHEAD

    def _work(self) -> None:
        try:
            with closing(results_of(self._run)) as results:
                for result in results:
                    self._buffer.append(result)
                    if self._hungry:
                        self._hungry = False
                        self._loop.call_soon_threadsafe(self._news.set)
                    if self._left:
                        break
        except _Left:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where Results are awaited
            self._error = error
        finally:
            self.summary = self._run.summary()
            self._ended = True
            with suppress(RuntimeError):  # the event loop was closed: nobody waits
                self._loop.call_soon_threadsafe(self._news.set)
                self._loop.call_soon_threadsafe(self._over.set)
