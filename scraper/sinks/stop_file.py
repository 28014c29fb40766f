"""`stop.json`: what the coordinator leaves in a plan when all runs of its shards shall end.

Runs of shards look for it again and again, so it reaches them also where the scheduler is gone. It
lies with what shard 0 keeps, and goes with the plan. The next coordinator removes it.

Owns: that file. Does not know: why a run shall end, what a run does then.
"""

import contextlib
import os
from typing import Any

import orjson

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import ReadableSink, Sink, put_object
from scraper.sinks.directory.own_files import open_own, replace_own
from scraper.sinks.home import home_of
from scraper.sinks.plans import STOP, Plan

NEAR_S, FAR_S = 0.5, 4.0  # between two looks
_MOST_BYTES = 65_536


class StopFile:
    """The one of `plan` in `destination`, which `sink` serves."""

    def __init__(self, sink: Sink, destination: str, plan: Plan) -> None:
        self._sink = sink
        self._key = plan.prefix_of(0) + STOP
        home = home_of(destination)
        self._path = None if home is None else home / self._key
        self.every_s = FAR_S if home is None else NEAR_S

    def write(self, reason: str) -> None:
        """Have all runs end. Raises DestinationError."""
        data = orjson.dumps({"reason": reason})
        try:
            if self._path is not None:
                with replace_own(self._path, f"{STOP}.new", sync=False) as file:
                    file.write(data)
            else:
                put_object(self._sink, self._key, data, "application/json")
        except (OSError, SinkError) as error:
            raise DestinationError(f"can't write {self._key!r}: {error}") from None

    def remove(self) -> None:
        """Nothing shall end any more. Raises DestinationError."""
        try:
            if self._path is not None:
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()
            elif isinstance(self._sink, ReadableSink):
                self._sink.remove(self._key)
        except (OSError, SinkError) as error:
            raise DestinationError(f"can't remove {self._key!r}: {error}") from None

    def reason(self) -> str | None:
        """Why all runs shall end; None if they shall not, or nobody can tell now."""
        try:
            data = self._read()
            found: Any = None if data is None else orjson.loads(data)
        except (OSError, SinkError, DestinationError, ValueError):
            return None
        return str(found["reason"]) if isinstance(found, dict) and "reason" in found else None

    def _read(self) -> bytes | None:
        if self._path is not None:
            if not self._path.exists():
                return None
            with open(open_own(self._path, os.O_RDONLY), "rb") as file:
                return file.read(_MOST_BYTES)
        if not isinstance(self._sink, ReadableSink) or self._sink.size(self._key) is None:
            return None
        return b"".join(self._sink.read(self._key))
