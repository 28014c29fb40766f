"""Plans: where shards keep what is theirs, below `.scraper/plans/` of a destination.

    .scraper/plans/0001-of-8/shard-3/   lock or lease, manifest, summary.json, done.json, list.gz

A plan is a stretch of time in which a destination was divided into one number of shards. Runs with
another number begin another plan, with the next number of its own. Shards of one plan may run at
once and have no host in common. Plans never run at once. So the records of a destination are in
order: first its own manifest, then plan by plan, within a plan in any order. A run without --shard
moves the records into the destination's own manifest, and the plans are gone
(`manifest/every_manifest.py`).

A plan of which there are only locks never began: whoever made them was refused, or killed at once.
It counts for nothing once nobody holds it.

Owns: these names, and which there are. Does not know: what the files say. Rejected: to read the
records of all plans by their times. Clocks differ, and each line would have to be parsed. Rejected:
one place for each number of shards. Records of 8, then 4, then 8 shards would have no order.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.sinks.base import ConditionalSink, ReadableSink, Sink
from scraper.sinks.directory import OWN, open_own
from scraper.sinks.home import home_of
from scraper.sinks.lease import LEASE_NAME
from scraper.sinks.mutex import MUTEX_PREFIX

PLANS = f"{OWN}/plans/"
DONE = "done.json"
PLAN = "plan.json"  # beside what shard 0 keeps; see `division.py`
LIST = "list.gz"  # its lines of the lists that were planned; see `shard_lists.py`
STOP = "stop.json"  # beside PLAN: all runs of a cluster shall end; see `stop_file.py`
COORDINATOR = f"{PLANS}cluster/"  # the lock or lease of who runs all shards (`--cluster`)
MANIFEST = "manifest.jsonl"  # in a directory; else segments
LOCK = "lock"  # in a directory; else a lease
_LOCKS = (LOCK, LEASE_NAME, MUTEX_PREFIX.removeprefix(f"{OWN}/"))
_PLANNED = {PLAN, LIST, STOP}
# A text: few runs need it, and `re` compiles it on its first use.
_FILE = r"(\d{4,9})-of-(\d{1,6})/shard-(\d{1,6})/(.+)"


class Plan(NamedTuple):
    """One plan: its number, and how many shards it has. They sort by time."""

    number: int
    shards: int

    def prefix_of(self, shard: int) -> str:
        """The beginning of the keys of what that shard keeps."""
        return f"{PLANS}{self.number:04}-of-{self.shards}/shard-{shard}/"


class Kept(NamedTuple):
    """What one shard of a plan keeps: names of files, relative to its `prefix`."""

    plan: Plan
    shard: int
    names: frozenset[str]

    @property
    def prefix(self) -> str:
        """The beginning of their keys."""
        return self.plan.prefix_of(self.shard)

    @property
    def is_begun(self) -> bool:
        """Whether a run of it left more than a lock, or there is the plan itself."""
        return not all(name.startswith(_LOCKS) or name == LIST for name in self.names)

    @property
    def is_only_planned(self) -> bool:
        """Whether no run of it left anything but a lock."""
        return all(name.startswith(_LOCKS) or name in _PLANNED for name in self.names)

    @property
    def is_done(self) -> bool:
        """Whether its last run came to the end of its list."""
        return DONE in self.names


def kept(sink: Sink, destination: str) -> list[Kept]:
    """What all shards keep, in the order of their plans. `sink` has been reached.

    Raises SinkError, DestinationError.
    """
    found: dict[tuple[Plan, int], set[str]] = {}
    for name in _names(sink, destination):
        if (parts := re.fullmatch(_FILE, name)) is not None:
            plan, shard = Plan(int(parts[1]), int(parts[2])), int(parts[3])
            if shard < plan.shards:
                found.setdefault((plan, shard), set()).add(parts[4])
    return [Kept(plan, at, frozenset(names)) for (plan, at), names in sorted(found.items())]


def current(found: Sequence[Kept], shards: int) -> Plan:
    """The plan that a run of one of so many `shards` belongs to: the last one, or a new one.

    `found`: the shards that count, those that are begun or held.
    """
    last = max((one.plan for one in found), default=Plan(0, 0))
    return last if last.shards == shards else Plan(last.number + 1, shards)


def missing(found: Sequence[Kept]) -> tuple[int, ...]:
    """The numbers of the shards of the last plan that are not done. None if there is no plan."""
    if not found:
        return ()
    last = found[-1].plan
    done = {one.shard for one in found if one.plan == last and one.is_done}
    return tuple(number for number in range(last.shards) if number not in done)


def refuse_undone(found: Sequence[Kept]) -> None:
    """Raise UsageError if a shard of the last plan is not done."""
    begun = [one for one in found if one.is_begun]
    if not_done := missing(begun):
        of = begun[-1].plan.shards
        raise UsageError(
            f"{len(not_done):,} of {of:,} shards are not done, such as {not_done[0]}/{of}: run them"
            " first (--resume --shard I/N), or the whole list (--resume)"
        )


def remove(sink: Sink, destination: str, shard: Kept) -> None:
    """Remove all that the shard kept; nobody holds it. Raises DestinationError.

    A lease stays: a run that begins now has put it, sees ours, and deletes it.
    """
    try:
        if (home := home_of(destination)) is not None:
            path = home / shard.prefix
            shutil.rmtree(path)
            with suppress(OSError):  # there are other shards
                path.parent.rmdir()
        elif isinstance(sink, ReadableSink):
            for name in sorted(shard.names - {LEASE_NAME}):
                sink.remove(shard.prefix + name)
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't remove {shard.prefix!r}: {error}") from None


def names_in(sink: Sink, destination: str, prefix: str) -> frozenset[str]:
    """The files that one shard keeps. Raises SinkError, DestinationError."""
    try:
        if (home := home_of(destination)) is not None:
            return frozenset(os.listdir(home / prefix))
    except OSError:
        return frozenset()
    if not isinstance(sink, ReadableSink):
        return frozenset()
    return frozenset(key.removeprefix(prefix) for key in sink.keys(prefix))


def has_file(sink: Sink, destination: str, key: str) -> bool:
    """Whether there is a file of a plan, by its whole key. Raises SinkError, DestinationError."""
    if (home := home_of(destination)) is not None:
        return (home / key).is_file()
    return isinstance(sink, ReadableSink) and sink.size(key) is not None


def leave_mark(sink: Sink, destination: str, prefix: str, name: str) -> None:
    """Leave an empty file with what a shard keeps. Raises DestinationError."""
    try:
        if (home := home_of(destination)) is not None:
            path = make_directories(home, prefix) / name
            os.close(open_own(path, os.O_WRONLY | os.O_CREAT))
        elif isinstance(sink, ConditionalSink):
            sink.put_if(prefix + name, b"", None)
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't write {prefix + name!r}: {error}") from None


def make_directories(home: Path, prefix: str) -> Path:
    """The directory of `prefix` in `home` (see `home.home_of`). What is missing is made.

    A link on the way is refused: it would lead out of the destination. Raises DestinationError,
    OSError.
    """
    path = home
    for name in prefix.strip("/").split("/"):
        path /= name
        path.mkdir(exist_ok=True)
        _refuse_link(path)
    return path


def _names(sink: Sink, destination: str) -> Iterator[str]:
    """The files below PLANS."""
    if (home := home_of(destination)) is None:
        if isinstance(sink, ReadableSink):
            yield from (key.removeprefix(PLANS) for key in sink.keys(PLANS))
        return
    top = home / PLANS
    if not top.exists():
        return
    _refuse_link(top.parent)
    _refuse_link(top)

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise DestinationError(f"can't read {error.filename!r}: {error.strerror}")

    for parent, _, files in os.walk(top, onerror=failed):  # no link is followed
        below = os.path.relpath(parent, top)
        yield from (f"{below}/{name}" for name in files)


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise DestinationError(f"{str(path)!r} is a link: remove it, or use another destination")
