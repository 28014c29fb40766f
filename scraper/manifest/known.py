"""What earlier records say of the hosts of each shard, divided once, when a plan is made.

    write_known(earlier, shard_of, lists)                # planning
    lines = known_lines(sink, destination, kept)         # a run of a shard

Without it each shard would read every earlier record of a destination, to find those of its own
hosts. They can't change while the plan is the last one: runs without --shard, which write the
destination's own manifest, end all plans.

A line in `known.gz` of a shard is the number of the record and the record. A record of which the
host does not tell whom it concerns is in `known-by-all.gz`, which lies with the plan and is read by
all shards. It is there, if empty, wherever there were records, and where a store had no object at
all: then no shard looks for any without a record. A plan without it has no records, or is of a
version that did not divide them. Then a shard looks for itself.

These files are whole once `plan.json` is there, which is written last. Of a `scraper plan` that was
killed before, some are missing or cut, and a shard that begins in their place looks for itself.

Owns: that form. Does not know: which records concern whom (`shard_store.py`). Rejected: such a
record in the list of every shard. There may be a million of them, and 20,000 shards.
"""

import gzip
import heapq
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial

from scraper.manifest.every_manifest import Lines, whole
from scraper.manifest.shard_store import HostLines
from scraper.model.errors import DestinationError
from scraper.sinks.base import Sink
from scraper.sinks.own_store import OwnStore
from scraper.sinks.plans import KNOWN, KNOWN_BY_ALL, PLAN, Kept
from scraper.sinks.shard_lists import ListsOfPlan, list_lines
from scraper.source.shard_buffers import BUFFER_BYTES, ShardBuffers

_ALL = -1


def write_known(
    earlier: Iterable[bytes],
    shard_of: Callable[[str], int],
    lists: ListsOfPlan,
    most: int = BUFFER_BYTES,
) -> None:
    """Divide `earlier`, the lines of all manifests in order. Raises DestinationError.

    `most`: bytes in memory.
    """

    def keep(shard: int, data: bytes) -> None:
        if shard == _ALL:
            lists.append(0, data, KNOWN_BY_ALL)
        else:
            lists.append(shard, data, KNOWN)

    keep(_ALL, gzip.compress(b"", mtime=0))
    buffers, owner = ShardBuffers(keep, most), HostLines(shard_of).owner
    for number, line in enumerate(whole(earlier)):
        shard = owner(line)
        buffers.append(_ALL if shard is None else shard, b"%d\t%s" % (number, line))
    buffers.finish()


def known_lines(sink: Sink, destination: str, shard: Kept) -> Lines | None:
    """What gives the earlier records that concern `shard`, which is held, in order.

    None if its plan does not have them, or was not written to its end. Raises DestinationError,
    SinkError.
    """
    own, prefix = OwnStore(sink, destination), shard.plan.prefix_of(0)
    if not (own.has(prefix + KNOWN_BY_ALL) and own.has(prefix + PLAN)):
        return None
    place = sink, destination, shard.plan
    files = [list_lines(*place, 0, KNOWN_BY_ALL)]
    if KNOWN in shard.names:
        files.append(list_lines(*place, shard.shard, KNOWN))
    return partial(_in_order, files)


def _in_order(files: list[Callable[[], Generator[bytes, None, None]]]) -> Iterator[bytes]:
    for _, line in heapq.merge(*(_numbered(file()) for file in files)):
        yield line


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        number, _, record = line.partition(b"\t")
        if not number.isdigit():
            raise DestinationError("what was known when the shards were planned can't be read")
        yield int(number), record
