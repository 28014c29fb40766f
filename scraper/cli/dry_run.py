"""`--dry-run`: what would be fetched, and under which key.

Owns: its output, `URL<TAB>key` on stdout and reports in the log. Refuses to
know: the network; a list at a URL can't be previewed.
"""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import BinaryIO

from scraper import lists
from scraper.errors import UsageError
from scraper.keys import make_rule
from scraper.log import Log, printable
from scraper.loop import make_plan
from scraper.records import Result
from scraper.seen import Seen
from scraper.settings import Settings, expand_date
from scraper.sinks.base import SinkOptions, find_sink
from scraper.summary import Tally
from scraper.urls import redact

_BATCH = 500  # lines written at once, when no one waits at the other end of a pipe


def dry_run(settings: Settings, names: Sequence[str], open_log: Callable[[], Log]) -> int:
    """Print every target with its key; the status is 1 if more fail than is tolerated."""
    now = datetime.now().astimezone()
    find_sink(expand_date(settings.to, now), SinkOptions(s3=settings.s3))  # a wrong one is said now
    make_plan(settings)
    sources = lists.open_sources(names, _refuse)
    rule = make_rule(settings.key, now)
    log, seen, tally = open_log(), Seen(), Tally()
    batch: list[str] = []
    targets = 0
    try:
        for source in sources:
            at_once = _BATCH if source.size is not None else 1
            for item in lists.read(source, rule):
                early = item if isinstance(item, Result) else seen.judge(item)
                targets += 1
                if early is not None:
                    tally(early)
                    log(early)
                elif not isinstance(item, Result):
                    batch.append(f"{printable(redact(item.listed))}\t{item.key}\n")
                if len(batch) >= at_once:
                    _print(batch)
        _print(batch)
    except BrokenPipeError:
        return 0
    problems = (
        f"{tally.failures:,} bad lines or collisions, {tally.statuses['duplicate']:,} repeats"
    )
    log.say(
        "warning" if tally.failures else "info",
        "summary",
        f"{targets:,} targets, {problems}; nothing was fetched",
        targets=targets,
        failures=tally.failures,
        repeats=tally.statuses["duplicate"],
    )
    return int(tally.failures > 0 and settings.max_failures.exceeded(tally.failures, targets))


def _print(batch: list[str]) -> None:
    sys.stdout.buffer.write("".join(batch).encode())
    sys.stdout.buffer.flush()
    batch.clear()


def _refuse(url: str) -> BinaryIO:
    raise UsageError(f"--dry-run asks nothing of the network: fetch the list {redact(url)!r} first")
