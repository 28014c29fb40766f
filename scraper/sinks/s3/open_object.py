"""A list that is stored in S3.

Owns: which object its URL means. Does not know: what is in a list.
"""

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from scraper.model.errors import ListError
from scraper.model.urls import redact
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.fetched import fetched
from scraper.sinks.objects.service import Entry
from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.bucket_in_endpoint import hint_of_name
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.permissions import missing_permission


class _Named(Bucket):
    """A bucket that finds out which permission is missing, where the store does not name it."""

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """See `Bucket`."""
        try:
            return super().get(key)
        except S3Error as error:
            if error.denied and not error.named:
                error.denied = missing_permission(error.denied, self, "")
            raise


def open_object(url: str, options: SinkOptions) -> BinaryIO:
    """A temporary file with the object at an `s3://bucket/key` URL. Raises ListError."""
    name, _, key = url.partition("://")[2].partition("/")
    if not name or not key:
        raise ListError(f"can't open the list {redact(url)!r}: it is not s3://bucket/key")
    opened: list[Bucket] = []

    def bucket() -> contextlib.closing[Bucket]:
        opened.append(_Named(name, options, attempts=4))
        return contextlib.closing(opened[0])

    try:
        return fetched(url, bucket, key)
    except ListError as error:
        if not (hint := hint_of_name(opened[0]) if opened else ""):
            raise
        raise ListError(f"{error}; {hint}") from None
