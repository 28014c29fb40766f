"""WACZ: a web archive as one file that players open (https://specs.webrecorder.net/wacz/1.1.1/).

It is a zip of the archive's files as they are, one index over all of them, and a list of pages. A
player reads parts of it from a web server, so nothing in it is compressed once more.

What a run writes, or a killed one has left, is in a file that is not finished. It is left out.

Owns: that form. Does not know: which pages there are, where archive files and their
indexes lie.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, NamedTuple

from scraper.model.version import __version__
from scraper.sinks.exchanges import FinishedFiles

_EPOCH = (1980, 1, 1, 0, 0, 0)
_PAGES = {"format": "json-pages-1.0", "id": "pages", "title": "All Pages"}
_HTML = frozenset({"text/html", "application/xhtml+xml"})


class Written(NamedTuple):
    """How many files are in it, and how many objects are not."""

    files: int
    left_out: int


def write_wacz(
    files: FinishedFiles, records: Iterable[Mapping[str, Any]], file: BinaryIO
) -> Written:
    """Write the archive's `files`, and the pages among `records`, the last of each target.

    Raises OSError for `file`, and what `files` raises.
    """
    pages = _Pages(files, records)
    names = sorted(files.names)
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

        resources = [add(f"archive/{name}", files.read(name)) for name in names]
        resources.append(add("indexes/index.cdx", files.index()))
        resources.append(add("pages/pages.jsonl", pages))
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
    return Written(len(names), pages.left_out)


def _json(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, indent=2).encode() + b"\n"


class _Pages:
    """A line for each HTML page that is in `files`: its URL, and when it was asked for.

    `left_out`: objects that are not in them, once all lines were taken.
    """

    def __init__(self, files: FinishedFiles, records: Iterable[Mapping[str, Any]]) -> None:
        self._files, self._records = files, records
        self.left_out = 0

    def __iter__(self) -> Iterator[bytes]:
        yield json.dumps(_PAGES).encode() + b"\n"
        for record in self._records:
            if record.get("status") not in {"stored", "not_modified"}:
                continue
            if not self._files.have(record["key"]):
                self.left_out += 1
                continue
            kind = str(record.get("content_type", "")).partition(";")[0].strip().lower()
            if kind in _HTML:
                url = record["url_effective"]
                page = {"id": record["key"], "url": url, "ts": record["started"], "title": url}
                yield json.dumps(page).encode() + b"\n"
