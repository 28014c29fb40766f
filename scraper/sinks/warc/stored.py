"""Archives in a store: `warc+s3://bucket/prefix`, and in the same way `warc+gs://`, `warc+az://`.

Finished files are objects of the store. The file that grows, its journal, the index and large
bodies on their way lie in a directory of this machine, one for each destination, below
`$XDG_STATE_HOME/scraper/warc` (`~/.local/state`). Manifest, lease and summary are objects.

So what a run has not finished is on the machine where it ran. A run on another machine goes on by
the manifest; it can't refer to payloads that only this machine's index has. The index of a machine
may lack what others have written since, so a run looks whether the manifest is as it left it.

Which store it is, its endpoint tells: two of them may have a bucket of the same name. It is known
once the store has answered. So nothing lies here before `check`, or before a file is copied here to
be read.

Owns: which of both holds what. Does not know: how either works.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.model.urls import redact
from scraper.sinks.base import (
    Blocking,
    ConditionalSink,
    Listed,
    ReadableSink,
    SinkOptions,
    SmallObject,
    Upload,
    find_sink,
    listing_of,
)
from scraper.sinks.directory import OWN
from scraper.sinks.lease import FencedSink
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.warc.files import StoredFiles
from scraper.sinks.warc.sink import WarcSink

_OURS = f"{OWN}/"
_SEGMENTS = f"{OWN}/manifest-"
_AMAZON = "amazonaws.com"


class StoredWarcSink(WarcSink):
    """The archive below a URL of a store, behind `warc+`."""

    near = False
    blocking = Blocking.COMMIT
    usual_size = 1 << 28

    def __init__(self, destination: str, options: SinkOptions) -> None:
        url = destination.partition("+")[2]
        inner = find_sink(url, options)
        if not (isinstance(inner, ConditionalSink) and isinstance(inner, ReadableSink)):
            raise UsageError(f"--to {redact(destination)!r}: archives can't be kept there")
        self._inner = inner
        self._url = url
        self._making = threading.Lock()
        super().__init__(destination, options, _state())

    @property
    def endpoint(self) -> str:
        """The URL of the service, "" before it is known."""
        return str(getattr(self._inner, "endpoint", ""))

    @property
    def client(self) -> str:
        """What the store is asked by."""
        return str(getattr(self._inner, "client", ""))

    def check(self) -> None:
        """Both must take something. Raises DestinationError."""
        self._inner.check()
        self._settle()
        super().check()

    def reach(self) -> None:
        """Prepare for reading. Nothing is made here yet. Raises DestinationError."""
        self._inner.reach()
        self._settle()

    def new_file(self) -> Path:
        """See `WarcSink`. Whoever reads makes the directories with the first copy of an object.

        Raises DestinationError.
        """
        with self._making:
            if self._temporary is None:
                super().check()
        return super().new_file()

    def open(self, key: str) -> Upload:
        """An object of our own. Raises SinkError."""
        return self._inner.open(key) if key.startswith(_OURS) else super().open(key)

    def object_stat(self, key: str) -> ObjectStat | None:
        """See `WarcSink`."""
        if key.startswith(_OURS):
            size = self._inner.size(key)
            return None if size is None else ObjectStat(size)
        return super().object_stat(key)

    def read(self, key: str) -> Iterator[bytes]:
        """See `WarcSink`."""
        return self._inner.read(key) if key.startswith(_OURS) else super().read(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See `WarcSink`."""
        return self._inner.keys(prefix) if prefix.startswith(_OURS) else super().keys(prefix)

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        """See `ReadableSink`. An object of an archive costs a look, one of our own does not."""
        if prefix.startswith(_OURS):
            assert isinstance(self._inner, ReadableSink)
            return listing_of(self._inner)(prefix)
        sized = ((key, self.size(key)) for key in self.keys(prefix))
        return (Listed(key, size) for key, size in sized if size is not None)

    def remove(self, key: str) -> None:
        """See `WarcSink`. Objects of our own are removed."""
        return self._inner.remove(key) if key.startswith(_OURS) else super().remove(key)

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """See `ConditionalSink`."""
        return self._conditional.put_if(key, data, etag)

    def get_small(self, key: str) -> SmallObject | None:
        """See `ConditionalSink`."""
        return self._conditional.get_small(key)

    def fence(self, holds: Callable[[], bool]) -> None:
        """See `FencedSink`. Nor are files of this machine changed any more."""
        self._fence = holds
        if isinstance(self._inner, FencedSink):
            self._inner.fence(holds)

    def _mark(self) -> str:
        """See `WarcSink`: which segments the manifest has. A run on another machine adds some."""
        with suppress(SinkError, DestinationError):
            names = sorted(self._inner.keys(_SEGMENTS))
            return hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""
        return ""

    def close(self) -> None:
        """Finish and put the open files, and close both."""
        try:
            super().close()
        finally:
            self._inner.close()

    def _settle(self) -> None:
        name = hashlib.sha256(f"{_place(self._url)} {_service(self.endpoint)}".encode())
        self._lie_in(_state() / name.hexdigest()[:16])
        self.files = StoredFiles(self.disk, self._inner, self.new_file)

    @property
    def _conditional(self) -> ConditionalSink:
        assert isinstance(self._inner, ConditionalSink)
        return self._inner


def _place(url: str) -> str:
    """The URL of a destination, in the one way of writing it."""
    scheme, _, path = url.partition("://")
    return f"{scheme.lower()}://{'/'.join(filter(None, path.split('/')))}"


def _service(endpoint: str) -> str:
    """What tells one store from another. A bucket of Amazon's has one name in all regions."""
    host = urlsplit(endpoint).hostname or ""
    return _AMAZON if host == _AMAZON or host.endswith(f".{_AMAZON}") else endpoint.rstrip("/")


def _state() -> Path:
    """Where programs keep what should outlive them (the XDG base directories)."""
    given = os.environ.get("XDG_STATE_HOME", "")
    home = Path.home()
    if not (os.path.isabs(given) or home.is_absolute()):
        raise SinkError("there is no home directory for an archive's open file", transient=False)
    state = Path(given) if os.path.isabs(given) else home / ".local" / "state"
    return state / "scraper" / "warc"
