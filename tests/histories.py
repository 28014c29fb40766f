"""Histories of targets as manifest lines, and what a plain dictionary makes of them.

`replay` is the meaning of a manifest, written down the long way. The index and the stores must
come to the same. `knows` is what a store says of them, and `compacted` compacts it as a run does.
"""

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from scraper.manifest.codec import lost as lost_record
from scraper.manifest.codec import pruned as pruned_record
from scraper.manifest.identity import plain
from scraper.manifest.index import Index, open_index
from scraper.manifest.record import as_json, encode, to_record
from scraper.manifest.store import ManifestStore
from scraper.model.errors import Kind
from scraper.model.records import (
    Deferred,
    Duplicate,
    Failed,
    Failure,
    NotModified,
    Outcome,
    PreviousRecord,
    Response,
    Result,
    Stored,
    Target,
)
from scraper.model.urls import fingerprint

NAMES = "abcd"  # of targets, each with a key of its own
RIVALS = "xyz"  # of targets that share one key
GONE = Failure(Kind.HTTP_STATUS, "HTTP 404")
BROKEN = Failure(Kind.TRUNCATED, "body ended after 1 of 2 bytes")


def target(name: str, key: str = "") -> Target:
    url = f"http://host/{name}"
    usual = "host_http/shared" if name in RIVALS else f"host_http/{name}"
    return Target(url, url, "host", key or usual, 1, "urls")


def response(version: int, code: int = 200, redirects: int = 0) -> Response:
    """One whose validators tell which version of a page it was."""
    return Response(
        code,
        f"http://host/version/{version}",
        etag=f'"{version}"' if version % 3 else None,
        last_modified=f"version {version}" if version % 2 else None,
        redirects=redirects,
        variant="decoded" if version % 4 == 0 else None,
    )


def result(name: str, outcome: Outcome) -> Result:
    return Result(target(name), outcome, 1)


def stored(name: str, version: int = 1, redirects: int = 0) -> Result:
    """Stored; a version is as many bytes long as its number says."""
    return result(name, Stored(response(version, redirects=redirects), version, "0" * 64))


def unchanged(name: str, version: int = 1) -> Result:
    return result(name, NotModified(response(version, 304)))


def failed(name: str, version: int = 1) -> Result:
    """Failed, after a head that had validators."""
    return result(name, Failed(BROKEN, response(version)))


def gone(name: str) -> Result:
    """Failed for good."""
    return result(name, Failed(GONE, Response(404, f"http://host/{name}")))


def pruned(name: str, version: int = 1) -> bytes:
    """The line that the object of this version was deleted."""
    record = pruned_record(to_record(stored(name, version)), "run", 1e9)
    return as_json(record) + b"\n"


def lost(name: str, version: int = 1) -> bytes:
    """The line that the object of this version is not there."""
    record = lost_record(to_record(stored(name, version)), "run", 1e9, "missing")
    return as_json(record) + b"\n"


def number(name: str) -> int:
    """What the index knows the target by."""
    return plain(target(name).key, target(name).url)


EVERY = [number(name) for name in NAMES + RIVALS]


def knows(store: ManifestStore) -> dict[int, PreviousRecord]:
    """What another run finds."""
    with contextlib.closing(open_index(store.index_path, store.catch_up)) as index:
        return index.find(EVERY)


class Released:
    """A store that is let go of at the end."""

    def __init__(self, store: ManifestStore) -> None:
        self.close = store.release


def compacted(store: ManifestStore) -> None:
    """Compact the manifest of `store`, and let go of it."""
    store.close()
    with contextlib.closing(Index()) as index, contextlib.closing(Released(store)):
        store.catch_up(index)
        store.compact(index)


_TORN = [
    b"\n",
    b"{\n",
    b'{"url":"http://host/a","line":1,"source":"urls","key":"host_http/a","sta\n',
    b"null\n",
    b'"stored"\n',
    b"[1, 2]\n",
    b"\x00\x00\x00\n",
    b"\xff\xfe\n",
]
_versions = st.integers(1, 9)
_names = st.sampled_from(NAMES + RIVALS)
_results = st.one_of(
    st.builds(stored, _names, _versions, st.integers(0, 1)),
    st.builds(unchanged, _names, _versions),
    st.builds(failed, _names, _versions),
    st.builds(gone, _names),
    st.builds(result, _names, st.builds(Deferred, st.just(BROKEN), st.builds(response, _versions))),
    st.builds(result, _names, st.just(Duplicate(of_line=1))),
)
a_line = st.one_of(
    st.builds(encode, _results),
    st.builds(pruned, _names, _versions),
    st.builds(lost, _names, _versions),
    st.sampled_from(_TORN),
)
a_history = st.lists(a_line, max_size=40)


def replay(lines: Iterable[bytes]) -> dict[int, PreviousRecord]:
    """What the lines come to, target by target."""
    rows: dict[int, dict[str, Any]] = {}
    owners: dict[str, int] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict) or record["status"] == "duplicate":
            continue
        one = number(record["url"].rpartition("/")[2])
        row = rows.setdefault(one, {"done": False, "size": None})
        row["done"] = record["status"] in {"stored", "not_modified"} and (
            record["status"] == "stored" or row["size"] is not None
        )
        row["permanent"] = record["status"] == "failed" and record.get("http_code") == 404
        is_gone = record["status"] == "pruned" or record.get("error", {}).get("kind") == "lost"
        if record["status"] == "stored" or is_gone:
            before = owners.get(record["key"], one)
            if before != one:  # its object is not there any more
                lost = rows[before].get("permanent", False)
                rows[before] = {"done": False, "size": None, "permanent": lost}
            owners[record["key"]] = one
        if is_gone:
            rows[one] = {"done": False, "size": None, "permanent": False}
        elif record["status"] == "stored":
            row["size"] = record["size"]
            row["etag"] = record.get("etag")
            row["last_modified"] = record.get("last_modified")
            elsewhere = record.get("redirects")
            row["variant"] = record.get("variant")
            row["digest"] = bytes.fromhex(record["sha256"])
            row["effective"] = fingerprint(record["url_effective"]) if elsewhere else 0
    return {one: PreviousRecord(**row) for one, row in rows.items()}
