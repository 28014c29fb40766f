"""Foreign files: each is one clear refusal, and no list is taken for one of them."""

import bz2
import gzip
import io
import json
import lzma
import os
import re
import shutil
import sqlite3
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import ListError
from scraper.source.foreign import check_beginning
from scraper.source.sources import open_sources
from tests.lists import never, read, read_file

URLS = b"http://a/1\nhttp://a/2\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("urls.txt", URLS)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("urls.txt")
        member.size = len(URLS)
        archive.addfile(member, io.BytesIO(URLS))
    return file.getvalue()


def database(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute("create table pages (url text)")
    connection.commit()
    connection.close()
    return path.read_bytes()


FOREIGN = {
    "Parquet": b"PAR1\x15\4\x15\n\x15\x0eL\x15\2\x15\0",
    "xz": lzma.compress(URLS),
    "bzip2": bz2.compress(URLS),
    "zstd": b"\x28\xb5\x2f\xfd\x04\x58\xb1\0\0http://a/1\nhttp://a/2\n",
    "zip": zipped(),
    "tar": tarred(),
    "PNG": PNG,
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "JSON array": json.dumps([{"url": "http://a/1"}]).encode(),
    "JSON over several lines": json.dumps({"urls": ["http://a/1"]}, indent=2).encode(),
    "HTML": b"\n  <!DOCTYPE html>\n<a href='http://a/1'>1</a>\n",
    "XML": b'<?xml version="1.0"?>\n<rss>\n<item><link>http://a/1</link></item></rss>\n',
    "no text": bytes(range(0x80, 0xC0)) + bytes(64),
}
MORE = {
    "JSON array": [b"[\n", b"[]", b'["http://a/1"]', b'\n\n [ {"url": "x"}]', b'\xef\xbb\xbf["x"]'],
    "HTML": [b"<html>\n", b"<!doctype HTML>", b"<a href='x'>y</a>\n"],
    "XML": [b"<urls xmlns='x'>\n", b"<rss>", b"<ns:feed>\n"],
    "no text": [bytes([first]) + b"\xaa\xaa" + bytes(64) for first in range(1, 256) if first != 10],
}
LISTS = [
    b"http://a/1\n",
    b"# [1] http://a/1\n",
    b"<http://a/1>\n",
    b"[1] http://a/1\nhttp://a/2\n",
    b'{"url": "http://a/1"}\n',
    b"url,title\n",
    "http://a/é\n".encode(),
    b"http://a/\xff\nhttp://a/2\n",
    b"http://a/1\0\nhttp://a/2\n",
    b"\x1b[1mhttp://a/1\x1b[0m\n",
    b"",
    b"\n\n",
]


def refusal(path: Path, content: bytes) -> str:
    with pytest.raises(ListError) as caught:
        read_file(path, content)
    return str(caught.value)


@pytest.mark.parametrize("name", ["list", "list.csv", "list.tsv"])
@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_file_is_refused_with_the_way_out(tmp_path: Path, what: str, name: str) -> None:
    said = refusal(tmp_path / name, FOREIGN[what])
    assert re.search(rf"{name}' is .*{what}.*: \w", said)
    assert "\n" not in said
    assert what in refusal(tmp_path / f"{name}.gz", gzip.compress(FOREIGN[what]))


def test_a_database_is_one(tmp_path: Path) -> None:
    assert "SQLite" in refusal(tmp_path / "list", database(tmp_path / "pages.db"))


@pytest.mark.parametrize(
    ("what", "content"), [(k, one) for k, many in MORE.items() for one in many]
)
def test_each_way_to_write_it_is_known(tmp_path: Path, what: str, content: bytes) -> None:
    assert what in refusal(tmp_path / "list", content)


def test_the_way_out_of_a_compressed_list_is_a_command_that_gives_its_lines(
    tmp_path: Path,
) -> None:
    for what in ("xz", "bzip2", "zip"):
        path = tmp_path / f"list.{what}"
        found = re.search(r"is [^:]*: ([^|]*) \| scraper -", refusal(path, FOREIGN[what]))
        assert found
        if shutil.which(found[1].split()[0]):
            with os.popen(found[1]) as output:
                assert output.read().encode() == URLS


@pytest.mark.parametrize("content", LISTS)
def test_a_list_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    for name in ("list", "list.gz"):
        read_file(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)


@given(st.text(st.characters(min_codepoint=32), max_size=50))
def test_no_text_that_begins_as_a_url_is_taken_for_one(text: str) -> None:
    for scheme in ("http://", "https://", "# "):
        check_beginning(f"{scheme}{text}\n".encode("utf-8", "surrogatepass"), "list")


@pytest.mark.timeout(30)
def test_a_pipe_is_looked_at_when_it_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (source,) = open_sources([str(fifo)], never)
    writer = threading.Thread(target=fifo.write_bytes, args=(FOREIGN["Parquet"],))
    writer.start()
    with pytest.raises(ListError, match="fifo' is no Parquet file"):
        read(source)
    writer.join()
