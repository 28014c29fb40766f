"""`scraper fetch`: a thin caller of `scraper.run.loop.Run`.

Owns: the command, the order in which a run and its receivers begin and end, and the exit
status. Does not know: how a run goes, what is said of it (`receivers.py`), what a signal
does (`signals.py`). Everything heavy is imported when the command really runs.
"""

import math
import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from scraper.cli.options import LIST_OPTIONS, PATH, WHOLE_HELP, SectionedCommand, fetch_options
from scraper.model.errors import (
    EXIT_DESTINATION,
    EXIT_HELD,
    ClusterError,
    DestinationError,
    Held,
    ReaderLeft,
    UsageError,
    status_of,
)

if TYPE_CHECKING:
    from scraper.cli.arguments import Inputs
    from scraper.cli.metrics import Metrics
    from scraper.cluster.coordinator import ClusterRun
    from scraper.model.records import Result
    from scraper.model.settings import Settings
    from scraper.report.log import Log
    from scraper.report.streams import Lines
    from scraper.run.loop import Run
    from scraper.run.not_done import NotDone
    from scraper.source.sources import OpenChild, OpenRemote, RemoteList, Source

_MAY_WAIT = "--lock wait waits for it, --lock skip leaves the work to it"
_LAST_LOOK_S = 0.3  # for readers, when the run itself took all of its grace
_OURS = (
    "show_config",
    "cluster",
    "dry_run",
    "results",
    "log_format",
    "log_file",
    "quiet",
    "verbose",
    "stats",
    "progress",
    "metrics",
    "metrics_port",
)


@click.command(cls=SectionedCommand, options_metavar="[OPTIONS]", context_settings=WHOLE_HELP)
@click.argument("arguments", nargs=-1, type=PATH, metavar="[URL|FILE]...")
@fetch_options
def fetch(arguments: tuple[str, ...], **options: Any) -> int:
    """Fetch every URL into a directory or S3, one object per URL.

    An argument that is an http(s) URL is fetched itself. Any other argument is a list of
    URLs, one a line: a path, '-' for stdin, or an s3, gs or az URL; one at an http(s) URL is given
    with -i. Lists may be gzip, CSV, TSV, JSON Lines or sitemaps. Without arguments
    a pipe on stdin is the list.
    """
    from scraper.cli.metrics import metrics_of

    ours = {name: options.pop(name) for name in _OURS}
    if ours["cluster"] is not None and not ours["show_config"]:
        from scraper.cluster.refused import refuse_of_command

        refuse_of_command(ours)
    if not ours["show_config"]:  # before anything is written, metrics too
        _check_stdout(options["to"] or "", {**ours, "manifest": options["manifest"]})
    with metrics_of(ours, options) as metrics:
        return _fetch(arguments, options, ours, metrics)


def _fetch(
    arguments: tuple[str, ...],
    options: dict[str, Any],
    ours: dict[str, Any],
    metrics: "Metrics | None",
) -> int:
    from scraper.cli.arguments import NOTHING, check_destination
    from scraper.cli.variables import unknown
    from scraper.model.headers import parse_header
    from scraper.model.settings import Settings

    input_files = options.pop("input_files")
    grammar = {name: options.pop(name) for name in LIST_OPTIONS}
    options["resolve"] = options["resolve"] or None
    options["headers"] = tuple(parse_header(header) for header in options["headers"]) or None
    settings = Settings.of(**{name: value for name, value in options.items() if value is not None})
    context = click.get_current_context()
    if ours["show_config"]:
        from scraper.cli.show_config import show

        return show(context, settings)
    check_destination(settings.to)
    if ours["cluster"] is not None:
        from scraper.cluster.refused import refuse

        refuse(settings)
    inputs = _inputs(arguments, input_files, settings, grammar)
    ours = {**_checked(ours), "caveats": unknown(context)}
    if ours["dry_run"]:
        if inputs == NOTHING:
            raise UsageError(
                "--dry-run needs a list; `scraper failed DEST` shows what would be asked"
            )
        from scraper.cli.distinct import keep_apart
        from scraper.cli.dry_run import dry_run

        keep_apart(inputs.lists, {"--log-file": ours["log_file"], "stdout": "-"})
        return dry_run(settings, inputs.open, lambda: _open_log(ours))
    return _Fetch(settings, inputs, ours, metrics).run()


