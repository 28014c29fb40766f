"""An upload that waits until it is whole, for sinks that can't take back what they were given.

Owns: that, and what an error of the temporary file means. Does not know: where the body goes then.
"""

import errno
from collections.abc import Callable

from scraper.model.errors import DestinationError, SinkError
from scraper.model.records import Stored
from scraper.sinks.base import Body
from scraper.sinks.spool import Spool

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_TRANSIENT = {errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ESTALE}

Store = Callable[[str, Spool, Body], None]  # raises SinkError and DestinationError


class SpooledUpload:
    """A body of `key`, in `spool`. `store` takes it when it is whole."""

    def __init__(self, key: str, spool: Spool, store: Store) -> None:
        self._key, self._spool, self._store = key, spool, store

    def write(self, chunk: bytes) -> None:
        """Append `chunk` to the body."""
        try:
            self._spool.write(chunk)
        except (OSError, ValueError) as error:
            raise spool_error(error, self._key) from None

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset` of the body."""
        try:
            self._spool.write_at(offset, chunk)
        except (OSError, ValueError) as error:
            raise spool_error(error, self._key) from None

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes that were written at `offset`."""
        try:
            return self._spool.read_at(offset, size)
        except (OSError, ValueError) as error:
            raise spool_error(error, self._key) from None

    def commit(self, body: Body) -> Stored:
        """Store it."""
        self._store(self._key, self._spool, body)
        return body.stored()

    def abort(self) -> None:
        """Drop the body."""
        self._spool.close()


def spool_error(error: OSError | ValueError, key: str) -> SinkError | DestinationError:
    """What `error` means, which came while the body of `key` was kept in a temporary file."""
    if not isinstance(error, OSError):  # it was closed
        return SinkError(f"can't keep {key!r}: the run is over", transient=False)
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return DestinationError(f"no room for bodies that are on their way: {reason}")
    return SinkError(f"can't keep {key!r}: {reason}", transient=error.errno in _TRANSIENT)
