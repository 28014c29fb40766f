"""A list that is stored in S3.

Owns: reading one object into a temporary file. It is asked for again where that may help. Does not
know: what is in a list.
"""

import contextlib
import tempfile
from typing import BinaryIO

from scraper.model.errors import ListError
from scraper.model.urls import redact
from scraper.sinks.base import SinkOptions
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.errors import S3Error


def open_object(url: str, options: SinkOptions) -> BinaryIO:
    """A temporary file with the object at an `s3://bucket/key` URL. Raises ListError."""
    name, _, key = url.partition("://")[2].partition("/")
    if not name or not key:
        raise ListError(f"can't open the list {redact(url)!r}: it is not s3://bucket/key")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads and closes it
    try:
        with contextlib.closing(Bucket(name, options, attempts=4)) as bucket:
            found = bucket.get(key)
            if found is not None:
                file.writelines(found[1])
                file.seek(0)
                return file
        reason = "there is no such object"
    except S3Error as error:
        reason = str(error)
    except OSError as error:
        reason = str(s3errors.unspoolable(error))
    file.close()
    raise ListError(f"can't open the list {redact(url)!r}: {reason}")
