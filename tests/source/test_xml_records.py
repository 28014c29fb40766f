"""Records of lists in XML: what is read of them, and what strangers can't do with them."""

from collections.abc import Iterator

import pytest

from scraper.model.errors import ListBroken, ListError
from scraper.source.xml_records import Element, Shape, read_records

SHAPE = Shape(
    "sitemap", frozenset({"urlset"}), frozenset({"url"}), frozenset({"loc", "lastmod", "url"})
)
PIECE = 1 << 16


def cut(content: bytes, size: int = PIECE) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def locs(content: bytes, size: int = PIECE) -> list[str]:
    return [
        one for each in read_records(cut(content, size), "L", SHAPE) for one in each.texts_of("loc")
    ]


def broken(pieces: Iterator[bytes]) -> tuple[list[Element], ListError]:
    """The records before the list breaks off, and how it does."""
    found: list[Element] = []
    with pytest.raises(ListError) as caught:
        found.extend(read_records(pieces, "L", SHAPE))
    return found, caught.value


@pytest.mark.parametrize("size", [1, 7, PIECE])
def test_a_text_is_what_xml_says(size: int) -> None:
    content = (
        b"<?xml version='1.0'?><!-- <url> --><urlset xmlns='urn:s' xmlns:i='urn:i'>\n<url>"
        b"<loc>\n http://h/?a&amp;<![CDATA[b&c]]>&#x41; <!-- d -->e\n</loc><i:loc>no</i:loc>"
        b"<i:image><i:loc>no</i:loc></i:image></url><url/><s:url xmlns:s='urn:s'><s:loc>2</s:loc>"
        b"</s:url></urlset>"
    )
    assert locs(content, size) == ["http://h/?a&b&cA e", "2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252", "iso-8859-1"])
def test_encodings_are_those_of_python(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><urlset><url><loc>ü</loc></url></urlset>"
    assert locs(text.encode(encoding)) == ["ü"]


def test_the_root_comes_first_with_its_attributes() -> None:
    root, *_ = read_records(cut(b"<urlset base='x'><url/></urlset>"), "L", SHAPE)
    assert (root.name, dict(root.attributes)) == ("urlset", {"base": "x"})


def test_an_entity_of_a_dtd_that_is_not_read_stays_as_it_is_written() -> None:
    doctype = b"<!DOCTYPE urlset SYSTEM 'file:///etc/passwd'>"
    assert locs(doctype + b"<urlset><url><loc>a&nbsp;b</loc></url></urlset>") == ["a&nbsp;b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no sitemap: no element found"),
        (b"http://h/\n", "is no sitemap: not well-formed"),
        (b"<html><urlset/></html>", "is no sitemap: its root element is <html>"),
        (b"<!DOCTYPE a [<!ENTITY a 'b'>]><urlset/>", "declares an entity"),
        (b"<!DOCTYPE a [<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;]><urlset/>", "an entity"),
        (b"<?xml version='1.0' encoding='zlib'?><urlset/>", "not a text encoding"),
        (b"<?xml version='1.0' encoding='shift_jis'?><urlset/>", "multi-byte encodings"),
        (b"<?xml version='1.0' encoding='nosuch'?><urlset/>", "unknown encoding"),
    ],
)
def test_what_is_no_such_list_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ListError, match=said) as caught:
        locs(content)
    assert not isinstance(caught.value, ListBroken)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (b"", "no element found .line 2, column 1"),
        (b"<url><loc>http://h/", "no element found .line 2, column 20"),
        (b"<url><loc>&nope;", "undefined entity"),
        (b"</urlset><urlset>", "junk after document element"),
        (b"<url a='" + b"x" * (1 << 22), "markup is longer"),
        (b"<!-- " + b"x" * (1 << 22), "markup is longer"),
        (b"<url><loc>" + b"x" * (1 << 22), "record is longer"),
        (b"<url><loc a='" + b"x" * 200_000 + b"' b='" + b"x" * 850_000 + b"'/>", "is longer"),
        (b"<url>" + b"<a/>" * 30_000, "20,000 elements"),
        (b"<a>" * 300, "200 deep"),
    ],
)
def test_a_list_that_breaks_off_gives_what_came_before(rest: bytes, said: str) -> None:
    found, error = broken(cut(b"<urlset><url><loc>1</loc></url>\n" + rest))
    assert [one for each in found for one in each.texts_of("loc")] == ["1"]
    assert isinstance(error, ListBroken)
    assert said.replace(".", "(") in str(error)
