"""Codec: what a line of a manifest says, and the records that are made of earlier ones.

Owns: reading a line back as far as another run needs it, which happens here only. Does not know:
how a Result becomes a line (`record.py`), where lines are kept (`store.py`), how they are found
again (`index.py`), which target a record is of (`identity.py`). Rejected: a line for each attempt;
one target is one result.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from scraper.manifest.checked import checked_variant, of_the_same_checks
from scraper.manifest.identity import REDACTED, of_record
from scraper.manifest.record import add_started
from scraper.model import urls
from scraper.model.dates import has_date, http_date, parse_rfc3339, rfc3339
from scraper.model.errors import BadTarget, Kind, UsageError, is_permanent_failure
from scraper.model.records import ANY_URL, TAKEN_OVER
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
    *("expected", "urls", "lastmod", "identity", "destination", "compressed"),
)
_TEXT = (str, type(None))
_NO_RECORD = (ValueError, LookupError, TypeError, AttributeError, BadTarget)


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
    made = _kept(record, *_TARGET_FIELDS, "size", "sha256", "modified")
    made["status"] = "pruned"
    add_started(made, at)
    made["run"] = run
    return made


def lost(record: Mapping[str, Any], run: str, at: float, why: str) -> dict[str, Any]:
    """The record that the object of `record` is missing, or another one, as `run` has found."""
    error = {"kind": Kind.LOST.value, "message": why}
    made = _kept(record, *_TARGET_FIELDS) | {"status": "failed", "error": error, "attempts": 0}
    add_started(made, at)
    made["run"] = run
    return made


def _kept(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def is_taken_over(record: Mapping[str, Any]) -> bool:
    """Whether `record` is of an object that was taken over: no run had recorded it.

    A digest is that of a body which a run has stored, unless `verify --repair` has read it.
    """
    if record.get("status") not in _TAKING_OVER or "size" not in record:
        return False
    return "sha256" not in record or "verified" in record


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
    digest: bytes | None = None
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
        if record.get("redirects") or "mirror" in record:
            effective = urls.fingerprint(record["url_effective"])
            if REDACTED in record["url_effective"]:  # nobody knows which URL answered
                etag = modified = None
        variant = record.get("variant")
        if "expected" in record or "compressed" in record:
            variant = checked_variant(variant, record)
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
    variant = of_the_same_checks(TAKEN_OVER, entry.variant)
    return entry._replace(
        etag=None, last_modified=asked or None, effective=ANY_URL, variant=variant
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
    return started_ms(record) if given is None else given


def started_ms(record: Mapping[str, Any]) -> int | None:
    """When it started, in milliseconds since 1970, None if that is not known.

    Older records have the milliseconds in `started`, without `started_at`.
    """
    at = record.get("started_at")
    if isinstance(at, int | float) and has_date(at):
        return round(at * 1000)
    return parse_rfc3339(record.get("started"))


def check_destination(record: Any, destination: str) -> None:
    """Raise UsageError if `record` says that it is of another destination than this one."""
    other = record.get("destination") if isinstance(record, dict) else None
    if other is not None and other != destination:
        raise UsageError(
            f"--manifest: its records are of another destination, {other!r}, not {destination!r};"
            " give each destination a manifest of its own"
        )
