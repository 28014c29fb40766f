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
    from scraper.sinks.plans import kept, missing
    from scraper.sinks.shard_lock import is_held_now

    try:
        all_kept = kept(place.sink, place.destination)
        running = {
            one
            for one in all_kept
            if not one.is_done and is_held_now(place.sink, place.destination, one)
        }
    except SinkError as error:
        raise DestinationError(f"can't look at the shards: {error}") from None
    found = [one for one in all_kept if one.is_begun or one in running]
    if not found:
        return None
    last, not_done = found[-1].plan, missing(found)
    return {
        "of": last.shards,
        "done": last.shards - len(not_done),
        "not_done": [*not_done],
        "running": [one.shard for one in found if one.plan == last and one in running],
    }


def again(shards: Mapping[str, Any], words: Sequence[str]) -> str | None:
    """The command for the first shard that is not done and not running; None if there is none.

    `words`: those that name the destination, itself last. What the shard's own summary names may
    be `--retry-failed`, which leaves the shard as it is.
    """
    from scraper.cli.again import STDIN
    from scraper.cli.title import command_line

    left = [number for number in shards["not_done"] if number not in shards["running"]]
    if not left:
        return None
    shard = f"{left[0]}/{shards['of']}"
    return STDIN + command_line(["-", "--resume", "--shard", shard, *words[:-1], "--to", words[-1]])


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
