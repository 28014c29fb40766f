"""`scraper status DEST`: what is there, on one screen.

Owns: the command's options, and which facts it tells. Does not know: what a manifest comes to
(`scraper.manifest.survey`), the words of the screen (`status_screen.py`).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from scraper.cli.options import HELP
from scraper.cli.place import opened, place_options

if TYPE_CHECKING:
    from scraper.cli.place import Place
    from scraper.manifest.survey import Survey
    from scraper.report.summary_file import SummaryFile

EXIT_NOT_DONE = 1
EXIT_SHARDS = 3  # of those that may run on other machines


@click.command(context_settings=HELP, short_help="Tell what is there, on one screen.")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print the same as one JSON object.")
def status(destination: str, *, as_json: bool, **options: Any) -> int:
    """Print what is in DEST: runs, targets, objects, failures, and what to do next.

    The exit status is 0 if every target is done, 1 if not, 3 while a shard is not done.
    """
    with opened(destination, options) as place:
        facts = _facts(place, _words(destination, options), options["manifest"])
    from scraper.cli.table import flush, say
    from scraper.manifest import as_json as to_json

    with suppress(BrokenPipeError):  # `| head`: the status is that of the destination all the same
        if as_json:
            facts["failures"] = [group.as_record() for group in facts["failures"]]
            say(to_json(facts))
        else:
            from scraper.cli.status_screen import screen

            for line in screen(facts):
                say(line.encode("utf-8", "replace"))
        flush()
    if facts.get("shards", {}).get("not_done"):
        return EXIT_SHARDS
    return 0 if facts["done"] else EXIT_NOT_DONE


def _words(destination: str, options: Mapping[str, Any]) -> list[str]:
    """The words behind a command that name the same destination."""
    from scraper.model.urls import redact

    destination = redact(destination)  # a password is not shown
    words = [destination if not destination.startswith("-") else f"./{destination}"]
    for name in ("manifest", "s3_endpoint", "s3_profile"):
        if options[name] is not None:
            words[:0] = [f"--{name.replace('_', '-')}", options[name]]
    return words


class _NotDone:
    """The targets that are not done. `may_pass`: whether another run may do better with one."""

    def __init__(self) -> None:
        from scraper.report.failures import FailureGroups

        self.groups = FailureGroups()
        self.may_pass = False

    def add(self, record: Mapping[str, Any]) -> None:
        from scraper.manifest import is_permanent

        self.groups.add_record(record)
        self.may_pass = self.may_pass or not is_permanent(record)


def _facts(place: "Place", words: list[str], manifest: str | None) -> dict[str, Any]:
    """All that is told. docs/destination.md says what each field means."""
    from scraper.cli.shard_status import shards_in
    from scraper.manifest.survey import survey
    from scraper.model.urls import redact
    from scraper.report.summary_file import SummaryFile, runs_of

    held_by, missing, shards = _holder(place), _NotDone(), shards_in(place)
    # Runs of shards have summaries of their own, so the destination's is not of the last run.
    file = SummaryFile(place.sink, place.destination, manifest=manifest)
    last = {} if shards else file.last()
    found = survey(place.lines, place.reading, missing.add)
    totals, not_done = found.totals, sum(found.not_done.values())
    unread = last.get("unread") is True
    later = None if shards else _later_run(found, last, file)
    facts = {
        "destination": redact(place.destination),
        "done": not (not_done or unread or held_by or later or (shards and shards["not_done"])),
        "held_by": held_by or None,
        "shards": shards,
        "targets": totals.stored + totals.not_modified + totals.replaced + not_done,
        "statuses": {
            "stored": totals.stored,
            "not_modified": totals.not_modified,
            "replaced": totals.replaced,
            **found.not_done,
        },
        "objects": totals.objects,
        "bytes": totals.size,
        "failures": missing.groups.frozen(),
        "runs": [*runs_of(last)] or _runs(found),
        "runs_from": "summary" if last else "manifest",
        "without_summary": later,
        "unread": unread or None,
        "again": _again(last, words, missing, shards) if not_done or unread or shards else None,
        "failed": _command("failed", *words) if not_done else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _again(
    last: Mapping[str, Any], words: list[str], missing: _NotDone, shards: Mapping[str, Any] | None
) -> str | None:
    """The command that does the rest: that of the last run, else one that needs no list.

    While shards are not done it is one of theirs.
    """
    if shards and shards["not_done"]:
        from scraper.cli.shard_status import again as again_of

        return again_of(shards, words)
    again = last.get("again")
    if isinstance(again, str):
        return again
    if last or not missing.may_pass:
        return None
    return _command("--retry-failed", *words[:-1], "--to", words[-1])


def _command(*words: str) -> str:
    from scraper.cli.title import command_line

    return command_line(words)


def _is_missing(file: "SummaryFile") -> bool:
    """Whether no run has left a summary, as each does that comes to its end."""
    from scraper.model.errors import SinkError

    try:
        return file.is_missing()
    except SinkError:
        return False


def _holder(place: "Place") -> str:
    """Who holds it. A store that keeps its lease from us keeps nothing else that is told."""
    from scraper.model.errors import SinkError
    from scraper.sinks.lock import holder

    try:
        return holder(place.sink, place.destination)
    except SinkError:
        return ""


def _runs(found: "Survey") -> list[dict[str, Any]]:
    """The runs by their records. What is not known is absent."""
    given = (
        {
            "run": one.run,
            "start": one.start,
            "end": one.end,
            "targets": one.statuses.total(),
            "statuses": dict(one.statuses),
        }
        for one in found.runs
    )
    return [{name: value for name, value in one.items() if value != ""} for one in given]


def _later_run(found: "Survey", last: Mapping[str, Any], file: "SummaryFile") -> str | None:
    """The id of a later run than the summary tells of: it goes on, or it was killed.

    The latest is one if there is no summary at all. A summary that can't be read tells nothing.
    """
    from scraper.report.summary_file import runs_of

    if not found.runs:
        return None
    if not last:  # versions before 0.2 had neither summaries nor ids
        return (found.runs[0].run or None) if _is_missing(file) else None
    latest, ended = found.runs[0], last.get("end")
    told = {one.get("run") for one in runs_of(last)}
    is_later = isinstance(ended, str) and latest.end > ended
    return latest.run if latest.run and latest.run not in told and is_later else None
