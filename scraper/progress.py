"""The live display: rate, bytes, in flight, failures, time left. Only on a terminal.

Owns: what is drawn. Refuses to know: the run's inside; it asks for its counts.
rich is imported here and nowhere else. Rejected: redrawing after each result;
ten times a second is what eyes can follow.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from scraper.errors import ListError
from scraper.lists import Source
from scraper.summary import human_size

if TYPE_CHECKING:
    from scraper.loop import Run


class _Counts(ProgressColumn):
    """What a run has done so far, in words."""

    max_refresh = 0.1

    def __init__(self, run: "Run") -> None:
        super().__init__()
        self._run = run

    def render(self, task: Task) -> Text:
        """One line."""
        tally = self._run.tally
        of = f" of {task.total:,.0f}" if task.total else ""
        rate = tally.targets / max(tally.elapsed_s(), 1e-3)
        return Text(
            f"{tally.targets:,}{of}  {rate:,.0f}/s  {human_size(tally.size)}  "
            f"{self._run.in_flight} in flight  {tally.failures:,} failed"
        )


class Display:
    """A context manager: shows `run` on stderr until it ends."""

    def __init__(self, run: "Run", sources: Sequence[Source]) -> None:
        self._run = run
        self._total: int | None = None
        self._progress = _Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            _Counts(run),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=True,
        )
        self._progress.before_render = self._update
        self._task = self._progress.add_task("fetching", total=None)
        if all(source.size is not None for source in sources):
            counter = threading.Thread(target=self._count, args=(sources,), daemon=True)
            counter.start()

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the display."""
        self._progress.stop()

    def print(self, line: str) -> None:
        """Write a line above the display."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _update(self) -> None:
        lines, complete = self._run.lines
        total = lines if complete else self._total
        self._progress.tasks[self._task].total = total
        self._progress.tasks[self._task].completed = self._run.tally.targets

    def _count(self, sources: Sequence[Source]) -> None:
        """How many lines there are that may be targets, for the time left."""
        with contextlib.suppress(ListError):  # it is gone meanwhile: the run's own reader says so
            self._total = sum(
                1
                for source in sources
                for line in source.open()
                if line.strip() and line[:1] != b"#"
            )


class _Progress(Progress):
    """rich's, told the counts before each drawing."""

    before_render = staticmethod(lambda: None)

    def get_renderables(self) -> Iterator[RenderableType]:
        self.before_render()
        yield from super().get_renderables()
