"""Lists: lines in, targets out.

The grammar: UTF-8, one target a line. A line is `URL`, or `URL<TAB>key`, or a JSON object
`{"url", "key"?, "headers"?}`, which may have more fields (`fields.py`). Blank lines and lines that
start with `#` are skipped. A CSV or TSV list has a column `url` and may have a
column `key`, or options name them. A quoted URL has no line break. A program may give `(url, key)`
and such a dict as objects, among its lines.

Owns: that grammar, and the failed Result of a line that names no target. Does not know: where
lines come from (`sources.py`, `lines.py`), threads (`reader.py`). Rejected: ending the run at a
bad line; one of a million lines would cost the others.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from scraper.model import urls
from scraper.model.errors import BadTarget, Kind, ListBroken, ScraperError
from scraper.model.records import NO_HEADERS, Failed, Failure, Mirror, Result, Target, places_of
from scraper.source import keys
from scraper.source.grammar import DOCUMENTS, table_format
from scraper.source.line import Line
from scraper.source.lines import (
    BLANK,
    MAX_LINE_BYTES,
    Note,
    check_length,
    in_one_line,
    nobody,
)
from scraper.source.plain import plain_target
from scraper.source.sources import Given, Source, by_its_first_line

if TYPE_CHECKING:
    from scraper.model.expected import Expected
    from scraper.source.fields import Parts
    from scraper.source.list_index import ListIndex
    from scraper.source.tables import Dialect

_SHOWN_CHARS = 200  # of a line that names no target
_NOTHING = frozenset({"", "-", "NULL", "null", "\\N"})  # what databases write for it in a table
_PLAIN = frozenset({"url", "lastmod"})
_AROUND = BLANK + "\t"  # a cell
# A text: few runs need it, and `re` compiles it on its first use.
_HEADERS = r"(?i)['\"]?headers?['\"]?\s*:"

Read = Target | Result
PassesOver = Callable[[object], bool]


def read(
    source: Source,
    rule: keys.KeyRule,
    note: Note = nobody,
    passes_over: PassesOver | None = None,
    stopped: Callable[[], bool] = bool,
) -> Iterator[Read]:
    """Every target of `source`, in order. A line that names none comes as its failed Result.

    `note` hears what is to be said of the list. `passes_over` is asked about each line of a list
    of lines, before it is parsed. `stopped` says whether the run has ended, so that no further list
    is fetched. Raises ListError when the source breaks off or is no list, and whatever a caller's
    iterable raises.
    """
    if source.format is None and source.unseen:
        source = by_its_first_line(source)
    form = source.format
    if source.of_shard:
        from scraper.source.shard_list import read_shard_list

        return read_shard_list(source, rule)
    if form in DOCUMENTS:
        from scraper.source.list_index import ListIndex  # few lists are documents

        return _read_document(source, rule, note, ListIndex(source, stopped))
    if (dialect := table_format(form)) is not None:
        return _read_table(source, rule, dialect)
    return _read_lines(source, rule, note, passes_over)


def broken_off(error: ListBroken, source: str) -> Result:
    """The failed Result for the place where the list `source` broke off."""
    target = Target(listed="", url="", host="", key="", line=error.line, source=source)
    return Result(target, Failed(Failure(Kind.BAD_URL, str(error), transient=False)))


def _read_lines(
    source: Source, rule: keys.KeyRule, note: Note, passes_over: PassesOver | None
) -> Iterator[Read]:
    name, mixed, number = source.name, source.mixed, 0
    plain = rule is keys.url_key and source.format in {None, "lines", "gcs", "m3u"}
    with contextlib.closing(Line(source, note)) as line_of:
        try:
            for number, raw in enumerate(source.open(), 1):
                if passes_over is not None and passes_over(raw):
                    continue
                if mixed and isinstance(raw, Given):
                    yield _read_given(raw.value, number, rule, line_of)
                    continue
                shown: bytes | str = raw
                try:
                    if len(raw) > MAX_LINE_BYTES:
                        check_length(raw)
                    text = raw.decode().strip(BLANK)
                    if plain and (target := plain_target(text, number, name)) is not None:
                        yield target
                    elif (parts := line_of.parts(text)) is not None:
                        shown = parts[0]
                        yield target_of(parts, number, rule, line_of)
                except UnicodeDecodeError:
                    yield bad_line(raw, number, name, "line is not UTF-8")
                except BadTarget as error:
                    yield bad_line(shown, number, name, error.message)
        except ListBroken as broken:
            broken.line = number + 1
            raise


def _read_document(
    source: Source, rule: keys.KeyRule, note: Note, index: "ListIndex"
) -> Iterator[Read]:
    from scraper.source.documents import ListAt, read_entries

    number, line_of = 0, Line(source, note)
    try:
        for number, entry in enumerate(read_entries(source, note), 1):
            if isinstance(entry, ListAt):
                yield from _read_listed(entry.url, number, rule, note, index)
            elif isinstance(entry, BadTarget):
                yield bad_line("", number, source.name, entry.message)
            else:
                yield _read_entry(entry, number, rule, line_of)
    except ListBroken as broken:
        broken.line = number + 1
        raise
    if not number:
        note(f"{source.name!r}, read as {source.format}, names no URL")


def _read_listed(
    url: str, number: int, rule: keys.KeyRule, note: Note, index: "ListIndex"
) -> Iterator[Read]:
    """What the list at `url` says, which is named at place `number` of another list."""
    if index.stopped():
        return
    source: Source | None = None
    try:
        if (source := index.open(url)) is None:
            return
        if source.format in DOCUMENTS:
            yield from _read_document(source, rule, note, index.of(source))
        else:
            yield from read(source, rule, note)
    except ListBroken as broken:
        yield broken_off(broken, source.name if source else url)
    except ScraperError as error:
        yield bad_line(url, number, index.name, str(error))
    finally:
        index.close()


def _read_entry(fields: Mapping[str, Any], number: int, rule: keys.KeyRule, line_of: Line) -> Read:
    """The target that a place of a document means, or its failed Result."""
    url, date = fields["url"], fields.get("lastmod")
    target = None
    try:
        if rule is keys.url_key and not fields.keys() - _PLAIN:
            target = plain_target(url, number, line_of.source)
        if target is None:
            check_length(url.encode())
            target = target_of(line_of.of_fields(fields), number, rule, line_of)
    except UnicodeEncodeError:
        return bad_line(url.encode("utf-8", "backslashreplace"), number, line_of.source, "no UTF-8")
    except BadTarget as error:
        return bad_line(url, number, line_of.source, error.message)
    return target if date is None else target._replace(lastmod=date)


def target_of(given: "Parts", line: int, rule: keys.KeyRule, line_of: Line) -> Target:
    """The target that `given` means, which line `line` says. Raises BadTarget."""
    url, key, headers, expected, more = given
    source = line_of.source
    mirrors: tuple[Mirror, ...] = ()
    if more:
        url, mirrors = line_of.mirrors.of((url, *more))
    if "\0" in url or "\0" in key:
        raise BadTarget("line has a NUL byte")
    bare = rule is keys.url_key and not (key or headers or expected or mirrors)
    if bare and (target := plain_target(url, line, source)) is not None:
        return target
    parsed = urls.parse(url)
    final = keys.given_key(key) if key else rule(parsed, line)
    if expected is not None and expected.first is not None and expected.size and not key:
        final = keys.part_key(final, expected.first, expected.size)
    href, origin, userinfo = parsed
    places = places_of(url, href, headers)
    places += sum(places_of(one.listed, one.url, NO_HEADERS) for one in mirrors)
    more_of = headers, userinfo, places, expected, None, mirrors
    return Target(url, href, origin.host, final, line, source, *more_of)


def bad_line(shown: bytes | str, line: int, source: str, reason: str) -> Result:
    """The failed Result of a line that names no target."""
    if isinstance(shown, bytes):
        shown = shown.decode("utf-8", "backslashreplace")
    listed = shown.strip(" \r\n")
    if listed.startswith("{"):
        listed = _url_of(listed)
    listed = urls.redact_wreck(listed)[:_SHOWN_CHARS]  # cut afterwards: half a secret is one too
    target = Target(listed=listed, url="", host="", key="", line=line, source=source)
    return Result(target, Failed(Failure(Kind.BAD_URL, reason, transient=False)))


def _url_of(line: str) -> str:
    """The URL of a JSON line. Without one, the part of the line before any headers."""
    with contextlib.suppress(ValueError, AttributeError, IndexError):
        for name, value in orjson.loads(line).items():
            if name.lower() == "url" and isinstance(value, str):
                return value
            if name.lower() == "urls" and isinstance(value, list) and isinstance(value[0], str):
                return value[0]
    return re.split(_HEADERS, line, maxsplit=1)[0]


def _read_given(given: object, line: int, rule: keys.KeyRule, line_of: Line) -> Read:
    """The target that a tuple, a list or a dict means, or its failed Result."""
    url, source = "", line_of.source
    try:
        if isinstance(given, Mapping):
            fields, what = given, "a dict"
        elif isinstance(given, tuple | list) and 1 <= len(given) <= 2:
            fields, what = dict(zip(("url", "key"), given, strict=False)), "a tuple"
        else:
            raise BadTarget(f"{type(given).__name__} is no line, no (url, key), and no dict")  # noqa: TRY301
        url = fields["url"] if isinstance(fields.get("url"), str) else ""
        parts = line_of.fields.parts(fields, what)
        texts = *parts[:2], *parts[2], *parts[2].values(), *parts[4]
        check_length("\t".join(texts).encode())
        return target_of(parts, line, rule, line_of)
    except UnicodeEncodeError:
        shown = url.encode("utf-8", "backslashreplace")
        return bad_line(shown, line, source, "target is not UTF-8")
    except BadTarget as error:
        return bad_line(url.encode("utf-8", "backslashreplace"), line, source, error.message)


def _read_table(source: Source, rule: keys.KeyRule, form: "Dialect") -> Iterator[Read]:
    from scraper.source.columns import columns_of  # few lists are tables
    from scraper.source.tables import Table

    name, plain, line_of = source.name, rule is keys.url_key, Line(source, nobody)
    with contextlib.closing(source.open()) as lines:
        table = Table(lines, form)
        try:
            rows, at_url, at_key, told = columns_of(table, source.grammar, name)
            for number, first, cells, wrong, torn in rows:
                url = cells[at_url].strip(_AROUND) if at_url < len(cells) else ""
                key = cells[at_key].strip(_AROUND) if at_key < len(cells) else ""
                if plain and not (key or told) and (target := plain_target(url, number, name)):
                    yield target
                    continue
                try:
                    parts = _of_cells(url, key, wrong, torn=torn, tsv=form == "tsv")
                    parts = line_of.completed(parts)
                    if told:
                        parts = (*parts[:3], _expected(cells, told), ())
                    yield target_of(parts, number, rule, line_of)
                except BadTarget as error:
                    raw = first if wrong else url.encode("utf-8", "surrogateescape") or first
                    yield bad_line(raw, number, name, error.message)
        except ListBroken as broken:
            broken.line = table.count + 1
            raise


def _expected(cells: Sequence[str], told: Sequence[tuple[str, int]]) -> "Expected | None":
    """What a row says of the body. Raises BadTarget."""
    from scraper.model.expected import expected_of  # few lists tell digests

    told_here = {name: cells[at].strip(_AROUND) for name, at in told if at < len(cells)}
    return expected_of({name: text for name, text in told_here.items() if text not in _NOTHING})


def _of_cells(url: str, key: str, wrong: str, *, torn: bool, tsv: bool) -> "Parts":
    """What a row of a table gives. `wrong` and `torn` are those of the row. Raises BadTarget."""
    if wrong:
        raise BadTarget(wrong)
    if torn and any("\udc80" <= char <= "\udcff" for char in url + key):
        raise BadTarget("line is not UTF-8")
    if url.startswith("#"):
        raise BadTarget("no URL: a line of a table is no comment")
    if tsv:
        from scraper.source.columns import without_quotes

        url, key = without_quotes(url), without_quotes(key)
    return in_one_line(url), key, NO_HEADERS, None, ()
