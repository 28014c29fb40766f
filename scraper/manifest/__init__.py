"""The memory of a destination: one record of every target's end, kept with the bodies.

Owns: the record as JSON, where its lines are kept, what earlier runs said, and the comparison of
that with what is there. Does not know: requests, the loop. Others import the names below.
`manifest.verify`, `manifest.not_done`, `manifest.stored`, `manifest.key_set`, `manifest.survey`,
`manifest.run_records`, `manifest.preview`, `manifest.prune`, `manifest.adoption`,
`manifest.every_manifest`, `manifest.shard_store`, `manifest.known` and `manifest.last_state` are
imported by their own names, since most runs do not need them.
"""

from scraper.manifest.codec import Reading, is_permanent, status_of
from scraper.manifest.history import History, remember
from scraper.manifest.open_store import (
    earlier_lines,
    exists,
    leaves_nothing,
    lines_from,
    open_shard_store,
    open_store,
    path_for,
    reading_of,
)
from scraper.manifest.record import as_json, encode, target_fields, to_record
from scraper.manifest.store import ManifestStore, StoreTimeouts

__all__ = [
    "History",
    "ManifestStore",
    "Reading",
    "StoreTimeouts",
    "as_json",
    "earlier_lines",
    "encode",
    "exists",
    "is_permanent",
    "leaves_nothing",
    "lines_from",
    "open_shard_store",
    "open_store",
    "path_for",
    "reading_of",
    "remember",
    "status_of",
    "target_fields",
    "to_record",
]
