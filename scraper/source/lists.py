"""Lists: bytes of a file, a pipe or an iterable in, targets out, lazily.

The grammar: UTF-8 (BOM and CRLF are fine), one target a line; `URL`, or
`URL<TAB>key`, or a JSON object `{"url", "key"?, "headers"?}`; blank lines and
lines that start with `#` are skipped. `.csv` and `.tsv` have a `url` column
and may have a `key` column; a quoted URL has no line break. gzip is recognised by
its first two bytes.

Owns: that grammar, line numbers, and opening lists. Refuses to know: threads
(`reader.py`) and how a list at a URL is fetched (`loop.py` brings a function).
Rejected: reading a list to know it better first; a pipe may never end.
"""

import contextlib
import csv
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import BinaryIO, NamedTuple

import orjson

from scraper.model import urls
from scraper.model.errors import BadTarget, Kind, ListError
from scraper.model.records import NO_HEADERS, Failed, Failure, Result, Target, places_of
from scraper.model.settings import (
    announces_a_body,
    beginning_of_name,
    is_field_name,
    is_field_value,
)
from scraper.source import keys
from scraper.source.plain import plain_target

MAX_LINE_BYTES = 65_536  # without its end
_TAKEN_BYTES = MAX_LINE_BYTES + 2  # of one line at most: with its end
_SHOWN_CHARS = 200  # of a line that is no target
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
# The first bytes of UTF-16 and UTF-32, with their byte order mark and without, either end first.
_WIDE = re.compile(
    rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|\0\0\xfe\xff|[^\0]\0{3}|\0{3}[^\0]"
)
_BLANK = " \r\n\f\v"  # the URL standard drops no more at the ends of a URL, but for controls
_LINE_BREAK = "line break within a line: lines end with LF or CR LF"
_HEADERS = re.compile(r"['\"]?headers?['\"]?\s*:", re.IGNORECASE)

Read = Target | Result
OpenRemote = Callable[[str], BinaryIO]


class Source(NamedTuple):
    """One list. `size` is its length in bytes if that is known, for a progress display."""

    name: str
    open: Callable[[], Generator[bytes, None, None]]
    size: int | None = None
    dialect: type[csv.Dialect] | None = None


def open_sources(names: Iterable[str], open_remote: OpenRemote) -> list[Source]:
    """The sources that `names` mean: paths, `-` for stdin, or http(s) and s3 URLs.

    Files and remote lists are looked into here, so that a missing or broken one is
    known before anything is written; of a pipe nothing is read yet. Raises ListError
    naming the list.
    """
    sources = []
    for name in names:
        if name == "-":
            sources.append(_stdin())
        elif name.lower().startswith(("http://", "https://", "s3://")):
            sources.append(_checked(_remote(name, open_remote(name))))
        else:
            sources.append(_file(name))
    return sources


def from_iterable(lines: Iterable[str | bytes], name: str = "urls") -> Source:
    """A source of lines that are already in memory, or come from a generator."""

    def opened() -> Generator[bytes, None, None]:
        for line in lines:
            yield line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")

    return Source(name, opened)


