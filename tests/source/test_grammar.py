"""Grammar: how a list is read, as options, its name, its Content-Type or its first line say."""

import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import ListError, UsageError
from scraper.source import keys, lists
from scraper.source.grammar import format_of, grammar_of, with_scheme
from scraper.source.sources import RemoteList, open_sources
from tests.lists import never, only, reason, seen, target

PAIRS = [("http://a/1", "k/1"), ("http://a/2", "k/2")]
LISTS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "csv": (b"id,Link,name\n1,http://a/1,k/1\n2,http://a/2,k/2\n", {"list_format": "csv"}),
    "tsv": (b"Link\tname\nhttp://a/1\tk/1\nhttp://a/2\tk/2\n", {"list_format": "tsv"}),
    "jsonl": (
        b'{"Link": "http://a/1", "name": "k/1"}\n{"link": "http://a/2", "name": "k/2"}\n',
        {"list_format": "jsonl"},
    ),
}
NAMED: dict[str, Any] = {"url_column": "link", "key_column": "name"}
PLACED = {"url_column": "2", "key_column": "1"}


def read_as(path: Path, content: bytes, **options: Any) -> list[lists.Read]:
    path.write_bytes(content)
    (source,) = open_sources([str(path)], never, grammar_of(**options))
    return list(lists.read(source, keys.url_key))


def pairs(items: list[lists.Read]) -> list[tuple[str, str]]:
    return [(target(item).url, target(item).key) for item in items]


@pytest.mark.parametrize("name", LISTS)
def test_columns_have_the_names_that_options_say(tmp_path: Path, name: str) -> None:
    content, form = LISTS[name]
    assert pairs(read_as(tmp_path / "list", content, **NAMED, **form)) == PAIRS
    assert pairs(read_as(tmp_path / "list", content, **NAMED)) == PAIRS  # by the first line
    assert pairs(read_as(tmp_path / f"list.{name}", content, **NAMED)) == PAIRS


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", LISTS)
def test_a_pipe_is_read_as_a_file_is(tmp_path: Path, name: str) -> None:
    content, form = LISTS[name]
    for options in (NAMED, NAMED | form):
        fifo = tmp_path / f"fifo{len(options)}"
        os.mkfifo(fifo)
        (source,) = open_sources([str(fifo)], never, grammar_of(**options))
        writer = threading.Thread(target=fifo.write_bytes, args=(b"\n" + content,))
        writer.start()
        items = list(lists.read(source, keys.url_key))
        writer.join()
        assert pairs(items) == PAIRS
        assert [line for line, _ in seen(items)] == ([2, 3] if name == "jsonl" else [3, 4])


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_number_is_a_column_of_a_table_without_a_header(tmp_path: Path, separator: str) -> None:
    rows = "k/1,http://a/1,x\n#k/2,http://a/2\n".replace(",", separator).encode()
    items = read_as(tmp_path / "list", rows, **PLACED)
    assert pairs(items) == [("http://a/1", "k/1"), ("http://a/2", "#k/2")]
    assert [line for line, _ in seen(items)] == [1, 2]
    quoted = read_as(tmp_path / "l.csv", b'"k/1","http://a/1,""2"""\n', **PLACED)
    assert pairs(quoted) == [("http://a/1,%222%22", "k/1")]


def test_a_row_that_is_too_short_is_a_bad_line(tmp_path: Path) -> None:
    good, bad = read_as(tmp_path / "list.csv", b"k,http://a/\nk2\n", **PLACED)
    assert target(good).key == "k"
    assert "no URL" in reason(bad)


