"""Lists as tests read them, and lists for hypothesis."""

from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Failed, Result, Target
from scraper.source import keys, lists
from scraper.source.lines import MAX_LINE_BYTES
from scraper.source.sources import OpenRemote, RemoteList, Source, from_iterable, open_sources

LIMIT = MAX_LINE_BYTES


def never(url: str) -> RemoteList:
    raise AssertionError(f"nobody asked for {url}")


def read(source: Source) -> list[lists.Read]:
    return list(lists.read(source, keys.url_key))


def read_lines(*lines: str | bytes) -> list[lists.Read]:
    return read(from_iterable(lines))


def read_file(path: Path, content: bytes, opener: OpenRemote = never) -> list[lists.Read]:
    path.write_bytes(content)
    (source,) = open_sources([str(path)], opener)
    return read(source)


def target(item: lists.Read) -> Target:
    assert isinstance(item, Target), item
    return item


def only(items: list[lists.Read]) -> Target:
    (item,) = items
    return target(item)


def reason(item: lists.Read) -> str:
    """Why a line is no target, which it is to say as a Result of kind bad_url."""
    assert isinstance(item, Result), item
    assert isinstance(item.outcome, Failed)
    assert item.outcome.failure.kind is Kind.BAD_URL
    assert item.outcome.failure.transient is False
    assert item.target.url == item.target.host == item.target.key == ""
    assert "\n" not in item.outcome.failure.message
    return item.outcome.failure.message


def seen(items: Iterable[lists.Read]) -> list[tuple[int, str]]:
    """Line numbers and what was listed there."""
    return [
        (item.target.line, item.target.listed)
        if isinstance(item, Result)
        else (item.line, item.listed)
        for item in items
    ]


WORDS = [
    b"http://a/1",
    b"#",
    b"{",
    b"}",
    b'"url": ',
    b'"http://a/2"',
    b" ",
    b"\t",
    b"\r",
    b"/\0/",
    b"x",
]
WORDS += [b"\xef\xbb\xbf", b"\xff", b"\xc2\xa0", b"\xc3", b'"', b",", b"\x1f\x8b", b"\v", b"../k"]
LINES = st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(b"".join), max_size=12)
