"""The live display. Only on a terminal that can draw.

    big.iso                            12.3 MB of 40.0 MB   31%   2.1 MB/s
    waiting 31 s for example.com (429 Retry-After), 40 URLs
    ━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
    459 of 1,561  5 failed  108/s  12.8 MB  2.3 MB/s  16 in flight  10 s left

Ten times a second, which is as much as eyes can follow, a thread writes the lines of the log that
came and draws anew below them. All that goes to the terminal goes through that thread, because a
write to a terminal that is stopped (Ctrl-S) waits.

The cursor stands below the display and is never hidden, so a program that is killed leaves
nothing to mend. After Ctrl-Z and `fg` the display begins anew where the cursor is, and in the
background only lines of the log are written.

Owns: what is drawn, and when. Does not know: what happens within a run; it asks for a snapshot.
The words are those of `figures.py`. rich is imported here and nowhere else. Tried and rejected:
printing each line when it comes, which costs as much as fetching a page; rich.live.Live, which
can't begin anew.
"""

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live_render import LiveRender
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.text import Text

from scraper.model.threads import start_thread
from scraper.report import figures
from scraper.report.snapshot import Figures, Shown, Watch, Watched
from scraper.report.total import LineCount
from scraper.source.sources import Source

_EVERY_S = 0.1
_WAITING_LINES = 10_000  # as many may wait for the terminal
_PATIENCE_S = 10.0  # then lines are lost, if the terminal has taken none
_LOOK_AGAIN_S = 0.1  # at the end, for a signal that says not to wait so long
_NARROW = 72  # columns; with fewer a transfer is told in short


class Display:
    """A context manager: shows `watched` on stderr until it ends, and lines of its log above.

    `watched` may be replaced. `sources` are counted, if their sizes are known. It ends without
    waiting for the terminal. `finish` does that.
    """

    def __init__(
        self, watched: Watched, sources: Sequence[Source] = (), *, colours: bool = True
    ) -> None:
        self._watched = watched
        self._watch = Watch(time.monotonic())
        self._count: LineCount | None = None
        self._lines: deque[str] = deque()
        self._lost = self._told = 0  # lines; one thread counts each
        self._drawn_at = time.monotonic()
        self._console = Console(
            stderr=True, emoji=False, force_terminal=True, no_color=not colours, highlight=False
        )
        self._drawn = _Drawn()
        self._ended = threading.Event()
        self._drawer: threading.Thread
        self.count(sources)

    def __enter__(self) -> Self:
        """Begin to draw. Raises NoThread."""
        self._drawer = start_thread("display", self._draw_on)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the last lines, then wipe the display."""
        self._ended.set()

    def watch(self, watched: Watched, sources: Sequence[Source]) -> None:
        """Show `watched` from now on."""
        self._watched = watched
        self.count(sources)

    def count(self, sources: Sequence[Source]) -> None:
        """Count the targets of `sources`, for the time left."""
        if sources:
            self._count = LineCount(sources)

    def finish(self, until: Callable[[], float]) -> bool:
        """Wait until the terminal has taken everything. False if that took longer than `until()`.

        `until` gives monotonic seconds. It is asked again and again.
        """
        while self._drawer.is_alive() and (left_s := until() - time.monotonic()) > 0:
            self._drawer.join(min(left_s, _LOOK_AGAIN_S))
        return not self._drawer.is_alive()

    def print(self, *lines: str) -> None:
        """Write printable lines above the display, soon. They may have colours."""
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

    # ------------------------------------------------------------ on the thread

    def _draw_on(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            while not self._ended.wait(_EVERY_S):
                self._draw()
            self._draw(last=True)

    def _draw(self, *, last: bool = False) -> None:
        console, drawn = self._console, self._drawn
        lines = self._take_lines()
        shows = not last and _in_foreground()
        if _was_stopped():
            drawn = _Drawn()
        seen = self._watched.snapshot()
        total = None if self._count is None else self._count.total
        parts = self._parts(self._watch.see(seen, total)) if shows else []
        with console:  # all of it is one write
            drawn.wipe(console)
            if lines:
                console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
            self._drawn = _Drawn(console, parts) if parts else _Drawn()
        self._drawn_at = time.monotonic()

    def _take_lines(self) -> list[str]:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if len(lines) >= _WAITING_LINES:
            self._watched.wake()
        if lost := self._lost - self._told:
            self._told += lost
            lines.append(f"{lost:,} lines of the log are missing here: the terminal was stopped")
        return lines

    def _parts(self, told: Figures) -> list[RenderableType]:
        """What is drawn, a row each. The last rows count most, if the terminal has too few."""
        width, height = self._console.size
        rows: list[RenderableType] = [_transfer(one, width) for one in told.shown]
        rows += [_row(text, "yellow") for text in figures.waits(told)]
        if told.seen.has_begun:
            rows.append(_bar(told))
            kept = figures.fitting(figures.counts(told), width - 1)
            bad = "red" if told.seen.failures else ""
            line = Text("  ").join(Text(one.text, bad if one.rank == 1 else "") for one in kept)
            line.no_wrap, line.overflow = True, "ellipsis"
            rows.append(line)
        return rows[-max(1, height - 2) :]


class _Drawn:
    """What stands on the terminal above the cursor, and how it is wiped."""

    def __init__(
        self, console: Console | None = None, parts: Sequence[RenderableType] = ()
    ) -> None:
        """Draw `parts`."""
        self._rows = len(parts)
        self._width = 0
        self._render = LiveRender(Group(*parts))
        if console is not None:
            self._width = console.width
            console.print(self._render)
            console.line()

    def wipe(self, console: Console) -> None:
        """Wipe it. A terminal that became narrower has broken its rows in several."""
        if not self._rows:
            return
        broken = -(-self._width // console.width) - 1 if console.width < self._width else 0
        up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)] * (broken * self._rows)
        console.control(Control(*up), self._render.restore_cursor())


def _bar(told: Figures) -> Padding:
    """The bar as a row of its own: by itself it does not end its row."""
    if told.total is None:
        return Padding(ProgressBar(total=None, pulse=True))
    return Padding(ProgressBar(total=max(told.total, 1), completed=told.done))


def _transfer(shown: Shown, width: int) -> Text:
    """The row of a transfer. A long URL loses its beginning: the end tells more."""
    url, told = figures.transfer(shown, short=width < _NARROW)
    room = max(8, width - cell_len(told) - 3)
    if cell_len(url) > room:
        while cell_len(url) > room - 1:
            url = url[1 + (cell_len(url) - room) // 2 :]
        url = f"…{url}"
    return _row(f"{set_cell_size(url, room)}  {told}", "dim")


def _row(text: str, style: str) -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _was_stopped() -> bool:
    """Whether the process goes on after it was stopped. `cli/signals.py` has blocked SIGCONT.

    Rejected: a handler. Python runs it on the main thread, which may be after the next drawing.
    """
    if signal.SIGCONT not in signal.sigpending():
        return False
    signal.sigwait({signal.SIGCONT})
    return True


def _in_foreground() -> bool:
    """Whether the shell has given the terminal to this process. True if there is no shell."""
    try:
        return os.tcgetpgrp(2) == os.getpgrp()
    except OSError:  # it is not the terminal that controls this process
        return True
