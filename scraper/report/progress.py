"""The live display: rate, bytes, in flight, failures, time left. Only on a terminal.

Ten times a second, which is as much as eyes can follow, a thread writes the lines of the
log that came and draws anew below them. All that goes to the terminal goes through that
thread, because a write to a terminal that is stopped (Ctrl-S) waits.

Owns: what is drawn, and when. Does not know: what happens within a run; it asks for counts.
rich is imported here and nowhere else. Tried and rejected: printing each line when it
comes, which costs as much as fetching a page.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from scraper.model.errors import ListError, NoThread
from scraper.model.threads import start_thread
from scraper.report.tally import Tally
from scraper.report.units import human_size
from scraper.source.sources import Source

_EVERY_S = 0.1
_WAITING_LINES = 10_000  # as many may wait for the terminal
_PATIENCE_S = 10.0  # then lines are lost, if the terminal has taken none
_LOOK_AGAIN_S = 0.1  # at the end, for a signal that says not to wait so long


class Running(Protocol):
    """What is asked of a run. `lines`: targets read so far, and whether that is all of them.

    `wake` is called when `Display.full` is over.
    """

    tally: Tally

    @property
    def in_flight(self) -> int: ...  # noqa: D102 - see above

    @property
    def lines(self) -> tuple[int, bool]: ...  # noqa: D102 - see above

    def wake(self) -> None: ...  # noqa: D102 - see above


class _Counts(ProgressColumn):
    """What a run has done so far, in words."""

    def __init__(self, run: Running) -> None:
        super().__init__()
        self._run = run

    def render(self, task: Task) -> Text:
        """One line. A narrow terminal cuts off its end, which matters least."""
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
    """A console that never hides the cursor, since a killed program can't show it again."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: FBT001, FBT002 - rich's
        """Do nothing."""
        del show
        return False


class Display:
    """A context manager: shows `run` on stderr until it ends, and lines of its log above.

    It ends without waiting for the terminal. `finish` does that.
    """

    def __init__(self, run: Running, sources: Sequence[Source]) -> None:
        self._run = run
        self._total: int | None = None
        self._lines: deque[str] = deque()
        self._lost = self._told = 0  # lines; one thread counts each
        self._drawn_at = time.monotonic()
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
        self._sources = sources
        self._drawer: threading.Thread

    def __enter__(self) -> Self:
        """Begin to draw. Raises NoThread; without one that counts, the time left is not shown."""
        self._drawer = start_thread("display", self._draw_on)
        if all(source.size is not None for source in self._sources):
            with contextlib.suppress(NoThread):
                start_thread("counter", self._count)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw a last time, then wipe the display."""
        self._ended.set()

    def finish(self, until: Callable[[], float]) -> bool:
        """Wait until the terminal has taken everything. False if that took longer than `until()`.

        `until` gives monotonic seconds. It is asked again and again.
        """
        while self._drawer.is_alive() and (left_s := until() - time.monotonic()) > 0:
            self._drawer.join(min(left_s, _LOOK_AGAIN_S))
        return not self._drawer.is_alive()

    def print(self, *lines: str) -> None:
        """Write lines above the display, soon."""
        if len(self._lines) >= _WAITING_LINES and self._is_stuck():
            self._lost += len(lines)
        else:
            self._lines.extend(lines)

    @property
    def full(self) -> bool:
        """Whether the terminal is so far behind that the run should wait for it."""
        return len(self._lines) >= _WAITING_LINES and not self._is_stuck()

    def _is_stuck(self) -> bool:
        return time.monotonic() - self._drawn_at >= _PATIENCE_S

    def _draw_on(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._progress.start()
            while not self._ended.wait(_EVERY_S):
                self._draw()
            self._draw()
            self._progress.stop()

    def _draw(self) -> None:
        lines, complete = self._run.lines
        total = lines if complete else self._total
        self._progress.update(self._task, total=total, completed=self._run.tally.targets)
        self._write_lines()
        self._progress.refresh()
        self._drawn_at = time.monotonic()

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if len(lines) >= _WAITING_LINES:
            self._run.wake()
        if lost := self._lost - self._told:
            self._told += lost
            lines.append(f"{lost:,} lines of the log are missing here: the terminal was stopped")
        if text := "\n".join(lines):
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _count(self) -> None:
        """Count the lines that may be targets, for the time left."""
        with contextlib.suppress(ListError):  # the run meets the same error, and tells of it
            lines = (line.strip() for source in self._sources for line in source.open())
            self._total = sum(1 for line in lines if line and not line.startswith(b"#"))