@pytest.mark.parametrize(
    ("name", "options", "said", "hint"),
    [
        ("csv", {"url_column": "page"}, "no column named 'page'", "it has 'id', 'Link', 'name'"),
        ("csv", {"url_column": "link", "key_column": "k"}, "no column named 'k'", "'id', 'Link'"),
        ("tsv", {}, "no column named 'url'", "it has 'Link', 'name': name the one with the URLs"),
        ("csv", {"url_column": "4"}, "no column 4: its first row has 3 columns", ""),
        ("csv", {"url_column": "2", "key_column": "7"}, "no column 7: its first row has 3", ""),
        ("tsv", {"url_column": "2", "list_format": "csv"}, "has 1 column", "--list-format tsv"),
    ],
)
def test_a_refusal_names_the_columns_that_are_there(
    tmp_path: Path, name: str, options: dict[str, Any], said: str, hint: str
) -> None:
    content, form = LISTS[name]
    with pytest.raises(ListError) as caught:
        read_as(tmp_path / "list", content, **(form | options))
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_headers_with_urls_are_rows_of_a_table_without_a_header(tmp_path: Path) -> None:
    with pytest.raises(ListError) as caught:
        read_as(tmp_path / "list.csv", b"http://a/,k\n")
    assert "--url-column N" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key_column": "2"}, "--key-column 2"),
        ({"url_column": "link", "key_column": "2"}, "--key-column 2"),
        ({"url_column": "1", "key_column": "name"}, "--url-column 1"),
        ({"url_column": "0"}, "counted from 1"),
        ({"url_column": " "}, "--url-column is empty"),
        ({"url_column": "1", "list_format": "jsonl"}, "not in jsonl"),
        ({"url_column": "1", "list_format": "lines"}, "not in lines"),
        ({"default_scheme": "ftp"}, "must be https or http"),
        ({"default_scheme": "https", "base": "http://h/"}, "both say what"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        grammar_of(**options)


def test_lines_are_lines_whatever_the_list_is_called(tmp_path: Path) -> None:
    content = b"http://a/1,2\tk\n# no\n"
    assert pairs(read_as(tmp_path / "l.csv", content, list_format="lines")) == [
        ("http://a/1,2", "k")
    ]


def test_json_lines_may_be_texts_and_nothing_but_json(tmp_path: Path) -> None:
    content = b'"http://a/1"\n\n{"url": "http://a/2"}\nhttp://a/3\n# no\n5\n["http://a/6"]\n'
    items = read_as(tmp_path / "list", content, list_format="jsonl")
    assert [line for line, _ in seen(items)] == [1, 3, 4, 5, 6, 7]
    assert [target(item).url for item in items[:2]] == ["http://a/1", "http://a/2"]
    assert all("JSON" in reason(item) for item in items[2:])


@pytest.mark.parametrize(
    ("name", "content_type", "form"),
    [
        ("https://h/export", "text/csv; charset=utf-8; header=present", "csv"),
        ("https://h/export", "Text/Tab-Separated-Values", "tsv"),
        ("https://h/l.tsv", "text/csv", "tsv"),
        ("https://h/l.csv.gz", "application/gzip", "csv"),
        ("https://h/export", "text/plain", None),
        ("https://h/export", "", None),
    ],
)
def test_a_list_at_a_url_is_known_by_its_name_or_its_type(
    name: str, content_type: str, form: str | None
) -> None:
    assert format_of(name, content_type) == form
    fetched = RemoteList(io.BytesIO(b"url\turl,x\nhttp://a/2\tx\n"), content_type)
    if "gz" not in name:
        (source,) = open_sources([name], lambda _: fetched) if form == "tsv" else [None]
        if source is not None:
            assert only(list(lists.read(source, keys.url_key))).url == "http://a/2"


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("example.com", "https://example.com"),
        ("example.com:8080", "https://example.com:8080"),
        ("example.com:8080/a?b#c", "https://example.com:8080/a?b#c"),
        ("example.com/a@b", "https://example.com/a@b"),
        ("//example.com/a", "https://example.com/a"),
        ("[::1]:80/", "https://[::1]:80/"),
        ("bücher.example", "https://bücher.example"),
        ("http://a/", "http://a/"),
        ("HTTPS://a/", "HTTPS://a/"),
        *((same, same) for same in ("", "/a", "../a", "?a", "me@a.com", "ftp://a/", "mailto:a@b")),
        *((same, same) for same in ("user:pw@a.com", "javascript:x", "urn:isbn:1", "http:a")),
    ],
)
def test_a_bare_domain_gets_the_default_scheme_and_nothing_else_does(listed: str, url: str) -> None:
    assert with_scheme(listed, "https") == url


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list", b"a.com\nhttp://b.com/\n"),
        ("list.csv", b"rank,url\n1,a.com\n2,http://b.com/\n"),
        ("list", b'{"url": "a.com"}\n{"url": "http://b.com/"}\n'),
    ],
)
def test_each_kind_of_list_may_have_bare_domains(tmp_path: Path, name: str, content: bytes) -> None:
    one, two = read_as(tmp_path / name, content, default_scheme="https")
    assert (target(one).url, target(two).url) == ("https://a.com/", "http://b.com/")
    assert target(one).listed == "https://a.com"  # what `scraper failed` prints can be read again
    for item in read_as(tmp_path / name, content)[:1]:
        assert "no scheme" in reason(item)


@pytest.mark.parametrize("way", ["file", "pipe", "url"])
@pytest.mark.parametrize("header", [b"url,title", b'ID,"URL"', b"id\turl"])
def test_a_header_tells_that_a_list_is_a_table(way: str, header: bytes, tmp_path: Path) -> None:
    tab = b"\t" if b"\t" in header else b","
    row = [b"http://a/1", b"x"] if header.startswith(b"url") else [b"x", b"http://a/1"]
    content = b"\n" + header + b"\n" + tab.join(row) + b"\n"
    path = tmp_path / "list"
    if way == "url":
        path.write_bytes(content)
        with open(path, "rb") as file:
            fetched = RemoteList(file, "text/plain")
            (source,) = open_sources(["http://h/list"], lambda _: fetched)
            assert only(list(lists.read(source, keys.url_key))).url == "http://a/1"
        return
    if way == "pipe":
        os.mkfifo(path)
        writer = threading.Thread(target=path.write_bytes, args=(content,))
        writer.start()
    else:
        path.write_bytes(content)
    (source,) = open_sources([str(path)], never)
    assert only(list(lists.read(source, keys.url_key))).url == "http://a/1"


@pytest.mark.parametrize(
    "first", [b"url", b"http://a/?url,b", b"the url, b", b"# url,b", b"curl,b"]
)
def test_what_is_no_header_is_a_line(first: bytes, tmp_path: Path) -> None:
    items = read_as(tmp_path / "list", first + b"\nhttp://a/1,2\n")
    assert seen(items)[-1] == (2, "http://a/1,2")


@pytest.mark.parametrize("name", ["list", "list.csv"])
def test_semicolons_between_cells_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ListError, match="has no column named 'url'") as caught:
        read_as(tmp_path / name, b"id;url\n1;http://a/1\n")
    assert "separated by ';'" in caught.value.hint


def test_a_key_may_be_a_number(tmp_path: Path) -> None:
    content = b'{"url": "http://a/1", "id": 17}\n{"url": "http://a/2", "id": true}\n'
    found, bad = read_as(tmp_path / "list", content, key_column="id")
    assert target(found).key == "17"
    assert "is not a string" in reason(bad)


@pytest.mark.parametrize("nothing", ["NULL", "null", "-", "", "\\N"])
def test_a_column_may_say_nothing(nothing: str, tmp_path: Path) -> None:
    row = f"http://a/1,{nothing},{nothing}\n"
    (found,) = read_as(tmp_path / "list.csv", b"url,size,sha1\n" + row.encode())
    assert target(found).expected is None
