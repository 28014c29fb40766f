"""Adoption: records of what a killed run has put into an archive and did not record.

A run writes an exchange first, and records it afterwards. A run that is killed in between leaves
records in the archive that no line of the manifest names. What is in an archive stays there, so
the next run records it: an object as stored, and anything else as a target that was not reached.

Owns: which lines these are. Does not know: how the archive knows of them (`sinks/`).
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from scraper.manifest.codec import object_modified_ms, parse
from scraper.manifest.record import (
    add_archived,
    add_body,
    add_existing,
    add_response,
    add_started,
)
from scraper.model.archived import Archived
from scraper.model.errors import Kind
from scraper.model.records import STATUSES, NotModified, Stored
from scraper.sinks.exchanges import ArchivedObject, Unrecorded

_FIELD = b'"warc":{"file":'
_WHY = "the run was killed before it recorded this"


class Known:
    """Which units of an archive lines of a manifest name: eight bytes for each."""

    def __init__(self, files: Iterable[str]) -> None:
        self._starts = {file: array("Q") for file in files}

    def absorb(self, lines: Iterable[bytes]) -> None:
        """Take what `lines` name."""
        for line in lines:
            if _FIELD not in line:
                continue
            record = parse(line)
            for one in (record.get("warc"), *(record.get("warc_earlier") or ())):
                if isinstance(one, dict) and one.get("file") in self._starts:
                    start = one.get("start")
                    if type(start) is int and start >= 0:
                        self._starts[one["file"]].append(start)
        for file, starts in self._starts.items():
            self._starts[file] = array("Q", sorted(starts))

    def __contains__(self, archived: Archived) -> bool:
        starts = self._starts.get(archived.file, array("Q"))
        at = bisect_left(starts, archived.start)
        return at < len(starts) and starts[at] == archived.start


def adopted(
    told: Callable[[], Iterator[Unrecorded]], lines: Callable[[], Iterator[bytes]], run: str
) -> Iterator[dict[str, Any]]:
    """The records that are missing. `told` and `lines` give everything, from the start."""
    known = Known({one.archived.file for one in told()})
    known.absorb(lines())
    for one in told():
        if one.archived not in known:
            yield _record(one, run)


def archived_objects(lines: Iterable[bytes]) -> Iterator[ArchivedObject]:
    """The objects that `lines` say are in an archive, the last one of a key last."""
    for line in lines:
        if _FIELD not in line:
            continue
        record = parse(line)
        try:
            if record["status"] == "stored":
                yield _object(record)
        except (LookupError, TypeError):
            continue  # no record of ours


def _object(record: dict[str, Any]) -> ArchivedObject:
    warc, original = record["warc"], record["warc"].get("original", {})
    archived = Archived(
        warc["file"],
        warc["start"],
        warc["offset"],
        warc["length"],
        warc["records"],
        original.get("file", ""),
        original.get("offset", 0),
    )
    modified_ms = object_modified_ms({"variant": "", **record}, record.get("last_modified"))
    left = record.get("content_encoding") or ""
    facts = record["size"], record["sha256"], modified_ms or 0, left, record["url_effective"]
    return ArchivedObject(record["key"], archived, *facts)


def _record(one: Unrecorded, run: str) -> dict[str, Any]:
    record: dict[str, Any] = dict(one.about)
    match one.outcome:
        case None:
            record["status"] = "not_reached"
            record["error"] = {"kind": Kind.INTERRUPTED.value, "message": _WHY}
        case Stored(response):
            record["status"] = STATUSES[Stored]
            add_response(record, response)
            add_body(record, one.outcome)
        case NotModified(response, existing):
            record["status"] = STATUSES[NotModified]
            add_response(record, response)
            add_existing(record, existing)
    record["attempts"] = 1
    add_archived(record, [one.archived])
    add_started(record, one.started)
    record["run"] = run
    return record
