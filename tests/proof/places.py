"""Where a story's objects go: a directory, or a bucket of an S3 server; seen from outside.

A place tells the program's options for it, and what is really there, by means
that are not the program's own.
"""

import gzip
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from scraper.sinks.base import Shelf, SinkOptions, find_sink
from tests.e2e.command import MANIFEST
from tests.s3servers import CREDENTIALS, S3Server

_KEPT = {"manifest.jsonl", "manifest.jsonl.index", "lock", "tmp/lock"}  # of .scraper/
_SEGMENT = re.compile(r"\.scraper/manifest-(\d+)-\w+\.jsonl(\.gz)?")


class Place(Protocol):
    """`options` and `environment` are what the program needs to store and record here."""

    @property
    def options(self) -> Sequence[str]: ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    def objects(self) -> dict[str, bytes]:
        """What is under final names, by key."""

    def manifest(self) -> list[bytes]:
        """Its lines, oldest first; the last may be torn."""

    def let_time_pass(self) -> None:
        """What a killed run holds for a while is held no more."""

    def leftovers(self) -> list[str]:
        """Whatever nobody needs any more once no run is under way."""


@dataclass(frozen=True)
class Directory:
    """A directory. `seen`: where it is from outside, if the program sees it elsewhere.

    `file`: a manifest in a place of its own.
    """

    path: Path
    seen: Path | None = None
    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> Sequence[str]:
        """Where to."""
        return ["--to", str(self.path), *_manifest(self.file)]

    @property
    def _root(self) -> Path:
        return self.seen or self.path

    def objects(self) -> dict[str, bytes]:
        """All files but our own."""
        return {key: path.read_bytes() for key, path in self._files() if not _own(key)}

    def manifest(self) -> list[bytes]:
        """The lines of the file."""
        return _lines(self.file or self._root / MANIFEST)

    def let_time_pass(self) -> None:
        """The kernel's lock is gone with its process."""

    def leftovers(self) -> list[str]:
        """Files of our own that no next run needs, and empty directories."""
        return [
            key for key, _ in self._files() if _own(key) and key.partition("/")[2] not in _KEPT
        ] + [str(path) for path in self._root.glob(".scraper/tmp/run-*")]

    def _files(self) -> list[tuple[str, Path]]:
        found = [Path(parent, name) for parent, _, names in os.walk(self._root) for name in names]
        return [(str(path.relative_to(self._root)), path) for path in found]


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket, asked at `endpoint` by the program and at `server` by us.

    `file`: a manifest on the disk; without it the manifest is in the bucket.
    """

    server: S3Server
    bucket: str
    endpoint: str
    file: Path | None = None

    @property
    def options(self) -> Sequence[str]:
        """Where to, and at which endpoint."""
        to = ["--to", f"s3://{self.bucket}/some/prefix", "--s3-endpoint", self.endpoint]
        return [*to, *_manifest(self.file)]

    @property
    def environment(self) -> Mapping[str, str]:
        """Credentials."""
        return CREDENTIALS

    def objects(self) -> dict[str, bytes]:
        """All objects but our own."""
        return {key: self._read(key) for key in self._keys() if not _own(key)}

    def manifest(self) -> list[bytes]:
        """The lines of the file, or of all segments."""
        if self.file is not None:
            return _lines(self.file)
        found = [(_SEGMENT.fullmatch(key), key) for key in self._keys()]
        segments = sorted((int(match[1]), key) for match, key in found if match)
        parts = [self._read(key) for _, key in segments]
        return b"".join(
            gzip.decompress(part) if key.endswith(".gz") else part
            for part, (_, key) in zip(parts, segments, strict=True)
        ).splitlines(keepends=True)

    def let_time_pass(self) -> None:
        """The lease runs out: it is not there, which is all that its time being over means."""
        self.server.client.delete_object(Bucket=self.bucket, Key="some/prefix/.scraper/lock.json")

    def leftovers(self) -> list[str]:
        """Objects of our own that are no segment, and unfinished uploads."""
        own = [key for key in self._keys() if _own(key) and not _SEGMENT.fullmatch(key)]
        return own + self.server.unfinished(self.bucket)

    def _keys(self) -> list[str]:
        keys = self.server.keys(self.bucket)
        return sorted(key.removeprefix("some/prefix/") for key in keys)

    def _read(self, key: str) -> bytes:
        found = self.server.read(self.bucket, f"some/prefix/{key}")
        assert found is not None
        return found


def can_be_read_back() -> bool:
    """Whether a run can find its manifest in a bucket."""
    return isinstance(find_sink("s3://bucket/prefix", SinkOptions()), Shelf)


def _own(key: str) -> bool:
    return key.startswith(".scraper/")


def _manifest(file: Path | None) -> list[str]:
    return [] if file is None else ["--manifest", str(file)]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []
