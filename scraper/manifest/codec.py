"""Codec: a Result as the contract's JSON, and what a line of it says later.

Owns: flattening a Result to the contract's fields, and reading a line back as far as another run
needs it. Both happen here only. Does not know: where lines are kept (`store.py`), how they are
found again (`index.py`), which target a record is of (`identity.py`). Rejected: a line for each
attempt; one target is one result.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from scraper.manifest.checked import checked_variant
from scraper.manifest.identity import REDACTED, Identity, of_record
from scraper.model import urls
from scraper.model.dates import has_date, http_date, parse_rfc3339, rfc3339
from scraper.model.errors import BadTarget, Kind, UsageError, is_permanent_failure
from scraper.model.records import (
    ANY_URL,
    TAKEN_OVER,
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
    Times,
)
from scraper.sinks.object_stat import digest_of, given_ms
from scraper.source.keys import folded

# What a line says of its target. 1 and 2: it is done.
PERMANENT, NOT_REACHED, FAILED, NOT_MODIFIED, STORED = -2, -1, 0, 1, 2
PRUNED = 3  # its object was deleted, because no list named it any more; it is not done
LOST = -3  # its object was found missing or changed: a failure that forgets the object
_STATES = {
    "pruned": PRUNED,
    "stored": STORED,
    "not_modified": NOT_MODIFIED,
    "failed": FAILED,
    "deferred": FAILED,
    "not_reached": NOT_REACHED,
}
_TAKING_OVER = frozenset({"skipped", "not_modified"})  # with a size: see `is_taken_over`
_TARGET_FIELDS = (
    *("url", "line", "source", "key", "headers"),
    *("expected", "identity", "destination"),
)
_TEXT = (str, type(None))
_US = 1e6  # `round(x * _US) / _US` is `round(x, 6)`, in a quarter of the time
_NO_RECORD = (ValueError, LookupError, TypeError, AttributeError, BadTarget)


def to_record(result: Result) -> dict[str, Any]:
    """The contract's fields of `result`. A field whose value is unknown is absent."""
    target, outcome = result.target, result.outcome
    record: dict[str, Any] = {
        "url": urls.redact(target.listed),
        "line": target.line,
        "source": target.source,
    }
    if target.key:
        record["key"] = target.key
    if target.headers:  # their names: without them the target can't be asked for again
        record["headers"] = sorted(target.headers)
    if target.expected:
        record["expected"] = target.expected.as_fields()
    record["status"] = result.status
    match outcome:
        case Stored(response):
            _add_response(record, response)
            _add_body(record, outcome)
        case NotModified(response, existing):
            _add_response(record, response)
            _add_existing(record, existing)
        case Skipped(reason, _, existing):
            record["reason"] = reason
            _add_existing(record, existing)
        case Duplicate(of_line):
            record["of_line"] = of_line
        case Deferred(failure, answer) | Failed(failure, answer) | NotReached(failure, answer):
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


def _add_body(record: dict[str, Any], stored: Stored) -> None:
    response, record["size"], record["sha256"] = stored
    if response.variant is not None:
        record["variant"] = response.variant
    if response.parts is not None:
        record["parts"] = response.parts
    if response.expected_of is not None:
        record["expected_of"] = response.expected_of


def _add_existing(record: dict[str, Any], existing: Existing | None) -> None:
    if existing is not None:
        record["size"] = existing.size
        if existing.modified_ms is not None and has_date(existing.modified_ms / 1000):
            record["modified"] = rfc3339(existing.modified_ms / 1000)


def _add_times(record: dict[str, Any], times: Times) -> None:
    started, connect, starttransfer, total, queue = times
    if started is not None:
        record["started"] = rfc3339(started)
    if connect is not None:
        record["time_connect"] = round(connect * _US) / _US
    if starttransfer is not None:
        record["time_starttransfer"] = round(starttransfer * _US) / _US
    if total is not None:
        record["time_total"] = round(total * _US) / _US
    if queue is not None:
        record["time_queue"] = round(queue * _US) / _US


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


def status_of(record: Mapping[str, Any]) -> str:
    """The status of a record. Raises LookupError for what has none.

    Older versions wrote `failed` with the kind `interrupted` for what is `not_reached` now.
    """
    status = record["status"]
    interrupted = status == "failed" and _kind_of(record) == Kind.INTERRUPTED
    return "not_reached" if interrupted else str(status)


def _kind_of(record: Mapping[str, Any]) -> object:
    error = record.get("error")
    return error.get("kind") if isinstance(error, dict) else None


def is_permanent(record: Mapping[str, Any]) -> bool:
    """Whether `record` is of a failure that no later attempt makes better."""
    if record.get("status") != "failed":
        return False
    kind = _kind_of(record)
    return is_permanent_failure(kind if isinstance(kind, str) else None, record.get("http_code"))


def pruned(record: Mapping[str, Any], run: str, at: float) -> dict[str, Any]:
    """The record that the object of `record` is deleted, by the run `run`.

    `at` is when, in seconds since 1970. Size and digest are those of the object, or its own time if
    it was taken over, so that a later run can tell whether it is there still.
    """
    kept = _kept(record, *_TARGET_FIELDS, "size", "sha256", "modified")
    return {**kept, "status": "pruned", "started": rfc3339(at), "run": run}


def lost(record: Mapping[str, Any], run: str, at: float, why: str) -> dict[str, Any]:
    """The record that the object of `record` is missing, or another one, as `run` has found."""
    error = {"kind": Kind.LOST.value, "message": why}
    found = {"status": "failed", "error": error, "attempts": 0, "started": rfc3339(at), "run": run}
    return _kept(record, *_TARGET_FIELDS) | found


