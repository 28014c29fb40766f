"""`scraper plan LIST --to DEST`: a list divided into shards, and what bounds the run.

Owns: the command's options and its words. Does not know: how hosts are divided
(`schedule/shard_plan.py`), how a list is counted and a plan begun (`run/planning.py`).
"""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scraper.cli.commands import COMMANDS
from scraper.cli.options import (
    HELP,
    LIST_OPTIONS,
    PATH,
    options_of_fetch,
)
from scraper.model.errors import UsageError

if TYPE_CHECKING:
    from scraper.schedule.shard_plan import Pace, ShardPlan
    from scraper.sinks.division import Written
    from scraper.source.host_counts import Counted

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = 5  # hosts that bound the run
_OURS = ("workers", "shards", "latency", "as_json", "dry_run")
_FETCH = (
    "input-file",
    *(name.replace("_", "-") for name in LIST_OPTIONS),
    "to",
    "key",
    "max-concurrency",
    "per-host",
    "delay",
    "rate",
    "s3-endpoint",
    "s3-profile",
    "config",
)


_OWN: tuple[Callable[[Any], Any], ...] = (
    click.option("--workers", type=click.IntRange(1, 20_000), default=4, show_default=True,
                 metavar="N", help="Runs that will go on at once, on all machines together."),
    click.option("--shards", type=click.IntRange(1, 100_000), metavar="N",
                 help="Exactly so many.  [default: five a worker, more for a long list]"),
    click.option("--latency", type=click.FloatRange(0.0001, 3600), default=0.2,
                 show_default=True, metavar="S", help="Seconds that a request is taken to last."),
    click.option("--dry-run", is_flag=True, help="Tell, and write nothing into DEST."),
    click.option("--json", "as_json", is_flag=True, help="Print the same as one JSON object."),
)  # fmt: skip


def _own_options(command: F) -> F:
    for option in reversed(_OWN):
        command = option(command)
    return command


@click.command(
    context_settings=HELP,
    short_help=COMMANDS["plan"],
)
@click.argument("arguments", nargs=-1, type=PATH, metavar="[URL|FILE]...")
@_own_options
@options_of_fetch(*_FETCH)
def plan(arguments: tuple[str, ...], **options: Any) -> int:
    """Divide the hosts of a list into shards of about the same size, and keep that in DEST.

    Each shard is then run as `scraper LIST --to DEST --resume --shard I/N`, on any machine, the
    lowest numbers first. Nothing is fetched. What bounds the run is told in words and seconds.
    """
    from scraper.cli.arguments import check_destination, inputs_of, is_piped
    from scraper.model.settings import Settings
    from scraper.run import planning
    from scraper.run.build import transfer_type
    from scraper.run.remote import child_opener, opener
    from scraper.schedule.shard_plan import Pace, plan_shards

    ours = {name: options.pop(name) for name in _OURS}
    input_files = options.pop("input_files")
    grammar = {name: options.pop(name) for name in LIST_OPTIONS}
    given = {name: value for name, value in options.items() if value is not None}
    settings = Settings.of(**given, shard="0/1")
    transfer_type(settings)  # which refuses what shards would refuse
    check_destination(settings.to)
    inputs = inputs_of(arguments, input_files, piped=is_piped()).read_by(grammar)
    sources = inputs.open(opener(settings), child_opener(settings, time.monotonic()))
    sources = planning.again_readable(sources)
    counted = planning.count(sources, settings, _note)
    if not counted.lines:
        raise UsageError("the list has no URL")
    asked = settings.politeness
    pace = Pace(asked.max_concurrency, asked.per_host, asked.delay, ours["latency"], asked.rate)
    found = plan_shards(
        counted.hosts, counted.buckets, pace, workers=ours["workers"], shards=ours["shards"]
    )
    written = None
    if not ours["dry_run"]:
        with planning.held(settings) as place:
            kept = planning.keep(found, settings, sources, place)
        written = kept.written
        if kept.secret:
            _note(f"{kept.secret} has a secret, so DEST gets no lists of the shards")
    _tell(_Told(counted, found, pace, ours["workers"], written), as_json=ours["as_json"])
    return 0


