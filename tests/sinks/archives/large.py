"""A body of many gibibytes, stored without having it in memory."""

import time
from hashlib import sha256

from scraper.model.records import Response
from scraper.sinks.base import Body, Sink


def store_large(sink: Sink, key: str, piece: bytes, count: int) -> None:
    """Store `piece` so many times, as one body."""
    upload, digest = sink.open(key), sha256()
    for _ in range(count):
        upload.write(piece)
        digest.update(piece)
    response = Response(200, "http://example.com/large")
    size = count * len(piece)
    upload.commit(Body("http://example.com/large", time.time(), size, digest.hexdigest(), response))
