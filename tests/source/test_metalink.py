"""Metalink 4 (RFC 5854) as a list."""

from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import ListBroken, ListError
from scraper.source import keys, lists
from scraper.source.grammar import grammar_of
from scraper.source.sources import open_sources
from tests.lists import never, target
from tests.source.test_option_lists import reasons

SHA = "0123456789abcdef" * 4
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
)
FILE = f"""<file name="sub/example.ext">
  <size>14471447</size>
  <identity>Example</identity>
  <hash type="sha-256"> {SHA} </hash>
  <hash type="sha-384">00</hash>
  <pieces length="1048576" type="sha-1"><hash>00</hash></pieces>
  <url location="de" priority="2">ftp://ftp.a/example.ext</url>
  <url>http://last/example.ext</url>
  <url location="fr" priority="10"> http://c/example.ext </url>
  <url priority="3">http://b/example.ext?x=1&amp;y=2</url>
  <metaurl mediatype="torrent" priority="1">http://a/example.ext.torrent</metaurl>
</file>
"""
OTHER = '<file name="b"><url>http://a/b</url></file>'


def listed(path: Path, content: str, **options: Any) -> tuple[list[lists.Read], list[str]]:
    """What a list says, and what is to be said of it."""
    path.write_text(content, encoding="utf-8")
    told: list[str] = []
    (source,) = open_sources([str(path)], never, grammar_of(**options))
    return list(lists.read(source, keys.url_key, told.append)), told


@pytest.mark.parametrize("options", [{}, {"list_format": "metalink"}])
def test_a_file_has_its_name_size_digests_and_urls(options: dict[str, str], tmp_path: Path) -> None:
    items, told = listed(tmp_path / "list", f"{HEAD}{FILE}{OTHER}</metalink>", **options)
    one, two = (target(item) for item in items)
    assert one.key == "sub/example.ext"
    assert one.url == "http://b/example.ext?x=1&y=2"
    assert [mirror.host for mirror in one.mirrors] == ["c", "last"]
    assert one.expected is not None
    assert one.expected.as_fields() == {"size": 14471447, "sha256": SHA}
    assert (two.url, two.key, two.expected, two.mirrors) == ("http://a/b", "b", None, ())
    assert len(told) == 3  # a digest that is not computed, a torrent, a mirror by FTP


def test_a_file_that_can_not_be_fetched_is_a_failure_with_its_place(tmp_path: Path) -> None:
    files = ['<file name="a"/>', "<file><url>http://a/b</url></file>", OTHER]
    files += ['<file name="../x"><url>http://a/b</url></file>']
    files += ['<file name="x"><size>-1</size><url>http://a/b</url></file>']
    items, _ = listed(tmp_path / "list", f"{HEAD}{''.join(files)}</metalink>")
    assert reasons(items) == [
        "file 1: <file> 'a' has no <url>",
        "file 2: <file> has no name",
        "key '../x' leaves the destination",
        '"size" is no number of bytes',
    ]
    assert target(items[2]).key == "b"


def test_a_metalink_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(f"{HEAD}{OTHER}{FILE}"[:-40])
    (source,) = open_sources([str(path)], never, grammar_of())
    found = lists.read(source, keys.url_key)
    assert target(next(found)).key == "b"
    with pytest.raises(ListBroken, match=r"broke off: .*line \d+, column \d+"):
        next(found)


@pytest.mark.parametrize(
    "content",
    [
        f"{HEAD}</metalink>".replace(
            "urn:ietf:params:xml:ns:metalink", "http://www.metalinker.org/"
        ),
        '<!DOCTYPE metalink [<!ENTITY a "b">]><metalink/>',
        "no XML",
    ],
)
def test_what_is_no_metalink_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(ListError, match=r"the list .* is no Metalink"):
        listed(tmp_path / "list", content, list_format="metalink")
