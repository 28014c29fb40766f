"""The file of the summary: `.scraper/summary.json` in the destination, after every run.

In a directory whose manifest is a file elsewhere (`--manifest m.jsonl`) it lies beside that, as
`m.jsonl.summary.json`: nothing but objects stays in such a directory. Beside a pipe there is no
place, so then it lies in the destination.

A file is replaced as a whole, so a reader never sees a part. What was planted under its name is
left alone, and the run that finds it does not begin. In a bucket it is one put.

Owns: where it lies, what of the last one is told in the next. Does not know: what a summary says
(`summary.py`), how long a silent store is waited for (`run/ending.py`). Rejected: a file for each
run; nobody would ever remove them.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from scraper.manifest import as_json, leaves_nothing
from scraper.model.errors import ScraperError
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink, put_object
from scraper.sinks.directory import check_own, open_own, replace_own
from scraper.sinks.home import home_of, is_stream

KEY = ".scraper/summary.json"
EARLIER = 10  # runs that are told beside the last one
_MOST_BYTES = 8 << 20  # of an older summary that is read
_NEW = ".new"
_BESIDE = ".summary.json"  # the end of its name beside a manifest
_TOLD = (
    *("run", "version", "start", "end", "exit_status", "reason"),
    *("targets", "statuses", "bytes"),
)


class SummaryFile:
    """The summary of `destination`, which `sink` serves.

    `place`: its name for people, "" if none is kept. `key`: where it lies, for a shard. Each has
    its own. `manifest`: the one that was named.
    """

    def __init__(
        self,
        sink: Sink,
        destination: str,
        *,
        durable: bool = False,
        key: str = KEY,
        manifest: str | None = None,
    ) -> None:
        self._sink = sink
        self._durable = durable
        self._key = key
        home = home_of(destination)
        self._path = None if home is None else home / key
        self._is_own = True
        if manifest is not None and leaves_nothing(manifest, destination):
            self._is_own = False
            self._path = Path(os.path.realpath(os.path.dirname(manifest) or ".")) / (
                os.path.basename(manifest) + _BESIDE
            )
        self._is_kept = self._path is not None or not is_stream(destination)
        named = f"{redact(destination).rstrip('/')}/{key}" if self._is_kept else ""
        self.place = str(self._path or named)

    def check(self) -> None:
        """Make sure that nothing else has its name. Raises DestinationError, OSError."""
        if self._path is not None and (self._is_own or self._path.parent.is_dir()):
            for name in (self._path.name, self._path.name + _NEW):
                check_own(self._path.with_name(name))

    def earlier(self) -> tuple[Mapping[str, Any], ...]:
        """The runs that the last summary tells of, itself first. Empty if it can't be read."""
        return runs_of(self.last())[:EARLIER]

    def last(self) -> dict[str, Any]:
        """The last summary. Empty if there is none, or it can't be read."""
        try:
            found = orjson.loads(self._read())
        except (OSError, ScraperError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_missing(self) -> bool:
        """Whether there is none at all, not even one that can't be read. Raises SinkError."""
        if self._path is not None:
            return not os.path.lexists(self._path)
        return isinstance(self._sink, ReadableSink) and not self._sink.size(self._key)

    def write(self, record: Mapping[str, Any]) -> None:
        """Replace the file. Raises DestinationError, SinkError, OSError."""
        if not self._is_kept:
            return
        data = as_json(record) + b"\n"
        if self._path is None:
            put_object(self._sink, self._key, data, "application/json")
        else:
            with replace_own(self._path, self._path.name + _NEW, sync=self._durable) as file:
                file.write(data)

    def _read(self) -> bytes:
        if self._path is not None:
            with open(open_own(self._path, os.O_RDONLY), "rb") as file:
                return file.read(_MOST_BYTES)
        if not isinstance(self._sink, ReadableSink):
            return b""
        data = bytearray()
        with contextlib.closing(self._sink.read(self._key)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                data += piece
                if len(data) > _MOST_BYTES:
                    return b""
        return bytes(data)


def runs_of(last: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The runs that a summary tells of, its own first. None if it is empty."""
    if not last:
        return ()
    told = {name: last[name] for name in _TOLD if name in last}
    before = last.get("earlier_runs")
    given = before if isinstance(before, list) else []
    return (told, *(one for one in given if isinstance(one, dict)))
