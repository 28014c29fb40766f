"""Who hears of a run of `fetch`: its log, its results, its display.

    receivers.open(stack)      once the run holds its destination; nothing is written before
    receivers(*results)        what the run tells
    receivers.full             whether a reader is so far behind that the run should wait
    receivers.finish(until)    at the end: wait for the readers, and say what they lost

Owns: these streams, from the first line to the last. Does not know: when a run stops, and
the exit status. Everything heavy is imported when it is needed.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from scraper.cli.signals import Signals
from scraper.model.errors import NoThread, UsageError
from scraper.model.version import __version__

if TYPE_CHECKING:
    from scraper.model.records import Result
    from scraper.report.log import Log
    from scraper.report.progress import Display
    from scraper.report.streams import Lines
    from scraper.run.loop import Run
    from scraper.source.sources import Source


def make_log(ours: Mapping[str, Any], run: "Run | None" = None) -> "tuple[Lines, Log]":
    """Where the lines of the log go, and the log. The file is not open yet. Raises UsageError."""
    from scraper.report.log import Log
    from scraper.report.streams import Lines

    def lost(error: OSError) -> None:
        lines.to_stderr(f"scraper: --log-file: {error.strerror}")

    lines = Lines(ours["log_file"], lost, run.wake if run is not None else lambda: None)
    as_json = ours["log_format"] == "json"
    id_ = run.id if run is not None else ""
    log = Log(lines.write, as_json=as_json, quiet=ours["quiet"], verbose=ours["verbose"], run=id_)
    lines.lost_line = log.lost_line
    return lines, log


class Receivers:
    """See the module. `closed`: the reader of the results has left. `unusable`: their file is.

    `incomplete`: some results were not written. `stuck`: at the end a thread still waits for a
    reader.
    """

    def __init__(
        self, ours: Mapping[str, Any], sources: "Sequence[Source]", run: "Run", signals: Signals
    ) -> None:
        from scraper.report.streams import ResultStream

        self.closed = self.unusable = self.incomplete = self.stuck = False
        self._ours = ours
        self._sources = sources
        self._run = run
        self._signals = signals
        self._display: Display | None = None
        self._is_open = False
        self._lines, self.log = make_log(ours, run)
        self._results = ResultStream(ours["results"], self._results_lost, run.wake, run.id)

    def open(self, stack: ExitStack) -> None:
        """Open files, and show the display until `stack` ends. Raises UsageError, NoThread."""
        from scraper.run.build import caveats

        run, ours = self._run, self._ours
        self._lines.open()
        self._results.open()
        self._is_open = True
        shown = "stdout" if ours["results"] == "-" else ours["results"]
        run.places = run.places._replace(results=shown, log=ours["log_file"])
        self.log.say("info", "start", run.describe(), version=__version__, run=run.id)
        for name, text in caveats(run.settings.http):
            self.log.say("warning", name, text)
        if self._wants_display():
            from scraper.report.progress import Display

            try:
                self._display = stack.enter_context(Display(run, self._sources))
            except NoThread as error:
                self.log.say("warning", "threads", f"no display: {error}")
            else:
                self._lines.divert(self._display)

    @property
    def full(self) -> bool:
        """Whether a reader is so far behind that the run should wait for it."""
        return self._results.full or self._lines.full

    def __call__(self, *results: "Result") -> None:
        """Tell what became of targets."""
        self.log(*results)
        self._results(*results)

    def note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        """Say what the run tells. That it stops is said only after a signal."""
        if name in {"lock", "circuit_breaker", "robots", "limit", "threads"}:
            self.log.say(level, name, str(record["message"]))
        elif name != "stopping":
            self.log.note(level, name, record)
        elif self._signals.number is not None:
            text = f"{record['reason']}: {record['in_flight']} transfers in flight may end"
            self.log.say(level, name, f"{text}; once more stops at once", **record)

    def say_held(self, text: str) -> None:
        """Say that another run holds the destination, and that this is no error."""
        self._open_log()
        self.log.say("info", "held", text)

    def say_error(self, text: str) -> None:
        """Say what ended the run: in the log, and on stderr, where a person or cron sees it."""
        from scraper.model.urls import redact_text

        text = redact_text(text)
        self._open_log()
        self.log.say("error", "error", text)
        if self._ours["log_file"] is not None:
            self._lines.to_stderr(text)

    def finish(self, until: Callable[[], float]) -> None:
        """Wait for the readers, not beyond `until()`, and say how the run ended."""
        if self._display is not None:
            self.stuck |= not self._display.finish(until)
            self._lines.divert(None)
        lost = self._results.close(until)
        if not self.closed:
            if lost:
                self.incomplete = True
                self.say_error(f"scraper: --results: {lost:,} records were not written")
            if self._is_open:
                self.log.summary(self._run.summary())
        self.stuck |= not self._lines.close(until)

    def _open_log(self) -> None:
        """Open the file of the log if it isn't: a run that can't begin appends why."""
        with suppress(UsageError):
            self._lines.open()

    def _wants_display(self) -> bool:
        wanted = self._ours["progress"]
        if wanted is None:
            wanted = not self._ours["quiet"] and self._ours["log_format"] != "json"
        return bool(wanted) and sys.stderr.isatty()

    def _results_lost(self, error: OSError) -> None:
        """Stop the run: a disk is full, or the reader has left (`| head`), which is no error."""
        if isinstance(error, BrokenPipeError):
            self.closed = True
            self.log.mute()
            self._run.stop("stdout was closed", grace_s=0.0)
        else:
            self.unusable = True
            self.say_error(f"scraper: --results: {error.strerror}")
            self._run.stop(f"--results: {error.strerror}")
