"""The memory of a destination: one record of every target's end, kept with the bodies.

Owns: the record as JSON, where its lines are kept, what earlier runs said, and the comparison of
that with what is there. Does not know: requests, the loop. Others import the names below.
`manifest.verify` is imported by its own name, since a run does not need it.
"""

from scraper.manifest.codec import as_json, encode, to_record
from scraper.manifest.history import History, IsAnother, remember
from scraper.manifest.store import (
    ManifestStore,
    Patience,
    open_store,
    path_for,
    read_lines,
    reading_of,
)

__all__ = [
    "History",
    "IsAnother",
    "ManifestStore",
    "Patience",
    "as_json",
    "encode",
    "open_store",
    "path_for",
    "read_lines",
    "reading_of",
    "remember",
    "to_record",
]
