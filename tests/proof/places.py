"""Where a story's objects go, and what a story asks of that place beside its objects.

Everything is looked at by means that are not the program's own.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.e2e import places
from tests.e2e.command import MANIFEST, SUMMARY


class Place(places.Place, Protocol):
    """A destination of whole runs, and the traces they leave there."""

    def manifest(self) -> list[bytes]:
        """Its lines, oldest first; the last may be torn."""

    def leftovers(self) -> list[str]:
        """Whatever nobody needs any more once no run is under way."""


@dataclass(frozen=True)
class Directory(places.Directory):
    """`file`: a manifest in a place of its own."""

    file: Path | None = None

    @property
    def words(self) -> list[str]:
        """Options."""
        return [*super().words, *_manifest(self.file)]

    @property
    def _root(self) -> Path:
        return self.cli.directory / self.name

    def manifest(self) -> list[bytes]:
        """The lines of the file."""
        return _lines(self.file or self._root / MANIFEST)

    def leftovers(self) -> list[str]:
        """Temporary files, and what runs kept them in; an index is none."""
        left = [key for key in self.temporary() if key != f"{MANIFEST}.index"]
        return left + [str(path) for path in self._root.glob(".scraper/tmp/run-*")]


@dataclass(frozen=True)
class Bucket(places.Bucket):
    """`file`: a manifest on the disk; without it the manifest is in the bucket."""

    file: Path | None = None

    @property
    def words(self) -> list[str]:
        """Options."""
        return [*super().words, *_manifest(self.file)]

    def manifest(self) -> list[bytes]:
        """The lines of the file, or of all segments."""
        if self.file is not None:
            return _lines(self.file)
        segments = [(key, self.read(key)) for key in self._segments()]
        whole = [gzip.decompress(data) if key.endswith(".gz") else data for key, data in segments]
        return b"".join(whole).splitlines(keepends=True)

    def leftovers(self) -> list[str]:
        """Objects of our own that are no segment, and unfinished uploads."""
        own = {key for key in self.all() if key.startswith(".scraper/")} - {SUMMARY}
        unfinished: list[str] = self.server.unfinished(self.bucket)
        return sorted(own.difference(self._segments())) + unfinished

    def _segments(self) -> list[str]:
        return [key for key in self.all() if key.startswith(".scraper/manifest-")]


@dataclass(frozen=True)
class Files(places.Files):
    """A directory of a file server, whose manifest lies in it."""

    def manifest(self) -> list[bytes]:
        """The lines of all segments."""
        segments = [(key, self.read(key)) for key in self._segments()]
        whole = [gzip.decompress(data) if key.endswith(".gz") else data for key, data in segments]
        return b"".join(whole).splitlines(keepends=True)

    def leftovers(self) -> list[str]:
        """Files of our own that are no segment, temporary ones beside objects too."""
        own = {key for key in self.all() if places.is_own(key)} - {SUMMARY}
        return sorted(own.difference(self._segments()))

    def _segments(self) -> list[str]:
        return [key for key in self.all() if key.startswith(".scraper/manifest-")]


def _manifest(file: Path | None) -> list[str]:
    return [] if file is None else ["--manifest", str(file)]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []
