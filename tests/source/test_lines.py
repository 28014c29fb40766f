"""Bytes to lines: their ends, their limit, their numbers."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from scraper.model.records import Result, Target
from scraper.source.sources import open_sources
from tests.lists import LIMIT, never, only, read, read_file, reason, seen, target


@pytest.mark.parametrize(
    "content",
    [
        b"http://a/1\nhttp://a/2\n",
        b"http://a/1\nhttp://a/2",
        b"http://a/1\r\nhttp://a/2\r\n",
        b"\xef\xbb\xbfhttp://a/1\r\nhttp://a/2\r\n",
        b"http://a/1  \n  http://a/2\n",
    ],
)
def test_ends_of_lines_blanks_and_a_byte_order_mark_do_not_matter(
    tmp_path: Path, content: bytes
) -> None:
    items = read_file(tmp_path / "list.txt", content)
    assert seen(items) == [(1, "http://a/1"), (2, "http://a/2")]
    items = read_file(tmp_path / "list.txt", gzip.compress(content))
    assert seen(items) == [(1, "http://a/1"), (2, "http://a/2")]


def test_a_byte_order_mark_before_json_or_a_comment_does_not_matter(tmp_path: Path) -> None:
    assert only(read_file(tmp_path / "a", b'\xef\xbb\xbf{"url": "http://a/"}')).host == "a"
    assert read_file(tmp_path / "b", b"\xef\xbb\xbf# hello\n") == []


def test_a_line_may_be_as_long_as_the_limit_whatever_its_end(tmp_path: Path) -> None:
    url = b"http://a/".ljust(LIMIT, b"x")
    for mark in (b"", b"\xef\xbb\xbf"):
        for end in (b"", b"\n", b"\r\n"):
            content = mark + url + end
            if mark and end != b"\n":
                content = mark + url[:-3] + end
            items = read_file(tmp_path / "list", content)
            assert [type(item) for item in items] == [Target], (mark, end)


@pytest.mark.parametrize("word", [b"y", b"\r"])
@pytest.mark.parametrize("more", [2, 3, 4, 5, 6, LIMIT, LIMIT + 1, LIMIT + 2, 2 * LIMIT + 4])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_line_over_the_limit_is_one_bad_line_of_any_length(
    tmp_path: Path, word: bytes, more: int, end: bytes, mark: bytes
) -> None:
    long = b"http://a/".ljust(LIMIT, b"x") + word * more
    items = read_file(tmp_path / "list", mark + long + end + b"http://a/2" + end)
    assert len(items) == 2
    assert "longer than" in reason(items[0])
    assert target(items[1]).line == 2


@pytest.mark.parametrize("zipped", [False, True])
def test_a_line_of_ten_megabytes_is_never_in_memory_as_a_whole(
    tmp_path: Path, zipped: bool
) -> None:
    content = b"http://a/1\nhttp://a/" + b"x" * 10_000_000 + b"\nhttp://a/3\n"
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(content) if zipped else content)
    del content
    tracemalloc.start()
    try:
        (source,) = open_sources([str(path)], never)
        items = read(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [line for line, _ in seen(items)] == [1, 2, 3]
    assert "longer than" in reason(items[1])
    assert peak < 2_000_000


def test_the_numbers_of_lines_count_every_line_of_their_own_source(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_bytes(b"# one\n\nhttp://a/3\nbad\n")
    two.write_bytes(b"http://b/1\n")
    sources = open_sources([str(one), str(two)], never)
    items = [item for source in sources for item in read(source)]
    targets = [item.target if isinstance(item, Result) else item for item in items]
    assert [(t.line, t.source) for t in targets] == [(3, str(one)), (4, str(one)), (1, str(two))]
