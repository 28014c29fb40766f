"""The interface between transfers and destinations that keep whole exchanges, not bodies alone.

Such a sink has the method `record`. A transfer tells the `Recording` each request with the head of
its response, and the bytes of the body as they came, before any content coding is undone. The body
that is wanted goes through `open` as into any sink. What is written there is the decoded form: an
archive does not need it.

Owns: these types. Does not know: any particular sink.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from scraper.model.archived import Archived
from scraper.model.records import NotModified, Stored
from scraper.sinks.base import Blocking, Sink, Upload
from scraper.sinks.lock import Limit


class Exchange(NamedTuple):
    """A request, and the head of its response.

    `url` is redacted. `fields` are the headers of the request; the archive leaves secrets out.
    `lines` are those of the response's head as they came, with their line ends; the first is the
    status line. `moment` is seconds since 1970. `remote_ip` is None behind a proxy. `tls` is the
    protocol as OpenSSL names it, None without.
    """

    url: str
    host: str
    fields: tuple[tuple[str, str], ...]
    lines: Sequence[bytes]
    status: int
    moment: float
    remote_ip: str | None = None
    tls: str | None = None


class Recording(Protocol):
    """The exchanges of one attempt. One thread at a time uses it. It is a sink for its body.

    `written`: where they are in the archive, None until `seal`, or if nothing was recorded.
    """

    blocking: Blocking
    written: Archived | None

    def exchange(self, exchange: Exchange) -> None:
        """An exchange begins. The one before has its whole body."""

    def body(self, chunk: bytes) -> None:
        """Bytes of the body of the last exchange. Raises SinkError and DestinationError."""

    def some(self, chunk: bytes) -> bool:
        """The same, of a body that nobody wants. False: no more of it is kept."""

    def withhold(self) -> None:
        """Nothing is kept of the body of the last exchange, and no player is to find it."""

    def broken(self, why: str) -> None:
        """The body of the last exchange is not whole. `why`: `length`, `time`, `disconnect`."""

    def open(self, key: str) -> Upload:
        """The upload of the wanted body. Its `commit` writes all exchanges."""

    def seal(self, outcome: NotModified | None = None) -> None:
        """Write all exchanges, without an object. Raises SinkError and DestinationError.

        `outcome`: what became of the target, None for anything else.
        """

    def drop(self) -> None:
        """Forget what was not written. Never raises."""


class Unrecorded(NamedTuple):
    """Exchanges that a killed run has written, and perhaps not recorded.

    `about` are the fields of a record that say which target it is. `outcome` is None where the
    target has no object by this. `started` is seconds since 1970.
    """

    archived: Archived
    about: Mapping[str, Any]
    outcome: Stored | NotModified | None
    started: float


class ArchivedObject(NamedTuple):
    """What the manifest says of an object in an archive: what an index needs to find it.

    `left`: its content coding as it is stored, "" for none. `url` answered with it.
    """

    key: str
    archived: Archived
    size: int
    sha256: str
    modified_ms: int
    left: str
    url: str


class FinishedFiles(Protocol):
    """The finished files of an archive, by their `names`. Raises SinkError, DestinationError."""

    names: Sequence[str]

    def have(self, key: str) -> bool:
        """Whether the object is in them: not if its records are in a file that is open."""

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""

    def index(self) -> Iterator[bytes]:
        """The lines of the indexes of all files, in order. Raises OSError too."""


def learn(sink: Sink, objects: Callable[[], Iterator[ArchivedObject]]) -> None:
    """Tell an archive where its objects are, by the manifest. Raises DestinationError."""
    work: Callable[[Callable[[], Iterator[ArchivedObject]]], None] | None
    work = getattr(sink, "learn", None)
    if work is not None:
        work(objects)


def finished_files(sink: Sink) -> FinishedFiles:
    """The finished files of an archive. Raises SinkError."""
    ask: Callable[[], FinishedFiles] = sink.finished_files  # type: ignore[attr-defined]
    return ask()


def record_of(sink: Sink) -> Callable[[str, Mapping[str, Any]], Recording] | None:
    """The method `record` of `sink`, which is given a key and what tells the target. None: none."""
    return getattr(sink, "record", None)


def recover(sink: Sink, limit: Limit) -> None:
    """Cut off what a killed run has left torn. The destination is held.

    A process that was stopped, and has the archive open still, is waited for up to `limit`. Raises
    Held then, and DestinationError.
    """
    work: Callable[[Limit], None] | None = getattr(sink, "recover", None)
    if work is not None:
        work(limit)


def unrecorded(sink: Sink) -> Iterator[Unrecorded]:
    """What killed runs have written and perhaps not recorded. Raises DestinationError."""
    ask: Callable[[], Iterator[Unrecorded]] | None = getattr(sink, "unrecorded", None)
    return iter(()) if ask is None else ask()