class _Told:
    """What is told."""

    def __init__(
        self,
        counted: "Counted",
        plan: "ShardPlan",
        pace: "Pace",
        workers: int,
        written: "Written | None",
    ) -> None:
        from scraper.schedule.shard_plan import finish_s

        self.counted, self.shards, self.pace = counted, plan.shards, pace
        self.workers, self.written = workers, written
        self.seconds = finish_s(plan, workers)
        evenly_s = sum(pace.shard_s(one.lines, 0.0) for one in plan.shards) / workers
        longest = sorted(counted.hosts.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]
        self.bounds = [
            (host, lines, pace.host_s(lines))
            for host, lines in longest
            if pace.host_s(lines) > evenly_s
        ]

    def record(self) -> dict[str, Any]:
        """As one object."""
        hosts = [
            {"host": host, "lines": lines, "seconds": round(seconds, 3)}
            for host, lines, seconds in self.bounds
        ]
        shards = [
            {"lines": one.lines, "seconds": round(one.seconds, 3), "host": one.host}
            for one in self.shards
        ]
        return {
            "lines": self.counted.lines,
            "bad": self.counted.bad,
            "hosts": len(self.counted.hosts) if self.counted.is_exact else None,
            "workers": self.workers,
            "seconds": round(self.seconds, 3),
            "bounds": hosts,
            "shards": shards,
            "plan": self.written and self.written.place,
        }

    def words(self) -> Iterator[str]:
        """As lines of a screen."""
        from scraper.report.units import duration

        counted, pace, count = self.counted, self.pace, len(self.shards)
        hosts = f"{len(counted.hosts):,}" if counted.is_exact else f"over {len(counted.hosts):,}"
        bad = f", {counted.bad:,} bad lines" if counted.bad else ""
        yield f"{counted.lines:,} URLs of {hosts} host{'s' * (hosts != '1')}{bad}"
        for host, lines, seconds in self.bounds:
            yield (
                f"{host}: {lines:,} lines at {pace.at_one_host} at once and"
                f" {_gap(pace)}: {duration(seconds)}, whatever the number of workers"
            )
        middle = duration(median(one.seconds for one in self.shards))
        yield (
            f"{count:,} shard{'s' * (count > 1)}: the longest {duration(self.shards[0].seconds)},"
            f" the median {middle}; {self.workers:,} worker{'s' * (self.workers > 1)} of"
            f" {pace.at_once:,} at once: {duration(self.seconds)}"
        )
        if self.written is not None:
            yield f"plan:  {self.written.place}"
            yield f"next:  {_next(count)}"


def _gap(pace: "Pace") -> str:
    """Which of the two bounds a host."""
    if pace.delay_s > pace.latency_s / pace.at_one_host:
        return f"{pace.delay_s:g} s apart"
    return f"{pace.latency_s:g} s"


def _next(count: int) -> str:
    """The command for each shard."""
    from scraper.cli.title import command_line

    context = click.get_current_context()
    words: list[str] = [*context.params["arguments"]]
    for param in context.command.params:
        source = context.get_parameter_source(param.name or "")
        if param.name in _OURS or not isinstance(param, click.Option) or not source:
            continue
        if source.name == "COMMANDLINE":
            value = context.params.get(param.name or "")
            for one in value if isinstance(value, tuple) else (value,):
                words += [param.opts[-1], str(one)]
    shards = f"0/{count}" if count == 1 else f"I/{count}"
    last = "" if count == 1 else f", for I from 0 to {count - 1}, the lowest first"
    return command_line([*words, "--resume", "--shard", shards]) + last


def _tell(told: _Told, *, as_json: bool) -> None:
    from scraper.cli.table import flush, say
    from scraper.manifest import as_json as to_json
    from scraper.model.urls import printable

    if as_json:
        say(to_json(told.record()))
    else:
        for line in told.words():
            say(printable(line).encode("utf-8", "replace"))
    flush()


def _note(text: str) -> None:
    click.echo(f"scraper: {text}", err=True)
