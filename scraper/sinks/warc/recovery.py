"""What a killed run has left: open files are cut back, finished ones get their index.

An open file and its journal agree but for what was written last, so the file is cut where the last
line of its journal ends. After a power cut the disk may have kept the line and not the records. So
if the system was started anew since, or there is no journal, the records are read from the start,
and the file ends with the last unit that is whole in every byte. Nobody downstream would find a
tear: common readers give a short body, or bytes of the next record, without an error.

Owns: these decisions. Does not know: how files are written. Rejected: an open file that is appended
to as it is; readers lost every record behind a tear.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from scraper.model.errors import DestinationError
from scraper.sinks.directory import open_own
from scraper.sinks.warc import journal
from scraper.sinks.warc.archive_file import OPEN, SUFFIX, name_finally, refused, write_index
from scraper.sinks.warc.reading import NotWhole, walk
from scraper.sinks.warc.reindexing import lines_from


class Left(NamedTuple):
    """An open file that was cut back to `size` bytes. `has_journal`: it may be appended to."""

    name: str
    size: int
    has_journal: bool


def mend(directory: Path, own: Path) -> list[Left]:
    """Mend all files of an archive, and return those that are open still.

    The destination is held. Raises DestinationError.
    """
    left = []
    try:
        for name in sorted(_names(directory, SUFFIX + OPEN)):
            name = name.removesuffix(OPEN)  # noqa: PLW2901
            opened, final = directory / (name + OPEN), directory / name
            if final.exists():
                if os.path.samefile(opened, final):  # killed while it was renamed
                    os.unlink(opened)
                    continue
                raise DestinationError(f"{str(opened)!r} and {str(final)!r}: move one of them away")
            found = _cut_back(opened, own / (name + journal.SUFFIX))
            if found is None:
                os.unlink(opened)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(own / (name + journal.SUFFIX))
            else:
                left.append(Left(name, *found))
        for name in journaled(own):  # an index that is there may lack what came last
            if (directory / name).exists():
                write_index(directory, name, journal.index_lines(own / (name + journal.SUFFIX)))
    except OSError as error:
        raise refused(error) from None
    return left


def finish_without_journal(directory: Path, name: str) -> None:
    """Give a file whose journal is lost an index made from its records, and its name.

    The index comes first: who is killed between the two does both again.
    """
    try:
        with open(open_own(directory / (name + OPEN), os.O_RDONLY), "rb") as file:
            write_index(directory, name, lines_from(file, name))
        name_finally(directory / (name + OPEN), directory / name)
    except OSError as error:
        raise refused(error) from None


def journaled(own: Path) -> Iterator[str]:
    """The names of the files that have a journal, in order."""
    for name in sorted(_names(own, SUFFIX + journal.SUFFIX)):
        yield name.removesuffix(journal.SUFFIX)


def _names(directory: Path, end: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.endswith(end)]
    except FileNotFoundError:
        return []


def _cut_back(path: Path, journal_path: Path) -> tuple[int, bool] | None:
    """Cut off what is not whole. The bytes that are left, and whether there is a journal.

    None: nothing is left. Raises OSError.
    """
    fd = open_own(path, os.O_RDWR)
    with open(fd, "r+b") as file:
        has_journal = journal_path.exists()
        size = os.fstat(fd).st_size
        trusted = has_journal and journal.is_of_this_boot(journal_path)
        whole = size if trusted else _whole(file)
        end, line_end = _info_end(file), 0
        if end is None or end > whole:
            return None
        if has_journal:
            for line_end_, unit in journal.units(journal_path):
                if unit.start != end or unit.end > whole:
                    break
                end, line_end = unit.end, line_end_
            _cut_journal(journal_path, line_end)
        else:
            end = whole
        if end < size:
            os.ftruncate(fd, end)
        os.fsync(fd)
    return end, has_journal


def _cut_journal(path: Path, size: int) -> None:
    """Cut off the lines behind `size`, but keep the first one."""
    fd = open_own(path, os.O_RDWR)
    with open(fd, "r+b") as file:
        size = size or len(file.readline())
        os.ftruncate(fd, size)
        os.fsync(fd)


def _info_end(file: BinaryIO) -> int | None:
    """The byte behind the warcinfo; None if there is none."""
    try:
        first = next(walk(file), None)
    except NotWhole:
        return None
    return None if first is None or first.kind != "warcinfo" else first.length


def _whole(file: BinaryIO) -> int:
    """The byte behind the last whole unit: a request belongs to the response that follows it."""
    end = 0
    try:
        for found in walk(file):
            if found.kind != "request":
                end = found.offset + found.length
    except NotWhole:
        pass
    return end
