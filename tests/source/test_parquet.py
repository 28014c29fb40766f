"""Lists in Parquet, as pyarrow writes them."""

import os
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from scraper.model.errors import ListBroken, ListError
from scraper.source import lists
from scraper.source.grammar import grammar_of
from scraper.source.sources import open_sources
from tests.lists import never, only, read, reason, seen, target

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(pa.table(columns), path, **options)
    return path


def listed(path: Path, **options: Any) -> list[lists.Read]:
    (source,) = open_sources([str(path)], never, grammar_of(**options))
    return read(source)


@pytest.mark.parametrize("way", ["l.parquet", "list", "pipe", "named"])
def test_a_column_of_urls(way: str, tmp_path: Path) -> None:
    columns = {"id": [1, 2, 3], "url": ["http://h/a", "http://h/b", None], "other": [[1], [], []]}
    path = write(tmp_path / (way if way == "l.parquet" else "list"), columns, row_group_size=2)
    options = {"list_format": "parquet"} if way == "named" else {}
    if way == "pipe":
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        writer = threading.Thread(target=fifo.write_bytes, args=[path.read_bytes()])
        writer.start()
        items = listed(fifo)
        writer.join()
    else:
        items = listed(path, **options)
    assert seen(items) == [(1, "http://h/a"), (2, "http://h/b"), (3, "")]
    assert "row has no URL" in reason(items[2])


def test_other_columns_are_those_of_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.parquet",
        {
            "Link": pa.array(["/a"]).dictionary_encode(),
            "id": [7],
            "SIZE": [0],
            "md5": pa.array([bytes.fromhex(MD5)]),
            "sha1": pa.array([None], pa.string()),
        },
    )
    found = only(listed(path, url_column="link", key_column="id", base="http://h/"))
    assert (found.url, found.key) == ("http://h/a", "7")
    assert found.expected is not None
    assert found.expected.as_fields() == {"size": 0, "md5": MD5}


@pytest.mark.parametrize(
    ("columns", "options", "said", "hint"),
    [
        ({"link": ["x"]}, {}, "no column named 'url'", "it has 'link': name the one"),
        ({"url": ["x"]}, {"key_column": "k"}, "no column named 'k'", "it has 'url'"),
        ({"url": ["x"]}, {"url_column": "1"}, "names its columns", "as a name"),
    ],
)
def test_a_column_that_is_not_there_is_named(
    columns: dict[str, Any], options: Any, said: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ListError, match=said) as caught:
        listed(write(tmp_path / "l.parquet", columns), **options)
    assert hint in caught.value.hint


def test_a_file_without_its_end_is_one_refusal(tmp_path: Path) -> None:
    path = write(tmp_path / "l", {"url": ["http://h/a"]})
    for content in (path.read_bytes()[:-8], b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(ListError, match="is no Parquet file that can be read") as caught:
            listed(path)
        assert not isinstance(caught.value, ListBroken)
        assert "\n" not in str(caught.value)


def test_a_spoiled_page_breaks_off_and_names_the_row(tmp_path: Path) -> None:
    urls = [f"http://h/{number}" for number in range(5_000)]
    path = write(tmp_path / "l", {"url": urls}, row_group_size=1_000, compression="gzip")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 200] = b"\xff" * 200
    path.write_bytes(content)
    (source,) = open_sources([str(path)], never)
    items: list[lists.Read] = []
    with pytest.raises(ListBroken, match=r"broke off: row \d"):
        items.extend(lists.read(source, lambda url, line: f"{line}"))
    assert len(items) >= 1_000
    assert target(items[0]).url == "http://h/0"
