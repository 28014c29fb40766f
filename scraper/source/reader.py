"""ListReader: the thread that reads lists, and the bounded buffer between it and the loop.

A pipe may block for hours, so reading has a thread of its own. The loop takes the targets that
are there and never waits here.

Owns: that thread and its buffer. Does not know: what a line means (`lists.py`). Rejected:
`queue.Queue`, whose lock costs more than parsing a line. The ends of a deque are atomic.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scraper.model.errors import ListBroken, ListChanged, ListError
from scraper.model.records import Target
from scraper.model.threads import start_thread
from scraper.source import lists
from scraper.source.keys import KeyRule
from scraper.source.lines import Note
from scraper.source.sources import Source

if TYPE_CHECKING:
    from scraper.model.shards import Shard

BUFFER = 1_000  # targets read ahead of the frontier; a very long one counts as several


class ListReader:
    """Targets of several sources, in order, read ahead by one thread.

    The loop sets `hungry` when it wants to be told of the next target. The thread then calls
    `on_arrival` once. It also calls it after the last line. After setting `hungry` the loop must
    look at `empty` again, since a target may have arrived just before.

    Started with a shard, the targets are those of that shard, and `lines` counts only these.
    `form`: in which bodies are stored (--store-compressed). `incomplete`: lines may be missing,
    since a list changed or broke off.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        rule: KeyRule,
        on_arrival: Callable[[], None],
        form: str | None = None,
    ) -> None:
        self.hungry = False
        self.incomplete = False
        self._notes: deque[str] = deque()
        self._taken = 0
        self._sources = sources
        self._rule = rule
        self._form = form
        self._shard: Shard | None = None
        self._on_arrival = on_arrival
        self._buffer: deque[lists.Read] = deque()
        self._more_put = self._more_taken = 0  # places beyond one a target; each has one writer
        self._space = threading.Event()
        self._done = False
        self._closed = False
        self._error: Exception | None = None
        self._thread: threading.Thread

    def start(self, shard: "Shard | None" = None) -> None:
        """Begin to read. Raises NoThread."""
        self._shard = shard
        self._thread = start_thread("reader", self._run)

    def take(self, most: int) -> list[lists.Read]:
        """The targets that are there now, at most `most` of them."""
        buffer = self._buffer
        taken = [buffer.popleft() for _ in range(min(most, len(buffer)))]
        self._taken += len(taken)
        if self._more_put != self._more_taken:  # rare: some targets are very long
            self._more_taken += sum(item.places - 1 for item in taken if isinstance(item, Target))
        if self._read_ahead < BUFFER // 2 and not self._space.is_set():
            self._space.set()
        return taken

    @property
    def lines(self) -> int:
        """Targets read so far, with bad lines. After `close()`: targets that were taken."""
        return self._taken if self._closed else self._taken + len(self._buffer)

    @property
    def _read_ahead(self) -> int:
        return len(self._buffer) + self._more_put - self._more_taken

    @property
    def empty(self) -> bool:
        """Whether there is no target to take now."""
        return not self._buffer

    @property
    def exhausted(self) -> bool:
        """Whether every target was read and taken."""
        return self._done and not self._buffer

    @property
    def complete(self) -> bool:
        """Whether the last line was read. Then `lines` is the length of the lists."""
        return self._done

    def tell(self, note: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        """Tell `note` what there is to be said of lists, once."""
        while self._notes:
            note("warning", "list", {"message": self._notes.popleft()})

    def reraise(self) -> None:
        """Raise the error that ended the reading, or that of the first list that is none."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Read no more. Targets in the buffer can still be taken.

        A thread that waits for a pipe keeps waiting; it is a daemon and ends with the process.
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
                    self._more_put += item.places - 1  # first: `take` subtracts them
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
        told = self._notes.append, lambda: self._closed
        read = reader_of(self._rule, self._shard, *told, form=self._form)
        for source in self._sources:
            try:
                yield from read(source)
            except ListChanged as error:  # its lines are fetched all the same
                self._notes.append(str(error))
                self.incomplete = True
            except ListBroken as error:
                if tells_of_lists(self._shard):
                    yield lists.broken_off(error, source.name)
                self.incomplete = True
            except ListError as error:  # of a pipe; the lines of other lists are fetched
                self._error = self._error or error


def reader_of(
    rule: KeyRule,
    shard: "Shard | None",
    note: Note,
    stopped: Callable[[], bool] = bool,
    *,
    form: str | None = None,
) -> Callable[[Source], Iterator[lists.Read]]:
    """What reads a list, or what of it belongs to `shard`, for bodies of `form`."""
    if form is not None:
        from scraper.source.stored_form import in_form

        read = reader_of(rule, shard, note, stopped)
        return lambda source: (
            in_form(item, form) if isinstance(item, Target) else item for item in read(source)
        )
    if shard is None:
        return lambda source: lists.read(source, rule, note, stopped=stopped)
    from scraper.source.shard_filter import ShardFilter

    return ShardFilter(shard, rule, note, stopped).read


def tells_of_lists(shard: "Shard | None") -> bool:
    """Whether this run tells what is of a whole list: of several shards the first one does."""
    return shard is None or shard.number == 0
