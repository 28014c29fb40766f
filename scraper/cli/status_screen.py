"""The screen of `scraper status`: its facts as text, for people.

Owns: its words and their order. Every line but the commands fits in COLUMNS, and there are fewer
than the 24 lines of a small terminal. Does not know: where the facts come from (`status.py`). What
a summary in the destination says may be anything, so each value is looked at before it is used.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from scraper.cli.shard_status import in_words
from scraper.model.urls import printable
from scraper.report.closing import cut, failure_lines, labelled
from scraper.report.units import human_size

_RUNS = 5  # that are shown
_REASONS = {"failed": 5, "deferred": 2}  # that are shown
_DAY_AND_MINUTE = 16  # characters of a time of RFC 3339
_DONE = ("stored", "not_modified", "replaced")
_NOT_DONE = ("failed", "deferred", "not_reached")


def screen(facts: Mapping[str, Any]) -> Iterator[str]:
    """The lines, without control characters."""
    commands = ("again", "failed")
    for line in _lines({name: facts[name] for name in facts if name not in commands}):
        yield cut(printable(line))
    for name, label in zip(commands, ("again", "see which"), strict=True):
        if name in facts:
            yield printable(labelled(label, facts[name]))


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_head(facts)} in {facts['destination']}"
    if held := facts.get("held_by"):
        yield labelled("held by", held)
    if shards := facts.get("shards"):
        yield labelled("shards", in_words(shards))
    for label, names in (("done", _DONE), ("not done", _NOT_DONE)):
        if told := _counts(facts["statuses"], names):
            yield labelled(label, told)
    objects = facts["objects"]
    yield labelled("objects", f"{objects:,}, {human_size(facts['bytes'])}")
    groups = facts["failures"]
    for status, most in _REASONS.items():
        yield from failure_lines(
            status, [group for group in groups if group.status == status], most, 0
        )
    yield from _runs(facts)
    if facts.get("unread"):
        yield labelled("", "the list of the last run was not read to its end")


def _head(facts: Mapping[str, Any]) -> str:
    """What matters most: whether everything is done."""
    targets = facts["targets"]
    missing = sum(facts["statuses"][name] for name in _NOT_DONE)
    named = f"{targets:,} target{'' if targets == 1 else 's'}"
    if missing:
        return f"{missing:,} of {named} {'is' if missing == 1 else 'are'} not done"
    return f"{named}: all done" if facts["done"] else f"{named}: done so far"


def _runs(facts: Mapping[str, Any]) -> Iterator[str]:
    """The last few, a line each."""
    if facts["runs_from"] == "manifest":
        why = (
            "of each shard"
            if facts.get("shards")
            else "alone: there is no summary that can be read"
        )
        yield labelled("runs", f"by the manifest {why}")
    elif facts.get("without_summary"):
        why = "it goes on" if facts.get("held_by") else "it was killed, it seems"
        yield labelled("runs", f"the last one has left no summary: {why}")
    is_first = facts["runs_from"] == "summary" and not facts.get("without_summary")
    for number, run in enumerate(facts["runs"][:_RUNS]):
        yield labelled("runs" if is_first and not number else "", _run(run))


def _run(run: Mapping[str, Any]) -> str:
    start, ended = run.get("start"), run.get("exit_status")
    when = start[:_DAY_AND_MINUTE].replace("T", " ") if isinstance(start, str) else "(no date)"
    how = f"exit {ended}" if isinstance(ended, int) else ""
    told = run.get("statuses")
    counted = _counts(told, told) if isinstance(told, dict) else ""
    reason = run.get("reason")
    parts = when, how, counted or "no targets"
    return f"{'  '.join(filter(None, parts))}{f' ({reason})' if isinstance(reason, str) else ''}"


def _counts(counts: Mapping[str, Any], names: Any) -> str:
    """The numbers that are not 0, in the order of `names`."""
    found = ((name, counts.get(name)) for name in names)
    told = [
        f"{count:,} {str(name).replace('_', ' ')}"
        for name, count in found
        if isinstance(count, int) and count
    ]
    return ", ".join(told)
