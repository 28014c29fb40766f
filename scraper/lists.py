"""Lists: bytes of a file, a pipe or an iterable in, targets out, lazily.

The grammar: UTF-8 (BOM and CRLF are fine), one target a line; `URL`, or
`URL<TAB>key`, or a JSON object `{"url", "key"?, "headers"?}`; blank lines and
lines that start with `#` are skipped. `.csv` and `.tsv` have a `url` column
and may have a `key` column. gzip is recognised by its first two bytes.

Owns: that grammar, line numbers, and opening lists. Refuses to know: threads
(`intake.py`) and how a list at a URL is fetched (`loop.py` brings a function).
Rejected: reading a list to know it better first; a pipe may never end.
"""

import csv
import gzip
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from scraper import keys, urls
from scraper.errors import BadTarget, Kind, ListError
from scraper.records import NO_HEADERS, Failed, Failure, Result, Target
from scraper.settings import is_field_name, is_field_value

MAX_LINE_BYTES = 65_536
_SHOWN_CHARS = 200  # of a line that is no target

Read = Target | Result
OpenRemote = Callable[[str], BinaryIO]


@dataclass(frozen=True, slots=True)
class Source:
    """One list. `size` is its length in bytes if that is known, for a progress display."""

    name: str
    open: Callable[[], Iterable[bytes]]
    size: int | None = None
    dialect: type[csv.Dialect] | None = None


def open_sources(names: Iterable[str], open_remote: OpenRemote) -> list[Source]:
    """The sources that `names` mean: paths, `-` for stdin, or http(s) and s3 URLs.

    Every one is opened once, here, so that a missing list is known before
    anything is written. Raises ListError naming the list.
    """
    sources = []
    for name in names:
        if name == "-":
            sources.append(Source("-", lambda: _lines(_stdin())))
        elif name.lower().startswith(("http://", "https://", "s3://")):
            stream = open_remote(name)
            shown = urls.redact(name)
            sources.append(
                _checked(Source(shown, _once(stream), None, _dialect(name.split("?")[0])))
            )
        else:
            sources.append(_checked(_file(name)))
    return sources


def from_iterable(lines: Iterable[str | bytes], name: str = "urls") -> Source:
    """A source of lines that are already in memory, or come from a generator."""

    def opened() -> Iterator[bytes]:
        for line in lines:
            yield line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")

    return Source(name, opened)


def _file(path: str) -> Source:
    try:
        with open(path, "rb") as file:
            head = file.read(2)
            size = os.fstat(file.fileno()).st_size if file.seekable() else None
    except OSError as error:
        raise ListError(f"can't open the list {path!r}: {error.strerror}") from None
    known = size if head != b"\x1f\x8b" else None
    return Source(path, lambda: _lines(open(path, "rb")), known, _dialect(path))  # noqa: SIM115 - closed by _lines


def _stdin() -> BinaryIO:
    # Not sys.stdin.buffer: a daemon thread that waits in it would hold its lock at exit.
    return open(sys.stdin.fileno() if sys.stdin else 0, "rb", closefd=False)


def _once(stream: BinaryIO) -> Callable[[], Iterable[bytes]]:
    def opened() -> Iterable[bytes]:
        stream.seek(0)
        return _lines(io.BufferedReader(_Borrowed(stream)))

    return opened


class _Borrowed(io.RawIOBase):
    """A stream that outlives its reader: closing this leaves it open."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _dialect(name: str) -> type[csv.Dialect] | None:
    stem = name.lower().removesuffix(".gz")
    if stem.endswith(".csv"):
        return csv.excel
    return csv.excel_tab if stem.endswith(".tsv") else None


def _checked(source: Source) -> Source:
    """The source, if its header (CSV, TSV) has what is needed and its gzip begins well."""
    try:
        lines = iter(source.open())
        if source.dialect:
            _columns(next(csv.reader(_texts(lines), source.dialect), []), source.name)
        else:
            next(lines, b"")
    except (OSError, EOFError, csv.Error) as error:
        raise ListError(f"can't read the list {source.name!r}: {error}") from None
    return source


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of at most MAX_LINE_BYTES; of a longer one the head, marked by a missing end."""
    with file:
        buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
        reader: BinaryIO = buffered  # type: ignore[assignment]
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            reader = gzip.GzipFile(fileobj=buffered)  # type: ignore[assignment]
        first = True
        while line := reader.readline(MAX_LINE_BYTES + 1):
            if first:
                line, first = line.removeprefix(b"\xef\xbb\xbf"), False
            yield line
            while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                line = reader.readline(MAX_LINE_BYTES + 1)  # skipped: never in memory as a whole


