"""Enclosures of feeds, and links of pages, as lists."""

from pathlib import Path

import pytest

from scraper.model.errors import ListError
from scraper.model.urls import parse
from scraper.source import lists
from scraper.source.grammar import grammar_of
from scraper.source.html_links import read_html
from scraper.source.keys import url_key
from scraper.source.sources import open_sources
from tests.lists import never, read, reason, target

BASE = "http://h/d/list"
RSS = b"""<?xml version="1.0"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel><link>http://h/</link>
<item><title>A &amp; B</title><link>http://h/page</link>
<enclosure url="http://h/1.mp3?a=1&amp;b=2" length="1" type="audio/mpeg"/></item>
<item><enclosure url=" 2.mp3 "/><atom:link rel="enclosure" href="/3.mp3"/></item>
<item><title>no enclosure</title></item><item><enclosure/></item></channel></rss>"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom" xml:base="http://other/x/"><entry>
<link href="page"/><link rel="enclosure" href="1.mp3"/></entry>
<entry xml:base="y/"><link rel="enclosure" href="2.mp3"/></entry></feed>"""


def listed(path: Path, content: bytes, form: str, base: str | None = BASE) -> list[lists.Read]:
    path.write_bytes(content)
    (source,) = open_sources([str(path)], never, grammar_of(form, base=base))
    return read(source)


def urls(path: Path, content: bytes, form: str, base: str | None = BASE) -> list[str]:
    return [target(item).url for item in listed(path, content, form, base)]


def test_the_enclosures_of_rss(tmp_path: Path) -> None:
    items = listed(tmp_path / "l", RSS, "feed")
    assert [target(one).url for one in items[:-1]] == [
        "http://h/1.mp3?a=1&b=2",
        "http://h/d/2.mp3",
        "http://h/3.mp3",
    ]
    assert "has no URL" in reason(items[-1])
    assert "no scheme" in reason(listed(tmp_path / "l", RSS, "feed", None)[1])


def test_the_enclosures_of_atom_are_relative_to_xml_base(tmp_path: Path) -> None:
    wanted = ["http://other/x/1.mp3", "http://other/x/y/2.mp3"]
    assert urls(tmp_path / "l", ATOM, "feed") == wanted
    assert urls(tmp_path / "l", ATOM, "feed", None) == wanted


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("html", b"<p>Please log in.</p>"),
        ("feed", b"<rss><channel></channel></rss>"),
        ("sitemap", b"<urlset/>"),
    ],
)
def test_one_that_names_nothing_says_so(form: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(content)
    (source,) = open_sources([str(tmp_path / "l")], never, grammar_of(form))
    notes: list[str] = []
    assert list(lists.read(source, url_key, notes.append)) == []
    assert notes == [f"{source.name!r}, read as {form}, names no URL"]


def test_what_is_no_feed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="no feed of RSS or Atom: its root element is <urlset>"):
        listed(tmp_path / "l", b"<urlset/>", "feed")


PAGE = b"""<!DOCTYPE html><html><head><link rel=stylesheet href=/s.css><script src='j.js'>
document.write('<a href="no">')</script><!-- <a href="no"> --><title>t</title>
<base href="http://other/x/"><base href="http://no/"></head>
<body background=b.png><a href="1?a&amp;b=&lt;" href=no>A</a><A HREF="#top">x</A>
<a href="mailto:a@b">x</a><a href="javascript:void(0)">x</a><a>x</a>
<img src="i.png" srcset="i1.png 1x, i2.png 2x," lowsrc=l.png><video src=v poster=p><source src=s>
<form action="no"><input type=image src=in.png></form><iframe src="f"></iframe>
<meta http-equiv=Refresh content="5; URL='m'"><a href=" two
lines ">x</a><a href="http://[">x</a><object data=o></object><area href=ar><p src=no>"""


def test_the_links_of_a_page(tmp_path: Path) -> None:
    items = listed(tmp_path / "l", PAGE, "html")
    bad = items.pop(-3)
    assert "not a valid URL" in reason(bad)
    names = ["b.png", "1?a&b=%3C", "l.png", "i.png", "i1.png", "i2.png", "p", "v", "s", "in.png"]
    names += ["f", "m", "twolines", "o", "ar"]
    assert [target(one).url for one in items] == [
        "http://h/s.css",
        "http://h/d/j.js",
        *(f"http://other/x/{name}" for name in names),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "utf-16"])
def test_a_page_has_its_own_encoding(encoding: str, tmp_path: Path) -> None:
    page = f"<meta charset={encoding}><a href=/ü>x</a>"
    assert urls(tmp_path / "l", page.encode(encoding), "html") == ["http://h/%C3%BC"]


def test_a_page_that_names_an_encoding_that_is_none_is_read(tmp_path: Path) -> None:
    for name in (b"zlib", b"nosuch", b"utf-16", b"rot13"):
        assert urls(tmp_path / "l", b"<meta charset=" + name + b"><a href=/a>", "html") == [
            "http://h/a"
        ]


@pytest.mark.parametrize(
    "piece", [b"<!--", b"<a ", b"<a href='", b"<![", b"<?", b"</", b"&", b"<a b=c ", b"<", b"<!a"]
)
def test_a_page_of_a_stranger_is_read_in_time(piece: bytes, tmp_path: Path) -> None:
    assert urls(tmp_path / "l", b"<a href=/a>x</a>" + piece * (300_000 // len(piece)), "html") == [
        "http://h/a"
    ]


def test_a_tag_without_end_breaks_off(tmp_path: Path) -> None:
    content = b"<a href=/a>x</a><img src='" + b"x" * (9 << 20)
    with pytest.raises(ListError, match="a tag is longer than"):
        listed(tmp_path / "l", content, "html")


def test_an_image_within_a_tag_is_passed_over(tmp_path: Path) -> None:
    content = b"<img src='data:image/png;base64," + b"x" * (3 << 20) + b"'><a href=/a>"
    assert urls(tmp_path / "l", content, "html") == ["http://h/a"]
    many = b"<img srcset='" + b"," * 1_000_000 + b"'><a href=/a>"
    assert urls(tmp_path / "l", many, "html") == ["http://h/a"]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("?a=1&region=eu&section=2&current=1&copy=3", "?a=1&region=eu&section=2&current=1&copy=3"),
        ("?a&copy1&copyx&notit;", "?a&copy1&copyx&notit;"),
        ("?a&amp;b&#38;c&#x26;d&#38e&amp", "?a&b&c&d&e&"),
        ("?&copy;&copy-&reg", "?%C2%A9%C2%A9-%C2%AE"),
        ("?&amp;amp;&ampamp;&;&&amp;", "?&amp;&ampamp;&;&&"),
        ("?x&#" + "1" * 5000 + ";", "?x%EF%BF%BD"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_references_of_a_page_mean_what_they_mean_to_browsers(
    value: str, meant: str, size: int
) -> None:
    page = f'&copy=<a title="&amp;" href="{value}">&#{"1" * 5000};</a><img srcset="{value} 2x, z">'
    pieces = [page[at : at + size].encode() for at in range(0, len(page), size)]
    found = list(read_html(pieces, "list", parse("http://h/")))
    assert found == [{"url": f"http://h/{one}"} for one in (meant, meant, "z")]
