"""Bags: the lines of fetch.txt, held against the payload manifest beside it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import BadTarget, ListError
from scraper.source.bag import Bag

MANIFEST = "1  data/a.txt\n2 *data/x\n3  data/a b.txt\n\nodd\n4  data/l%0Ab%25\n"


@pytest.fixture
def bag(tmp_path: Path) -> Iterator[Bag]:
    (tmp_path / "manifest-md5.txt").write_text(MANIFEST)
    with closing(Bag(str(tmp_path / "fetch.txt"))) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("http://h/a 3 data/a.txt", {"key": "data/a.txt", "size": "3", "md5": "1"}),
        ("http://h/a\t-\tdata/a b.txt", {"key": "data/a b.txt", "size": None, "md5": "3"}),
    ],
)
def test_a_line_of_fetch_txt(text: str, fields: dict[str, Any], bag: Bag) -> None:
    assert bag.of_fetch_txt(text) == {"url": "http://h/a", **fields}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://h/a data/a", "not of fetch.txt"),
        ("http://h/a x data/a", "not of fetch.txt"),
        ("http://h/a - data/other", "not in the payload manifest"),
        ("http://h/a - data/a.TXT", "not in the payload manifest"),
        ("http://h/a - manifest-md5.txt", "not in the payload of the bag"),
        ("http://h/a - bagit.txt", "not in the payload of the bag"),
        ("http://h/a - database/a", "not in the payload of the bag"),
        ("http://h/a - data/a%0D%0a", r"can be the path 'data/a\\r\\n'"),
        ("http://h/a - data/a%2525", "can be the path 'data/a%25'"),
        ("http://h/a - data/../../a", "leaves the destination"),
    ],
)
def test_what_is_no_such_line_is_said(text: str, said: str, bag: Bag) -> None:
    with pytest.raises(BadTarget, match=said):
        bag.of_fetch_txt(text)


def test_blank_lines_say_nothing(bag: Bag) -> None:
    assert bag.of_fetch_txt("") is None
    assert bag.of_fetch_txt("  ") is None


def test_the_strongest_manifest_counts(tmp_path: Path) -> None:
    for name in ("md5", "sha256", "sha1"):
        (tmp_path / f"manifest-{name}.txt").write_text(f"{name}  data/a\n")
    with closing(Bag(str(tmp_path / "fetch.txt"))) as bag:
        found = bag.of_fetch_txt("http://h/a - data/a")
    assert found == {"url": "http://h/a", "key": "data/a", "size": None, "sha256": "sha256"}


def test_a_bag_without_a_manifest_that_can_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="no payload manifest"):
        Bag(str(tmp_path / "fetch.txt"))
    (tmp_path / "manifest-md5.txt").write_bytes(b"1  data/\xff\n")
    with pytest.raises(ListError, match="it is not UTF-8"):
        Bag(str(tmp_path / "fetch.txt"))
    with pytest.raises(ListError, match="give it as a file"):
        Bag("")
