"""An archive as the place of a story, looked into by warcio."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.command import MANIFEST, Command
from tests.warcs import payload, records, unaccounted

_STAYS = {"index.db", "index.db-shm", "index.db-wal", "lock"}


@dataclass(frozen=True)
class WebArchive:
    """`warc:out` below the directory of a Command."""

    cli: Command

    @property
    def words(self) -> list[str]:
        """Options."""
        return ["--to", "warc:out"]

    @property
    def environment(self) -> Mapping[str, str]:
        """Small files: a story fills several."""
        return {"SCRAPER_WARC_SIZE": "3M"}

    @property
    def root(self) -> Path:
        """The directory of the archive."""
        return self.cli.directory / "out"

    def manifest(self) -> list[bytes]:
        """The lines of the file."""
        path = self.root / MANIFEST
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []

    def files(self) -> dict[str, bytes]:
        """The body of each object, by the place that its last record names."""
        last = {}
        for line in self.manifest():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record["status"] == "stored":
                last[record["key"]] = record["warc"]
        every = records(self.root)
        at = {(one.file, one.offset): one for one in every}
        return {
            key: payload(at[place["file"], place["offset"]], every) for key, place in last.items()
        }

    def records(self) -> list[dict[str, object]]:
        """Of the manifest."""
        return [json.loads(line) for line in self.manifest()]

    def leftovers(self) -> list[str]:
        """Open files, journals, spooled bodies; and records without a line, lines without one."""
        own = {path.name for path in (self.root / ".scraper/warc").iterdir()} - _STAYS
        own |= {path.name for path in self.root.glob("*.open")}
        own |= {str(path) for path in self.root.glob(".scraper/tmp/run-*")}
        return sorted(own) + unaccounted(self.root, self.manifest())
