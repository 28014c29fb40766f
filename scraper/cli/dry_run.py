"""`--dry-run`: what would be fetched, and under which key.

Owns: its output. `URL<TAB>key` goes to stdout, reports go to the log. Does not know: the network,
so a list at a URL can't be previewed. Rejected: a run with an engine that does nothing, which
would touch the destination.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from scraper.model.dates import expand_date
from scraper.model.errors import ListBroken, UsageError
from scraper.model.records import Result, Skipped, Target
from scraper.model.settings import Settings
from scraper.model.urls import printable, redact
from scraper.report.log import Log
from scraper.report.streams import Lines
from scraper.report.tally import Tally
from scraper.run.build import make_plan
from scraper.sinks.base import ReadableSink, Sink, SinkOptions, find_sink, has_directories
from scraper.source import lists
from scraper.source.duplicates import DuplicateFilter
from scraper.source.keys import KeyRule, make_rule
from scraper.source.reader import reader_of, tells_of_lists
from scraper.source.sources import OpenRemote, RemoteList, Source

if TYPE_CHECKING:
    from scraper.model.shards import Shard

Judge = Callable[[Target], Result | None]
_BATCH = 500  # lines written at once if the list is a file; nobody waits for single lines then


def dry_run(
    settings: Settings,
    open_sources: Callable[[OpenRemote], list[Source]],
    open_streams: Callable[[], tuple[Lines, Log]],
) -> int:
    """Print every target with its key. The exit status, 1 if more fail than is tolerated."""
    now = datetime.now().astimezone()
    options = SinkOptions(s3=settings.s3, cacert=settings.http.cacert)
    destination = expand_date(settings.to, now)
    sink = find_sink(destination, options)
    make_plan(settings, sink)  # raises UsageError for options that contradict each other
    rule = make_rule(settings.key, now)
    sources = open_sources(_refuse)
    lines, log = open_streams()
    with closing(lines), closing(_filter(sink)) as duplicates:
        is_there = _taken_over(settings, destination, sink, log)
        shard = _shard(settings, destination, sink, log)
        tally, printed = Tally(), 0

        def tell(early: Result) -> None:
            tally(early)
            log(early)

        try:
            for source in sources:
                items = _items(source, shard, rule, log)
                printed += _preview(items, source, [duplicates.judge, is_there], tell)
        except BrokenPipeError:
            return 0
        targets = printed + tally.targets
        _summarise(targets, tally, log)
    is_over = tally.failures > 0 and settings.max_failures.exceeded(tally.failures, targets)
    return int(is_over or lines.failed)


def _filter(sink: Sink) -> DuplicateFilter:
    return DuplicateFilter(has_directories=has_directories(sink))


def _taken_over(settings: Settings, destination: str, sink: Sink, log: Log) -> Judge:
    """What tells of a target whose object --skip-existing would take over."""
    if not settings.earlier.skip_existing:
        return lambda _: None
    if not isinstance(sink, ReadableSink) or not sink.near:
        what = redact(destination)
        text = f"--skip-existing: {what} is not looked at, --dry-run asks nothing of the network"
        log.say("warning", "dry_run", text)
        return lambda _: None
    from scraper.manifest import exists, history_of, read_lines, reading_of

    there = exists(settings.manifest, destination, sink)
    lines = read_lines(settings.manifest, destination, sink) if there else ()
    reading = reading_of(settings.manifest, destination, sink)
    history = history_of(settings.earlier, sink, lines, reading)

    def judge(target: Target) -> Result | None:
        (decision,) = history.recall([target])
        is_one = isinstance(decision, Skipped) and decision.existing is not None
        return Result(target, decision) if isinstance(decision, Skipped) and is_one else None

    return judge


def _shard(settings: Settings, destination: str, sink: Sink, log: Log) -> "Shard | None":
    """The shard whose targets are printed, as its run would divide the list."""
    if settings.shard is None:
        return None
    from scraper.model.shards import Shard

    shard = Shard.parse(settings.shard)
    if getattr(sink, "near", False):
        from scraper.sinks.division import as_planned_now

        return as_planned_now(shard, sink, destination)
    what = redact(destination)
    log.say("warning", "dry_run", f"--shard: {what} is not looked at for what `plan` has divided")
    return shard


def _items(source: Source, shard: "Shard | None", rule: KeyRule, log: Log) -> Iterator[lists.Read]:
    """What is read of one list, as a run would read it."""
    try:
        yield from reader_of(rule, shard, lambda text: log.say("warning", "list", text))(source)
    except ListBroken as error:
        if tells_of_lists(shard):
            yield lists.broken_off(error, source.name)


def _preview(
    items: Iterable[lists.Read],
    source: Source,
    judges: Sequence[Judge],
    tell: Callable[[Result], None],
) -> int:
    """Print the targets of one list and tell of those that would not be fetched. How many."""
    at_once = _BATCH if source.size is not None else 1
    batch: list[str] = []
    printed = 0
    for item in items:
        early = item if isinstance(item, Result) else None
        if isinstance(item, Target):
            early = next(filter(None, (judge(item) for judge in judges)), None)
        if early is not None:
            tell(early)
        elif isinstance(item, Target):
            printed += 1
            batch.append(f"{printable(redact(item.listed))}\t{item.key}\n")
            if len(batch) >= at_once:
                _print(batch)
    _print(batch)
    return printed


def _summarise(targets: int, tally: Tally, log: Log) -> None:
    failures, repeats = tally.failures, tally.statuses["duplicate"]
    problems = f"{failures:,} bad lines or collisions, {repeats:,} repeats"
    if there := tally.statuses["skipped"]:
        problems += f", {there:,} there already"
    log.say(
        "warning" if failures else "info",
        "summary",
        f"{targets:,} targets, {problems}; nothing was fetched",
        targets=targets,
        failures=failures,
        repeats=repeats,
    )


def _print(batch: list[str]) -> None:
    sys.stdout.buffer.write("".join(batch).encode())
    sys.stdout.buffer.flush()
    batch.clear()


def _refuse(url: str) -> RemoteList:
    raise UsageError(f"--dry-run asks nothing of the network: fetch the list {redact(url)!r} first")
