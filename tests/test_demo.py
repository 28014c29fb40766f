"""The demo is what it says it is: a realistic site and an S3 endpoint."""

import gzip
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from scraper import demo
from scraper.model.errors import UsageError
from scraper.model.records import Target
from scraper.source import keys, lists
from scraper.source.sources import from_iterable

Get = tuple[HTTPResponse, bytes]


@pytest.fixture
def site() -> Iterator[demo.Site]:
    with demo.Site(0) as site:
        yield site


@pytest.fixture
def connection(site: demo.Site) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(site.url.removeprefix("http://"), timeout=30)
    yield connection
    connection.close()


def get(connection: HTTPConnection, path: str, **headers: str) -> Get:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response, response.read()


def test_every_listed_page_is_there_over_one_connection(
    site: demo.Site, connection: HTTPConnection
) -> None:
    _, body = get(connection, "/urls.txt")
    paths = [line.removeprefix(site.url) for line in body.decode().splitlines()]
    assert len(paths) == demo.ARTICLES + demo.IMAGES
    first_socket = connection.sock
    for path in paths:
        response, body = get(connection, path)
        assert response.status == 200
        assert len(body) == int(response.headers["Content-Length"])
    assert connection.sock is first_socket


def test_the_list_is_one_for_us(site: demo.Site, connection: HTTPConnection) -> None:
    _, body = get(connection, "/urls.txt")
    found = list(lists.read(from_iterable(body.splitlines()), keys.url_key))
    assert all(isinstance(item, Target) for item in found)


@pytest.mark.parametrize(
    ("path", "status", "header"), [("/flaky/1.html", 503, None), ("/busy", 429, "1")]
)
def test_a_page_that_fails_fails_once(
    connection: HTTPConnection, path: str, status: int, header: str | None
) -> None:
    first, _ = get(connection, path)
    second, _ = get(connection, path)
    assert (first.status, second.status) == (status, 200)
    assert first.headers["Retry-After"] == header


def test_the_compressed_page_is_gzip(connection: HTTPConnection) -> None:
    response, body = get(connection, "/compressed")
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).startswith(b"<!doctype html>")


def test_redirects_lead_to_a_page(connection: HTTPConnection) -> None:
    path, statuses = "/temporary", []
    for _ in range(3):
        response, _body = get(connection, path)
        statuses.append(response.status)
        path = response.headers.get("Location", path)
    assert statuses == [302, 301, 200]


def test_the_large_page_is_large_and_always_the_same(connection: HTTPConnection) -> None:
    _, first = get(connection, "/big.bin")
    _, second = get(connection, "/big.bin")
    assert len(first) == 5_000_000
    assert first == second


def test_an_unchanged_page_is_not_sent_again(connection: HTTPConnection) -> None:
    response, _ = get(connection, "/articles/0001.html")
    again, body = get(
        connection, "/articles/0001.html", **{"If-None-Match": response.headers["ETag"]}
    )
    assert (again.status, body) == (304, b"")


def test_what_is_not_there_is_a_404(connection: HTTPConnection) -> None:
    response, _ = get(connection, "/missing")
    assert response.status == 404


def test_images_are_pngs(connection: HTTPConnection) -> None:
    _, body = get(connection, "/images/07.png")
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    length, kind = struct.unpack(">I4s", body[8:16])
    assert kind == b"IHDR"
    assert struct.unpack(">I", body[16 + length : 20 + length])[0] == zlib.crc32(
        body[12 : 16 + length]
    )
    width, height = struct.unpack(">II", body[16:24])
    start = body.index(b"IDAT")
    (size,) = struct.unpack(">I", body[start - 4 : start])
    assert len(zlib.decompress(body[start + 4 : start + 4 + size])) == height * (1 + 3 * width)


def test_a_port_that_is_taken_is_said_in_one_line(site: demo.Site) -> None:
    port = int(site.url.rpartition(":")[2])
    with pytest.raises(UsageError, match=rf"port {port} .* --port"):
        demo.Site(port)


def run(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scraper", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_command_finds_site_and_bucket_and_gives_its_status(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "url = os.environ['SCRAPER_DEMO_URL']\n"
        "for to in ('out', 's3://demo/pages'):\n"
        "    line = [sys.executable, '-m', 'scraper', '-i', url + '/urls.txt', '--to', to]\n"
        "    subprocess.run(line, check=True)\n"
        "sys.exit(7)\n"
    )
    arguments = ["demo", "--port", "0", "--s3-port", "0", "--", sys.executable, "-c", script]
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == 7, ended.stderr
    expected = f"{demo.ARTICLES + demo.IMAGES} targets: {demo.ARTICLES + demo.IMAGES} stored"
    assert ended.stderr.count(expected) == 2
    assert len(list((tmp_path / "out").rglob("*.html"))) == demo.ARTICLES


def test_the_example_list_fails_only_where_it_says(tmp_path: Path) -> None:
    with demo.Site(0) as site:
        (tmp_path / "list").write_text(demo.example_list(int(site.url.rpartition(":")[2])))
        ended = run("./list", "--to", "out", "--max-failures", "1", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "1 duplicate, 1 failed" in ended.stderr
    assert (tmp_path / "out/reading/third.html").read_bytes().startswith(b"<!doctype html>")


def test_without_moto_the_demo_is_the_site_alone_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "none/moto").mkdir(parents=True)
    (tmp_path / "none/moto/__init__.py").write_text("raise ImportError")
    script = (
        "import os, sys\n"
        "from urllib.request import urlopen\n"
        "assert 'AWS_ENDPOINT_URL' not in os.environ\n"
        "sys.exit(urlopen(os.environ['SCRAPER_DEMO_URL']).status - 193)\n"
    )
    arguments = ["demo", "--port", "0", "--", sys.executable, "-c", script]
    ended = run(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path / "none"))
    assert ended.returncode == 7, ended.stderr
    assert ended.stderr.splitlines() == [
        "scraper demo: the site alone; the demo's S3 needs moto: pip install 'moto[s3,server]'"
    ]
    ended = run(*arguments[:3], "--site-only", *arguments[3:], cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (7, "")


# ---------------------------------------------------------------- the example list


def test_the_list_of_the_repository_is_the_one_that_the_demo_writes(tmp_path: Path) -> None:
    ended = run("demo", "--write-list", "urls.txt", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    written = (tmp_path / "urls.txt").read_bytes()
    assert written == (Path(__file__).parent.parent / "urls.example.txt").read_bytes()
    ended = run("demo", "--write-list", cwd=tmp_path)
    assert (ended.returncode, ended.stdout.encode()) == (0, written)
    ended = run("demo", "--port", "1234", "--write-list", cwd=tmp_path)
    assert ended.stdout.encode() == written.replace(b":8642", b":1234")


def test_a_list_is_written_over_no_other_file(tmp_path: Path) -> None:
    mine = tmp_path / "urls.txt"
    mine.write_text(demo.example_list())
    assert run("demo", "--write-list", "urls.txt", cwd=tmp_path).returncode == 0
    mine.write_text("mine\n")
    for name, said in (
        ("urls.txt", "'urls.txt' is there already"),
        (".", "'.' is there already"),
        ("none/urls.txt", "can't write 'none/urls.txt': No such file or directory"),
    ):
        ended = run("demo", "--write-list", name, cwd=tmp_path)
        assert ended.returncode == 2
        assert ended.stderr == f"scraper: --write-list: {said}\n"
    assert mine.read_text() == "mine\n"
    ended = run("demo", "--write-list", "other.txt", "--", "true", cwd=tmp_path)
    assert ended.returncode == 2
    assert os.listdir(tmp_path) == ["urls.txt"]
