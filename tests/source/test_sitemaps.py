"""Sitemaps and their indexes, as lists."""

import gzip
import os
import threading
import tracemalloc
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import ListBroken, ListError
from scraper.model.records import Result, Target
from scraper.source import keys, lists
from scraper.source.documents import read_entries
from scraper.source.grammar import grammar_of
from scraper.source.sources import RemoteList, Source, open_sources
from tests.lists import never, read, reason, seen, target

XMLNS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- <urlset> -->\n'
Pages = dict[str, bytes]


def urlset(*locs: str) -> bytes:
    urls = "".join(f"<url>\n<loc>\n  {loc}\n</loc></url>\n" for loc in locs)
    return f"{HEAD}<urlset {XMLNS}>\n{urls}</urlset>".encode()


def index(*locs: str) -> bytes:
    maps = "".join(f"<sitemap><loc>{loc}</loc></sitemap>" for loc in locs)
    return f"{HEAD}<sitemapindex {XMLNS}>{maps}</sitemapindex>".encode()


def listed(path: Path, content: bytes, **options: Any) -> list[lists.Read]:
    path.write_bytes(content)
    (source,) = open_sources([str(path)], never, grammar_of(**options))
    return read(source)


def fetching(pages: Pages) -> Callable[[str], RemoteList]:
    """What opens these lists, as a run does."""

    def open_remote(url: str) -> RemoteList:
        if url not in pages:
            raise ListError(f"can't fetch the list {url!r}: HTTP 404")
        fd = os.memfd_create("list")
        os.write(fd, pages[url])
        return RemoteList(open(fd, "rb", closefd=False))

    return open_remote


def of_index(pages: Pages, root: str = "http://h/i") -> list[lists.Read]:
    (source,) = open_sources([root], fetching(pages))
    return read(source)


@pytest.mark.parametrize("way", ["plain", "gz", "pipe", "named", "blank"])
def test_a_sitemap_is_known_by_its_root(way: str, tmp_path: Path) -> None:
    content = urlset("http://h/a?x=1&amp;y=2", "http://other/<![CDATA[b]]>")
    wanted = [(1, "http://h/a?x=1&y=2"), (2, "http://other/b")]
    path = tmp_path / "list"
    if way == "pipe":
        os.mkfifo(path)
        (source,) = open_sources([str(path)], never)
        writer = threading.Thread(target=path.write_bytes, args=[content])
        writer.start()
        assert seen(read(source)) == wanted
        writer.join()
        return
    content = gzip.compress(content) if way == "gz" else content
    content = b"\n\n" + content if way == "blank" else content
    assert (
        seen(listed(path, content, **({"list_format": "sitemap"} if way == "named" else {})))
        == wanted
    )


def test_the_date_goes_into_the_record(tmp_path: Path) -> None:
    content = (
        f"<urlset {XMLNS} xmlns:i='urn:i'><url><loc>http://h/a</loc><lastmod> 2024-02-03 </lastmod>"
        "<i:image><i:loc>http://h/no</i:loc></i:image></url><url><loc>http://h/b</loc><lastmod>"
        f"{'2' * 99}</lastmod></url></urlset>"
    )
    found = [target(item) for item in listed(tmp_path / "l", content.encode())]
    assert [(one.listed, one.lastmod) for one in found] == [
        ("http://h/a", "2024-02-03"),
        ("http://h/b", None),
    ]


def test_what_names_no_target_is_a_failure_of_its_own(tmp_path: Path) -> None:
    items = listed(
        tmp_path / "l", urlset("/a", "", "http://h/ok", "http://h/a\nb", "http://h/" + "x" * 70_000)
    )
    assert [item.target.line if isinstance(item, Result) else item.line for item in items] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert "no scheme" in reason(items[0])
    assert "<url> has no <loc>" in reason(items[1])
    assert target(items[2]).url == "http://h/ok"
    assert "line break" in reason(items[3])
    assert "longer than" in reason(items[4])
    items = listed(tmp_path / "l", urlset("/a"), base="http://h/x/")
    assert target(items[0]).url == "http://h/a"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<?xml version='1.0'?>\n<rss/>", "is XML"),
        (b"<!DOCTYPE html>\n<html></html>", "is HTML"),
        (b"<!DOCTYPE urlset [<!ENTITY a 'b'>]>\n<urlset/>", "is XML"),
        (b"<urlset><!DOCTYPE a [<!ENTITY a 'b'>]></urlset>", "broke off"),
    ],
)
def test_what_is_no_sitemap_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ListError, match=said):
        listed(tmp_path / "l", content)


@pytest.mark.parametrize("content", [b"", b"http://h/\n", b"<rss/>", b"<a>"])
def test_what_is_called_a_sitemap_has_to_be_one(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ListError, match="is no sitemap: ") as caught:
        listed(tmp_path / "l", content, list_format="sitemap")
    assert not isinstance(caught.value, ListBroken)


