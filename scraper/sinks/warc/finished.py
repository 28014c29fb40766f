"""The finished files of an archive and their indexes, read for another program.

A file of a store is copied to be read, and few copies are kept. So each is opened when its turn
comes, and its path is told to nobody.

Owns: the index over all files, also where that of a file is missing; which objects are in them.
Does not know: what is made of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from scraper.model.errors import DestinationError
from scraper.sinks.warc.archive_file import INDEX, SUFFIX
from scraper.sinks.warc.cdxj import in_order
from scraper.sinks.warc.files import Files
from scraper.sinks.warc.index import Index
from scraper.sinks.warc.reading import NotWhole
from scraper.sinks.warc.reindexing import lines_from

_PIECE = 1 << 20


class FinishedFiles:
    """See `sinks.exchanges`. All methods raise SinkError and DestinationError."""

    def __init__(self, files: Files, index: Index) -> None:
        self._files, self._index = files, index
        self.names = files.names()
        self._named = frozenset(self.names)

    def have(self, key: str) -> bool:
        """Whether the last record of the object, and its payload, are in them."""
        found = self._index.find(key)
        return found is not None and {found.file, found.payload_file} <= self._named

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""
        with _told(name), self._files.opened(name) as file:
            while piece := file.read(_PIECE):
                yield piece

    def index(self) -> Iterator[bytes]:
        """The lines of all indexes, in order. Raises OSError where they can't be sorted."""
        return in_order(chain.from_iterable(map(self._lines, self.names)))

    def _lines(self, name: str) -> Iterator[bytes]:
        index = name.removesuffix(SUFFIX) + INDEX
        if self._files.size(index) is None:
            yield from self._made(name, index)
            return
        with _told(index), self._files.opened(index) as file:
            for line in file:
                yield line.rstrip(b"\r\n")

    def _made(self, name: str, index: str) -> Iterator[bytes]:
        """The lines of an index that is missing."""
        try:
            with _told(name), self._files.opened(name) as file:
                for line in lines_from(file, name):
                    yield line.encode()
        except NotWhole:
            raise DestinationError(
                f"{index!r} is missing, and can't be made: {name!r} has a record that is not whole",
                hint=f"an index of what is whole: cdxj-indexer -s {name} > {index}",
            ) from None


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What can't be read is a fault of the archive, and not of what is made of it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DestinationError(f"can't read {name!r} of the archive: {reason}") from None