def _kept(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def is_taken_over(record: Mapping[str, Any]) -> bool:
    """Whether `record` is of an object that was taken over: no run had recorded it."""
    return record.get("status") in _TAKING_OVER and "size" in record


def verified(record: Mapping[str, Any], sha256: str, at: float) -> dict[str, Any]:
    """The record that the object of `record`, which was taken over, had this digest at `at`."""
    return {**record, "sha256": sha256, "verified": rfc3339(at)}


def is_of_fetch(record: Mapping[str, Any]) -> bool:
    """Whether `record` is of a run that fetched. `prune` and `verify --repair` write others."""
    others = record.get("status") == "pruned" or "verified" in record
    return not others and _kind_of(record) != Kind.LOST


class Entry(NamedTuple):
    """What one line says of its target's object. Only `stored` says more than `state`.

    `id` is the target's identity, `state` one of those above. `key` stands for the object, `size`
    is bytes. `effective` is a digest of the URL that answered, 0 for the target's own URL;
    `variant` which form of the body it is, None for older records. `digest` and `modified_ms` are
    those of `sinks/object_stat.py`.
    """

    id: int
    state: int
    key: int
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    effective: int = 0
    variant: str | None = None
    digest: int | None = None
    modified_ms: int | None = None


class Reading(NamedTuple):
    """How the lines of a manifest are read.

    `folds`: keys that differ in case or normal form only are one object there. `destination`:
    what the records are to be of, see `check_destination`; "" for any.
    """

    folds: bool = False
    destination: str = ""

    def key_of(self, key: str) -> int:
        """64 bits that stand for the object under `key`."""
        return urls.fingerprint(folded(key) if self.folds else key)


ANY = Reading()


Seen = Callable[[int, dict[str, Any]], None]  # is given the number of a line, and its record


def parse(line: bytes) -> dict[str, Any]:
    """The record in `line`. Empty if the line is torn, or no object of JSON."""
    try:
        record = orjson.loads(line)
    except ValueError:
        return {}
    return record if type(record) is dict else {}


def read_entry(record: dict[str, Any], reading: Reading = ANY) -> Entry | None:
    """What `record` says; None if that is nothing: it is not a record of ours.

    Validators are those of the stored body. A 304 confirms them and sets no others (RFC 9111
    4.3.4). The validators of a failure belong to no object. Raises UsageError for a record of
    another destination.
    """
    try:
        state = STORED if is_taken_over(record) else _STATES[record["status"]]
        if state == FAILED:
            old = _STATES[status_of(record)]  # of an older version, perhaps
            state = LOST if _kind_of(record) == Kind.LOST else old
        target, key = of_record(record), reading.key_of(record["key"])
    except _NO_RECORD:
        return None
    if reading.destination:
        check_destination(record, reading.destination)
    if state is STORED:
        stored = _stored(record, target, key)
        return _taken_over(stored) if stored and is_taken_over(record) else stored
    return Entry(target, PERMANENT if state is FAILED and is_permanent(record) else state, key)


def read_bad_line(record: dict[str, Any]) -> int | None:
    """What stands for the line of a list that `record` says is no target. None for all others."""
    try:
        is_one = "key" not in record and record["error"]["kind"] == Kind.BAD_URL
        return bad_line(record["url"]) if is_one else None
    except _NO_RECORD:
        return None


def bad_line(shown: str) -> int:
    """64 bits that stand for a line of a list that is no target. No target has them."""
    return urls.fingerprint(f"bad line {shown}")


def _stored(record: dict[str, Any], target: int, key: int) -> Entry | None:
    try:
        size, etag, modified = record["size"], record.get("etag"), record.get("last_modified")
        effective, modified_at = 0, object_modified_ms(record, modified)
        if record.get("redirects"):
            effective = urls.fingerprint(record["url_effective"])
            if REDACTED in record["url_effective"]:  # nobody knows which URL answered
                etag = modified = None
        variant = record.get("variant")
        if "expected" in record:
            variant = checked_variant(variant, record["expected"])
    except _NO_RECORD:
        return None
    texts = isinstance(etag, _TEXT) and isinstance(modified, _TEXT) and isinstance(variant, _TEXT)
    if not (texts and type(size) is int and size < 2**63):
        return None
    digest = digest_of(record.get("sha256"))
    return Entry(target, STORED, key, size, etag, modified, effective, variant, digest, modified_at)


def _taken_over(entry: Entry) -> Entry:
    """The entry of an object that was taken over: what is asked of it is its own time."""
    asked = entry.modified_ms and http_date(entry.modified_ms // 1000)
    return entry._replace(
        etag=None, last_modified=asked or None, effective=ANY_URL, variant=TAKEN_OVER
    )


def object_modified_ms(record: Mapping[str, Any], last_modified: str | None) -> int | None:
    """The time of the object of `record`, in milliseconds since 1970. None if it is not known.

    Older versions, whose records have no `variant`, did not always set a time. The record of an
    object that was taken over has the time that it had then.
    """
    if "modified" in record:
        return parse_rfc3339(record["modified"])
    if "variant" not in record:
        return None
    given = given_ms(last_modified)
    return parse_rfc3339(record.get("started")) if given is None else given


def check_destination(record: Any, destination: str) -> None:
    """Raise UsageError if `record` says that it is of another destination than this one."""
    other = record.get("destination") if isinstance(record, dict) else None
    if other is not None and other != destination:
        raise UsageError(
            f"--manifest: its records are of another destination, {other!r}, not {destination!r};"
            " give each destination a manifest of its own"
        )
