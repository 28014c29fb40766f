"""ManifestStore: the seam to where the lines of a manifest are kept.

A file is appended to (`file_store.py`). A sink can't append, so there the lines are numbered
segments (`sink_store.py`). In both, replaying the lines in order gives the state of every
target, and replaying a line twice changes nothing. A record is written after the sink's commit,
never before.

Owns: the seam. Does not know: which of the two a destination has (`open_store.py`), what a line
says (`codec.py`). Rejected: a database as the manifest; every shell tool reads lines of JSON.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from scraper.manifest.identity import Identity
from scraper.model.records import Result

if TYPE_CHECKING:
    from scraper.manifest.index import Index  # most runs need none


class ManifestStore(Protocol):
    """An open manifest. Used by one thread. All but the first method raise DestinationError.

    `place`: its name for people. `begun`: whether it had lines when it was opened. `readable`:
    whether it can have lines. `index_path`: where an index of it may be kept, None for nowhere.
    `identity`: of its targets. `destination`: what its records say that they are of, "" if they
    lie in their destination and need not say so. `run`: the id of the run, for its records.
    """

    place: str
    begun: bool
    readable: bool
    index_path: Path | None
    identity: Identity
    destination: str
    run: str

    def __call__(self, result: Result) -> None:
        """Append the record of `result`. It is written by a later `flush`. Never raises."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record that is no Result. It is written by a later `flush` or `settle`."""

    @property
    def recorded(self) -> int:
        """How many records of this run a killed run would leave: written, in the order given."""

    def adopt(self, lines: Iterable[bytes]) -> None:
        """Take over whole lines of other manifests, before the first record of this run.

        They are durable when this returns.
        """

    def flush(self, *, idle: bool = False) -> None:
        """Write what is due. `idle`: nothing else is going on, so everything is due."""

    def settle(self) -> None:
        """Write everything, and wait until it is as durable as after `close`. More may follow."""

    def close(self) -> None:
        """Write everything and wait until it is durable."""

    def release(self) -> None:
        """After everything else: let another run have it. Never raises."""

    def catch_up(self, index: "Index") -> None:
        """Let `index` absorb the lines that it does not have yet."""

    def confirm(self, index: "Index") -> None:
        """After `close`: let a later `catch_up` of `index` begin where this one ended."""

    def compact(self, index: "Index") -> None:
        """Drop the lines that say nothing any more, by an `index` that has caught up."""


class StoreTimeouts(NamedTuple):
    """Seconds to wait: for a sink that takes no records, for a run that holds the file."""

    sink_s: float
    lock_s: float = 0.0
