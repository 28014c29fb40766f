"""`scraper fetch`: a thin caller of `scraper.run.loop.Run`.

Owns: which streams are written, signals, and the exit status. Refuses to know:
how a run goes. Everything heavy is imported when the command really runs.
"""

import os
import signal
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from scraper.cli.options import HELP, PATH, SectionedCommand, fetch_options
from scraper.model.errors import DestinationError, Held, UsageError

if TYPE_CHECKING:
    from scraper.model.records import Result
    from scraper.model.settings import Settings
    from scraper.report.log import Log
    from scraper.report.progress import Display
    from scraper.report.streams import Lines
    from scraper.report.summary import Places
    from scraper.source.sources import Source

EXIT_USAGE = 2
EXIT_DESTINATION = 3
EXIT_HELD = 75  # EX_TEMPFAIL of sysexits.h
_OURS = ("dry_run", "results", "log_format", "log_file", "quiet", "verbose", "progress")


@click.command(cls=SectionedCommand, options_metavar="[OPTIONS]", context_settings=HELP)
@click.argument("files", nargs=-1, type=PATH, metavar="[FILE]...")
@fetch_options
def fetch(files: tuple[str, ...], **options: Any) -> int:
    """Fetch every URL listed in FILE into a directory or S3, one object per URL.

    FILE is a list of URLs, one a line: a path, '-' for stdin, or an http(s) or s3 URL;
    gzip, CSV, TSV and JSON Lines work too. Without FILE a pipe on stdin is read.
    """
    from scraper.model.settings import Settings, parse_header

    ours = {name: options.pop(name) for name in _OURS}
    options["headers"] = tuple(parse_header(header) for header in options["headers"]) or None
    settings = Settings.of(**{name: value for name, value in options.items() if value is not None})
    names = _names(files)
    if ours["quiet"] and ours["verbose"]:
        raise UsageError("--quiet and --verbose contradict each other")
    if ours["dry_run"] and ours["results"]:
        raise UsageError("--dry-run has no results: leave --results out")
    if ours["dry_run"]:
        from scraper.cli.dry_run import dry_run

        _keep_apart(names, {"--log-file": ours["log_file"], "stdout": "-"})
        return dry_run(settings, names, lambda: _streams(ours))
    return _Fetch(settings, names, ours).run()


def _names(files: Sequence[str]) -> list[str]:
    if files.count("-") > 1:
        raise UsageError("stdin ('-') can be read once only")
    if files:
        return list(files)
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no list: give FILE, or pipe URLs into stdin (see --help)")
    return ["-"]


def _keep_apart(names: Sequence[str], written: Mapping[str, str | None]) -> None:
    """Refuse to write over a list, or two things into one file. Devices and pipes may be shared.

    A list that grows by what is said of its lines would never end.
    """
    lists = {_place(0 if name == "-" else name) for name in names} - {None}
    if _place(2) in lists:
        raise UsageError("stderr is the list too")
    taken: dict[tuple[int, int] | str | None, str] = dict.fromkeys(lists, "the list")
    for option, path in written.items():
        place = None if path is None else _place(1 if path == "-" else path)
        if place in taken:
            raise UsageError(f"{option} {path!r} is {taken[place]} too")
        if place is not None and path != "-":
            taken[place] = option


def _place(file: str | int) -> tuple[int, int] | str | None:
    """What tells a file (a path, a descriptor) from others; None for devices and pipes."""
    try:
        found = os.stat(file)
    except OSError:
        return None if isinstance(file, int) else os.path.realpath(file)  # it will be made there
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _streams(ours: Mapping[str, Any]) -> "tuple[Lines, Log]":
    """Where the log goes, and the log. Raises UsageError."""
    from scraper.report.log import Log
    from scraper.report.streams import Lines

    lines = Lines(ours["log_file"])
    as_json = ours["log_format"] == "json"
    return lines, Log(lines.write, as_json=as_json, quiet=ours["quiet"], verbose=ours["verbose"])


