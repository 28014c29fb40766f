"""`stop.json`: what the coordinator leaves in a plan when all runs of its shards shall end.

Runs of shards look for it again and again, so it reaches them also where the scheduler is gone. It
lies with what shard 0 keeps, and goes with the plan. The next coordinator removes it.

Owns: that file. Does not know: why a run shall end, what a run does then.
"""

import orjson

from scraper.model.errors import DestinationError
from scraper.sinks.base import Sink
from scraper.sinks.home import home_of
from scraper.sinks.own_store import OwnStore
from scraper.sinks.plans import STOP, Plan

NEAR_S, FAR_S = 0.5, 4.0  # between two looks


class StopFile:
    """The one of `plan` in `destination`, which `sink` serves."""

    def __init__(self, sink: Sink, destination: str, plan: Plan) -> None:
        self._own = OwnStore(sink, destination)
        self._key = plan.prefix_of(0) + STOP
        self.every_s = FAR_S if home_of(destination) is None else NEAR_S

    def write(self, reason: str) -> None:
        """Have all runs end. Raises DestinationError."""
        self._own.replace(self._key, orjson.dumps({"reason": reason}))

    def remove(self) -> None:
        """Nothing shall end any more. Raises DestinationError."""
        self._own.remove(self._key)

    def reason(self) -> str | None:
        """Why all runs shall end; None if they shall not, or nobody can tell now."""
        try:
            data = self._own.read(self._key)
            found = None if data is None else orjson.loads(data)
        except (DestinationError, ValueError):
            return None
        return str(found["reason"]) if isinstance(found, dict) and "reason" in found else None
