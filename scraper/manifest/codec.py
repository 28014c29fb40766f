"""The manifest's records: a Result as the contract's JSON, and what a line says later.

Owns: flattening a Result to the contract's fields, and reading a line back as
far as another run needs it; both here and nowhere else. Refuses to know: where
lines are kept (`store.py`), how they are found again (`index.py`). Rejected: a
line for each attempt; one target is one result.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from scraper.model import urls
from scraper.model.dates import rfc3339
from scraper.model.records import (
    Deferred,
    Duplicate,
    Failed,
    NotModified,
    Response,
    Result,
    Skipped,
    Stored,
    Times,
)

FAILED, NOT_MODIFIED, STORED = 0, 1, 2  # what a line says of its object; from 1 on it is done
_STATES = {"stored": STORED, "not_modified": NOT_MODIFIED, "failed": FAILED, "deferred": FAILED}
_TEXT = {str, type(None)}


def to_record(result: Result) -> dict[str, Any]:
    """The contract's fields of `result`; what is unknown is absent."""
    target, outcome = result.target, result.outcome
    record: dict[str, Any] = {
        "url": urls.redact(target.listed),
        "line": target.line,
        "source": target.source,
    }
    if target.key:
        record["key"] = target.key
    record["status"] = result.status
    match outcome:
        case Stored(response, size, digest):
            _add_response(record, response)
            record["size"] = size
            record["sha256"] = digest
            if response.variant is not None:
                record["variant"] = response.variant
        case NotModified(response):
            _add_response(record, response)
        case Skipped(reason):
            record["reason"] = reason
        case Duplicate(of_line):
            record["of_line"] = of_line
        case Deferred(failure, answer) | Failed(failure, answer):
            if answer is not None:
                _add_response(record, answer)
            record["error"] = {"kind": failure.kind.value, "message": failure.message}
    record["attempts"] = result.attempts
    _add_times(record, result.times)
    return record


def _add_response(record: dict[str, Any], response: Response) -> None:
    record["http_code"] = response.http_code
    if (media_type := response.content_type) is not None:
        record["content_type"] = media_type
    if (etag := response.etag) is not None:
        record["etag"] = etag
    if (modified := response.last_modified) is not None:
        record["last_modified"] = modified
    record["redirects"] = response.redirects
    record["url_effective"] = response.url_effective
    if (address := response.remote_ip) is not None:
        record["remote_ip"] = address
    if (robots := response.x_robots_tag) is not None:
        record["x_robots_tag"] = robots


def _add_times(record: dict[str, Any], times: Times) -> None:
    started, connect, starttransfer, total, queue = times
    if started is not None:
        record["started"] = rfc3339(started)
    if connect is not None:
        record["time_connect"] = round(connect, 6)
    if starttransfer is not None:
        record["time_starttransfer"] = round(starttransfer, 6)
    if total is not None:
        record["time_total"] = round(total, 6)
    if queue is not None:
        record["time_queue"] = round(queue, 6)


def encode(result: Result) -> bytes:
    """The line of `result`, with its line feed."""
    return as_json(to_record(result)) + b"\n"


def as_json(record: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8, without line feed, that can be shown on a terminal."""
    try:
        line = orjson.dumps(record)
    except TypeError:  # a lone surrogate: from the name of a file that is not UTF-8
        import json

        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    return line if line.isascii() else urls.printable(line.decode()).encode()


class Entry(NamedTuple):
    """What one line says of its target's object: only `stored` says more than `state`.

    `id` is the target's `identity`, `state` FAILED, NOT_MODIFIED or STORED, `size` bytes;
    `effective` a digest of the URL that answered, 0 if it was the target's own; `variant` which
    form of the body it is, None for older records.
    """

    id: int
    state: int
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    effective: int = 0
    variant: str | None = None


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
        variant = record.get("variant")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    fit = type(size) is int and size < 2**63 and {*map(type, (etag, modified, variant))} <= _TEXT
    return Entry(target, state, size, etag, modified, effective, variant) if fit else None