class _Fetch:
    """One run of the command: its streams, its signals, its status."""

    def __init__(self, settings: "Settings", names: Sequence[str], ours: dict[str, Any]) -> None:
        from scraper.manifest import path_for
        from scraper.report.streams import ResultStream
        from scraper.run.loop import Run

        self._ours = ours
        self._settings = settings
        self._signal: int | None = None
        self._closed = False  # by the reader of the results
        self._unusable = False  # the file of the results
        begun = time.monotonic()
        self._sources = _open(names, settings, begun)
        run = self._run = Run(settings, self._sources, [self._tell], self._note, begun=begun)
        # From here on options are known to be right: files may be written.
        manifest = path_for(settings.manifest, run.destination)
        written = {"--manifest": manifest and str(manifest), "--results": ours["results"]}
        _keep_apart(names, {**written, "--log-file": ours["log_file"]})
        self._lines, self._log = _streams(ours)
        self._results = ResultStream(ours["results"], self._results_lost)

    def run(self) -> int:
        """Fetch, and return the exit status."""
        from scraper.run.build import caveats

        run, status = self._run, 0
        try:
            with ExitStack() as stack:
                stack.callback(self._restore, self._catch_signals())
                stack.enter_context(run)
                run.places = self._places()
                self._log.say("info", "start", run.describe(), version=run.version)
                for name, text in caveats(self._settings.http):
                    self._log.say("warning", name, text)
                display = self._display()
                if display is not None:
                    stack.enter_context(display)
                for _ in run:
                    pass
        except (DestinationError, UsageError) as error:
            status = EXIT_DESTINATION if isinstance(error, DestinationError) else EXIT_USAGE
            self._say_error(f"scraper: {error}")
        except Held as error:
            status = EXIT_HELD
            if self._settings.lock == "skip" and not run.begun:
                self._log.say("info", "held", f"{error}: nothing is done here")
            else:
                self._say_error(f"scraper: {error}")
        if not self._closed and run.begun:
            self._log.summary(run.summary())
        self._results.close()
        self._lines.close()
        return self._ended(status)

    def _tell(self, *results: "Result") -> None:
        self._log(*results)
        self._results(*results)

    def _note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        """Say what the run tells; that it stops only to who sent a signal, others hear why."""
        if name in {"lock", "circuit_breaker", "robots", "limit"}:
            self._log.say(level, name, str(record["message"]))
        elif name != "stopping":
            self._log.note(level, name, record)
        elif self._signal is not None:
            text = f"{record['reason']}: {record['in_flight']} transfers in flight may end"
            self._log.say(level, name, f"{text}; once more stops at once", **record)

    def _say_error(self, text: str) -> None:
        """What ended the run: in the log, and in any case where a person or cron sees it."""
        from scraper.model.urls import redact_text

        text = redact_text(text)
        self._log.say("error", "error", text)
        if self._ours["log_file"] is not None:
            self._lines.to_stderr(text)

    def _ended(self, status: int) -> int:
        run = self._run
        if self._signal is not None:
            status = 128 + self._signal
        elif self._unusable:
            status = EXIT_DESTINATION
        elif not status and (run.cut_short or run.tally.over(self._settings.max_failures)):
            status = 1
        if run.abandoned:  # a worker may sit in a look-up or an upload: nobody waits for it
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(status)
        return status

    def _places(self) -> "Places":
        results = self._ours["results"]
        shown = "stdout" if results == "-" else results
        return self._run.places._replace(results=shown, log=self._ours["log_file"])

    def _display(self) -> "Display | None":
        wanted = self._ours["progress"]
        if wanted is None:
            wanted = not self._ours["quiet"] and self._ours["log_format"] != "json"
        if not wanted or not sys.stderr.isatty():
            return None
        from scraper.report.progress import Display

        display = Display(self._run, self._sources)
        self._lines.divert(display.print)
        return display

    def _results_lost(self, error: OSError) -> None:
        """Nobody reads the results any more (`| head`): end quietly. A full disk is said."""
        if isinstance(error, BrokenPipeError):
            self._closed = True
            self._log.mute()
            self._run.stop("stdout was closed", grace_s=0.0)
        else:
            self._say_error(f"scraper: --results: {error.strerror}")
            self._unusable = True
            self._run.stop(f"--results: {error.strerror}")

    def _catch_signals(self) -> dict[int, Any]:
        caught = (signal.SIGINT, signal.SIGTERM)
        return {number: signal.signal(number, self._on_signal) for number in caught}

    @staticmethod
    def _restore(handlers: dict[int, Any]) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Say nothing here: who was interrupted may be in the middle of saying something."""
        if self._signal is not None or not self._run.begun:
            os._exit(128 + number)
        self._signal = number
        self._run.stop(signal.Signals(number).name)


def _open(names: Sequence[str], settings: "Settings", begun: float) -> "list[Source]":
    from scraper.source.sources import open_sources

    def open_remote(url: str) -> BinaryIO:
        from scraper.run.remote import opener

        return opener(settings, begun)(url)

    return open_sources(names, open_remote)
