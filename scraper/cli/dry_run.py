"""`--dry-run`: what would be fetched, and under which key.

Owns: its output. `URL<TAB>key` goes to stdout, reports go to the log. Does not know: the network,
so a list at a URL can't be previewed. Rejected: a run with an engine that does nothing, which
would touch the destination.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from scraper.manifest import History
from scraper.manifest.preview import no_history, preview_history
from scraper.model.dates import expand_date
from scraper.model.errors import ListBroken, UsageError
from scraper.model.records import Target
from scraper.model.settings import Earlier, Settings
from scraper.model.urls import printable, redact
from scraper.report.log import Log
from scraper.report.streams import Lines
from scraper.report.tally import Tally
from scraper.run.build import make_plan
from scraper.run.prefilter import Prefilter
from scraper.sinks.base import Sink, SinkOptions, find_sink
from scraper.source import lists
from scraper.source.keys import KeyRule, make_rule
from scraper.source.reader import reader_of, tells_of_lists
from scraper.source.sources import OpenRemote, RemoteList, Source

if TYPE_CHECKING:
    from scraper.model.shards import Shard

_BATCH = 500  # lines at once of a list that is a file; nobody waits for single lines then


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
    plan = make_plan(settings, sink)  # raises UsageError for options that contradict each other
    rule = make_rule(settings.key, now)
    sources = open_sources(_refuse)
    lines, log = open_streams()
    history = _history(settings, destination, sink, log)
    shard = _shard(settings, destination, sink, log)
    tally, printed = Tally(), 0

    def sifted(batch: Sequence[lists.Read]) -> Iterator[Target]:
        """The targets of `batch` that would be fetched. The others are counted, and told."""
        found = prefilter.sift(batch)
        if found.error is not None:
            raise found.error
        for result in found.ended:
            tally(result)
            log(result)
        for result in found.skipped:
            tally(result)
        return (target for target, _ in found.left)

    with closing(lines), closing(Prefilter(history, plan, sink)) as prefilter:
        try:
            for source in sources:
                items = _items(source, shard, rule, log, settings.store_compressed)
                # Somebody may wait for the answer to one line of a pipe.
                at_once = _BATCH if source.size is not None else 1
                while batch := [*islice(items, at_once)]:
                    printed += _print(sifted(batch))
        except BrokenPipeError:
            return 0
        targets = printed + tally.targets
        _summarise(targets, tally, settings.earlier, log)
    is_over = tally.failures > 0 and settings.max_failures.exceeded(tally.failures, targets)
    return int(is_over or lines.failed)


def _history(settings: Settings, destination: str, sink: Sink, log: Log) -> History:
    """What a run would know of earlier ones, as far as nobody else has to be asked."""
    history = preview_history(settings.earlier, settings.manifest, destination, sink)
    if history is not None:
        return history
    what = redact(destination)
    text = f"{what} is not looked at for what is there: --dry-run asks nothing of the network"
    log.say("warning", "dry_run", text)
    return no_history(sink)


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


def _items(
    source: Source, shard: "Shard | None", rule: KeyRule, log: Log, form: str | None
) -> Iterator[lists.Read]:
    """What is read of one list, as a run would read it."""

    def note(text: str) -> None:
        log.say("warning", "list", text)

    try:
        yield from reader_of(rule, shard, note, form=form)(source)
    except ListBroken as error:
        if tells_of_lists(shard):
            yield lists.broken_off(error, source.name)


def _summarise(targets: int, tally: Tally, earlier: Earlier, log: Log) -> None:
    failures, repeats = tally.failures, tally.statuses["duplicate"]
    problems = f"{failures:,} bad lines or collisions, {repeats:,} repeats"
    if left_out := tally.statuses["skipped"]:
        problems += f", {left_out:,} left out ({_option(earlier)})"
    log.say(
        "warning" if failures else "info",
        "summary",
        f"{targets:,} targets, {problems}; nothing was fetched",
        targets=targets,
        failures=failures,
        repeats=repeats,
    )


def _option(earlier: Earlier) -> str:
    """The options that leave targets out."""
    given = {
        "--resume": earlier.resume,
        "--retry-failed": earlier.retry_failed,
        "--skip-existing": earlier.skip_existing,
    }
    return ", ".join(name for name, is_given in given.items() if is_given)


def _print(targets: Iterable[Target]) -> int:
    """Print each of `targets` with its key. How many."""
    text = [f"{printable(redact(target.listed))}\t{target.key}\n" for target in targets]
    if text:
        sys.stdout.buffer.write("".join(text).encode())
        sys.stdout.buffer.flush()
    return len(text)


def _refuse(url: str) -> RemoteList:
    raise UsageError(f"--dry-run asks nothing of the network: fetch the list {redact(url)!r} first")
