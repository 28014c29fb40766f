"""The columns of an export as a table: the same ones in each, with their types.

Owns: these columns, and that a record that somebody edited breaks no table: a value of another type
than its column's is left out. Does not know: files.
"""

from collections.abc import Mapping
from typing import Any

import orjson

TEXT, WHOLE, NUMBER = "text", "whole", "number"
COLUMNS: Mapping[str, str] = {
    "url": TEXT,
    "line": WHOLE,
    "source": TEXT,
    "key": TEXT,
    "status": TEXT,
    "http_code": WHOLE,
    **dict.fromkeys(("content_type", "content_encoding", "etag", "last_modified"), TEXT),
    **dict.fromkeys(("x_robots_tag", "url_effective", "remote_ip"), TEXT),
    "size": WHOLE,
    "sha256": TEXT,
    "error_kind": TEXT,
    "error_message": TEXT,
    "attempts": WHOLE,
    "redirects": WHOLE,
    "started": TEXT,
    "started_at": NUMBER,
    **dict.fromkeys(("time_queue", "time_connect", "time_starttransfer", "time_total"), NUMBER),
    "reason": TEXT,
    "variant": TEXT,
    "parts": WHOLE,
    "modified": TEXT,
    "compressed": TEXT,
    "body_size": WHOLE,
    "body_sha256": TEXT,
    "verified": TEXT,
    **dict.fromkeys(("mirror", "lastmod", "expected_of"), TEXT),
    **dict.fromkeys(("urls", "headers", "expected", "warc", "warc_earlier"), TEXT),  # as JSON
    **dict.fromkeys(("identity", "destination", "run"), TEXT),
}
_TYPES: Mapping[str, tuple[type, ...]] = {TEXT: (str,), WHOLE: (int,), NUMBER: (float, int)}
_AS_JSON = frozenset({"urls", "headers", "expected", "warc", "warc_earlier"})
_MOST = 2**63


def cells(record: Mapping[str, Any]) -> list[Any]:
    """The values of `record` in the order of COLUMNS. None is unknown."""
    error = record.get("error")
    parts = error if isinstance(error, dict) else {}
    flat = {**record, "error_kind": parts.get("kind"), "error_message": parts.get("message")}
    for name in _AS_JSON & flat.keys():
        flat[name] = orjson.dumps(flat[name]).decode()
    return [_cell(flat.get(name), type_) for name, type_ in COLUMNS.items()]


def _cell(value: object, type_: str) -> object:
    if type(value) not in _TYPES[type_]:
        return None
    if type_ == WHOLE and not -_MOST <= value < _MOST:  # type: ignore[operator]
        return None
    return float(value) if type_ == NUMBER else value  # type: ignore[arg-type]
