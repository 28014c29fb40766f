"""A list that is stored in Google Cloud Storage or Azure Blob Storage.

Owns: which object its URL means. Does not know: what is in a list.
"""

import contextlib
from typing import BinaryIO

from scraper.model.errors import ListError
from scraper.model.urls import redact
from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud.bucket import CloudBucket
from scraper.sinks.cloud.kinds import KINDS
from scraper.sinks.cloud.sink import NEED, is_there
from scraper.sinks.objects.fetched import fetched


def open_object(url: str, options: SinkOptions) -> BinaryIO:
    """A temporary file with the object at a gs:// or az:// URL. Raises ListError."""
    scheme, _, rest = url.partition("://")
    kind, (name, _, key) = KINDS[scheme.lower()], rest.partition("/")
    if not name or not key:
        form = f"{kind.scheme}://{kind.noun}/key"
        raise ListError(f"can't open the list {redact(url)!r}: it is not {form}")
    if not is_there():
        raise ListError(f"can't open the list {redact(url)!r}: it needs {NEED}")
    return fetched(
        url, lambda: contextlib.closing(CloudBucket(kind, name, options, attempts=4)), key
    )
