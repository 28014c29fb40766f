"""Plans: where shards keep what is theirs, below `.scraper/plans/` of a destination.

    .scraper/plans/0001-of-8/shard-3/   lock or lease, manifest, summary.json, done.json, list.gz,
                                        known.gz

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

import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.sinks.base import ReadableSink, Sink
from scraper.sinks.directory import OWN
from scraper.sinks.home import home_of
from scraper.sinks.lease import LEASE_NAME
from scraper.sinks.mutex import MUTEX_PREFIX
from scraper.sinks.own_store import OwnStore
from scraper.sinks.voids import remove_own

PLANS = f"{OWN}/plans/"
DONE = "done.json"
PLAN = "plan.json"  # beside what shard 0 keeps; see `division.py`
LIST = "list.gz"  # its lines of the lists that were planned; see `shard_lists.py`
KNOWN = "known.gz"  # what earlier records say of its hosts; see `manifest/known.py`
KNOWN_BY_ALL = "known-by-all.gz"  # beside PLAN: what they say of any host
STOP = "stop.json"  # beside PLAN: all runs of a cluster shall end; see `stop_file.py`
COORDINATOR = f"{PLANS}cluster/"  # the lock or lease of who runs all shards (`--cluster`)
MANIFEST = "manifest.jsonl"  # in a directory; else segments
LOCK = "lock"  # in a directory; else a lease
_FLAGS = MUTEX_PREFIX.removeprefix(f"{OWN}/")
_LOCKS = (LOCK, LEASE_NAME, _FLAGS)
_LISTS = {LIST, KNOWN, KNOWN_BY_ALL}
_PLANNED = {PLAN, STOP, *_LISTS}
# A text: few runs need it, and `re` compiles it on its first use.
_PLAN = r"(\d{4,9})-of-(\d{1,6})"
_FILE = _PLAN + r"/shard-(\d{1,6})/(.+)"


class Plan(NamedTuple):
    """One plan: its number, and how many shards it has. They sort by time."""

    number: int
    shards: int

    def prefix_of(self, shard: int) -> str:
        """The beginning of the keys of what that shard keeps."""
        return f"{PLANS}{self.name}/shard-{shard}/"

    @property
    def name(self) -> str:
        """The name of its directory."""
        return f"{self.number:04}-of-{self.shards}"


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
        return not all(name.startswith(_LOCKS) or name in _LISTS for name in self.names)

    @property
    def is_only_planned(self) -> bool:
        """Whether no run of it left anything but a lock."""
        return all(name.startswith(_LOCKS) or name in _PLANNED for name in self.names)

    @property
    def is_done(self) -> bool:
        """Whether its last run came to the end of its list."""
        return DONE in self.names


def kept(sink: Sink, destination: str, before: Plan | None = None) -> list[Kept]:
    """What all shards keep, in the order of their plans. `sink` has been reached.

    `before`: of the plans before this one alone. Raises SinkError, DestinationError.
    """
    own = OwnStore(sink, destination)
    if before is None:
        return _shards(own.names(PLANS))
    earlier = [f"{plan.name}/" for plan in _plans(own) if plan < before]
    return _shards(below + name for below in earlier for name in own.names(PLANS + below))


def kept_by(sink: Sink, destination: str, plan: Plan, shard: int) -> Kept:
    """What one shard keeps. Raises SinkError, DestinationError."""
    names = OwnStore(sink, destination).names(plan.prefix_of(shard))
    return Kept(plan, shard, frozenset(names))


def last_begun(sink: Sink, destination: str) -> Plan | None:
    """The last plan if it is begun, in which no shard of another one can be held.

    None if there is none, or the last one may not have begun. It costs the same however many
    shards there are. Raises SinkError, DestinationError.
    """
    own = OwnStore(sink, destination)
    plans = _plans(own)
    if not plans:
        return None
    plan, below = plans[-1], f"{PLANS}{plans[-1].name}/"
    if own.has(plan.prefix_of(0) + PLAN):
        return plan
    files = (_shards([f"{plan.name}/{name}"]) for name in own.names(below))
    return plan if any(one.is_begun for shards in files for one in shards) else None


def _plans(own: OwnStore) -> list[Plan]:
    found = [re.fullmatch(_PLAN, name) for name in own.folders(PLANS)]
    return sorted(Plan(int(one[1]), int(one[2])) for one in found if one is not None)


def _shards(names: Iterable[str]) -> list[Kept]:
    found: dict[tuple[Plan, int], set[str]] = {}
    for name in names:
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
        else:
            for name in sorted(shard.names - {LEASE_NAME}):
                if not name.startswith(_FLAGS):
                    remove_own(sink, shard.prefix + name)
                elif isinstance(sink, ReadableSink):
                    with suppress(DestinationError):  # denied: it says itself that it is over
                        sink.remove(shard.prefix + name)
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't remove {shard.prefix!r}: {error}") from None
