"""Every manifest of a destination: its own one, and those of shards, in the order of their records.

The order is that of `sinks/plans.py`: the destination's own manifest first, then plan by plan.

    lines = every_line(None, "out", sink)
    twice = [*lines()] == [*lines()]  # also while runs of shards append to theirs

A run without --shard moves the records of shards into the manifest of the destination (`fold`), so
that it has one memory, one index and one place to compact, as if there had never been shards.

Owns: which manifests there are, and that move. Does not know: what a line says, how a manifest is
written. Rejected: a line of one manifest, then one of another, by their times: every line would
have to be parsed, and clocks differ.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, groupby, islice

import orjson

from scraper.manifest.file_store import ELSEWHERE
from scraper.manifest.sink_store import read_segments, segments_of
from scraper.manifest.store import ManifestStore
from scraper.model.errors import DestinationError, SinkError
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink
from scraper.sinks.directory import open_own
from scraper.sinks.home import home_of
from scraper.sinks.plans import MANIFEST, Kept, remove

Lines = Callable[[], Iterator[bytes]]


class EveryLine:
    """The lines of several manifests, one after the other, from the start at each call.

    A later call gives as many lines of each as the first one did: these are the same lines.
    """

    def __init__(self, parts: Callable[[], Sequence[Lines]]) -> None:
        self._find = parts
        self._parts: Sequence[Lines] | None = None
        self._counts: dict[int, int] = {}

    def __call__(self) -> Iterator[bytes]:
        """The lines. Raises DestinationError."""
        if self._parts is None:
            self._parts = self._find()
        for number, part in enumerate(self._parts):
            read = 0
            for line in islice(part(), self._counts.get(number)):
                read += 1
                yield line
            self._counts.setdefault(number, read)


def lines_of(sink: Sink, destination: str, shard: Kept) -> Iterator[bytes]:
    """The lines of the manifest of a shard. Raises DestinationError."""
    place = f"{redact(destination).rstrip('/')}/{shard.prefix}"
    try:
        if (home := home_of(destination)) is not None:
            path = home / shard.prefix / MANIFEST
            with open(open_own(path, os.O_RDONLY, way_out=ELSEWHERE), "rb") as file:
                yield from file
        elif isinstance(sink, ReadableSink):
            keys = [key for _, key in segments_of(shard.prefix + name for name in shard.names)]
            yield from chain.from_iterable(read_segments(sink, keys))
    except FileNotFoundError:  # it has not begun, or its lines are elsewhere now
        return
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't read the manifest in {place!r}: {error}") from None


def has_manifest(shard: Kept) -> bool:
    """Whether this shard has a manifest."""
    return MANIFEST in shard.names or bool(segments_of(shard.prefix + name for name in shard.names))


def fold(store: ManifestStore, sink: Sink, destination: str, shards: Sequence[Kept]) -> None:
    """Move the records of `shards` to `store`, which this run holds alone.

    Killed in the middle of it, records are in two manifests, which means the same. Raises
    DestinationError.
    """
    for _, group in groupby(shards, lambda one: one.plan):
        of_plan = list(group)
        read = (partial(lines_of, sink, destination, one) for one in of_plan)
        store.adopt(whole(chain.from_iterable(lines() for lines in read)))
        for one in of_plan:
            remove(sink, destination, one)


def whole(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Each line with its end. A last line that a kill cut off says nothing."""
    for line in lines:
        if line.endswith(b"\n"):
            yield line
        else:
            with suppress(ValueError):
                orjson.loads(line)
                yield line + b"\n"
