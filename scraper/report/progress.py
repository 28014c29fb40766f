"""The live display: rate, bytes, in flight, failures, time left. Only on a terminal.

Owns: what is drawn, and when: ten times a second is what eyes can follow, so
that often a thread writes the lines of the log that came and draws anew below
them. Refuses to know: the run's inside; it asks for its counts. rich is imported
here and nowhere else. Rejected: printing each line when it comes, which costs as
much as fetching a page; a terminal that is stopped (Ctrl-S) would stop the run.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from scraper.model.errors import ListError
from scraper.report.summary import Tally, human_size
from scraper.source.sources import Source

_EVERY_S = 0.1
_WAITING_LINES = 10_000  # while the terminal takes none; then the oldest are lost


class Running(Protocol):
    """What is asked of a run: its counts, transfers in flight, targets read and if that is all."""

    tally: Tally

    @property
    def in_flight(self) -> int: ...  # noqa: D102 - see above

    @property
    def lines(self) -> tuple[int, bool]: ...  # noqa: D102 - see above


class _Counts(ProgressColumn):
    """What a run has done so far, in words."""

    def __init__(self, run: Running) -> None:
        super().__init__()
        self._run = run

    def render(self, task: Task) -> Text:
        """One line; what matters least is cut off where it is too long for the terminal."""
        tally = self._run.tally
        of = f" of {task.total:,.0f}" if task.total else ""
        rate = tally.targets / max(tally.elapsed_s(), 1e-3)
        return Text(
            f"{tally.targets:,}{of}  {tally.failures:,} failed  {rate:,.0f}/s  "
            f"{human_size(tally.size)}  {self._run.in_flight} in flight",
            no_wrap=True,
            overflow="ellipsis",
        )


class _Console(Console):
    """rich's, with the cursor left alone: who is killed can't show it again."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: FBT001, FBT002 - rich's
        """Do nothing."""
        del show
        return False


class Display:
    """A context manager: shows `run` on stderr until it ends, and lines of its log above."""

    def __init__(self, run: Running, sources: Sequence[Source]) -> None:
        self._run = run
        self._total: int | None = None
        self._lines: deque[str] = deque(maxlen=_WAITING_LINES)
        self._progress = Progress(
            BarColumn(bar_width=10),
            _Counts(run),
            TimeRemainingColumn(),
            console=_Console(stderr=True, emoji=False),  # a URL may have :smile: in it
            transient=True,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("fetching", total=None)
        self._ended = threading.Event()
        self._drawer = threading.Thread(target=self._draw_on, name="display", daemon=True)
        if all(source.size is not None for source in sources):
            counter = threading.Thread(
                target=self._count, args=(sources,), name="counter", daemon=True
            )
            counter.start()

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        self._drawer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the display."""
        self._ended.set()
        self._drawer.join()
        self._progress.stop()

    def print(self, *lines: str) -> None:
        """Write lines above the display, soon; at once when there is none any more."""
        self._lines.extend(lines)
        if self._ended.is_set():
            self._write_lines()

    def _draw_on(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            while not self._ended.wait(_EVERY_S):
                self._draw()
            self._draw()

    def _draw(self) -> None:
        lines, complete = self._run.lines
        total = lines if complete else self._total
        self._progress.update(self._task, total=total, completed=self._run.tally.targets)
        self._write_lines()
        self._progress.refresh()

    def _write_lines(self) -> None:
        text = "\n".join(self._lines.popleft() for _ in range(len(self._lines)))
        if text:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _count(self, sources: Sequence[Source]) -> None:
        """How many lines there are that may be targets, for the time left."""
        with contextlib.suppress(ListError):  # the run meets it too, and tells
            lines = (line.strip() for source in sources for line in source.open())
            self._total = sum(1 for line in lines if line and not line.startswith(b"#"))
