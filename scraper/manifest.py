"""The manifest's records: a Result as the contract's JSON, and what a line says later.

Owns: flattening a Result to the contract's fields, and reading a line back as
far as another run needs it; both here and nowhere else. Refuses to know: where
lines are kept (`journal.py`), how they are found again (`index.py`). Rejected: a
line for each attempt; one target is one result.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from scraper import urls
from scraper.dates import rfc3339
from scraper.records import (
    Deferred,
    Duplicate,
    Failed,
    Failure,
    NotModified,
    Outcome,
    Response,
    Result,
    Skipped,
    Stored,
    Times,
)

FAILED, NOT_MODIFIED, STORED = 0, 1, 2  # what a line says of its object; from 1 on it is done
_STATES = {"stored": STORED, "not_modified": NOT_MODIFIED, "failed": FAILED, "deferred": FAILED}
_TEXT = (str, type(None))


def to_record(result: Result) -> dict[str, Any]:
    """The contract's fields of `result`; what is unknown is absent."""
    target = result.target
    record: dict[str, Any] = {
        "url": urls.redact(target.listed),
        "line": target.line,
        "source": target.source,
    }
    if target.key:
        record["key"] = target.key
    record |= {"status": result.status, **_outcome(result.outcome), "attempts": result.attempts}
    return record | _times(result.times)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Stored(response, size, digest):
            return _response(response) | {"size": size, "sha256": digest}
        case NotModified(response):
            return _response(response)
        case Skipped(reason):
            return {"reason": reason}
        case Duplicate(of_line):
            return {"of_line": of_line}
        case Deferred(failure, response) | Failed(failure, response):
            return _response(response) | {"error": _error(failure)}


def _times(times: Times) -> dict[str, Any]:
    durations = {
        "time_connect": times.connect,
        "time_starttransfer": times.starttransfer,
        "time_total": times.total,
        "time_queue": times.queue,
    }
    known = {name: round(value, 6) for name, value in durations.items() if value is not None}
    return known if times.started is None else {"started": rfc3339(times.started), **known}


def encode(result: Result) -> bytes:
    """The line of `result`, with its line feed."""
    return as_json(to_record(result)) + b"\n"


def as_json(record: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8, without line feed, that can be shown on a terminal."""
    try:
        line = orjson.dumps(record)
    except TypeError:  # a lone surrogate: from the name of a file that is not UTF-8
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    return line if line.isascii() else urls.printable(line.decode()).encode()


def _response(response: Response | None) -> dict[str, Any]:
    if response is None:
        return {}
    fields = {
        "http_code": response.http_code,
        "content_type": response.content_type,
        "etag": response.etag,
        "last_modified": response.last_modified,
        "redirects": response.redirects,
        "url_effective": response.url_effective,
        "remote_ip": response.remote_ip,
        "x_robots_tag": response.x_robots_tag,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _error(failure: Failure) -> dict[str, str]:
    return {"kind": failure.kind.value, "message": failure.message}


class Entry(NamedTuple):
    """What one line says of its target's object: only `stored` says more than `state`.

    `id` is the target's `identity`, `state` FAILED, NOT_MODIFIED or STORED, `size` bytes;
    `effective` a digest of the URL that answered, 0 if it was the target's own.
    """

    id: int
    state: int
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    effective: int = 0


def identity(key: str, url: str) -> int:
    """64 bits that stand for a target: its key, and its URL's `urls.normal` form.

    Two of ten million targets share one by a chance of three in a million.
    """
    return urls.fingerprint(f"{key}\0{url}")


def read_entry(line: bytes) -> Entry | None:
    """What `line` says, None if that is nothing of an object: it is torn, or another's.

    Validators are those of the stored body. A 304 confirms them and sets no others (RFC 9111
    4.3.4), and those of a failure belong to no object.
    """
    try:
        record = orjson.loads(line)
        state = _STATES[record["status"]]
        target = identity(record["key"], urls.normal(record["url"]))
        if state is not STORED:
            return Entry(target, state)
        size, etag, modified = record["size"], record.get("etag"), record.get("last_modified")
        effective = urls.fingerprint(record["url_effective"]) if record.get("redirects") else 0
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    fit = type(size) is int and size < 2**63 and type(etag) in _TEXT and type(modified) in _TEXT
    return Entry(target, state, size, etag, modified, effective) if fit else None
