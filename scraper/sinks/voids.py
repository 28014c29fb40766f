"""Voids: what is over of our own files, where they may be put, but not deleted.

    remove_own(sink, key)                     # deleted, or made void
    for key in own_keys(sink, ".scraper/"): ...    # without those that are void

A void is an empty object. A list tells it from others, so it costs no request of its own. No file
of ours that counts is empty.

Owns: that. Does not know: locks, which say that they are over in their own way (`lease.py`,
`mutex.py`), objects of the user (a denial is an error there).
"""

from collections.abc import Callable, Iterator

from scraper.model.errors import DestinationError
from scraper.sinks.base import Listed, ReadableSink, Sink, put_object

VOID = b""


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
            put_object(sink, key, VOID, "text/plain")
        except DestinationError:
            raise denied from None


def own_keys(sink: ReadableSink, prefix: str) -> Iterator[str]:
    """Our own objects whose keys begin with `prefix`, but voids. Raises SinkError.

    A sink without a `listing` does not tell which are void.
    """
    listing: Callable[[str], Iterator[Listed]] | None = getattr(sink, "listing", None)
    if listing is None:
        return sink.keys(prefix)
    return (one.key for one in listing(prefix) if one.size)
