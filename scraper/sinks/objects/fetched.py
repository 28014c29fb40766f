"""A list that is stored in an object store.

Owns: reading one object into a temporary file. It is asked for again where that may help. Does not
know: what is in a list, which store it is.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO

from scraper.model.errors import ListError
from scraper.model.urls import redact
from scraper.sinks.objects.errors import StoreError, told, unspoolable
from scraper.sinks.objects.service import Store


def fetched(url: str, opened: Callable[[], AbstractContextManager[Store]], key: str) -> BinaryIO:
    """A temporary file with the object `key` of the bucket that `opened` opens. Raises ListError.

    `url` is how the user named it.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads and closes it
    try:
        with opened() as store:
            found = store.get(key)
            if found is not None:
                file.writelines(found[1])
                file.seek(0)
                return file
        reason = "there is no such object"
    except StoreError as error:
        reason = told(error, redact(url))
    except OSError as error:
        reason = str(unspoolable(error))
    file.close()
    raise ListError(f"can't open the list {redact(url)!r}: {reason}")
