"""What is stored: the record of the object that each key has now.

Owns: which records these are. Does not know: whether the objects are still there (`verify.py`), how
they are shown (`cli/listing.py`). Rejected: a dict of keys; the index takes 16 MB at any size.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from scraper.manifest.codec import Reading, object_modified_ms
from scraper.manifest.index import OBJECT, Index
from scraper.sinks.archives import StoredFacts


def stored(lines: Callable[[], Iterator[bytes]], reading: Reading) -> Iterator[dict[str, Any]]:
    """The record of each object, in the order of the manifest.

    `lines` gives the manifest's lines from the start; it is called twice. Raises what `lines`
    raises, Unusable, and UsageError for the manifest of another destination than `reading` has.
    """
    with contextlib.closing(Index("", reading)) as index:
        index.absorb(lines())
        for flag, line in zip(index.objects(), lines(), strict=False):
            if flag == OBJECT:
                yield orjson.loads(line)


def stored_facts(lines: Iterable[bytes]) -> Iterator[StoredFacts]:
    """What each record of a stored body says of it, also of one that was replaced later."""
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            record = orjson.loads(line)
            if record["status"] == "stored":
                modified_ms = object_modified_ms(record, record.get("last_modified"))
                digest = record.get("sha256")
                yield StoredFacts(record["key"], record["size"], modified_ms, digest)
