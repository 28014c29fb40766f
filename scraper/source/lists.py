"""Lists: lines in, targets out.

The grammar: UTF-8, one target a line. A line is `URL`, or `URL<TAB>key`, or a JSON object
`{"url", "key"?, "headers"?}`, which may say what is expected of the body (`size`, `md5`, `sha1`,
`sha256`, `sha512`; `model/expected.py`). Blank lines and lines that start with `#` are skipped. A
CSV or TSV list has a column `url` and may have others of these names, but `headers`. A quoted URL
has no line break. A program may give `(url, key)` and such a dict as objects, among its lines.

Owns: that grammar, and the failed Result of a line that names no target. Does not know: where
lines come from (`sources.py`, `lines.py`), threads (`reader.py`). Rejected: ending the run at a
bad line; one of a million lines would cost the others.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from scraper.model import urls
from scraper.model.errors import BadTarget, Kind
from scraper.model.headers import (
    announces_a_body,
    beginning_of_name,
    is_field_name,
    is_field_value,
)
from scraper.model.records import NO_HEADERS, Failed, Failure, Result, Target, places_of
from scraper.source import keys
from scraper.source.lines import LINE_BREAK, MAX_LINE_BYTES, check_length
from scraper.source.plain import plain_target
from scraper.source.sources import Given, Source
from scraper.source.tables import Table

if TYPE_CHECKING:
    from scraper.model.expected import Expected

_SHOWN_CHARS = 200  # of a line that names no target
_BLANK = " \r\n\f\v"  # the URL standard strips these, and control characters, from a URL's ends
# Of a JSON line.
_FIELDS = frozenset({"url", "key", "headers", "size", "sha512", "sha256", "sha1", "md5"})
_USUAL = frozenset({"url", "key", "headers"})
# A text: few runs need it, and `re` compiles it on its first use.
_HEADERS = r"(?i)['\"]?headers?['\"]?\s*:"

Read = Target | Result
# The URL, the key or "", the headers, and what is expected of the body.
Parts = tuple[str, str, Mapping[str, str], "Expected | None"]


def read(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    """Every target of `source`, in order. A line that names none comes as its failed Result.

    Raises ListError when the source breaks off, and whatever a caller's iterable raises.
    """
    return _read_table(source, rule) if source.dialect else _read_lines(source, rule)


def _read_lines(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    name, plain, mixed = source.name, rule is keys.url_key, source.mixed
    for number, raw in enumerate(source.open(), 1):
        if mixed and isinstance(raw, Given):
            yield _read_given(raw.value, number, name, rule)
            continue
        shown: bytes | str = raw
        try:
            if len(raw) > MAX_LINE_BYTES:
                check_length(raw)
            text = raw.decode().strip(_BLANK)
            if plain and (target := plain_target(text, number, name)) is not None:
                yield target
            elif (parts := _parse_line(text)) is not None:
                shown = parts[0]
                yield _target(parts, number, name, rule)
        except UnicodeDecodeError:
            yield _bad(raw, number, name, "line is not UTF-8")
        except BadTarget as error:
            yield _bad(shown, number, name, error.message)


def _parse_line(text: str) -> Parts | None:
    """What a line gives. None for a blank line and for a comment. Raises BadTarget."""
    if not text or text.isspace():
        return None
    if text[0] == "{":
        return _parts_of(_parse_json(text), "a JSON line")
    if "\r" in text or "\n" in text:  # in a comment too: it would hide a line
        raise BadTarget(LINE_BREAK)
    if text[0] == "#":
        return None
    url, _, key = text.partition("\t")
    return url.rstrip(_BLANK), key.strip(), NO_HEADERS, None


def _target(given: Parts, line: int, source: str, rule: keys.KeyRule) -> Target:
    url, key, headers, expected = given
    if "\0" in url or "\0" in key:
        raise BadTarget("line has a NUL byte")
    parsed = urls.parse(url)
    final = keys.given_key(key) if key else rule(parsed, line)
    href, origin, userinfo = parsed
    places = places_of(url, href, headers)
    return Target(url, href, origin.host, final, line, source, headers, userinfo, places, expected)


def _bad(shown: bytes | str, line: int, source: str, reason: str) -> Result:
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
    with contextlib.suppress(ValueError, AttributeError):
        url = orjson.loads(line).get("url")
        if isinstance(url, str):
            return url
    return re.split(_HEADERS, line, maxsplit=1)[0]


def _parse_json(text: str) -> Mapping[str, Any]:
    try:
        given: Mapping[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadTarget(f"line is not JSON: {error}") from None
    return given


def _read_given(given: object, line: int, source: str, rule: keys.KeyRule) -> Read:
    """The target that a tuple, a list or a dict means, or its failed Result."""
    url = ""
    try:
        if isinstance(given, Mapping):
            fields, what = given, "a dict"
        elif isinstance(given, tuple | list) and 1 <= len(given) <= 2:
            fields, what = dict(zip(("url", "key"), given, strict=False)), "a tuple"
        else:
            raise BadTarget(f"{type(given).__name__} is no line, no (url, key), and no dict")  # noqa: TRY301
        url = fields["url"] if isinstance(fields.get("url"), str) else ""
        parts = _parts_of(fields, what)
        check_length("\t".join((*parts[:2], *parts[2], *parts[2].values())).encode())
        return _target(parts, line, source, rule)
    except UnicodeEncodeError:
        shown = url.encode("utf-8", "backslashreplace")
        return _bad(shown, line, source, "target is not UTF-8")
    except BadTarget as error:
        return _bad(url.encode("utf-8", "backslashreplace"), line, source, error.message)


def _parts_of(given: Mapping[str, Any], what: str) -> Parts:
    """What a JSON line gives, or `what` a program gives. Raises BadTarget."""
    url, key, headers = given.get("url"), given.get("key"), given.get("headers")
    expected = None
    if not given.keys() <= _USUAL:
        _check_fields(given, what)
        expected = _expected(given)
    if not isinstance(url, str):
        raise BadTarget(f'{what.removeprefix("a ")} has no "url"')
    if key is not None and not isinstance(key, str):
        raise BadTarget(f'"key" of {what} is not a string')
    if headers is None:
        headers = NO_HEADERS
    elif not isinstance(headers, Mapping):
        raise BadTarget(f'"headers" of {what} is not an object')
    for name, value in headers.items():
        if not isinstance(name, str):
            raise BadTarget(f'"headers" of {what} has a name that is not a string')
        if not isinstance(value, str) or not is_field_name(name) or not is_field_value(value):
            shown = beginning_of_name(name)
            raise BadTarget(f"header {shown!r} of {what} is not allowed in HTTP")
        if announces_a_body(name):
            raise BadTarget(f"header {name!r} of {what} announces a body, and there is none")
    headers = dict(headers) if headers else NO_HEADERS
    return _in_one_line(url), (key or "").strip(), headers, expected


def _expected(given: Mapping[str, Any]) -> "Expected | None":
    """What is expected of the body. Nothing by a record of ours: it tells what was stored then."""
    if "status" in given or _FIELDS.isdisjoint(given.keys() - _USUAL):
        return None
    from scraper.model.expected import expected_of  # few lists tell digests

    return expected_of(given)


def _check_fields(given: Mapping[Any, Any], what: str) -> None:
    """Raise BadTarget for a field that is nearly one of ours, which is not there itself.

    Else `header` for `headers` would send a request without its credentials. Other fields say
    nothing here.
    """
    for field in given.keys() - _FIELDS:
        meant = _meant(field) if isinstance(field, str) else ""
        if meant and meant not in given:
            raise BadTarget(f'{what.removeprefix("a ")} has "{field}": did you mean "{meant}"?')


@lru_cache(256)
def _meant(field: str) -> str:
    from difflib import get_close_matches  # few lists have other fields than ours

    if field.lower() in {"uri", "link", "href"}:
        return "url"
    return next(iter(get_close_matches(field.lower(), sorted(_FIELDS), 1, 0.8)), "")


def _in_one_line(url: str) -> str:
    """The URL without blanks around it. Raises BadTarget for a line break in it.

    The URL standard drops line breaks, so two URLs would become one.
    """
    url = url.strip(_BLANK)
    if "\n" in url or "\r" in url:
        raise BadTarget("URL has a line break")
    return url


def _read_table(source: Source, rule: keys.KeyRule) -> Iterator[Read]:
    assert source.dialect is not None
    with contextlib.closing(source.open()) as lines:
        table = Table(lines, source.dialect)
        columns = table.columns(source.name)
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
                parts = _in_one_line(shown), key, NO_HEADERS, None
                yield _target(parts, table.number, source.name, rule)
            except BadTarget as error:
                raw = shown.encode("utf-8", "surrogateescape") or table.first
                yield _bad(raw, table.number, source.name, error.message)
