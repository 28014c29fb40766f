"""A list that is stored in S3.

Owns: which object its URL means. Does not know: what is in a list.
"""

import contextlib
from typing import BinaryIO

from scraper.model.errors import ListError
from scraper.model.urls import redact
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.fetched import fetched
from scraper.sinks.s3.bucket import Bucket


def open_object(url: str, options: SinkOptions) -> BinaryIO:
    """A temporary file with the object at an `s3://bucket/key` URL. Raises ListError."""
    name, _, key = url.partition("://")[2].partition("/")
    if not name or not key:
        raise ListError(f"can't open the list {redact(url)!r}: it is not s3://bucket/key")
    return fetched(url, lambda: contextlib.closing(Bucket(name, options, attempts=4)), key)
