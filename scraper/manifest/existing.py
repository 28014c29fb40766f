"""Objects that lie at the key of a target although no run has recorded them.

Other programs have put them there, or the manifest was lost. A run may take such an object over
(--skip-existing), or ask the server whether it has changed since the object's own time.

These are never taken for the object of a target, and are fetched: an object without a byte, which
a failed download leaves more often than a server sends one; what lies behind a link, which no run
follows when it stores; an object with aria2's control file `KEY.aria2` beside it, since it is not
complete; our own files.

A sink that is near is asked for each key. Any other is listed once (`listed_objects.py`).

Owns: which objects these are. Does not know: which keys have a record, and what follows
(`history.py`). Rejected: a request for each key of a distant sink. Rejected: a listing for each
refresh; a destination of millions of objects would be listed for the sake of a few new lines.
"""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from scraper.manifest.codec import Reading
from scraper.model.dates import http_date
from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.model.expected import Digests, Expected
from scraper.model.records import ANY_URL, TAKEN_OVER, Existing, PreviousRecord
from scraper.model.settings import Earlier
from scraper.sinks.base import (
    ReadableSink,
    Sink,
    ignores_case,
    is_linked,
    listing_of,
    object_stat_of,
)
from scraper.sinks.directory import OWN, is_copy

CONTROL = ".aria2"  # the ending of aria2's file beside a download that is not complete
LISTED_UNASKED = 100_000  # objects that are listed though --skip-existing was not given


class Finder(Protocol):
    """Finds objects by their keys."""

    def find(self, keys: Sequence[str]) -> list[Existing | None]:
        """The object at each of `keys`. Raises DestinationError."""

    def close(self) -> None:
        """Forget everything."""


def finder(earlier: Earlier, sink: Sink, *, begun: bool) -> Finder | None:
    """What finds the objects at keys that have no record. None if `earlier` does not need it.

    `begun`: whether the manifest has records. A distant sink is listed for a refresh only if there
    are none at all, and only up to LISTED_UNASKED objects. What is beyond is fetched. Raises
    UsageError for a sink that can't be read, and DestinationError if it can't be listed though the
    user asks for it.
    """
    if not (earlier.skip_existing or earlier.refresh):
        return None
    if not isinstance(sink, ReadableSink):
        if earlier.skip_existing:
            raise UsageError("--skip-existing: this destination can't be read back")
        return None
    if sink.near:
        return NearObjects(sink)
    if not earlier.skip_existing and begun:
        return None
    from scraper.manifest.listed_objects import ListedObjects

    listed = ListedObjects(Reading(ignores_case(sink)), CONTROL)
    try:
        found = (one for one in listing_of(sink)("") if not is_own(one.key))
        listed.fill(found if earlier.skip_existing else islice(found, LISTED_UNASKED))
    except (SinkError, DestinationError) as error:
        listed.close()
        if earlier.skip_existing:
            raise DestinationError(f"--skip-existing: can't list the objects: {error}") from None
        return None
    except BaseException:
        listed.close()
        raise
    return listed


class NearObjects:
    """Objects of a sink that is quickly asked for each key."""

    def __init__(self, sink: ReadableSink) -> None:
        self._sink = sink
        self._stat = object_stat_of(sink)

    def find(self, keys: Sequence[str]) -> list[Existing | None]:
        """See `Finder`."""
        return [self._find(key) for key in keys]

    def close(self) -> None:
        """See `Finder`."""

    def _find(self, key: str) -> Existing | None:
        try:
            found = self._stat(key)
            if found is None or not found.size or is_own(key):
                return None
            if is_linked(self._sink, key) or self._sink.size(key + CONTROL) is not None:
                return None
        except (SinkError, DestinationError):  # storing the object will say it
            return None
        return Existing(found.size, found.modified_ms)


def is_as_expected(readable: ReadableSink, key: str, found: Existing, expected: Expected) -> bool:
    """Whether the object `found` at `key` has the size and the digests that its list tells.

    It is read for digests only if it has the size.
    """
    if expected.size not in {None, found.size}:
        return False
    if not expected.digests:
        return True
    digests = Digests(expected)
    try:
        for piece in readable.read(key):
            digests.update(piece)
    except (SinkError, DestinationError):  # storing the object will say it
        return False
    return digests.difference(expected) is None


def is_own(key: str) -> bool:
    """Whether `key` is that of a file of ours, also of a temporary one."""
    return is_copy(key.rpartition("/")[2]) or key.startswith(f"{OWN}/")


def unrecorded(found: Existing) -> PreviousRecord | None:
    """What to ask a server with about `found`. None if its time can't be asked with.

    A server ignores a time that is still to come (RFC 9110 13.1.3), or should.
    """
    at_s = (found.modified_ms or 0) // 1000
    if not 0 < at_s <= time.time():
        return None
    return PreviousRecord(
        done=False,
        size=found.size,
        last_modified=http_date(at_s),
        effective=ANY_URL,
        variant=TAKEN_OVER,
        modified_ms=found.modified_ms,
        recorded=False,
    )