@pytest.mark.parametrize("name", ["l.csv", "l.tsv"])
def test_a_sitemap_is_known_whatever_its_name(name: str, tmp_path: Path) -> None:
    assert seen(listed(tmp_path / name, urlset("http://h/a"))) == [(1, "http://h/a")]
    with pytest.raises(ListError, match="is XML"):
        listed(tmp_path / name, urlset("http://h/a"), list_format="lines")


def test_a_line_that_begins_like_markup_costs_no_other_line(tmp_path: Path) -> None:
    items = listed(tmp_path / "l", b"<3\nhttp://h/a\nhttp://h/b\n")
    assert seen(items) == [(1, "<3"), (2, "http://h/a"), (3, "http://h/b")]


def test_the_sitemaps_of_an_index_are_read_in_order_each_once() -> None:
    pages = {
        "http://h/i": index("http://h/1.gz", "http://h/i", "http://h/2", "http://h/1.gz"),
        "http://h/1.gz": gzip.compress(urlset("http://h/a")),
        "http://h/2": b"http://h/b\nhttp://h/c\n",
    }
    items = of_index(pages)
    assert [(target(one).listed, target(one).source) for one in items] == [
        ("http://h/a", "http://h/1.gz"),
        ("http://h/b", "http://h/2"),
        ("http://h/c", "http://h/2"),
    ]


def test_a_list_that_cannot_be_had_is_one_failure_and_others_go_on() -> None:
    pages = {
        "http://h/i": index("http://h/no?token=s", "http://h/html", "ftp://h/", "http://h/2", "/x"),
        "http://h/html": b"<html>",
        "http://h/2": urlset("http://h/a")[:-5],
    }
    items = of_index(pages)
    assert [item.target.line if isinstance(item, Result) else item.line for item in items] == [
        1,
        2,
        3,
        1,
        2,
        5,
    ]
    assert "HTTP 404" in reason(items[0])
    assert "is HTML" in reason(items[1])
    assert "'ftp' is not http" in reason(items[2])
    assert target(items[3]).url == "http://h/a"
    assert "'http://h/2' broke off" in reason(items[4])
    assert "no scheme" in reason(items[5])
    assert isinstance(items[0], Result)
    assert items[0].target.listed == "http://h/no?token=REDACTED"


def test_indexes_without_end_are_bounded() -> None:
    pages = {f"http://h/{n}": index(f"http://h/{n + 1}") for n in range(100)}
    (item,) = of_index(pages, "http://h/0")
    assert "deeper than 5 indexes" in reason(item)


def test_a_file_names_files_beside_it_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.xml").write_bytes(urlset("http://h/a"))
    (tmp_path / "outside").write_bytes(urlset("http://h/no"))
    below = tmp_path / "sub" / "index"
    items = listed(
        below,
        index("a%20b.xml", "../outside", "%2e%2e/outside", str(tmp_path / "outside"), "file:///x"),
    )
    assert target(items[0]).url == "http://h/a"
    assert all("does not lie beside the index" in reason(item) for item in items[1:4])
    assert "'file' is not http" in reason(items[4])
    with pytest.raises(AssertionError, match=r"nobody asked for http://h/a%20b\.xml"):
        listed(below, index("a%20b.xml"), base="http://h/")


def test_descriptors_are_given_back() -> None:
    pages = {f"http://h/{n}": urlset(f"http://h/a{n}") for n in range(40)}
    before = len(os.listdir("/proc/self/fd"))
    assert len(of_index({"http://h/i": index(*pages), **pages})) == 40
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_no_list_is_fetched_after_the_end_of_the_run() -> None:
    pages = {"http://h/i": index("http://h/1", "http://h/2"), "http://h/1": urlset("http://h/a")}
    (source,) = open_sources(["http://h/i"], fetching(pages))
    ended: list[int] = []
    items = lists.read(source, keys.url_key, stopped=lambda: bool(ended))
    assert isinstance(next(items), Target)
    ended.append(1)
    assert list(items) == []


def test_memory_does_not_grow_with_a_sitemap() -> None:
    def pieces(count: int) -> Generator[bytes, None, None]:
        yield f"<urlset {XMLNS}>".encode()
        for n in range(count):
            yield b"".join(b"<url><loc>http://h/%d/%d</loc></url>" % (n, m) for m in range(100))
        yield b"</urlset>"

    def peak(count: int) -> int:
        tracemalloc.start()
        source = Source("L", lambda: pieces(count), None, "sitemap")
        assert sum(1 for _ in read_entries(source)) == count * 100
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(200) < peak(20) + 50_000
