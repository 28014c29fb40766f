"""What shards have left in a destination, for the account of the run that ended.

Owns: which files of a shard tell its account. Does not know: how they are added (`account.py`).
"""

import os
from collections.abc import Mapping
from typing import Any

from scraper.cluster.account import Account
from scraper.cluster.done_before import UNDONE, renewed
from scraper.cluster.planned import Ready
from scraper.cluster.shard_run import ATTEMPT
from scraper.manifest.every_manifest import lines_of
from scraper.report.summary_file import KEY, SummaryFile
from scraper.sinks.base import Sink
from scraper.sinks.plans import DONE, Kept, kept

_SUMMARY = KEY.rpartition("/")[2]


def add_up(account: Account, sink: Sink, destination: str, ready: Ready) -> None:
    """Add all shards of the plan, whoever ran them. Raises DestinationError, SinkError.

    Workers of an earlier coordinator may have come to the end of one while this run went on.
    """
    for one in kept(sink, destination):
        if one.plan != ready.plan:
            continue
        begun = sum(name.startswith(f"{ATTEMPT}{account.run}") for name in one.names)
        last = _told(sink, destination, one, _SUMMARY)
        done = _told(sink, destination, one, DONE)
        if done is not None and done.get("run") != account.run:
            account.add(_by_now(done, sink, destination, one))
        elif not begun:
            continue
        elif begun == 1 and last is not None and last.get("run") == account.run:
            account.add(last)
        else:
            is_ours = last is not None and last.get("run") == account.run
            account.add_records(lines_of(sink, destination, one), last if is_ours else None)


def _by_now(done: Mapping[str, Any], sink: Sink, destination: str, one: Kept) -> Mapping[str, Any]:
    """`done` as it is now. The manifest is read only where it may tell something else."""
    attempts = sum(name.startswith(f"{ATTEMPT}{done.get('run')}") for name in one.names)
    if attempts > 1 or any(done["statuses"].get(name) for name in UNDONE):
        return renewed(done, lines_of(sink, destination, one))
    return done


def _told(sink: Sink, destination: str, one: Kept, name: str) -> Mapping[str, Any] | None:
    if name not in one.names:
        return None
    return SummaryFile(sink, destination, key=os.path.join(one.prefix, name)).last() or None
