"""What is seen of a cluster at one moment: what workers tell of their shards, added up.

Owns: the last message of each shard. Does not know: the account, which is not made of messages: the
last ones of a worker that was killed are lost.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from scraper.cluster.task import Message
from scraper.model.errors import Kind
from scraper.model.records import Failure
from scraper.report.snapshot import Flight, Load, Snapshot
from scraper.schedule import HostWait


class _Seen(NamedTuple):
    at: float
    message: Message


class Pulses:
    """The last message of each shard. Used by the coordinator's loop; a display may look."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._ended: dict[int, _Seen] = {}

    def take(self, message: Message) -> None:
        """A shard is so far."""
        shard = int(message["shard"])
        if shard not in self._ended:
            self._seen[shard] = _Seen(time.monotonic(), message)

    def end(self, shard: int, message: Message | None, *, is_done: bool) -> None:
        """Its run has ended, and said this at last. One that is not done will begin anew."""
        before = self._seen.pop(shard, None)
        if is_done:
            last = _Seen(time.monotonic(), message) if message else before
            if last is not None:
                self._ended[shard] = last

    @property
    def open(self) -> int:
        """How many shards are open now."""
        return len(self._seen)

    def is_open(self, shard: int) -> bool:
        """Whether a run of it has begun."""
        return shard in self._seen

    def count(self, name: str) -> int:
        """The sum of one number."""
        return sum(int(one.message.get(name) or 0) for one in self._all())

    @property
    def load(self) -> Load:
        """How busy the cluster is."""
        return Load(self.count("in_flight"))

    def snapshot(self, before: Mapping[str, int], lines: int, notes: Iterable[str]) -> Snapshot:
        """What is to be seen now. `before`: counts of shards that were done already."""
        now = time.monotonic()
        seen = [one for one in [*self._seen.values()] if one.message["begun"]]
        counts: Counter[str] = Counter(before)
        for one in self._all():
            for name in ("targets", "failures", "size"):
                counts[name] += int(one.message.get(name) or 0)
        return Snapshot(
            at=now,
            targets=counts["targets"],
            failures=counts["failures"],
            size=counts["size"],
            lines=lines,
            flights=[flight for one in seen for flight in _flights(one, now)],
            hosts=[_wait(told, one, now) for one in seen for told in one.message["hosts"]],
            notes=list(
                dict.fromkeys([*notes, *(note for one in seen for note in one.message["notes"])])
            ),
        )

    def _all(self) -> list[_Seen]:
        return [*self._ended.values(), *self._seen.values()]


def _flights(seen: _Seen, now: float) -> list[Flight]:
    """Transfers of one shard: the oldest as they were told, all others as young ones."""
    shard, told = seen.message["shard"], seen.message["flights"]
    found = [
        Flight((shard, identity), listed, seen.at - age_s, received, expected, size)
        for identity, listed, age_s, received, expected, size in told
    ]
    young = int(seen.message["in_flight"]) - len(found)
    return found + [Flight((shard, -number), "", now, 0, None, 0) for number in range(young)]


def _wait(told: list[Any], seen: _Seen, now: float) -> HostWait:
    host, left_s, targets, is_down, reason = told
    failure = None if reason is None else Failure(Kind.HOST_DOWN, reason, transient=True)
    return HostWait(host, max(0.0, left_s - (now - seen.at)), targets, failure, is_down)
