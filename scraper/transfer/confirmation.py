"""Confirmation: whether the object that a 304 speaks of is the one that is in the sink.

A 304 says that nothing has changed since what was asked with. So the object must be there, and be
the recorded one.

An object that no run has recorded was asked about by its own time. In S3 a listing tells when it
was put. It may have been fetched long before that, and the page may have changed in between. What
is stored beside its bytes tells when it was fetched, or last changed. Where that is earlier, the
server is asked again, with that time.

Owns: these decisions. Does not know: requests (`transfer.py`). Rejected: one look at each object of
a listing before the first request; most objects have not changed, and are looked at after a 304.
"""

from scraper.model.dates import http_date, parse_http_date
from scraper.model.records import TAKEN_OVER, Existing, PreviousRecord, Response
from scraper.sinks.base import ReadableSink, object_stat_of
from scraper.sinks.object_stat import is_recorded


def confirmed(
    readable: ReadableSink | None, key: str, previous: PreviousRecord, response: Response
) -> PreviousRecord | None:
    """`previous` if its object is there, and no other, as far as can be told.

    None: it is not. Another record: the server is to be asked with that. `readable`: the sink, None
    if it can't be read. `response` is the 304. Raises SinkError and DestinationError.
    """
    if readable is None:
        return previous
    found = object_stat_of(readable)(key)
    if not is_recorded(found, previous.size, previous.digest, previous.modified_ms):
        return None
    assert found is not None
    asked_ms, own_ms = previous.modified_ms, found.own_ms
    if previous.variant != TAKEN_OVER or own_ms is None or asked_ms is None:
        return previous
    changed_s = parse_http_date(response.last_modified)
    if own_ms // 1000 >= asked_ms // 1000 or (changed_s is not None and changed_s * 1000 <= own_ms):
        return previous
    if own_ms < 1000:
        return None
    return previous._replace(
        last_modified=http_date(own_ms // 1000),
        modified_ms=own_ms,
        recorded=previous.recorded and previous.digest is not None,
    )


def existing_of(previous: PreviousRecord) -> Existing | None:
    """The object of `previous`, as it is to be recorded now. None if too little is known of it.

    One that no run has stored, and of which no digest is known, is taken over once more.
    """
    if previous.size is None:
        return None
    if previous.recorded and previous.digest is not None:
        return Existing(previous.size, sha256=previous.digest.hex())
    if previous.recorded and previous.variant != TAKEN_OVER:
        return None
    return Existing(previous.size, previous.modified_ms)
