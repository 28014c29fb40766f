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
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from scraper.model import urls
from scraper.model.errors import ListError
from scraper.source.grammar import (
    DOCUMENTS,
    LINES,
    PLAYLIST,
    STORAGE_TRANSFER,
    WITH_LINKS,
    Format,
    Grammar,
    format_by,
    format_of,
    is_header,
    table_format,
)
from scraper.source.lines import GZIP, Beginning, Unbuffered, read_lines, read_pieces
from scraper.source.watched import Read, watched_lines


class RemoteList(NamedTuple):
    """A list that was fetched. `content_type` is "" if it is not known.

    `url`: the http(s) URL that answered, after redirects, "" if there is none.
    """

    file: BinaryIO
    content_type: str = ""
    url: str = ""

    def close(self) -> None:
        """Give its descriptor back. Lists that the user names keep theirs until the end."""
        os.close(self.file.fileno())


STORES = ("s3://", "gs://", "az://", "sftp://")  # where a list may be, beside http(s)
_BLANK_LINES = 1_000  # above the first line, at most; a list may have nothing else
OpenRemote = Callable[[str], RemoteList]
# Opens a list that another list names. It is told what says that the run has ended meanwhile.
OpenChild = Callable[[str, Callable[[], bool]], RemoteList]


class Given(NamedTuple):
    """A target that a program gives as an object, and not as a line. See `lists.py`."""

    value: object


class Source(NamedTuple):
    """One list. `open` gives its lines; `size` is its length in bytes where that is known.

    `format` is None if neither its name nor an option says it. Lines are bytes; Given may be
    among them if it is `mixed`. `path` is that of a file, else "". `unseen`: its format was not
    looked for in its first line, since it can be read once only. `open_child` opens the lists that
    it names. `of_shard`: it has what lists have for one shard (`shard_list.py`).
    """

    name: str
    open: Callable[[], Generator[Any, None, None]]
    size: int | None = None
    format: Format | None = None
    mixed: bool = False
    grammar: Grammar = LINES
    path: str = ""
    unseen: bool = False
    open_child: OpenChild | None = None
    of_shard: bool = False


def open_sources(
    names: Iterable[str],
    open_remote: OpenRemote,
    grammar: Grammar = LINES,
    open_child: OpenChild | None = None,
) -> list[Source]:
    """The sources that `names` mean: paths, `-` for stdin, or URLs of http(s) or STORES.

    `open_child` opens lists that lists name, during the run; None: `open_remote`.
    Files and remote lists are checked here: a missing or broken one is found before anything
    is written. Nothing is read from a pipe yet. Raises ListError, which names the list.
    """
    sources = []
    for name in names:
        if name == "-":
            source = _stdin(grammar)
        elif name.lower().startswith(("http://", "https://", *STORES)):
            source = remote_source(name, open_remote(name), grammar)
        else:
            source = file_source(name, grammar)
        sources.append(source._replace(open_child=open_child or (lambda url, _: open_remote(url))))
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


def file_source(path: str, grammar: Grammar) -> Source:
    """The list in a file, or in a pipe that has a name. Raises ListError."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")  # a form that JSON can hold
    form = grammar.format or format_of(path)
    read = _reader_of(form, grammar)

    def opened() -> Generator[bytes, None, None]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ListError(f"can't open the list {path!r}: {error.strerror}") from None
        return watched_lines(fd, path, read)

    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            # A pipe (`<(command)`). What is read from it now would be lost to the run.
            if not os.access(path, os.R_OK):
                raise ListError(f"can't open the list {path!r}: Permission denied")
            return Source(name, opened, None, form, grammar=grammar, unseen=True)
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
    read = _reader_of(grammar.format, grammar)
    lines = partial(watched_lines, fd, "-", read)
    return Source("-", lines, None, grammar.format, grammar=grammar, unseen=True)


def remote_source(name: str, fetched: RemoteList, grammar: Grammar) -> Source:
    """The list at the URL `name`, which was fetched. Raises ListError."""
    shown, (file, content_type, url) = urls.redact(name), fetched
    form = grammar.format or format_of(name.partition("?")[0], content_type)
    read = _reader_of(form, grammar)

    def opened() -> Generator[bytes, None, None]:
        file.seek(0)
        return read(io.BufferedReader(Unbuffered(file.read)), shown)

    source = _checked(Source(shown, opened, None, form, grammar=grammar))
    if source.format in WITH_LINKS and grammar.base is None and url:
        source = source._replace(grammar=grammar._replace(base=urls.parse(url)))
    return source


def _reader_of(form: Format | None, grammar: Grammar) -> Read:
    if form in DOCUMENTS:
        return read_pieces
    return read_lines if grammar.format is None else partial(read_lines, is_known=True)


def _checked(source: Source) -> Source:
    """The source with its format, if it is a list of that, whose columns are there."""
    if source.grammar.format is None:
        with contextlib.closing(source.open()) as lines:
            form = _format_told_by(_to_first_line(lines)[-1], source)
        if form is None:
            return source
        source = source._replace(format=form)
    if source.format in DOCUMENTS:
        from scraper.source.documents import check  # few lists are

        check(source)
        return source
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
    """The same source, which can be read once now, with the format that its first line tells."""
    lines = source.open()
    taken = _to_first_line(lines)
    form = _format_told_by(taken[-1], source)

    def opened() -> Generator[bytes, None, None]:
        with contextlib.closing(lines):
            yield from chain(taken, lines)

    return source._replace(open=opened, format=form, unseen=False)


def _format_told_by(first: bytes, source: Source) -> Format | None:
    """The format of a list with this first line, None if that may be any list of lines."""
    if isinstance(first, Beginning):
        return first.form
    if source.format == "tsv" and first.strip() == STORAGE_TRANSFER.encode():
        return "gcs"
    if source.format is None and first.startswith(PLAYLIST.encode()):
        return "m3u"
    if source.format is None and (source.grammar.has_columns or is_header(first)):
        return format_by(first, source.grammar)
    return source.format


def _to_first_line(lines: Iterable[bytes]) -> list[bytes]:
    """The first line that is not blank, and those before it; at least one, and not too many."""
    taken: list[bytes] = []
    for line in lines:
        taken.append(line)
        if not line.isspace() or len(taken) >= _BLANK_LINES:
            break
    return taken or [b""]
