"""ListReader: the thread that reads lists, and the bounded buffer in front of the loop.

A pipe may block for hours, so reading has a thread of its own; the loop takes
what is there and never waits here. Owns: that thread and its buffer. Refuses to
know: what a line means (`lists.py`). Rejected: `queue.Queue`, whose lock costs
more than parsing a line; deque's ends are atomic.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from scraper.model.records import Target
from scraper.source import lists
from scraper.source.keys import KeyRule

BUFFER = 1_000  # targets read ahead of the frontier, if they are not very long


class ListReader:
    """Targets of several sources, in order, read ahead by one thread.

    `on_arrival` is called from that thread once for each time the loop said it is
    hungry, and when the last line was read. Who says so looks at `empty` once more
    afterwards: a target may have come just before.
    """

    def __init__(
        self, sources: Sequence[lists.Source], rule: KeyRule, on_arrival: Callable[[], None]
    ) -> None:
        self.hungry = False
        self._taken = 0
        self._sources = sources
        self._rule = rule
        self._on_arrival = on_arrival
        self._buffer: deque[lists.Read] = deque()
        self._more_put = self._more_taken = 0  # places beyond one each; one thread writes each
        self._space = threading.Event()
        self._done = False
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def take(self, most: int) -> list[lists.Read]:
        """The next targets, as many as are there now, `most` of them."""
        buffer = self._buffer
        taken = [buffer.popleft() for _ in range(min(most, len(buffer)))]
        self._taken += len(taken)
        if self._more_put != self._more_taken:  # some are very long, which is rare
            self._more_taken += sum(item.places - 1 for item in taken if isinstance(item, Target))
        if self._read_ahead < BUFFER // 2 and not self._space.is_set():
            self._space.set()
        return taken

    @property
    def lines(self) -> int:
        """Targets read so far, bad lines included: after `close()`, those that were taken."""
        return self._taken if self._closed else self._taken + len(self._buffer)

    @property
    def _read_ahead(self) -> int:
        return len(self._buffer) + self._more_put - self._more_taken

    @property
    def empty(self) -> bool:
        """Whether nothing is there to take now."""
        return not self._buffer

    @property
    def exhausted(self) -> bool:
        """Whether everything was read and taken."""
        return self._done and not self._buffer

    @property
    def complete(self) -> bool:
        """Whether the last line was read: then `lines` is how many there are."""
        return self._done

    def reraise(self) -> None:
        """Raise what ended the reading, if an error did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Read no more. What is there can still be taken, and only that was ever read.

        A thread that waits for a pipe is left to it (it is a daemon).
        """
        self._closed = True
        self._space.set()

    def _run(self) -> None:
        buffer = self._buffer
        try:
            for item in self._items():
                if self._closed:
                    return
                if isinstance(item, Target) and item.places > 1:
                    self._more_put += item.places - 1  # before it can be taken: see `take`
                buffer.append(item)
                if self.hungry:
                    self.hungry = False
                    self._on_arrival()
                if len(buffer) < BUFFER and self._more_put == self._more_taken:
                    continue
                while self._read_ahead >= BUFFER and not self._closed:
                    self._space.clear()
                    if self._read_ahead >= BUFFER and not self._closed:
                        self._space.wait()
        except Exception as error:  # noqa: BLE001 - a caller's iterable may raise anything
            self._error = error
        finally:
            self._done = True
            if not self._closed:
                self._on_arrival()

    def _items(self) -> Iterator[lists.Read]:
        for source in self._sources:
            yield from lists.read(source, self._rule)
