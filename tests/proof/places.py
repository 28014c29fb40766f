"""Where a story's objects go, and what a story asks of that place beside its objects.

Everything is looked at by means that are not the program's own.
"""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.e2e import places
from tests.e2e.command import MANIFEST, SUMMARY, Command, parsed


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
class Archive:
    """A tar, tar.gz or zip below the directory of a Command, by its name."""

    cli: Command
    name: str

    @property
    def words(self) -> list[str]:
        """Options."""
        return ["--to", f"{self.name.partition('.')[2].partition('.')[0]}:{self.name}"]

    @property
    def environment(self) -> Mapping[str, str]:
        """None."""
        return {}

    @property
    def path(self) -> Path:
        """The archive."""
        return self.cli.directory / self.name

    @property
    def _home(self) -> Path:
        return self.cli.directory / f"{self.name}.scraper"

    def members(self) -> list[tuple[str, bytes]]:
        """All whole members in order, as the standard library reads them."""
        if not self.path.exists():
            return []
        if self.name.endswith(".zip"):
            with zipfile.ZipFile(self.path) as opened:
                return [(name, opened.read(name)) for name in opened.namelist()]
        return whole_members(self.path)

    def files(self) -> dict[str, bytes]:
        """What is unpacked: the last member of each name."""
        return dict(self.members())

    def records(self) -> list[dict[str, Any]]:
        """Of the manifest beside it."""
        return parsed((self._home / MANIFEST).read_bytes())

    def manifest(self) -> list[bytes]:
        """The lines of the manifest beside it."""
        return _lines(self._home / MANIFEST)

    def leftovers(self) -> list[str]:
        """Temporary files, the note of a run that is writing, and what is beside the archive."""
        own = {*(MANIFEST, f"{MANIFEST}.index", f"{MANIFEST}.key", SUMMARY)}
        own |= {".scraper/lock", ".scraper/tmp/lock"}
        found = {str(one.relative_to(self._home)) for one in self._home.rglob("*") if one.is_file()}
        beside = self.cli.directory.glob(f"{self.name}.*")
        return sorted(found - own) + [str(one) for one in beside if one != self._home]


def whole_members(path: Path) -> list[tuple[str, bytes]]:
    """The members of a tar up to the first one that is not whole."""
    found = []
    with suppress(tarfile.ReadError, EOFError, zlib.error), tarfile.open(path) as opened:
        for member in opened:
            content = opened.extractfile(member)
            assert content is not None
            body = content.read()
            if len(body) < member.size:
                break
            found.append((member.name, body))
    return found


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
