"""Record: a Result as the contract's JSON, one line of a manifest or of --results.

Owns: flattening a Result to the contract's fields, which happens here only, and how a record
becomes a line. Does not know: what a line says later (`codec.py`), where lines are kept
(`store.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from scraper.manifest.identity import REDACTED, Identity
from scraper.model import urls
from scraper.model.archived import Archived
from scraper.model.dates import has_date, milliseconds, rfc3339, rfc3339_second
from scraper.model.records import (
    Deferred,
    Duplicate,
    Existing,
    Failed,
    NotModified,
    NotReached,
    Response,
    Result,
    Skipped,
    Stored,
    Target,
    Times,
)

_US = 1e6  # `round(x * _US) / _US` is `round(x, 6)`, in a quarter of the time


def to_record(result: Result) -> dict[str, Any]:
    """The contract's fields of `result`. A field whose value is unknown is absent."""
    target, outcome = result.target, result.outcome
    record = target_fields(target)
    if target.mirrors:
        _add_mirrors(record, result)
    record["status"] = result.status
    match outcome:
        case Stored(response):
            add_response(record, response)
            add_body(record, outcome)
        case NotModified(response, existing):
            add_response(record, response)
            add_existing(record, existing)
        case Skipped(reason, _, existing):
            record["reason"] = reason
            add_existing(record, existing)
        case Duplicate(of_line):
            record["of_line"] = of_line
        case Deferred(failure, answer) | Failed(failure, answer) | NotReached(failure, answer):
            if answer is not None:
                add_response(record, answer)
            record["error"] = {"kind": failure.kind.value, "message": failure.message}
    record["attempts"] = result.attempts
    if result.archived:
        add_archived(record, result.archived)
    _add_times(record, result.times)
    return record


def target_fields(target: Target) -> dict[str, Any]:
    """The fields that say which target a record is of."""
    record: dict[str, Any] = {
        "url": urls.redact(target.listed),
        "line": target.line,
        "source": target.source,
    }
    if target.key:
        record["key"] = target.key
    if target.headers:  # their names: without them the target can't be asked for again
        record["headers"] = sorted(target.headers)
    if target.compressed:  # also of what failed: the key has the ending of the form
        record["compressed"] = target.compressed
    if target.expected:
        record["expected"] = target.expected.as_fields()
    if target.lastmod is not None:
        record["lastmod"] = target.lastmod
    return record


def _add_mirrors(record: dict[str, Any], result: Result) -> None:
    others = (urls.redact(mirror.listed) for mirror in result.target.mirrors)
    record["urls"] = [record["url"], *others]
    if result.mirror is not None:
        record["mirror"] = urls.redact(result.mirror.listed)


def add_response(record: dict[str, Any], response: Response) -> None:
    """Add what a record keeps of a response."""
    record["http_code"] = response.http_code
    if (media_type := response.content_type) is not None:
        record["content_type"] = media_type
    if (coding := response.content_encoding) is not None:
        record["content_encoding"] = coding
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


def add_body(record: dict[str, Any], stored: Stored) -> None:
    """Add what a record keeps of a stored body, beside its response."""
    response, record["size"], record["sha256"], compressed = stored
    if compressed is not None:
        _, record["body_size"], record["body_sha256"] = compressed
    if response.variant is not None:
        record["variant"] = response.variant
    if response.parts is not None:
        record["parts"] = response.parts
    if response.expected_of is not None:
        record["expected_of"] = response.expected_of


def add_existing(record: dict[str, Any], existing: Existing | None) -> None:
    """Add what a record keeps of an object that was there."""
    if existing is not None:
        record["size"] = existing.size
        if existing.modified_ms is not None and has_date(existing.modified_ms / 1000):
            record["modified"] = rfc3339(existing.modified_ms / 1000)
        if existing.sha256 is not None:
            record["sha256"] = existing.sha256


def _archived_fields(one: Archived) -> dict[str, Any]:
    file, start, offset, length, records, original_file, original_offset = one
    fields = {"file": file, "start": start, "offset": offset, "length": length, "records": records}
    if original_file:
        fields["original"] = {"file": original_file, "offset": original_offset}
    return fields


def add_archived(record: dict[str, Any], archived: Sequence[Archived]) -> None:
    """Add where an archive has the exchanges: of the last attempt, and of those before."""
    *earlier, last = map(_archived_fields, archived)
    record["warc"] = last
    if earlier:
        record["warc_earlier"] = earlier


def _add_times(record: dict[str, Any], times: Times) -> None:
    started, connect, starttransfer, total, queue = times
    if started is not None:
        add_started(record, started)
    if connect is not None:
        record["time_connect"] = round(connect * _US) / _US
    if starttransfer is not None:
        record["time_starttransfer"] = round(starttransfer * _US) / _US
    if total is not None:
        record["time_total"] = round(total * _US) / _US
    if queue is not None:
        record["time_queue"] = round(queue * _US) / _US


def add_started(record: dict[str, Any], moment: float) -> None:
    """Add `moment` (seconds since 1970) twice: for people and jq, and as the exact number."""
    at_ms = milliseconds(moment)
    record["started"] = rfc3339_second(at_ms)
    record["started_at"] = at_ms / 1000


def encode(
    result: Result, identity: Identity | None = None, destination: str = "", run: str = ""
) -> bytes:
    """The line of `result`, with its line feed. For a manifest it is given what that adds.

    `identity` adds the field `identity` where the URL is redacted. `destination` is added to the
    records of a manifest that does not lie in its destination. `run` is the id of the run.
    """
    record = to_record(result)
    if run:
        record["run"] = run
    if identity is not None and REDACTED in record["url"] and result.target.url:
        record["identity"] = identity.field(result.target)
    if destination:
        record["destination"] = destination
    return as_json(record) + b"\n"


def as_json(record: Mapping[str, Any]) -> bytes:
    """`record` as JSON in UTF-8, safe to show on a terminal. It has no line feed."""
    try:
        line = orjson.dumps(record)
    except TypeError:  # a lone surrogate: from the name of a file that is not UTF-8
        import json

        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    return line if line.isascii() else urls.printable(line.decode()).encode()
