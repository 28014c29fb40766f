"""The two sinks that write to stdout: bodies, or a tar of them.

A body waits in memory or in a temporary file until it is whole: what was printed can't be taken
back, so half a body that is tried again would be there twice. Bodies come in the order in which
they are whole. Nothing can be read back.

Owns: uploads. Does not know: how stdout is written to (`stream.py`), the bytes of a tar
(`archives/`).
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.archives.coding import Plain
from scraper.sinks.archives.packed import content_of
from scraper.sinks.archives.tar_format import END
from scraper.sinks.base import Blocking, Body, SinkOptions
from scraper.sinks.spool import MIB, Spool, Spools
from scraper.sinks.spooled_upload import SpooledUpload
from scraper.sinks.stdout.stream import Stdout

if TYPE_CHECKING:
    from collections.abc import Iterable

_MEMORY, _MEMORY_OF_ALL = 1 * MIB, 32 * MIB


def open_sink(destination: str, options: SinkOptions) -> "StdoutSink":
    """The sink for `-`."""
    del destination, options
    return StdoutSink(as_tar=False)


def open_tar(destination: str, options: SinkOptions) -> "StdoutSink":
    """The sink for `tar:-`."""
    del destination, options
    return StdoutSink(as_tar=True)


class StdoutSink:
    """Bodies, whole ones only, never two at once. `as_tar`: as members of a tar."""

    blocking = Blocking.COMMIT
    random_access = True

    def __init__(self, *, as_tar: bool) -> None:
        self.has_directories = as_tar
        self._as_tar = as_tar
        self._stdout = Stdout()
        self._spools = Spools(_MEMORY, _MEMORY_OF_ALL)
        self._plain = Plain()
        self._in_order = False

    def check(self) -> None:
        """Raise DestinationError if stdout is closed, or a tar would go to a terminal."""
        self._spools.remove_leftovers()
        if self._stdout.check() and self._as_tar:
            raise DestinationError("tar:- is not written to a terminal: | tar -x, or > FILE.tar")

    def open(self, key: str) -> SpooledUpload:
        """A body that waits until it is whole."""
        return SpooledUpload(key, Spool(self._spools), self._put)

    def sync(self) -> None:
        """Return when what was written is on the disk, where stdout is a file."""
        self._stdout.sync()

    def all_recorded(self) -> None:
        """Know that the run ends in order: a tar without members has its end, too."""
        self._in_order = True

    def close(self) -> None:
        """End the tar, and drop what was not committed."""
        if self._as_tar and (self._stdout.begun or self._in_order):
            with suppress(SinkError, DestinationError):
                self._stdout.write([END])
        self._stdout.close()
        self._spools.close()

    def _put(self, key: str, spool: Spool, body: Body) -> None:
        pieces: Iterable[bytes] = content_of(spool)
        if self._as_tar:
            pieces = self._plain.pack(key, body.modified_ms // 1000, spool, self._spools).pieces
        self._stdout.write(pieces)
        spool.close()
