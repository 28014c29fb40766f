"""Who hears of a run of `fetch`: its log, its results, its display.

    receivers.begin(stack)     a display ends with the stack
    receivers.open()           once the run holds its destination; nothing is written before
    receivers(*results)        what the run tells
    receivers.full             whether a reader is so far behind that the run should wait
    receivers.finish(until)    at the end: wait for the readers, and say what they lost

Owns: these streams, from the first line to the last. Does not know: when a run stops, and
the exit status. Everything heavy is imported when it is needed.
"""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from scraper.cli.signals import Signals
from scraper.model.errors import READER_LEFT, NoThread, UsageError
from scraper.model.version import __version__

if TYPE_CHECKING:
    from scraper.cluster.coordinator import ClusterRun
    from scraper.model.records import Result
    from scraper.report.log import Event, Log
    from scraper.report.progress import Display
    from scraper.report.snapshot import Watched
    from scraper.report.streams import Lines
    from scraper.report.waiting import Waiting
    from scraper.run.loop import Run
    from scraper.source.sources import Source

_WIPE_S = 1.0  # a terminal that is stopped is not waited for any longer
_IN_WORDS = frozenset(  # events that have a text of their own
    (
        *("lock", "circuit_breaker", "robots", "limit", "threads", "summary", "list", "metrics"),
        *("cluster", "manifest"),
    )
)
_DUMB_EVERY_S = 10.0  # a terminal that can't draw gets totals as often


def make_log(
    ours: Mapping[str, Any], run: "Run | ClusterRun | None" = None, *, screen: bool = False
) -> "tuple[Lines, Log]":
    """Where the lines of the log go, and the log. The file is not open yet. Raises UsageError.

    `screen`: on a terminal the log has the words for a screen.
    """
    from scraper.report.log import Log, Style
    from scraper.report.streams import Lines
    from scraper.report.terminal import terminal_of

    def lost(error: OSError) -> None:
        lines.to_stderr(f"scraper: --log-file: {error.strerror}")

    path, as_json = ours["log_file"], ours["log_format"] == "json"
    lines = Lines(path, lost, run.wake if run is not None else lambda: None)
    terminal = terminal_of(sys.stderr, os.environ)
    text_there = path is None and not as_json
    style = Style(
        as_json=as_json,
        stamped=path is not None or _is_file(sys.stderr),
        coloured=text_there and terminal.colours,
        screen=text_there and terminal.is_terminal and screen,
        totals=screen and ours["stats"] is not None,
    )
    write = lines.show if path is None else lines.write
    id_ = run.id if run is not None else ""
    log = Log(write, style, quiet=ours["quiet"], verbose=ours["verbose"], run=id_)
    lines.lost_line = log.lost_line
    return lines, log


