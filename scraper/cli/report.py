"""`scraper report DEST`: one page about a run, or about all shards of a plan, for people.

Owns: the command's options, which records are told, and where the page goes. Does not know: what
is counted and how it looks (`report/page/`).
"""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from scraper.cli.commands import COMMANDS
from scraper.cli.options import FILE, HELP
from scraper.cli.place import opened, place_options
from scraper.model.errors import UsageError

if TYPE_CHECKING:
    from scraper.cli.place import Place
    from scraper.report.page.changes import Changes
    from scraper.report.page.facts import RunFacts
    from scraper.sinks.plans import Kept


@click.command(context_settings=HELP, short_help=COMMANDS["report"])
@place_options
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", default="report.html", show_default=True,
    help="The file to write; -: stdout.",
)  # fmt: skip
@click.option("--run", metavar="ID", help="This run, not the last one; its id is on its records.")
def report(destination: str, *, output: str, run: str | None, **options: Any) -> int:
    """Write a page about the last run into DEST, or about all shards of its last plan.

    The page is one HTML file that asks for nothing, and needs no script.
    """
    from scraper.report.page.changes import Changes
    from scraper.report.page.facts import RunFacts
    from scraper.report.page.render import Account, page

    facts = RunFacts()
    with contextlib.closing(Changes()) as changes, opened(destination, options) as place:
        subject = _subject(place, run, options["manifest"])
        _count(place, subject, facts, changes)
        from scraper.model.urls import printable, redact

        account = Account(
            printable(redact(destination)),
            [printable(one) for one in subject.runs],
            subject.summary,
            time.time(),
            subject.shards,
        )
        html = page(facts, changes, account)
    _write(output, html.encode("utf-8", "replace"))
    return 0


class _Subject(NamedTuple):
    """What the page is about: these runs. `shards`: which, if they are of shards."""

    runs: Sequence[str]
    summary: Mapping[str, Any]
    shards: str = ""


def _subject(place: "Place", run: str | None, manifest: str | None) -> _Subject:
    """The run that is asked for, else those of the last plan of shards, else the last one."""
    from scraper.manifest.run_records import last_run, shard_lines
    from scraper.report.summary_file import SummaryFile

    shards = _shards(place) if manifest is None and run is None else []
    if shards:
        parts = shard_lines(place.sink, place.destination, shards)
        named = f"{len(shards)} of {shards[0].plan.shards}"
        runs = [last for last in map(last_run, parts) if last is not None]
        keys = [f"{one.prefix}summary.json" for one in shards]
        told = [SummaryFile(place.sink, place.destination, key=key).last() for key in keys]
        return _Subject(runs, _together([one for one in told if one]), named)
    summary = SummaryFile(place.sink, place.destination, manifest=manifest).last()
    if run is None:
        given, last = summary.get("run"), last_run(place.lines)
        ended = given if isinstance(given, str) else ""
        run = max(ended, last or "")  # an id begins with its time
    return _Subject([run], summary if summary.get("run") == run else {})


def _shards(place: "Place") -> "list[Kept]":
    """Those of the last plan that have begun."""
    from scraper.model.errors import DestinationError, SinkError
    from scraper.sinks.base import ReadableSink
    from scraper.sinks.plans import kept

    if not isinstance(place.sink, ReadableSink):
        return []
    try:
        found = [one for one in kept(place.sink, place.destination) if one.is_begun]
    except SinkError as error:
        raise DestinationError(f"can't look at the shards: {error}") from None
    return [one for one in found if one.plan == found[-1].plan]


def _together(summaries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One account of several: they ran at once."""
    if not summaries:
        return {}
    statuses: dict[str, int] = {}
    for one in summaries:
        told = one.get("statuses")
        for name, count in (told if isinstance(told, dict) else {}).items():
            if isinstance(count, int):
                statuses[name] = statuses.get(name, 0) + count
    ended = [one["exit_status"] for one in summaries if isinstance(one.get("exit_status"), int)]
    times = [one["seconds"] for one in summaries if isinstance(one.get("seconds"), int | float)]
    return {
        "statuses": statuses,
        "exit_status": max(ended, default=0),
        "seconds": max(times, default=None),
    }


def _count(place: "Place", subject: _Subject, facts: "RunFacts", changes: "Changes") -> None:
    """Count the records of these runs, and compare them with those before. Raises UsageError."""
    from scraper.manifest.run_records import run_records

    runs = frozenset(subject.runs)
    for identity, record in run_records(place.lines()):
        if record.get("run", "") in runs:
            with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
                facts.add(record)
            if identity is not None:
                changes.now(identity, record)
        elif identity is not None and (not facts.records or subject.shards):  # not of later runs
            changes.before(identity, record)
    if not facts.records and not subject.summary:
        named = f"a run {subject.runs[0]!r}" if subject.runs else "these shards"
        raise UsageError(f"there is no record of {named}")


def _write(output: str, data: bytes) -> None:
    """Write the page, in the place of an older one. Raises UsageError."""
    import sys

    from scraper.report.outputs import to_replace

    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    target = to_replace("--output", output)
    try:
        target.open()
        os.set_blocking(target.fd, True)
        with open(target.fd, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"--output: can't write {output!r}: {error.strerror}") from None
