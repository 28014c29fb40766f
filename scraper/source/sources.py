"""Sources: where the lines of a list come from.

A list is a file, a pipe, stdin, a list at a URL, or an iterable of lines.

Owns: opening lists, and finding a missing or broken one before a run writes anything. Does not
know: threads (`reader.py`), what a line means (`lists.py`), how a list at a URL is fetched (the
run passes a function for that). Rejected: reading a list ahead to learn more about it, since a
pipe may never end.
"""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from scraper.model import urls
from scraper.model.errors import ListError
from scraper.source.grammar import (
    LINES,
    STORAGE_TRANSFER,
    Format,
    Grammar,
    format_by,
    format_of,
    table_format,
)
from scraper.source.lines import GZIP, Unbuffered, read_lines
from scraper.source.watched import watched_lines


class RemoteList(NamedTuple):
    """A list that was fetched. `content_type` is "" if it is not known."""

    file: BinaryIO
    content_type: str = ""


OpenRemote = Callable[[str], RemoteList]


class Given(NamedTuple):
    """A target that a program gives as an object, and not as a line. See `lists.py`."""

    value: object


class Source(NamedTuple):
    """One list. `open` gives its lines; `size` is its length in bytes where that is known.

    `format` is None if neither its name nor an option says it. Lines are bytes; Given may be
    among them if it is `mixed`. `path` is that of a file, else "".
    """

    name: str
    open: Callable[[], Generator[Any, None, None]]
    size: int | None = None
    format: Format | None = None
    mixed: bool = False
    grammar: Grammar = LINES
    path: str = ""


def open_sources(
    names: Iterable[str], open_remote: OpenRemote, grammar: Grammar = LINES
) -> list[Source]:
    """The sources that `names` mean: paths, `-` for stdin, or http(s) and s3 URLs.

    Files and remote lists are checked here: a missing or broken one is found before anything
    is written. Nothing is read from a pipe yet. Raises ListError, which names the list.
    """
    sources = []
    for name in names:
        if name == "-":
            sources.append(_stdin(grammar))
        elif name.lower().startswith(("http://", "https://", "s3://")):
            sources.append(_checked(_remote(name, open_remote(name), grammar)))
        else:
            sources.append(_file(name, grammar))
    return sources


def from_iterable(lines: Iterable[object], name: str = "urls") -> Source:
    """A source of lines that are in memory already, or come from a generator.

    What is neither str nor bytes is Given.
    """

    def opened() -> Generator[bytes | Given, None, None]:
        for line in lines:
            if isinstance(line, str):
                yield line.encode("utf-8", "surrogatepass")
            else:
                yield line if isinstance(line, bytes) else Given(line)

    return Source(name, opened, mixed=True)


def from_words(words: Sequence[str], name: str, first: int = 1) -> Source:
    """A source of words that were typed, one a line. The first of them is line `first`."""
    raw = [b""] * (first - 1) + [os.fsencode(word) for word in words]  # blank lines say nothing
    return Source(name, lambda: (line for line in raw), sum(map(len, raw)))


def _file(path: str, grammar: Grammar) -> Source:
    def opened() -> Generator[bytes, None, None]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ListError(f"can't open the list {path!r}: {error.strerror}") from None
        return watched_lines(fd, path)

    name = os.fsencode(path).decode("utf-8", "backslashreplace")  # a form that JSON can hold
    form = grammar.format or format_of(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            # A pipe (`<(command)`). What is read from it now would be lost to the run.
            if not os.access(path, os.R_OK):
                raise ListError(f"can't open the list {path!r}: Permission denied")
            return Source(name, opened, None, form, grammar=grammar)
        with open(path, "rb") as file:
            zipped = file.read(2) == GZIP
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ListError(f"can't open the list {path!r}: {error.strerror}") from None
    known = None if zipped else size
    return _checked(Source(name, opened, known, form, grammar=grammar, path=path))


def _stdin(grammar: Grammar) -> Source:
    # A daemon thread that waits in sys.stdin.buffer would hold its lock at exit.
    try:
        if sys.stdin is None:
            raise ListError("can't read the list '-': stdin is closed")
        fd = os.dup(sys.stdin.fileno())
    except OSError as error:
        raise ListError(f"can't read the list '-': {error}") from None
    return Source("-", lambda: watched_lines(fd, "-"), None, grammar.format, grammar=grammar)


def _remote(name: str, fetched: RemoteList, grammar: Grammar) -> Source:
    shown, (file, content_type) = urls.redact(name), fetched

    def opened() -> Generator[bytes, None, None]:
        file.seek(0)
        return read_lines(io.BufferedReader(Unbuffered(file.read)), shown)

    form = grammar.format or format_of(name.partition("?")[0], content_type)
    return Source(shown, opened, None, form, grammar=grammar)


def _checked(source: Source) -> Source:
    """The source with its format, if it is a list whose columns are there."""
    if source.format is None and source.grammar.has_columns:
        with contextlib.closing(source.open()) as lines:
            source = source._replace(format=format_by(_to_first_line(lines)[-1], source.grammar))
    if source.format == "tsv" and source.grammar.format is None:
        with contextlib.closing(source.open()) as lines:
            if next(lines, b"").strip() == STORAGE_TRANSFER.encode():
                source = source._replace(format="gcs")
    lines = source.open()
    with contextlib.closing(lines):
        if (dialect := table_format(source.format)) is not None:
            from scraper.source.columns import columns_of  # few lists are tables
            from scraper.source.tables import Table

            columns_of(Table(lines, dialect), source.grammar, source.name)
        else:
            next(lines, b"")
    return source


def by_its_first_line(source: Source) -> Source:
    """The same source, which can be read once now, with the format of its first line."""
    lines = source.open()
    taken = _to_first_line(lines)

    def opened() -> Generator[bytes, None, None]:
        with contextlib.closing(lines):
            yield from chain(taken, lines)

    return source._replace(open=opened, format=format_by(taken[-1], source.grammar))


def _to_first_line(lines: Iterable[bytes]) -> list[bytes]:
    """The first line that is not blank, and those before it; at least one."""
    taken: list[bytes] = []
    for line in lines:
        taken.append(line)
        if not line.isspace():
            break
    return taken or [b""]
