"""Captures: the lines of a CDX index, as Common Crawl's and pywb's servers give them.

A line is a JSON object, or CDXJ: the key of the URL, the time, and that object
(https://pywb.readthedocs.io/en/latest/manual/indexing.html#cdxj-format). Its `url` is what was
captured. Its `filename`, `offset` and `length` say where the record of that lies: bytes of a WARC
file, which can be asked for alone (RFC 9110 14.2).

Owns: these two meanings of a line. Does not know: whether a server sends those bytes
(`transfer/part_of_file.py`). The `digest` is of the payload in that record, so nothing is expected
by it.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from scraper.model.errors import BadTarget

Fields = Mapping[str, Any]
_MOST = 2**62


def of_capture(text: str) -> Fields | None:
    """The URL that was captured."""
    told = _told(text)
    if told is None:
        return None
    url = told.get("url")
    if not isinstance(url, str):
        raise BadTarget('line has no "url"')
    return {"url": url}


def of_record(text: str) -> Fields | None:
    """The bytes of a WARC file in which the capture lies: one record.

    `range_start` is the first of them, `size` how many they are. The file is relative to --base.
    """
    told = _told(text)
    if told is None:
        return None
    name = told.get("filename")
    if not isinstance(name, str) or not name:
        raise BadTarget('line has no "filename"')
    first, size = _number(told, "offset"), _number(told, "length")
    if not size:
        raise BadTarget('"length" is 0: there is no record')
    headers = {"Range": f"bytes={first}-{first + size - 1}", "Accept-Encoding": "identity"}
    return {"url": quote(name, safe="/:"), "range_start": first, "size": size, "headers": headers}


def reader_of(*, ranges: bool) -> Callable[[str], Fields | None]:
    """What reads a line; `ranges`: records are meant, not pages."""
    return of_record if ranges else of_capture


def _told(text: str) -> dict[str, Any] | None:
    if not text or text.isspace() or text[0] == "#":
        return None
    begin = text.find("{")
    if begin < 0:
        raise BadTarget("line is of no CDX index in JSON: it has no object")
    try:
        told = orjson.loads(text[begin:])
    except orjson.JSONDecodeError as error:
        raise BadTarget(f"line is not JSON: {error}") from None
    assert isinstance(told, dict)
    return told


def _number(told: Fields, name: str) -> int:
    """An integer, which most indexes write as a text."""
    value = told.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if type(value) is not int or not 0 <= value < _MOST:
        raise BadTarget(f'"{name}" is no number of bytes')
    return value
