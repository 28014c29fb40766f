"""What `ObjectSink` needs of a store: the requests to it, and the way to it.

Owns: these protocols. A store of a new kind has both, and nothing else of a sink.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import Body
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.objects.errors import StoreError
from scraper.sinks.objects.metadata import Facts
from scraper.sinks.put_request import PutRequest

PROBE = b"scraper was here to see whether it may write\n"
Mapped = Callable[[StoreError], SinkError | DestinationError]


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `size` is in bytes, `modified` is seconds since 1970.

    `etag` says which state of the object this is. Only `put_if` reads it; a list may not tell it.
    `age_s`: seconds since it was put, by the endpoint's own clock (`Date` of the answer). None if
    the endpoint does not tell.
    """

    key: str
    size: int
    etag: str
    modified: float
    age_s: float | None = None


class Store(Protocol):
    """The requests to one bucket. Keys include the prefix. Every method raises StoreError."""

    def put_file(self, key: str, path: Path, size: int, facts: Facts) -> None:
        """Put a file as an object, in one request or in parts. What fails leaves nothing."""

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put an object only if it still is what `etag` says. None: only if there is none.

        Returns what says its new state, or None if the condition did not hold.
        """

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """An object, and its bytes as they arrive. None if there is no such object."""

    def stat(self, key: str) -> ObjectStat | None:
        """What its head says of an object. None if there is no such object."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with `prefix`."""

    def folders(self, prefix: str) -> Iterator[str]:
        """What begins keys, from `prefix`, which ends with a slash, to the next slash."""

    def delete(self, key: str) -> None:
        """Delete an object. Nothing happens if there is none."""

    def fence(self, holds: Callable[[], bool]) -> None:
        """Send nothing more that changes an object once `holds()` is false. Parts are aborted."""

    def close(self) -> None:
        """Give up what is under way, and close the connections."""


class Service(Protocol):
    """The way to one bucket, and what was found out about it.

    `place` is what messages call it, `client` who puts small objects. `found` is for `join`.
    """

    place: str
    client: str
    found: Any

    @property
    def store(self) -> Store | None:
        """The requests to the bucket. None before it was reached."""

    @property
    def remark(self) -> str:
        """What is unusual, for the first line of the log; "" if nothing is."""

    @property
    def endpoint(self) -> str:
        """The URL of the service, "" before it is known."""

    def check(self, key: str) -> None:
        """Put PROBE at `key` and delete it. Raises StoreError, DestinationError, UsageError."""

    def join(self, found: Any) -> None:
        """Begin as another process of the run did, whose `check` found this. Raises StoreError."""

    def reach(self, key: str) -> None:
        """Prepare for reading only. Raises StoreError."""

    def facts(self, body: Body, *, own: bool) -> Facts:
        """What is stored beside the bytes. `own`: it is an object that the program itself reads."""

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Put an object from memory. It replaces an older one. Raises StoreError."""

    def put_request(
        self, key: str, data: bytes, facts: Facts, mapped: Mapped, may_be_sent: Callable[[], bool]
    ) -> PutRequest | None:
        """The request that puts it, for an engine to carry out. None: `put` must do it."""

    def told(self, error: StoreError, key: str) -> str:
        """The error in one line. Where a permission is missing, it says which one."""

    def hint(self, error: StoreError) -> str:
        """The way out for the person at the command line, "" if there is none that is certain."""

    def close(self) -> None:
        """Close everything."""
