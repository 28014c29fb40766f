"""`pauses.json`: what a run of a shard knows of its hosts, for the next run of the shard.

A run whose worker is killed can't tell what hosts asked for, and which were down. So it writes that
again and again, and the run that takes the shard over goes on by it. Times are those of the wall
clock, since monotonic clocks of two machines differ; nobody waits longer than was asked for.

Owns: that file. Does not know: why a host asked, what a run does with it
(`schedule/host_memory.py`).
"""

import time
from collections.abc import Mapping

import orjson

from scraper.model.errors import DestinationError
from scraper.schedule import Down, HostMemory
from scraper.sinks.base import Sink
from scraper.sinks.own_store import OwnStore

NAME = "pauses.json"
FRESH_S = 300.0  # what is older says nothing but which waits were asked for


class PausesFile:
    """That of the shard whose keys begin with `prefix`."""

    def __init__(self, sink: Sink, destination: str, prefix: str) -> None:
        self._own, self._key = OwnStore(sink, destination), prefix + NAME

    def write(self, memories: Mapping[str, HostMemory]) -> None:
        """Keep `memories` by host. Raises DestinationError."""
        at, now = time.time(), time.monotonic()
        hosts = {host: memory.shifted(-now) for host, memory in memories.items()}
        told = {
            host: {**one._asdict(), "down": one.down and [*one.down]} for host, one in hosts.items()
        }
        self._own.replace(self._key, orjson.dumps({"at": at, "hosts": told}))

    def read(self) -> dict[str, HostMemory]:
        """What the last run has kept. Empty if nobody can tell."""
        try:
            data = self._own.read(self._key)
            told = orjson.loads(data or b"")
            old_s = max(0.0, time.time() - told["at"])
            read = {host: _memory(one) for host, one in told["hosts"].items()}
            if old_s > FRESH_S:
                read = {host: HostMemory(one.until) for host, one in read.items() if one.until}
            return {host: one.shifted(time.monotonic() - old_s) for host, one in read.items()}
        except (DestinationError, ValueError, TypeError, KeyError, AttributeError):
            return {}


def _memory(told: Mapping[str, object]) -> HostMemory:
    """Raises ValueError, TypeError."""
    down = told.get("down")
    made = HostMemory(**{**told, "down": None})  # type: ignore[arg-type]
    numbers = [*made[:4]]
    if isinstance(down, list):
        made = made._replace(down=Down(*down))
        numbers += down[:6]
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError
    return made
