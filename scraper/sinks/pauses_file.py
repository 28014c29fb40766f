"""`pauses.json`: which hosts of a shard asked to be left alone, for the next run of the shard.

A run whose worker is killed can't tell what it knew. So it writes each such wait as soon as one
was asked for, and the run that takes the shard over keeps to it. Times are those of the wall
clock, since monotonic clocks of two machines differ; nobody waits longer than was asked for.

Owns: that file. Does not know: why a host asked, what a run does with it.
"""

import os
import time
from collections.abc import Mapping

import orjson

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import ConditionalSink, Sink
from scraper.sinks.directory.own_files import open_own, replace_own
from scraper.sinks.home import home_of

NAME = "pauses.json"
_MOST_BYTES = 4 << 20


class PausesFile:
    """That of the shard whose keys begin with `prefix`."""

    def __init__(self, sink: Sink, destination: str, prefix: str) -> None:
        self._sink, self._key = sink, prefix + NAME
        home = home_of(destination)
        self._path = None if home is None else home / self._key

    def write(self, waits: Mapping[str, tuple[float, float]]) -> None:
        """Keep `waits`: of each host the moment, in seconds since 1970, and how long from then on.

        Raises DestinationError.
        """
        data = orjson.dumps({"waits": waits})
        try:
            if self._path is not None:
                with replace_own(self._path, f"{NAME}.new", sync=False) as file:
                    file.write(data)
            elif isinstance(self._sink, ConditionalSink):
                found = self._sink.get_small(self._key)
                self._sink.put_if(self._key, data, found and found.etag)
        except (OSError, SinkError) as error:
            raise DestinationError(f"can't write {self._key!r}: {error}") from None

    def left(self) -> dict[str, float]:
        """The seconds that each host still is to be left alone. Empty if nobody can tell."""
        try:
            if self._path is not None:
                with open(open_own(self._path, os.O_RDONLY), "rb") as file:
                    data = file.read(_MOST_BYTES)
            else:
                assert isinstance(self._sink, ConditionalSink)
                found = self._sink.get_small(self._key)
                data = b"" if found is None else found.data
            waits, now = orjson.loads(data)["waits"], time.time()
            left = {str(host): min(for_s, at + for_s - now) for host, (at, for_s) in waits.items()}
        except (OSError, SinkError, DestinationError, ValueError, TypeError, KeyError):
            return {}
        return {host: seconds for host, seconds in left.items() if seconds > 0}