def _checked(ours: dict[str, Any]) -> dict[str, Any]:
    """Options of the command alone, with the date in the name of the log. Raises UsageError."""
    if ours["quiet"] and ours["verbose"]:
        raise UsageError("--quiet and --verbose contradict each other")
    if ours["dry_run"] and ours["results"]:
        raise UsageError("--dry-run has no results: leave --results out")
    if ours["stats"] is not None and not 0 < ours["stats"] < math.inf:
        raise UsageError(f"--stats {ours['stats']:g} must be more than 0 seconds")
    if ours["log_file"] and "{" in ours["log_file"]:
        from datetime import datetime

        from scraper.model.dates import expand_date

        now = datetime.now().astimezone()
        ours = {**ours, "log_file": expand_date(ours["log_file"], now, "--log-file")}
    return ours


def _check_stdout(to: str, ours: Mapping[str, Any]) -> None:
    """Refuse what would write between the bodies. Raises UsageError."""
    from scraper.sinks.home import is_stream

    if is_stream(to):
        for name in ("results", "log_file", "metrics", "manifest"):
            if _is_stdout(ours[name]):
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} {ours[name]}: stdout has the bodies (--to {to})")


def _is_stdout(path: str | None) -> bool:
    """Whether what is written to `path` comes out of stdout, whatever it is called."""
    if path is None or path in {"-", "/dev/stdout", "/dev/fd/1"}:
        return path is not None
    try:
        ours, found = os.fstat(1), os.stat(path)
    except OSError:
        return False
    # A terminal is stderr too, and what goes to /dev/null does not mix.
    return os.path.samestat(ours, found) and not stat.S_ISCHR(ours.st_mode)


def _inputs(
    arguments: tuple[str, ...],
    input_files: tuple[str, ...],
    settings: "Settings",
    grammar: Mapping[str, Any],
) -> "Inputs":
    """What is to be fetched: NOTHING if --retry-failed is to take it from the manifest."""
    from scraper.cli.arguments import NOTHING, inputs_of, is_piped

    if settings.earlier.retry_failed and not arguments and not input_files:
        from scraper.cli.stdin import is_empty

        if is_empty(settings.run_limits.max_run_time):
            return NOTHING
    return inputs_of(arguments, input_files, piped=is_piped()).read_by(grammar)


def _open_log(ours: Mapping[str, Any]) -> "tuple[Lines, Log]":
    from scraper.cli.receivers import make_log

    lines, log = make_log(ours)
    lines.open()
    if ours["caveats"]:
        log.say("warning", "variables", ours["caveats"])
    return lines, log


