"""SegmentWriter: the thread that puts segments of a manifest into a sink, one after the other.

A sink that is away for a while is waited for. The thread is a daemon, since a sink that is
silent must not keep the process.

Owns: that thread, its patience, and how many records have arrived. Does not know: what is in a
segment. Rejected: ThreadPoolExecutor. The interpreter waits for its threads at its end.
"""

import queue
import threading
import time
from typing import NamedTuple

from scraper.model.errors import DestinationError, Fenced, Held, ScraperError
from scraper.model.threads import start_thread
from scraper.sinks.base import Sink, put_object

LINES = "application/x-ndjson"  # the type of a segment
_LAST_PATIENCE_S = 10.0  # with a sink that is away, when the run is over
_FIRST_DELAY_S, _MOST_DELAY_S = 0.5, 10.0  # between two attempts


class Segment(NamedTuple):
    """A segment to be put. Its records are those of the run from `first` to before `last`."""

    key: str
    data: bytes
    first: int
    last: int


class SegmentWriter:
    """See the module. Used by one thread. `patience_s`: with a sink that takes no segment.

    `arrived`: records of the run that the sink has, without a gap. `is_busy`: whether a segment
    waits to be put.
    """

    def __init__(self, sink: Sink, patience_s: float) -> None:
        self.arrived = 0
        self._sink = sink
        self._patience_s = patience_s
        self._segments: queue.Queue[Segment | None] = queue.Queue()
        self._error: DestinationError | Held | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a segment waits to be put."""
        return self._segments.unfinished_tasks > 0

    def start(self) -> None:
        """Begin, if it has not begun. Raises NoThread: a run does this before its first request."""
        if self._thread is None:
            self._thread = start_thread("manifest", self._run)

    def put(self, segment: Segment) -> None:
        """Have `segment` put after those that were given before. Raises what `start` does."""
        self.start()
        self._segments.put(segment)

    def reraise(self) -> None:
        """Raise DestinationError or Held if a segment could not be put."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Wait until every segment that was given is put. Raises as `reraise` does."""
        self._segments.join()
        self.reraise()

    def close(self) -> None:
        """Wait until every segment is put. Raises as `reraise` does."""
        self._closing.set()
        self._segments.put(None)
        if self._thread is not None:
            self._thread.join()
        self.reraise()

    def _run(self) -> None:
        while (segment := self._segments.get()) is not None:
            try:
                self._insist(segment)
                if segment.first <= self.arrived:
                    self.arrived = max(self.arrived, segment.last)
            except (DestinationError, Held) as error:
                self._error = self._error or error
            except Exception as error:  # noqa: BLE001 - a sink of a plug-in may raise anything
                message = f"can't write the manifest: {type(error).__name__}: {error}"
                self._error = self._error or DestinationError(message)
            finally:
                self._segments.task_done()

    def _insist(self, segment: Segment) -> None:
        """Put `segment`. A store that says how long it is busy is believed as far as we can wait.

        A run that begins to close while a segment waits gives it some more time.
        """
        begun, delay_s = time.monotonic(), _FIRST_DELAY_S
        while True:
            closing = self._closing.is_set()
            try:
                return put_object(self._sink, segment.key, segment.data, LINES)
            except Fenced as error:
                raise Held(str(error)) from None
            except ScraperError as error:
                asked_s = getattr(error, "retry_after_s", None) or 0.0
                patience_s = self._patience_s
                if closing and not asked_s:
                    patience_s = min(patience_s, _LAST_PATIENCE_S)
                left_s = begun + patience_s - time.monotonic()
                passing = getattr(error, "transient", False)
                if not passing or left_s <= 0 or asked_s > left_s:
                    raise DestinationError(f"can't write the manifest: {error}") from None
            if self._wait(max(asked_s, min(delay_s, left_s)), asked_s, closing=closing):
                begun, delay_s = time.monotonic(), _FIRST_DELAY_S
            else:
                delay_s = min(2 * delay_s, _MOST_DELAY_S)

    def _wait(self, wait_s: float, asked_s: float, *, closing: bool) -> bool:
        """Wait so long; less if the run begins to close, but what the store asked for.

        Returns whether it began to close meanwhile. `closing`: it had begun before.
        """
        until = time.monotonic() + (wait_s if closing else asked_s)
        began = not closing and self._closing.wait(wait_s)
        time.sleep(max(0.0, until - time.monotonic()))
        return began
