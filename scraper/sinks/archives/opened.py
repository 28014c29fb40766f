"""An archive that is open, whatever its form.

Owns: what a sink may ask of it, and which class serves a form.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from scraper.sinks.archives.journal import Journal
from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.packed import Packed
from scraper.sinks.archives.place import ArchivePlace, Form
from scraper.sinks.archives.writing import Proof
from scraper.sinks.spool import Spool, Spools


class Archive(Protocol):
    """See `TarArchive`. All methods raise OSError and DestinationError."""

    members: Members

    @property
    def end(self) -> int:
        """Where the last member ends."""

    def pack(self, name: str, modified_s: int, spool: Spool, spools: Spools) -> Packed:
        """The body in `spool` as a member. Any thread."""

    journal: Journal | None  # is told of each member before it is written

    def append(self, name: str, modified_s: int, size: int, packed: Packed) -> None:
        """Append a member, and return when it is on the disk."""

    def cut(self, end: int) -> None:
        """Drop all members that begin at `end` or later."""

    def content(self, member: Member) -> Iterator[bytes]:
        """The content of a member, in pieces."""

    def write_anew(self, without: Iterable[str], last: Callable[[], None]) -> None:
        """Replace the file by one that has only what counts, and no member of these names.

        `last` is called before the new file gets its name; if it raises, the file stays as it is.
        This object is of no use afterwards, but to be closed.
        """

    def close(self) -> None:
        """Close it."""


def open_archive(place: ArchivePlace, *, writes: bool, proof: Proof, durable: bool) -> Archive:
    """The archive at `place`. Raises OSError, DestinationError. See `TarArchive`."""
    if place.form is Form.ZIP:
        from scraper.sinks.archives.zip_archive import ZipArchive

        return ZipArchive(place.path, writes=writes, proof=proof, durable=durable)
    from scraper.sinks.archives.tar_archive import TarArchive

    return TarArchive(
        place.path,
        gzip=place.form is Form.TAR_GZ,
        writes=writes,
        proof=proof,
        durable=durable,
    )