class _Fetch:
    """One run of the command."""

    def __init__(
        self,
        settings: "Settings",
        inputs: "Inputs",
        ours: dict[str, Any],
        metrics: "Metrics | None",
    ) -> None:
        from scraper.cli.again import invocation
        from scraper.cli.arguments import NOTHING
        from scraper.cli.distinct import keep_apart
        from scraper.cli.receivers import Receivers
        from scraper.cli.signals import Signals
        from scraper.manifest import path_for
        from scraper.sinks.home import is_stream

        self._settings = settings
        self._metrics = metrics
        self._begun = time.monotonic()
        self._not_done = _not_done(settings) if inputs == NOTHING else None
        open_child = _child_opener(settings, self._begun)
        sources = inputs.open(_opener(settings, self._begun, ours), open_child)
        if self._not_done is not None:
            sources = [self._not_done.source]
        run = self._run = self._made(sources, ours["cluster"])
        # Options are known to be right from here on.
        manifest = path_for(settings.manifest, run.destination)
        written = {"--manifest": manifest and str(manifest), "--metrics": ours["metrics"]}
        written |= {"--results": ours["results"], "--log-file": ours["log_file"]}
        keep_apart(inputs.lists, written)
        keeps = settings.manifest is not None or not is_stream(settings.to)
        run.ending.invocation = invocation(sys.argv[1:], inputs.lists, keeps=keeps)
        if ours["cluster"] is not None:
            run.ending.invocation = run.ending.invocation.of_cluster()
        elif settings.shard is not None and not settings.earlier.retry_failed:
            run.ending.invocation = run.ending.invocation.of_shard()
        run.ending.final_status = self._final_status
        self._signals = Signals(run)
        self._receivers = Receivers(ours, sources, run, self._signals)
        run.paused = self._is_behind

    def _made(self, sources: "list[Source]", cluster: str | None) -> "Run | ClusterRun":
        """The run, which has not begun. Raises UsageError."""
        if cluster is None:
            from scraper.run.loop import Run

            return Run(self._settings, sources, [self._tell], self._note, self._begun)
        from scraper.cluster.coordinator import ClusterRun

        return ClusterRun(self._settings, sources, cluster, self._note, self._begun)

    def run(self) -> int:
        """Fetch, and return the exit status."""
        run, status = self._run, 0
        with self._signals:
            try:
                with ExitStack() as stack:
                    self._receivers.begin(stack)
                    stack.enter_context(run)
                    self._receivers.open()
                    self._measure(stack)
                    for _ in run:
                        pass
                    self._receivers.finish_results(self._patience())
            except ReaderLeft as error:
                status = status_of(error)
                self._receivers.mute()
            except (DestinationError, UsageError, ClusterError) as error:
                status = status_of(error)
                self._receivers.say_error(f"scraper: {error}", error.hint)
            except Held as error:
                status = status_of(error)
                if self._settings.lock == "skip" and not run.begun:
                    self._receivers.say_held(f"{error}: nothing is done here")
                else:
                    may_wait = self._settings.lock == "fail" and not run.begun
                    self._receivers.say_error(
                        f"scraper: {error}", error.hint or (_MAY_WAIT if may_wait else "")
                    )
            self._say_left_out()
            self._say_unknown()
            self._receivers.finish(self._patience())
        return self._ended(status)

    def _measure(self, stack: ExitStack) -> None:
        """Let the metrics be those of this run, from now on."""
        if self._metrics is None:
            return
        from scraper.run.loop import Run

        run = self._run
        assert isinstance(run, Run), "--cluster refuses metrics"

        def lost(text: str) -> None:
            self._receivers.note("warning", "metrics", {"message": text})

        self._metrics.begin(run, stack, lost)
        if self._metrics.url is not None:
            self._receivers.say_port(self._metrics.url)

    def _tell(self, *results: "Result") -> None:
        self._receivers(*results)
        if self._metrics is not None:
            self._metrics(*results)

    def _note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        self._receivers.note(level, name, record)
        if self._metrics is not None:
            self._metrics.note(name)

    def _say_left_out(self) -> None:
        """Say how many targets of the manifest could not be asked for."""
        if self._not_done is not None and self._not_done.left_out:
            from scraper.cli.failed import left_out_of_list

            for text in left_out_of_list(self._not_done.left_out, self._run.places.destination):
                self._receivers.say_error(f"scraper: {text}")

    def _say_unknown(self) -> None:
        """Say that a list has nothing to do with the manifest whose failures were asked for."""
        summary = self._run.ending.summary
        if summary is not None and summary.targets == summary.unknown > 0:
            many = f"none of the {summary.targets:,} targets is in the manifest"
            same = "URLs, --key and --store-compressed have to be those of the run that failed"
            self._receivers.say_error(f"scraper: --retry-failed: {many}: {same}")

    def _is_behind(self) -> bool:
        return self._receivers.full

    def _patience(self) -> Callable[[], float]:
        """Until when readers are waited for after the run, in monotonic seconds.

        A signal, or the time for the whole run, ends that with the grace that transfers have.
        """
        from scraper.run.stopping import limit_at

        over_at = time.monotonic()
        limits = self._settings.run_limits
        limit = limit_at(self._begun, limits.max_run_time)

        def until() -> float:
            told_at = self._signals.at if self._signals.at is not None else limit
            return max(told_at + limits.grace, over_at + _LAST_LOOK_S)

        return until

    def _final_status(self, status: int) -> int:
        """The exit status, for the run's own: a signal wins, and results may have been lost."""
        if self._signals.number is not None:
            return 128 + self._signals.number
        if self._receivers.unusable:
            return EXIT_DESTINATION
        left_out = self._not_done is not None and self._not_done.left_out.total() > 0
        return status or int(self._receivers.incomplete or left_out)

    def _ended(self, status: int) -> int:
        run, receivers = self._run, self._receivers
        if run.ending.summary is not None:
            status = run.ending.summary.exit_status or status
        status = self._final_status(status)
        if self._metrics is not None and (run.begun or status != EXIT_HELD):
            self._metrics.end(status)
        if run.abandoned or receivers.stuck:  # a thread may wait for ever; nobody waits for it
            os._exit(status)
        return status


def _not_done(settings: "Settings") -> "NotDone":
    from datetime import datetime

    from scraper.model.dates import expand_date
    from scraper.run.not_done import NotDone

    return NotDone(settings, expand_date(settings.to, datetime.now().astimezone()))


def _opener(settings: "Settings", begun: float, ours: Mapping[str, Any]) -> "OpenRemote":
    def open_remote(url: str) -> "RemoteList":
        from scraper.cli.receivers import shown
        from scraper.run.remote import opener

        return opener(settings, begun, partial(shown, ours))(url)

    return open_remote


def _child_opener(settings: "Settings", begun: float) -> "OpenChild":
    def open_child(url: str, stopped: Callable[[], bool]) -> "RemoteList":
        from scraper.run.remote import child_opener

        return child_opener(settings, begun)(url, stopped)

    return open_child