def _file(path: str) -> Source:
    def opened() -> Generator[bytes, None, None]:
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed by _lines
        except OSError as error:
            raise ListError(f"can't open the list {path!r}: {error.strerror}") from None
        return _lines(file, path)

    name = os.fsencode(path).decode("utf-8", "backslashreplace")  # as JSON can hold it
    dialect = _dialect(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            # A pipe (`<(command)`): what is read of it now would be lost to the run.
            if not os.access(path, os.R_OK):
                raise ListError(f"can't open the list {path!r}: Permission denied")
            return Source(name, opened, None, dialect)
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ListError(f"can't open the list {path!r}: {error.strerror}") from None
    return _checked(Source(name, opened, None if zipped else size, dialect))


def _stdin() -> Source:
    # Not sys.stdin.buffer: a daemon thread that waits in it would hold its lock at exit.
    try:
        if sys.stdin is None:
            raise ListError("can't read the list '-': stdin is closed")
        file = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115 - closed by _lines
    except OSError as error:
        raise ListError(f"can't read the list '-': {error}") from None
    return Source("-", lambda: _lines(file, "-"))


def _remote(name: str, stream: BinaryIO) -> Source:
    shown = urls.redact(name)

    def opened() -> Generator[bytes, None, None]:
        stream.seek(0)
        return _lines(io.BufferedReader(_Pieces(stream.read)), shown)

    return Source(shown, opened, None, _dialect(name.partition("?")[0]))


class _Pieces(io.RawIOBase):
    """What `read` gives, when it gives it: no waiting for more; and nothing to close."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _dialect(name: str) -> type[csv.Dialect] | None:
    stem = name.lower().removesuffix(".gz")
    if stem.endswith(".csv"):
        return csv.excel
    return csv.excel_tab if stem.endswith(".tsv") else None


def _checked(source: Source) -> Source:
    """The source, if its header (CSV, TSV) has what is needed and its gzip begins well."""
    lines = source.open()
    with contextlib.closing(lines):
        if source.dialect:
            _columns(_Table(lines, source.dialect), source.name)
        else:
            next(lines, b"")
    return source


def _lines(file: io.BufferedReader, name: str) -> Generator[bytes, None, None]:
    """Lines of at most _TAKEN_BYTES; what is longer of one is never in memory as a whole.

    Raises ListError when the list breaks off, or is no UTF-8 from its first bytes on.
    """
    try:
        with file:
            reader: io.BufferedReader | gzip.GzipFile = file
            head = file.peek(2)[:2]
            if head and head == _GZIP[: len(head)]:  # one byte of a slow pipe is enough
                reader = gzip.GzipFile(fileobj=_Pieces(partial(_as_it_comes, file)))
            taken = reader.readline(len(_BOM) + _TAKEN_BYTES)
            if _WIDE.match(taken):
                raise ListError(f"the list {name!r} is UTF-16 or UTF-32: save it as UTF-8")
            line = taken.removeprefix(_BOM)
            while taken:
                yield line
                while len(taken) >= _TAKEN_BYTES and not taken.endswith(b"\n"):
                    taken = reader.readline(_TAKEN_BYTES)
                line = taken = reader.readline(_TAKEN_BYTES)
    except (OSError, EOFError, zlib.error) as error:  # EOFError: a torn gzip file
        raise ListError(f"the list {name!r} broke off: {error}") from None


def _as_it_comes(file: io.BufferedReader, size: int) -> bytes:
    """Bytes for gzip: its headers and trailers (a few bytes each) whole, the rest at once."""
    return file.read(size) if size < 16 else file.read1(size)


def read(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    """Every target of `source`, in order; a line that is none comes as its failed Result.

    Raises ListError when the source breaks off, and whatever a caller's iterable raises.
    """
    return _read_table(source, rule) if source.dialect else _read_lines(source, rule)


def _read_lines(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    headers: Mapping[str, str]
    name, plain = source.name, rule is keys.url_key
    for number, raw in enumerate(source.open(), 1):
        shown: bytes | str = raw
        try:
            if len(raw) > MAX_LINE_BYTES:
                _check_length(raw)
            text = raw.decode().strip(_BLANK)
            if plain and (target := plain_target(text, number, name)) is not None:
                yield target
                continue
            if not text or text.isspace():
                continue
            if text[0] == "{":
                shown, key, headers = _parse_json(text)
            elif "\r" in text or "\n" in text:  # in a comment too: it would hide what follows
                raise BadTarget(_LINE_BREAK)  # noqa: TRY301
            elif text[0] == "#":
                continue
            else:
                shown, _, key = text.partition("\t")
                shown, headers = shown.rstrip(_BLANK), NO_HEADERS
            yield _target((shown, key.strip(), headers), number, name, rule)
        except UnicodeDecodeError:
            yield _bad(raw, number, name, "line is not UTF-8")
        except BadTarget as error:
            yield _bad(shown, number, name, error.message)


def _check_length(raw: bytes) -> None:
    if len(raw.removesuffix(b"\n").removesuffix(b"\r")) > MAX_LINE_BYTES:
        raise BadTarget(f"line is longer than {MAX_LINE_BYTES:,} bytes")


def _target(
    given: tuple[str, str, Mapping[str, str]], line: int, source: str, rule: keys.KeyRule
) -> Target:
    url, key, headers = given
    if "\0" in url or "\0" in key:
        raise BadTarget("line has a NUL byte")
    parsed = urls.parse(url)
    final = keys.given_key(key) if key else rule(parsed, line)
    href, origin, userinfo = parsed
    places = places_of(url, href, headers)
    return Target(url, href, origin.host, final, line, source, headers, userinfo, places)


def _bad(shown: bytes | str, line: int, source: str, reason: str) -> Result:
    if isinstance(shown, bytes):
        shown = shown.decode("utf-8", "backslashreplace")
    listed = shown.strip(" \r\n")
    if listed.startswith("{"):
        listed = _url_of(listed)
    listed = urls.redact_wreck(listed)  # before it is cut: a secret cut short is still one
    listed = listed[:_SHOWN_CHARS]
    target = Target(listed=listed, url="", host="", key="", line=line, source=source)
    return Result(target, Failed(Failure(Kind.BAD_URL, reason, transient=False)))


def _url_of(line: str) -> str:
    """The URL of a JSON line, or what can be shown of one that has none: no headers."""
    with contextlib.suppress(ValueError, AttributeError):
        url = orjson.loads(line).get("url")
        if isinstance(url, str):
            return url
    return _HEADERS.split(line, maxsplit=1)[0]


def _parse_json(text: str) -> tuple[str, str, Mapping[str, str]]:
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadTarget(f"line is not JSON: {error}") from None
    url, key, headers = given.get("url"), given.get("key"), given.get("headers")
    if not isinstance(url, str):
        raise BadTarget('JSON line has no "url"')
    if key is not None and not isinstance(key, str):
        raise BadTarget('"key" of a JSON line is not a string')
    if headers is None:
        headers = NO_HEADERS
    elif not isinstance(headers, dict):
        raise BadTarget('"headers" of a JSON line is not an object')
    for name, value in headers.items():
        if not isinstance(value, str) or not is_field_name(name) or not is_field_value(value):
            shown = beginning_of_name(name)
            raise BadTarget(f"header {shown!r} of a JSON line is not allowed in HTTP")
        if announces_a_body(name):
            raise BadTarget(f"header {name!r} of a JSON line announces a body, and there is none")
    return _in_one_line(url), key or "", headers


def _in_one_line(url: str) -> str:
    """The URL without blanks around it; in it the URL standard drops breaks: two would be one."""
    url = url.strip(_BLANK)
    if "\n" in url or "\r" in url:
        raise BadTarget("URL has a line break")
    return url


class _Table:
    """Rows of CSV or TSV; of the last one taken, `number` and `first` are those of its first line.

    csv.reader reads its lines from here, so that after a BadTarget the next row can be taken. It
    is strict: a quote in the wrong place would make another URL of one.
    """

    def __init__(self, lines: Iterable[bytes], dialect: type[csv.Dialect]) -> None:
        self.number = 0
        self.first = b""
        self._lines = iter(lines)
        self._count = 0
        self._begun = False  # the row that is being read
        self._rows = csv.reader(self, dialect, strict=True)

    def row(self) -> list[str] | None:
        """The next row that is not blank, None after the last one. Raises BadTarget."""
        while True:
            self._begun = False
            try:
                row = next(self._rows, None)
            except csv.Error as error:
                raise BadTarget(_why_no_row(str(error))) from None
            if row is None or any(row):
                return row

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while True:
            raw = next(self._lines)
            self._count += 1
            if not self._begun:
                self.number, self.first = self._count, raw
            if len(raw) > MAX_LINE_BYTES:
                _check_length(raw)
            if self._begun or not raw.startswith(b"#"):  # a comment may hold a quote
                self._begun = True
                return raw.decode("utf-8", "surrogateescape")


def _why_no_row(reason: str) -> str:
    if reason.startswith("new-line character"):
        return _LINE_BREAK
    return "a quote is never closed" if reason == "unexpected end of data" else f"no row: {reason}"


def _read_table(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    assert source.dialect is not None
    with contextlib.closing(source.open()) as lines:
        table = _Table(lines, source.dialect)
        columns = _columns(table, source.name)
        while True:
            shown = ""
            try:
                row = table.row()
                if row is None:
                    return
                cells = [row[i] if i is not None and i < len(row) else "" for i in columns]
                shown, key = (cell.strip(_BLANK + "\t") for cell in cells)
                if any("\udc80" <= char <= "\udcff" for char in shown + key):
                    raise BadTarget("line is not UTF-8")  # noqa: TRY301
                yield _target(
                    (_in_one_line(shown), key, NO_HEADERS), table.number, source.name, rule
                )
            except BadTarget as error:
                raw = shown.encode("utf-8", "surrogateescape") or table.first
                yield _bad(raw, table.number, source.name, error.message)


def _columns(table: _Table, name: str) -> tuple[int, int | None]:
    """Where the URL and the key stand, by the first row."""
    try:
        header = table.row()
    except BadTarget as error:
        raise ListError(f"can't read the list {name!r}: {error}") from None
    if header is None:
        return 0, None  # an empty list
    names = [column.strip().lower() for column in header]
    if "url" not in names:
        raise ListError(f"the list {name!r} has no column named 'url' in its first line")
    return names.index("url"), names.index("key") if "key" in names else None
