"""Voids: what is over of our own files, where they may be put, but not deleted.

    remove_own(sink, key)                     # deleted, or made void
    for key in own_keys(sink, ".scraper/"): ...    # without those that are void

A void is an empty object. A list tells it from others, so it costs no request of its own. No file
of ours that counts is empty.

Owns: that. Does not know: locks, which say that they are over in their own way (`lease.py`,
`mutex.py`), objects of the user (a denial is an error there).
"""

from scraper.model.errors import DestinationError
from scraper.sinks.base import ReadableSink, Sink, listing_of, put_object


def remove_own(sink: Sink, key: str) -> None:
    """Delete one of our own objects, or make it void. Raises SinkError, DestinationError."""
    if not isinstance(sink, ReadableSink):
        return
    try:
        sink.remove(key)
    except DestinationError as denied:
        if not sink.size(key):  # there is none, or it is void
            return
        try:
            put_object(sink, key, b"", "text/plain")
        except DestinationError:
            raise denied from None


def own_keys(sink: ReadableSink, prefix: str) -> list[str]:
    """Our own objects whose keys begin with `prefix`, but voids. Raises SinkError."""
    return [one.key for one in listing_of(sink)(prefix) if one.size]
