"""Destinations of whole runs, looked into by a stranger: a directory, a bucket.

ran = cli("list", *place.words, env=place.environment)
assert place.files() == {"host/page": b"..."}
assert [record["status"] for record in place.records()] == ["stored"]
"""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.e2e.command import SUMMARY, Command, parsed
from tests.file_servers import SERVERS, FileServer

# Parameters of the fixture of a place: buckets of other stores than S3.
SLOW_CLOUDS = [pytest.param(scheme, marks=pytest.mark.slow) for scheme in ("gs", "az")]
_OWN = ".scraper/"
LEASE = f"{_OWN}lock.json"


def kinds(records: list[dict[str, Any]]) -> Counter[str]:
    """Statuses, and for failures why."""
    return Counter(one.get("error", {}).get("kind", one["status"]) for one in records)


class Place(Protocol):
    """`words` and `environment` send a run there."""

    @property
    def words(self) -> list[str]: ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    def files(self) -> dict[str, bytes]:
        """Everything under a final name, by key."""

    def records(self) -> list[dict[str, Any]]:
        """All of the manifest."""


@dataclass(frozen=True, slots=True)
class Directory:
    """`out` below the directory of a Command."""

    cli: Command
    name: str = "out"

    @property
    def words(self) -> list[str]:
        """Options."""
        return ["--to", self.name]

    @property
    def environment(self) -> Mapping[str, str]:
        """None."""
        return {}

    def files(self) -> dict[str, bytes]:
        """Temporary files of a run that was killed are not under a final name."""
        found = self.cli.files(self.name)
        return {key: body for key, body in found.items() if not key.startswith(_OWN)}

    def temporary(self) -> list[str]:
        """What a run left behind."""
        return [key for key in self.cli.files(self.name) if key.startswith(_OWN)]

    def records(self) -> list[dict[str, Any]]:
        """Of one file."""
        return self.cli.records(self.name)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix of a bucket; `endpoint` if the program talks to something before the server."""

    server: Any  # an S3Server, a Gcs or an Azurite
    bucket: str
    endpoint: str = ""
    prefix: str = "pages"

    @property
    def words(self) -> list[str]:
        """Options."""
        to = f"{self.server.scheme}://{self.bucket}/{self.prefix}"
        return ["--to", to, *self.server.words(self.endpoint)]

    @property
    def environment(self) -> Mapping[str, str]:
        """Credentials, and where the server is."""
        found: Mapping[str, str] = self.server.environment(self.endpoint)
        return found

    def all(self) -> list[str]:
        """All keys below the prefix, the program's own too."""
        start = f"{self.prefix}/"
        assert all(key.startswith(start) for key in self.server.keys(self.bucket))
        return sorted(key.removeprefix(start) for key in self.server.keys(self.bucket))

    def files(self) -> dict[str, bytes]:
        """Objects."""
        return {key: self.read(key) for key in self.all() if not key.startswith(_OWN)}

    def read(self, key: str) -> bytes:
        """One object, which is there."""
        body: bytes | None = self.server.read(self.bucket, f"{self.prefix}/{key}")
        assert body is not None
        return body

    def records(self) -> list[dict[str, Any]]:
        """Of all segments, in their order; the program keeps nothing else for itself.

        A lease may be left by a run that had no time to delete it.
        """
        own = [key for key in self.all() if key.startswith(_OWN) and key not in {SUMMARY, LEASE}]
        assert all(key.startswith(".scraper/manifest-") for key in own)
        lines = [key for key in own if not key.endswith(".key")]
        return [record for key in lines for record in parsed(self.read(key))]


@dataclass(frozen=True, slots=True)
class Files:
    """A directory of a file server, looked at on the server's disk."""

    server: FileServer
    directory: str

    @property
    def words(self) -> list[str]:
        """Options."""
        return ["--to", f"{self.server.url}/{self.directory}"]

    @property
    def environment(self) -> Mapping[str, str]:
        """Credentials."""
        return self.server.environment

    @property
    def root(self) -> Path:
        """The same directory, on this machine."""
        return self.server.root / self.directory

    def all(self) -> list[str]:
        """All files, the program's own too."""
        found = self.root.rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())

    def files(self) -> dict[str, bytes]:
        """Temporary files of a run that was killed are not under a final name."""
        return {key: self.read(key) for key in self.all() if not is_own(key)}

    def read(self, key: str) -> bytes:
        """One file, which is there."""
        return (self.root / key).read_bytes()

    def records(self) -> list[dict[str, Any]]:
        """Of all segments, in their order; the program keeps nothing else for itself."""
        own = [key for key in self.all() if is_own(key) and key not in {SUMMARY, LEASE}]
        assert all(key.startswith(".scraper/manifest-") for key in own)
        lines = [key for key in own if not key.endswith(".key")]
        return [record for key in lines for record in parsed(self.read(key))]


def is_own(key: str) -> bool:
    """Whether it is a file of the program's own, not an object."""
    return key.startswith(_OWN) or key.rpartition("/")[2].startswith(".scraper-")


def place_of(request: pytest.FixtureRequest, cli: Command) -> Place:
    """What the parameter of a fixture names: `directory`, a file server, a bucket's server."""
    if request.param == "directory":
        return Directory(cli)
    if request.param in SERVERS:
        start = request.getfixturevalue("file_server")
        return Files(start(request.param), uuid.uuid4().hex)
    server = request.getfixturevalue(f"{request.param}_server")
    return Bucket(server, server.make_bucket())
