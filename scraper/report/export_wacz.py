"""WACZ: a web archive as one file that players open (https://specs.webrecorder.net/wacz/1.1.1/).

It is a zip of the archive's files as they are, one index over all of them, and a list of pages. A
player reads parts of it from a web server, so nothing in it is compressed once more.

Owns: that form. Does not know: which pages there are, where archive files lie.
"""

import hashlib
import heapq
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from scraper.model.version import __version__

_PIECE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PAGES = {"format": "json-pages-1.0", "id": "pages", "title": "All Pages"}
_HTML = frozenset({"text/html", "application/xhtml+xml"})


def write_wacz(
    names: Iterable[str],
    path_of: Callable[[str], Path],
    records: Iterable[Mapping[str, Any]],
    file: BinaryIO,
) -> int:
    """Write the archive files `names`, which lie at `path_of`, and the pages among `records`.

    Returns how many files there are. Raises OSError, and what `path_of` raises.
    """
    names = sorted(names)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:

        def add(path: str, pieces: Iterable[bytes]) -> dict[str, object]:
            digest, size = hashlib.sha256(), 0
            info = zipfile.ZipInfo(path, _EPOCH)
            with made.open(info, "w", force_zip64=True) as entry:
                for piece in pieces:
                    entry.write(piece)
                    digest.update(piece)
                    size += len(piece)
            told: dict[str, object] = {"name": path.rpartition("/")[2].lower(), "path": path}
            return {**told, "hash": f"sha256:{digest.hexdigest()}", "bytes": size}

        resources = [add(f"archive/{name}", _pieces(path_of(name))) for name in names]
        resources.append(add("indexes/index.cdx", _index(names, path_of)))
        resources.append(add("pages/pages.jsonl", _pages(records)))
        package = _json(
            {
                "profile": "data-package",
                "wacz_version": "1.1.1",
                "software": f"scraper/{__version__}",
                "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "resources": resources,
            }
        )
        told = add("datapackage.json", [package])
        digest = {"path": "datapackage.json", "hash": told["hash"]}
        add("datapackage-digest.json", [_json(digest)])
    return len(names)


def _json(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, indent=2).encode() + b"\n"


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _index(names: Iterable[str], path_of: Callable[[str], Path]) -> Iterator[bytes]:
    """The lines of all indexes, in order. Each is sorted."""
    indexes = [path_of(name.removesuffix(".warc.gz") + ".cdxj") for name in names]
    yield from heapq.merge(*map(_lines, indexes))


def _lines(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from file


def _pages(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """A line for each HTML page that is in the archive: its URL, and when it was asked for."""
    yield json.dumps(_PAGES).encode() + b"\n"
    for record in records:
        kind = str(record.get("content_type", "")).partition(";")[0].strip().lower()
        if record.get("status") in {"stored", "not_modified"} and kind in _HTML:
            url = record["url_effective"]
            page = {"id": record["key"], "url": url, "ts": record["started"], "title": url}
            yield json.dumps(page).encode() + b"\n"