def read(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    """Every target of `source`, in order; a line that is none comes as its failed Result.

    Raises ListError when the source breaks off.
    """
    try:
        if source.dialect:
            yield from _read_table(source, rule)
        else:
            yield from _read_lines(source, rule)
    except (OSError, EOFError) as error:  # gzip's errors are OSErrors, a torn file is EOFError
        raise ListError(f"the list {source.name!r} broke off: {error}") from None


def _read_lines(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    for number, raw in enumerate(source.open(), 1):
        try:
            if len(raw) > MAX_LINE_BYTES:
                raise BadTarget(f"line is longer than {MAX_LINE_BYTES:,} bytes")  # noqa: TRY301
            text = raw.decode().strip(" \r\n\f\v")
            if not text or text[0] == "#" or text.isspace():
                continue
            if text[0] == "{":
                url, key, headers = _parse_json(text)
            else:
                url, _, key = text.partition("\t")
                headers = NO_HEADERS
            yield _target(url.rstrip(), key.strip(), headers, number, source.name, rule)
        except UnicodeDecodeError:
            yield _bad(raw, number, source.name, "line is not UTF-8")
        except BadTarget as error:
            yield _bad(raw, number, source.name, error.message)


def _target(
    url: str, key: str, headers: Mapping[str, str], line: int, source: str, rule: keys.KeyRule
) -> Target:
    if "\0" in url or "\0" in key:
        raise BadTarget("line has a NUL byte")
    parsed = urls.parse(url)
    final = keys.given_key(key) if key else rule(parsed, line)
    return Target(url, parsed.href, parsed.host, final, line, source, headers, parsed.userinfo)


def _bad(raw: bytes | str, line: int, source: str, reason: str) -> Result:
    text = raw[:4096].decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    listed = text.strip(" \r\n")[:_SHOWN_CHARS]
    target = Target(listed=listed, url="", host="", key="", line=line, source=source)
    return Result(target, Failed(Failure(Kind.BAD_URL, reason, transient=False)))


def _parse_json(text: str) -> tuple[str, str, Mapping[str, str]]:
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadTarget(f"line is not JSON: {error}") from None
    url, key, headers = given.get("url"), given.get("key", ""), given.get("headers", NO_HEADERS)
    if not isinstance(url, str):
        raise BadTarget('JSON line has no "url"')
    if key is not None and not isinstance(key, str):
        raise BadTarget('"key" of a JSON line is not a string')
    if not isinstance(headers, dict):
        raise BadTarget('"headers" of a JSON line is not an object')
    for name, value in headers.items():
        if not isinstance(value, str) or not is_field_name(name) or not is_field_value(value):
            raise BadTarget(f"header {name!r} of a JSON line is not allowed in HTTP")
    return url, key or "", headers


def _read_table(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    assert source.dialect is not None
    rows = csv.reader(_texts(source.open()), source.dialect)
    columns = _columns(next(rows, []), source.name)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield _bad("", rows.line_num, source.name, f"row is not CSV: {error}")
            continue
        if not any(row) or row[0].startswith("#"):
            continue
        url, key = (row[i].strip() if i is not None and i < len(row) else "" for i in columns)
        try:
            if any("\udc80" <= char <= "\udcff" for char in url + key):
                raise BadTarget("line is not UTF-8")  # noqa: TRY301
            yield _target(url, key, NO_HEADERS, rows.line_num, source.name, rule)
        except BadTarget as error:
            shown = url.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            yield _bad(shown, rows.line_num, source.name, error.message)


def _columns(header: list[str], name: str) -> tuple[int, int | None]:
    names = [column.strip().lower() for column in header]
    if "url" not in names:
        raise ListError(f"the list {name!r} has no column named 'url' in its first line")
    return names.index("url"), names.index("key") if "key" in names else None


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    return (line.decode("utf-8", "surrogateescape") for line in lines)
