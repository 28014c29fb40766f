"""Shards in `scraper status`: which of the last plan are done.

Owns: that fact, and its words. Does not know: where shards keep what (`sinks/plans.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scraper.cli.place import Place

_SHOWN = 8  # numbers of shards


def shards_in(place: "Place") -> dict[str, Any] | None:
    """The shards of the last plan: `of` so many, `done`, and the numbers of others.

    `running`: those that a run holds. None if there are no shards. Raises DestinationError.
    """
    from scraper.model.errors import DestinationError, SinkError
    from scraper.sinks.plans import kept
    from scraper.sinks.shard_lock import is_held_now

    try:
        found = kept(place.sink, place.destination)
        if not found:
            return None
        last = [one for one in found if one.plan == found[-1].plan]
        running = [
            one.shard
            for one in last
            if not one.is_done and is_held_now(place.sink, place.destination, one)
        ]
    except SinkError as error:
        raise DestinationError(f"can't look at the shards: {error}") from None
    done = {one.shard for one in last if one.is_done}
    missing = [number for number in range(found[-1].plan.shards) if number not in done]
    facts = {"of": found[-1].plan.shards, "done": len(done), "not_done": missing}
    return {**facts, "running": running}


def in_words(shards: Mapping[str, Any]) -> str:
    """What the screen says of them."""
    text = f"{shards['done']:,} of {shards['of']:,} done"
    if shards["not_done"]:
        text += f"; not done: {_numbers(shards['not_done'])}"
    if shards["running"]:
        text += f"; running: {_numbers(shards['running'])}"
    return text


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    return shown if len(numbers) <= _SHOWN else f"{shown} and {len(numbers) - _SHOWN:,} more"
