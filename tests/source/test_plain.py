"""Plain lines: taken at once, they are the targets that the long way makes of them."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scraper.model.records import NO_HEADERS, Target
from scraper.model.urls import Url
from scraper.source import keys, lists
from scraper.source.plain import plain_target
from scraper.source.sources import from_iterable

PLAIN = [
    "https://host/",
    "http://host/",
    "https://host:8080/",
    "https://example.com/a.html",
    "https://example.com/a/b/c.tar.gz",
    "https://example.com/a/",
    "https://example.com/a_(b)/c!=d,e@f+g.h'i",
    "https://192.0.2.1/a.b",
    "https://xn--bcher-kva.example/a.html",
    "https://example.com/a",
    "https://example.com/a/b",
    "https://example.com/a.html?b",
    "https://example.com/a/b?c=d&e=f/G%20h",
    "https://example.com/?a",
    "https://example.com/a/?",
    "https://example.com/a?b?c:@[\\]^`{|}~",
    "https://example.com/" + "a" * 230 + ".php?" + "b" * 200,
]
KEPT = [
    "https://example.com/a.tar.gz?b",
    "https://example.com/con?b",
    "https://example.com/con",
    "https://example.com/index.html?a",
    "https://example.com/a?b--c",
    "https://example.com/index.html",
    "https://example.com/a--b.html",
    "https://example.com/A.html",
    "https://example.com/%61.html",
    "https://example.com/Caf%C3%A9%20x/B?C=%E9",
    "https://example.com/.a/b.html",
    "https://example.com/..a/%2e%2eb/a%2e",
    "https://example.com/con/b.html",
    "https://example.com/a.html.",
    "https://example.com//a.html",
    "https://example.com/" + "a" * 300 + ".html",
]
OTHER_ORIGIN = {  # another beginning than that of the `href`
    "https://EXAMPLE.com/A.html": "https://example.com/A.html",
    "https://example.com:443/a.html": "https://example.com/a.html",
    "https://example.com:/a.html?b": "https://example.com/a.html?b",
    "https://192.0.2.01/": "https://192.0.2.1/",
    "https://3/a.html": "https://0.0.0.3/a.html",
}
NOT_KEPT = [
    "",
    "# https://example.com/",
    "https://example.com",
    "https://example.com/a.html#b",
    "https://example.com/a.html?b#c",
    "https://example.com/a.html?b c",
    "https://example.com/a.html?b'c",
    "https://example.com/a.html?é",
    "https://example.com/a.html\tkey",
    "https://example.com/a/../b.html",
    "https://example.com/a/%2E./b.html",
    "https://example.com/a/.?b",
    "https://example.com/a/%2e",
    "https://example.com:99999/a.html",
    "https://xn--a/a.html",
    "https:///a.html",
    "https://me@example.com/a.html",
    "ftp://example.com/a.html",
    "https://example.com/" + "a" * 500 + ".html",
    "https://" + "a." * 150 + "/b.html",
]
PIECES = [
    *"aAzZ09.-_/%?&=+~ ;:@!$'()*,#\\\t\0",
    *("//", "/./", "/../", "/.", "./", ".html", ".tar.gz", "index.html", "/index.html", "--"),
    *("con", "aux", "com1", "lpt9", "nul.", "com1/", "%2e", "%2E", "é", "\u00ad", "\ufeff"),
    *(":80", ":443", ":8080", ":", "[::1]", "1.2", "0x1", "xn--", "xn--bcher-kva", "me:pw@"),
]
SCHEMES = st.sampled_from(["http://", "https://", "HTTP://", "https:/", "ftp://", ""])
HOSTS = st.sampled_from(["a", "b.a", "a_b", "a.", "1.2.3.4", "1.2", "a:80", "a:443", "a:81", ""])
PATHS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
LINES = st.one_of(
    st.builds("{}{}/{}".format, SCHEMES, HOSTS, PATHS),
    st.builds("{}{}".format, SCHEMES, PATHS),
    st.builds("https://a/{}".format, st.text(max_size=20)),
)


def long_way(url: Url, line: int) -> str:
    """The rule `url` under another name, for which no line is plain."""
    return keys.url_key(url, line)


def both_ways(text: str) -> tuple[list[lists.Read], list[lists.Read]]:
    """What is read of a list of this line, and what would be if there were no plain ones.

    Nor plain paths, which are a shortcut of the keys' too.
    """
    quick = list(lists.read(from_iterable([text]), keys.url_key))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_PLAIN_PATH", re.compile("(?!)"))
        return quick, list(lists.read(from_iterable([text]), long_way))


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_line_is_known(text: str) -> None:
    target = plain_target(text, 7, "list")
    assert target is not None
    assert target == Target(text, text, target.host, target.key, 7, "list", NO_HEADERS, "", 1)
    quick, slow = both_ways(text)
    assert quick == slow


@pytest.mark.parametrize("text", KEPT)
def test_a_line_that_the_parser_leaves_as_it_is_is_known(text: str) -> None:
    target = plain_target(text, 7, "list")
    assert target is not None
    assert target == Target(text, text, "example.com", target.key, 7, "list", NO_HEADERS, "", 1)
    quick, slow = both_ways(text)
    assert quick == slow


@pytest.mark.parametrize(("text", "href"), OTHER_ORIGIN.items())
def test_only_the_origin_of_a_line_is_parsed(text: str, href: str) -> None:
    target = plain_target(text, 7, "list")
    assert target is not None
    assert (target.listed, target.url) == (text, href)
    quick, slow = both_ways(text)
    assert quick == slow


@pytest.mark.parametrize("char", [chr(number) for number in range(0x80)])
def test_a_line_with_any_character_means_the_same_either_way(char: str) -> None:
    for path in ("a%sb", "%s", "%s/a", "a%s?a", "a?%s", "A?b%sC"):
        quick, slow = both_ways("https://a/" + path.replace("%s", char))
        assert quick == slow


@pytest.mark.parametrize("text", NOT_KEPT)
def test_any_other_line_goes_the_long_way(text: str) -> None:
    assert plain_target(text, 7, "list") is None
    quick, slow = both_ways(text)
    assert quick == slow


@settings(max_examples=1_000)
@given(LINES)
@example("https://a/b.c\n\n")
@example("https://a/index.html/a.b")
@example("https://a/" + "b" * 240 + ".c")
def test_a_line_means_the_same_either_way(text: str) -> None:
    quick, slow = both_ways(text)
    assert quick == slow
    assert [type(item) for item in quick] == [type(item) for item in slow]
