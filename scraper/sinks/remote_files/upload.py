"""One body on its way to a file server. It waits in the spool until it is complete.

Owns: what an error of the spool means. Does not know: servers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, Protocol

from scraper.model.errors import DestinationError, SinkError
from scraper.model.records import Stored
from scraper.sinks.base import Body
from scraper.sinks.spool import Spool

_Kinds = tuple[type[OSError | ValueError], ...]


class Destination(Protocol):
    """What an upload needs of its sink."""

    def store(self, key: str, file: BinaryIO, size: int, modified_ms: int) -> None:
        """Put the file. Raises SinkError, DestinationError; OSError where it can't be read."""

    def spooling(self, error: OSError | ValueError, key: str) -> SinkError | DestinationError:
        """The error of a body that can't wait on this machine until it is complete."""

    def forget(self, upload: "RemoteUpload") -> None:
        """Stop tracking an upload that has ended."""


class RemoteUpload:
    """One body that is being stored."""

    def __init__(self, sink: Destination, key: str, spool: Spool) -> None:
        self._sink = sink
        self._key = key
        self._spool = spool

    def write(self, chunk: bytes) -> None:
        """Append `chunk` to the spool."""
        with self._spooling():
            self._spool.write(chunk)

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset` of the spool, which is on the disk from then on."""
        with self._spooling():
            self._spool.write_at(offset, chunk)

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of the spool at `offset`."""
        with self._spooling():
            return self._spool.read_at(offset, size)

    def commit(self, body: Body) -> Stored:
        """Put the file, and remove the spool."""
        with self._spooling():
            file = self._whole()
        with file, self._spooling((OSError,)):  # a ValueError of the sink is none of the spool
            self._sink.store(self._key, file, self._spool.size, body.modified_ms)
        self.abort()
        return body.stored()

    def abort(self) -> None:
        """Remove the spool."""
        self._spool.close()
        self._sink.forget(self)

    def _whole(self) -> BinaryIO:
        data = self._spool.in_memory()
        return open(self._spool.on_disk(), "rb") if data is None else BytesIO(data)

    @contextmanager
    def _spooling(self, kinds: _Kinds = (OSError, ValueError)) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            raise self._sink.spooling(error, self._key) from None
