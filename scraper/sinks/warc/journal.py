"""Journals: what each unit of an archive file is, a line each, until the manifest has it.

A unit is the records of one attempt, written at once. Its line follows at once too, under the same
lock. So after a kill at most the last unit of a file has no line. It is cut off, and from then on
file and journal agree.

Owns: the lines. Does not know: how files are written. Rejected: lines in the index; a commit of
SQLite for each unit costs ten times as much. Rejected: units without a line adopted from the file;
it does not say which target they are of.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from scraper.model.archived import Archived
from scraper.model.records import Existing, NotModified, Response, Stored
from scraper.sinks.directory import open_own
from scraper.sinks.exchanges import Unrecorded
from scraper.sinks.warc.index import Indexed, Payload

SUFFIX = ".journal"
_BOOT = "/proc/sys/kernel/random/boot_id"


class Unit(NamedTuple):
    """What one line says. `start` and `end` are the first byte of the unit, and that behind it."""

    start: int
    end: int
    cdx: Sequence[str] = ()
    indexed: Indexed | None = None
    payloads: Sequence[Payload] = ()
    about: Mapping[str, Any] = {}
    archived: Archived | None = None
    outcome: Stored | NotModified | None = None
    started: float = 0.0

    def line(self) -> bytes:
        """Its line."""
        outcome = self.outcome
        made = self._asdict()
        made["payloads"] = [(one.digest.hex(), *one[1:]) for one in self.payloads]
        if outcome is not None:
            made["outcome"] = (isinstance(outcome, Stored), *outcome)
        return orjson.dumps(made, default=tuple, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def of(cls, line: bytes) -> "Unit":
        """The unit of a line. Raises ValueError, TypeError and LookupError for what is none."""
        read = orjson.loads(line)
        indexed, archived, outcome = read["indexed"], read["archived"], read["outcome"]
        read["indexed"] = indexed and Indexed(*indexed)
        read["payloads"] = [Payload(bytes.fromhex(one[0]), *one[1:]) for one in read["payloads"]]
        read["archived"] = archived and Archived(*archived)
        if outcome:
            is_stored, response, *rest = outcome
            if is_stored:
                read["outcome"] = Stored(Response(*response), *rest)
            else:
                existing = rest[0] and Existing(*rest[0])
                read["outcome"] = NotModified(Response(*response), existing)
        return cls(**read)

    def unrecorded(self) -> Unrecorded | None:
        """What of it the manifest should have."""
        if self.archived is None:
            return None
        return Unrecorded(self.archived, self.about, self.outcome, self.started)


def boot() -> str:
    """What tells this start of the system from others, "" if that is not known."""
    try:
        with open(_BOOT, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def first_line() -> bytes:
    """The line that a journal begins with."""
    return orjson.dumps({"boot": boot()}) + b"\n"


def index_lines(path: Path) -> Iterator[str]:
    """The lines of the CDXJ of all units. Raises OSError. A torn line ends it."""
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        file.readline()
        for line in file:
            try:
                yield from orjson.loads(line)["cdx"]
            except (ValueError, TypeError, LookupError):
                return


def units(path: Path) -> Iterator[tuple[int, Unit]]:
    """Each unit, and the byte behind its line. Raises OSError. A torn line ends it."""
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        at = len(file.readline())
        for line in file:
            at += len(line)
            try:
                unit = Unit.of(line)
            except (ValueError, TypeError, LookupError):
                return
            if not line.endswith(b"\n"):
                return
            yield at, unit


def is_of_this_boot(path: Path) -> bool:
    """Whether the journal was begun since the system was started. Raises OSError."""
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        try:
            told = orjson.loads(file.readline())["boot"]
        except (ValueError, TypeError, LookupError):
            return False
    return bool(told) and told == boot()
