"""A line of totals each so many seconds (`--stats`), for a run without a display.

    1,234 of 12,000, 3 failed, 56/s, 120.3 MB, 12.3 MB/s, 16 in flight, 12 min left

Owns: the thread that writes them, and their record. Does not know: where they go. The words are
those of the display (`figures.py`).
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from scraper.model.threads import start_thread
from scraper.report import figures
from scraper.report.log import Event
from scraper.report.snapshot import Figures, Watch, Watched
from scraper.report.total import LineCount
from scraper.source.sources import Source


class Totals:
    """A context manager: gives `tell` the totals of `watched` every `every_s` seconds.

    `tell` is called on a thread of its own. Raises NoThread when it is entered.
    """

    def __init__(
        self,
        watched: Watched,
        sources: Sequence[Source],
        every_s: float,
        tell: Callable[[Event], None],
    ) -> None:
        self._watched = watched
        self._sources = sources
        self._every_s = every_s
        self._tell = tell
        self._ended = threading.Event()
        self._thread: threading.Thread

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = start_thread("totals", self._work)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell no more, and let the thread end: the summary comes after the last totals."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        watch, count = Watch(time.monotonic()), LineCount(self._sources)
        while not self._ended.wait(self._every_s):
            self._tell(event_of(watch.see(self._watched.snapshot(), count.total)))


def event_of(told: Figures) -> Event:
    """The event of these figures. In its record sizes are bytes, rates are a second."""
    seen = told.seen
    record = {
        "targets": seen.targets,
        "total": told.total,
        "failed": seen.failures,
        "in_flight": len(seen.flights),
        "bytes": seen.size,
        "targets_per_second": round(told.targets_rate, 1),
        "bytes_per_second": round(told.bytes_rate),
        "seconds_left": None if told.left_s is None else round(told.left_s),
        "waiting": figures.waits(told),
    }
    texts = [count.text for count in figures.counts(told)]
    text = "; ".join([", ".join(texts), *figures.waits(told)])
    return Event(
        "totals", "info", text, {key: value for key, value in record.items() if value is not None}
    )
