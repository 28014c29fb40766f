"""What the summary of a shard that was done before says by now.

`done.json` is the summary of the last run that came to the end of the shard. `--retry-failed` may
have fetched since what had failed, and leaves the file as it is. And a run that lost its worker
passes over what it has recorded before, so its summary has only the failures of its last part. The
manifest has all of it, at whatever moment a run was killed.

Owns: that correction. Does not know: how summaries are added up (`account.py`). Rejected: a
`done.json` that `--retry-failed` writes anew. Of a run that was killed there would be none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from scraper.manifest import status_of
from scraper.manifest.run_records import run_records
from scraper.report.failures import FailureGroups

UNDONE = ("failed", "deferred", "not_reached")
_Place = tuple[str, int]


def renewed(done: Mapping[str, Any], lines: Iterator[bytes]) -> Mapping[str, Any]:
    """`done` with the failures that `lines`, the manifest of its shard, has now.

    What does not fail any more is skipped: another run has stored it.
    """
    groups, statuses = FailureGroups(), Counter[str]()
    for record in _undone(str(done.get("run")), lines):
        statuses[status_of(record) or "failed"] += 1
        groups.add_record(record)
    before = {name: int(count) for name, count in done["statuses"].items()}
    kept = before.keys() - {*UNDONE, "skipped"}
    statuses += Counter({name: before[name] for name in kept})
    statuses["skipped"] = max(0, sum(before.values()) - statuses.total())
    told = {name: value for name, value in done.items() if name != "new_failures"}
    if "new_failures" in done:  # they were news for that run
        told["new_failures"] = []
    return told | {
        "statuses": statuses,
        "failures": [group.as_record() for group in groups.frozen()],
        "failing_hosts": [host._asdict() for host in groups.worst_hosts()],
    }


def _undone(run: str, lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The last record of each line that was not done by `run`, nor by a run after it."""
    undone: dict[_Place, tuple[int | None, dict[str, Any]]] = {}
    asked: set[int | None] = set()
    later: dict[int | None, dict[str, Any]] = {}
    for identity, record in run_records(lines):
        if record.get("run") == run:
            place = str(record.get("source")), int(record.get("line") or 0)
            if status_of(record) in UNDONE:
                undone[place] = identity, record
                asked.add(identity)
            else:
                undone.pop(place, None)
        elif identity is not None and identity in asked:
            later[identity] = record
    for identity, record in undone.values():
        last = later.get(identity, record)
        if status_of(last) in UNDONE:
            yield last
