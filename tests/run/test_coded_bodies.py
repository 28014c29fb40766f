"""Coded bodies from server to destination: what stays coded, and how the records say so."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

import scraper
from scraper.manifest.record import to_record
from tests.e2e.command import MANIFEST
from tests.run.test_loop import QUICK
from tests.run.test_statuses import Place, place_of
from tests.servers import Reply, Request, Serve

TAR = b"a tar, in a manner of speaking" * 100
ARCHIVE = gzip.compress(TAR, mtime=0)
CODED: dict[str, tuple[dict[str, str], bytes]] = {
    "/x.tar.gz": ({"Content-Encoding": "x-gzip", "Content-Type": "application/x-tar"}, ARCHIVE),
    "/x.svgz": ({"Content-Encoding": "gzip", "Content-Type": "image/svg+xml"}, ARCHIVE),
    "/get": ({"Content-Encoding": "gzip", "Content-Type": "application/gzip"}, ARCHIVE),
    "/page.html": ({"Content-Encoding": "gzip", "Content-Type": "text/html"}, ARCHIVE),
    "/z.html": ({"Content-Encoding": "zstd", "Content-Type": "text/html"}, zstd.compress(TAR)),
    "/s3.bin": ({"Content-Encoding": "aws-chunked"}, TAR),
    "/s3.csv": ({"Content-Encoding": "aws-chunked,gzip"}, ARCHIVE),
    "/text.txt": ({"Content-Encoding": "utf-8"}, TAR),
}
STORED = {  # the Content-Encoding that is recorded, and the bytes
    "/x.tar.gz": ("x-gzip", ARCHIVE),
    "/x.svgz": ("gzip", ARCHIVE),
    "/get": ("gzip", ARCHIVE),
    "/page.html": (None, TAR),
    "/z.html": (None, TAR),
    "/s3.bin": ("aws-chunked", TAR),
    "/s3.csv": ("aws-chunked", TAR),
    "/text.txt": ("utf-8", TAR),
}


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUICK, "engine", request.param)


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request, tmp_path)


def answer(request: Request) -> Reply:
    headers, body = CODED[request.path]
    if request.headers.get("if-none-match") == '"1"':
        return Reply(304, {"ETag": '"1"'})
    return Reply(200, {"ETag": '"1"', **headers}, body)


def test_bodies_are_stored_as_their_publishers_know_them(serve: Serve, place: Place) -> None:
    server = serve(answer)
    lines = [server.url + path for path in CODED]
    results = place.run(*lines)
    assert {one.status for one in results.values()} == {"stored"}
    for path, (coding, body) in STORED.items():
        result = results[path[1:]]
        assert to_record(result).get("content_encoding") == coding
        assert place.read(result) == body
    again = place.run(*lines)
    assert {one.status for one in again.values()} == {"not_modified"}


def test_a_given_name_decides_before_the_urls(serve: Serve, tmp_path: Path) -> None:
    server = serve(answer)
    lines = [f"{server.url}/x.tar.gz\t{key}" for key in ("x.tar", "copy.TGZ", "latest")]
    options: dict[str, Any] = {"to": str(tmp_path), **QUICK}
    assert [one.status for one in scraper.run(lines, **options)] == ["stored"] * 3
    assert (tmp_path / "x.tar").read_bytes() == TAR
    assert (tmp_path / "copy.TGZ").read_bytes() == (tmp_path / "latest").read_bytes() == ARCHIVE
    assert (tmp_path / MANIFEST).read_text().count('"content_encoding":"x-gzip"') == 2
