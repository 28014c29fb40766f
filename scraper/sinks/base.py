"""The seam between transfers and places: Sink, Upload, and how a sink is found.

Owns: the two protocols, the facts that accompany a body, and the look-up of a
sink by URL scheme in the entry-point group `scraper.sinks`. Ours are registered
there too, and called in the same way; where they are is also written here, since
to ask all installed packages takes longer than a small run. Refuses to know: any
one sink. Rejected: base classes; a Protocol is enough to check a plugin's types,
and `scraper.testing` checks its behaviour.

A factory is called as `factory(destination, options)` and must not touch the
network or the disk: `check()` does, when a run really begins.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from scraper.model.errors import UsageError
from scraper.model.records import Response, Stored
from scraper.model.settings import S3
from scraper.model.urls import redact

ENTRY_POINT_GROUP = "scraper.sinks"
# The entry points of this package, as a test holds; nobody else's can take their place.
OURS = {"file": "scraper.sinks.directory:open_sink", "s3": "scraper.sinks.s3:open_sink"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: C:\ is a path


class Body(NamedTuple):
    """What is known of a body when it is complete.

    `size` is bytes as stored, `sha256` hexadecimal, `fetched_at` seconds since
    1970 (UTC); `source_url` has no secrets.
    """

    source_url: str
    fetched_at: float
    size: int
    sha256: str
    response: Response

    def stored(self) -> Stored:
        """The record of this body, for a sink to return from `commit`."""
        return Stored(response=self.response, size=self.size, sha256=self.sha256)


class SinkOptions(NamedTuple):
    """What a sink may want to know of the run."""

    max_concurrency: int = 16
    s3: S3 = S3()


class Upload(Protocol):
    """One body on its way to one key; used by one thread at a time."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises SinkError."""

    def commit(self, body: Body) -> Stored:
        """Make the object appear, whole and durable, replacing any other. Raises SinkError."""

    def abort(self) -> None:
        """Leave nothing behind; harmless after anything, `commit` included. Never raises."""


class Blocking(Enum):
    """What of a sink may wait, for a network or a disk, longer than a few hundred microseconds."""

    NEVER = auto()
    COMMIT = auto()  # that alone; `open`, `write` and `abort` do not
    WRITE = auto()  # anything


class Sink(Protocol):
    """A place for bodies; `open` is called from many threads.

    A sink may say with an attribute `blocking`, a `Blocking` that holds from `check` on,
    that an engine need not give it threads of its own for everything. See `blocking_of`.
    With an attribute `disk` it says which file system bodies take room on. See `disk_of`.
    And with `ignores_case`, from `check` on, that keys which differ in case only are one to it.
    """

    def check(self) -> None:
        """Raise DestinationError, in one line, unless objects can be stored. Before any request."""

    def open(self, key: str) -> Upload:
        """Begin an object. `key` is relative, safe, '/'-separated. Raises SinkError."""

    def close(self) -> None:
        """Let go of everything; give up uploads that were neither committed nor aborted."""


@runtime_checkable
class ReadableSink(Protocol):
    """What a sink offers if it can be read back: a run can then go on where others stopped.

    `near`: whether looking is quick, no request. All raise SinkError; `keys` are in any order.
    """

    near: bool

    def reach(self) -> None:
        """Make reading possible where `check()` was not called. Raises DestinationError."""

    def size(self, key: str) -> int | None:
        """Bytes of the object, None if there is none."""

    def read(self, key: str) -> Iterator[bytes]:
        """The object, piece by piece."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins with `prefix`."""

    def remove(self, key: str) -> None:
        """Delete the object, if it is there."""


Shelf = ReadableSink  # its name before 0.2, for sinks of other packages


def blocking_of(sink: Sink) -> Blocking:
    """What of `sink` may wait: anything, unless it says otherwise."""
    return getattr(sink, "blocking", Blocking.WRITE)


def disk_of(sink: Sink) -> Path | None:
    """A path on the disk where bodies are, or wait; None if `sink` does not say."""
    return getattr(sink, "disk", None)


def ignores_case(sink: Sink) -> bool:
    """Whether keys that differ in case or normal form only are one object, once it was checked."""
    return bool(getattr(sink, "ignores_case", False))


SinkFactory = Callable[[str, SinkOptions], Sink]


def scheme_of(destination: str) -> str:
    """The URL scheme of a destination in lower case; `file` for a plain path."""
    found = _SCHEME.match(destination)
    return found[1].lower() if found else "file"


def find_sink(destination: str, options: SinkOptions) -> Sink:
    """The sink registered for the scheme of `destination`; raises UsageError if there is none."""
    scheme = scheme_of(destination)
    factory = _ours(scheme) if scheme in OURS else _installed(scheme, redact(destination))
    return factory(destination, options)


def _ours(scheme: str) -> SinkFactory:
    module, _, name = OURS[scheme].partition(":")
    factory: SinkFactory = getattr(import_module(module), name)
    return factory


def _installed(scheme: str, shown: str) -> SinkFactory:
    """What any installed package registers for `scheme`; raises UsageError if none does."""
    from importlib.metadata import entry_points

    points = entry_points(group=ENTRY_POINT_GROUP)
    found = [point for point in points if point.name == scheme]
    if not found:
        known = ", ".join(sorted({point.name for point in points}))
        raise UsageError(f"--to {shown!r}: no sink for {scheme}:// (there are: {known})")
    factory: SinkFactory = found[0].load()
    return factory