def _is_file(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # it has no descriptor
        return False


def wants_words(ours: Mapping[str, Any]) -> bool:
    """Whether a terminal shall tell how far the run is."""
    wanted = ours["progress"]
    if wanted is None:
        is_machine = ours["log_format"] == "json" and ours["log_file"] is None
        wanted = not ours["quiet"] and not is_machine
    return bool(wanted)


@contextmanager
def shown(ours: Mapping[str, Any], watched: "Watched") -> "Iterator[None]":
    """Show `watched` meanwhile, on a terminal that can draw."""
    from scraper.report.terminal import terminal_of

    terminal = terminal_of(sys.stderr, os.environ)
    if not (terminal.draws and wants_words(ours)):
        yield
        return
    from scraper.report.progress import Display

    display = Display(watched, colours=terminal.colours)
    try:
        with display:
            yield
    finally:
        over_at = time.monotonic() + _WIPE_S
        display.finish(lambda: over_at)


class Receivers:
    """See the module. `closed`: the reader of the results has left. `unusable`: their file is.

    `incomplete`: some results, or lines of the log's file, could not be written. `stuck`: at the
    end a thread still waits for a reader.
    """

    def __init__(
        self,
        ours: Mapping[str, Any],
        sources: "Sequence[Source]",
        run: "Run | ClusterRun",
        signals: Signals,
    ) -> None:
        from scraper.report.streams import ResultStream
        from scraper.report.terminal import terminal_of

        self.closed = self.unusable = self.stuck = self._lost_results = False
        self._ours = ours
        if run.settings.shard is not None:  # how many lines are of a shard is not known ahead
            sources = [source._replace(size=None) for source in sources]
        self._sources = sources
        self._run = run
        self._signals = signals
        self._terminal = terminal_of(sys.stderr, os.environ)
        self._display: Display | None = None
        self._is_open = False
        self._begun = time.monotonic()
        self._waiting: Waiting | None = None
        self._lines, log = make_log(ours, run, screen=True)
        self._logs = [log, *self._beside()]
        for one in self._logs:
            one.is_news = run.is_news
        self._results = ResultStream(ours["results"], self._results_lost, run.wake, run.id)
        signals.tell_state = self._tell_state

    def begin(self, stack: ExitStack) -> None:
        """Let a display end with `stack`."""
        self._stack = stack

    def open(self) -> None:
        """Open files, and show the display. Raises UsageError."""
        from scraper.run.build import caveats

        run, ours = self._run, self._ours
        self._lines.open()
        self._results.open()
        self._is_open = True
        shown = "stdout" if ours["results"] == "-" else ours["results"]
        run.places = run.places._replace(results=shown, log=ours["log_file"])
        for log in self._logs:
            log.start(
                run.describe(), run.ending.invocation.command, version=__version__, run=run.id
            )
        if ours["caveats"]:
            self._say("warning", "variables", ours["caveats"])
        for name, text in caveats(run.settings.http):
            self._say("warning", name, text)
        try:
            if self._wants_display():
                self._show(run.view(), self._sources)
            self._tell_totals()
        except NoThread as error:
            self._say("warning", "threads", f"no display and no totals: {error}")

    def _show(self, watched: "Watched", sources: "Sequence[Source]" = ()) -> None:
        """Show `watched` from now on. Raises NoThread."""
        from scraper.report.progress import Display

        if self._display is not None:
            self._display.watch(watched, sources)
            return
        display = Display(watched, sources, colours=self._terminal.colours)
        self._display = self._stack.enter_context(display)
        self._lines.divert(display)

    def _tell_totals(self) -> None:
        """Tell totals where there is no display: as `--stats` says, and on a dumb terminal."""
        every_s, logs = self._ours["stats"], self._logs
        if self._display is not None:
            logs = [log for log in logs if not log.on_screen]
        elif every_s is None and wants_words(self._ours) and not self._terminal.draws:
            every_s, logs = _DUMB_EVERY_S, [log for log in logs if log.on_screen]
        if every_s is None or not logs:
            return
        from scraper.report.totals import Totals

        def tell(event: "Event") -> None:
            for log in logs:
                log.asked(event)

        self._stack.enter_context(Totals(self._run.view(), self._sources, every_s, tell))

    def _tell_state(self) -> None:
        """Say on stderr how far the run is."""
        from scraper.report.state import state

        watched = self._run.view() if self._run.begun else self._waiting
        self._lines.to_stderr(*state(watched, self._begun))

    @property
    def full(self) -> bool:
        """Whether a reader is so far behind that the run should wait for it."""
        return self._results.full or self._lines.full

    @property
    def incomplete(self) -> bool:
        """See the class."""
        return self._lost_results or self._lines.failed

    def __call__(self, *results: "Result") -> None:
        """Tell what became of targets."""
        if self._run.stopped == READER_LEFT:
            self.mute()
        for log in self._logs:
            log(*results)
        self._results(*results)

    def note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        """Say what the run tells. That it stops is said only after a signal."""
        if name == "waiting":
            self._say_waiting(str(record["what"]))
        elif name in _IN_WORDS:
            self._say(level, name, str(record["message"]))
        elif name != "stopping":
            for log in self._logs:
                log.note(level, name, record)
        elif self._signals.number is not None:
            text = f"{record['reason']}: {record['in_flight']} transfers in flight may end"
            self._say(level, name, f"{text}; once more stops at once", **record)

    def say_port(self, url: str) -> None:
        """Say where the metrics are, also with `-q` if nobody knows the port otherwise."""
        from scraper.report.log import Event

        told = Event("metrics", "info", f"metrics at {url}", {"url": url})
        for log in self._logs:
            if self._ours["metrics_port"] == 0:
                log.asked(told)
            else:
                log.event(told)

    def _say_waiting(self, what: str) -> None:
        """Say once what is waited for. A file of the log is not open before that is over."""
        from scraper.report.waiting import Waiting

        if self._waiting is not None and what == self._waiting.what:
            return
        self._waiting = Waiting(what)
        if self._wants_display():
            with suppress(NoThread):
                self._show(self._waiting)
                return
        for log in self._logs:
            if log.on_screen or self._ours["log_file"] is None:
                log.say("info", "waiting", f"waiting for {what}")

    def say_held(self, text: str) -> None:
        """Say that another run holds the destination, and that this is no error."""
        self._open_log()
        self._say("info", "held", text)

    def say_error(self, text: str, hint: str = "") -> None:
        """Say what ended the run: in the log, and on stderr, where a person or cron sees it."""
        from scraper.model.urls import redact_text

        self._open_log()
        for name, line in ("error", text), ("hint", hint and f"hint: {hint}"):
            if line:
                said = redact_text(line)
                self._say("error", name, said)
                if self._ours["log_file"] is not None and len(self._logs) == 1:
                    self._lines.to_stderr(said)

    def mute(self) -> None:
        """Whoever read stdout has left, and nobody hears of the run any more."""
        self.closed = True
        for log in self._logs:
            log.mute()

    def finish_results(self, until: Callable[[], float]) -> None:
        """Wait for the reader of the results, not beyond `until()`, and say what it lost."""
        lost = self._results.close(until)
        if lost and not self.closed:
            self._lost_results = True
            self.say_error(f"scraper: --results: {lost:,} records were not written")

    def finish(self, until: Callable[[], float]) -> None:
        """Wait for the readers, not beyond `until()`, and say how the run ended."""
        if self._display is not None:
            self.stuck |= not self._display.finish(until)
            self._lines.divert(None)
        self.finish_results(until)
        if self._is_open and not self.closed:
            summary = self._run.summary()
            for log in self._logs:
                log.summary(summary)
        self.stuck |= not self._lines.close(until)

    def _beside(self) -> "Iterator[Log]":
        """The log of the terminal, if the log itself goes to a file."""
        from scraper.report.log import Log, Style

        ours, terminal = self._ours, self._terminal
        if ours["log_file"] is not None and terminal.is_terminal:
            style = Style(coloured=terminal.colours, screen=True)
            yield Log(self._lines.show, style, quiet=ours["quiet"], verbose=ours["verbose"])

    def _say(self, level: str, name: str, text: str, **record: Any) -> None:
        for log in self._logs:
            log.say(level, name, text, **record)

    def _open_log(self) -> None:
        """Open the file of the log if it isn't: a run that can't begin appends why."""
        with suppress(UsageError):
            self._lines.open()

    def _wants_display(self) -> bool:
        return wants_words(self._ours) and self._terminal.draws

    def _results_lost(self, error: OSError) -> None:
        """Stop the run: a disk is full, or the reader has left (`| head`), which is no error."""
        if isinstance(error, BrokenPipeError):
            self.mute()
            self._run.stop(READER_LEFT, grace_s=0.0)
        else:
            self.unusable = True
            self.say_error(f"scraper: --results: {error.strerror}")
            self._run.stop(f"--results: {error.strerror}")
