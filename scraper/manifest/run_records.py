"""The records of a manifest run by run: those that a fetch wrote, each with its target's identity.

    for identity, record in run_records(lines()): ...
    for record in records_of_run(lines(), run): ...   # of one run, whoever wrote them

Owns: which records these are, which run was the last. A line that is none of ours is passed over,
as by all readers. Does not know: what is made of them.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson

from scraper.manifest.codec import is_of_fetch
from scraper.manifest.every_manifest import lines_of
from scraper.manifest.identity import of_record
from scraper.model.errors import BadTarget
from scraper.sinks.base import Sink
from scraper.sinks.plans import Kept

_LAST_LINES = 1_000

Lines = Callable[[], Iterator[bytes]]


def run_records(lines: Iterator[bytes]) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Identity and record, in order. The identity is None where the line named no target."""
    for record in _records(lines):
        identity = None
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, BadTarget):
            identity = of_record(record)
        yield identity, record


def records_of_run(lines: Iterable[bytes], run: str) -> Iterator[dict[str, Any]]:
    """The records of the run with this id, in order. Other lines are not parsed."""
    mark = orjson.dumps(run)
    for line in lines:
        if mark not in line:
            continue
        try:
            record = orjson.loads(line)
        except ValueError:  # torn off by a kill
            continue
        if isinstance(record, dict) and record.get("run") == run:
            yield record


def last_run(lines: Lines) -> str | None:
    """The id of the last run that left a record, None if there is none.

    Nearly always the last lines have it; else all are parsed.
    """
    ends = deque(lines(), maxlen=_LAST_LINES)
    runs = (record.get("run") for record in _records(reversed(ends)))
    found = next((run for run in runs if isinstance(run, str)), None)
    if found is None and len(ends) == _LAST_LINES:
        for record in _records(lines()):
            run = record.get("run")
            found = run if isinstance(run, str) else found
    return found


def shard_lines(sink: Sink, destination: str, shards: Sequence[Kept]) -> list[Lines]:
    """The lines of the manifest of each of `shards`. Reading them raises DestinationError."""
    return [partial(lines_of, sink, destination, one) for one in shards]


def _records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            record = orjson.loads(line)
            if isinstance(record, dict) and is_of_fetch(record):
                yield record
