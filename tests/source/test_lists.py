"""Lists: the whole grammar, every bad line, and laziness."""

import gzip
import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scraper.model.errors import Kind, ListError
from scraper.model.records import Failed, Result, Target
from scraper.source import keys, lists
from scraper.source.lines import MAX_LINE_BYTES
from scraper.source.sources import Source, from_iterable, open_sources

LIMIT = MAX_LINE_BYTES


def never(url: str) -> BinaryIO:
    raise AssertionError(f"nobody asked for {url}")


def read(source: Source) -> list[lists.Read]:
    return list(lists.read(source, keys.url_key))


def read_lines(*lines: str | bytes) -> list[lists.Read]:
    return read(from_iterable(lines))


def read_file(
    path: Path, content: bytes, opener: Callable[[str], BinaryIO] = never
) -> list[lists.Read]:
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


# ---------------------------------------------------------------- plain lines


def test_a_line_is_a_url() -> None:
    found = only(read_lines("HTTP://Example.com/a.html#part"))
    assert found.listed == "HTTP://Example.com/a.html#part"
    assert found.url == "http://example.com/a.html"
    assert found.host == "example.com"
    assert found.key == "example.com_http/a.html"
    assert (found.line, found.source) == (1, "urls")
    assert not found.headers
    assert not found.userinfo


def test_a_line_is_a_url_a_tab_and_a_key() -> None:
    found = only(read_lines("http://a/x y.html\tpages/one.html"))
    assert (found.url, found.key) == ("http://a/x%20y.html", "pages/one.html")


@pytest.mark.parametrize("line", ["http://a/x.html\t", "http://a/x.html\t  ", "http://a/x.html \t"])
def test_a_tab_without_a_key_means_the_usual_key(line: str) -> None:
    assert only(read_lines(line)).key == "a_http/x.html"


def test_userinfo_is_kept_apart_from_the_url() -> None:
    found = only(read_lines("http://me:secret@a/x.html"))
    assert (found.url, found.userinfo) == ("http://a/x.html", "me:secret")


@pytest.mark.parametrize(
    "line",
    ["", " ", "\t", " \t ", "\r", "\v\f", "#", "# http://a/", "#http://a/", "  # x", "\u3000"],
)
def test_blank_lines_and_comments_are_no_targets_but_count_as_lines(line: str) -> None:
    assert seen(read_lines("http://a/1", line, "http://a/2")) == [
        (1, "http://a/1"),
        (3, "http://a/2"),
    ]


def test_a_hash_later_in_a_line_is_a_fragment_and_no_comment() -> None:
    assert only(read_lines("http://a/x.html # not a comment")).url.startswith("http://a/x.html")


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


# ---------------------------------------------------------------- bad lines


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"example.com", "no scheme"),
        (b"ftp://example.com/", "ftp"),
        (b"http://", "not a valid URL"),
        (b"http://a:99999/", "not a valid URL"),
        (b"\thttp://a/", "no URL"),
        (b"http://a/\xff", "not UTF-8"),
        (b"http://a/\xc3", "not UTF-8"),
        (b"http://a/\xed\xa0\x80", "not UTF-8"),
        (b"\xff\xfeh\0t\0t\0p\0", "not UTF-8"),
        (b"http://a/\0", "NUL"),
        (b"http://a/x\tk\0y", "NUL"),
        (b"\0", "NUL"),
        (b"http://a/\rhttp://b/", "line break"),
        (b"http://a/\t../x", "leaves the destination"),
        (b"http://a/\t/etc/passwd", "leaves the destination"),
        (b"http://a/\t.scraper/manifest.jsonl", "manifest"),
        (b"http://a/\t" + b"k/" * 600, "longer than 1024"),
        (b"http://a/" + b"x" * LIMIT, "longer than 65,536"),
    ],
)
def test_a_bad_line_is_a_failed_result_with_its_number_and_the_run_goes_on(
    line: bytes, why: str
) -> None:
    first, bad, last = read_lines("http://a/1", line, "http://a/3")
    assert target(first).line == 1
    assert why in reason(bad)
    assert isinstance(bad, Result)
    assert (bad.target.line, bad.target.source) == (2, "urls")
    assert target(last).line == 3


def test_a_bad_line_is_listed_as_far_as_can_be_shown() -> None:
    assert seen(read_lines(b"no \xff url\n")) == [(1, "no \\xff url")]
    assert seen(read_lines("http://a/\t../x")) == [(1, "http://a/")]
    ((_, shown),) = seen(read_lines(b"x" * 100_000))
    assert 0 < len(shown) <= 200


@pytest.mark.parametrize(
    "line",
    [
        b"http://me:hunter2" + b"x" * 300 + b"@a:99999/",
        b"http://a:99999/?q=" + b"x" * 150 + b"&signature=hunter2" + b"x" * 100,
        b'{"url": "http://a/\xff", "headers": {"Authorization": "Bearer hunter2"}}',
        b'{"headers": {"Authorization": "Bearer hunter2"}, "url": "' + b"x" * LIMIT,
        b'  {"headers": {"Authorization": "hunter2"}} \xff',
    ],
)
def test_a_bad_line_that_is_cut_or_no_text_shows_no_secret(line: bytes) -> None:
    ((_, shown),) = seen(read_lines(line))
    assert "hunter2" not in shown


def test_a_lone_surrogate_of_a_python_string_is_a_bad_line() -> None:
    assert "not UTF-8" in reason(read_lines("http://a/\ud800")[0])


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


def test_an_empty_list_has_no_targets(tmp_path: Path) -> None:
    assert read_file(tmp_path / "empty.txt", b"") == []
    assert read_file(tmp_path / "empty.csv", b"") == []
    assert read_file(tmp_path / "empty.gz", gzip.compress(b"")) == []
    assert read_file(tmp_path / "blank.tsv", b"\n\n") == []


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_give_targets_or_bad_lines_in_order_and_never_an_error(
    raw: list[bytes],
) -> None:
    lines = [line.replace(b"\n", b"") for line in raw]
    numbers = [line for line, _ in seen(read_lines(*lines, "http://a/last"))]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == len(lines) + 1


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


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_a_list_gives_one_item_for_each_line_that_says_something(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, zipped: bool
) -> None:
    content = end.join(lines)
    if content.startswith((b"\x1f\x8b", b"\xff")):
        content = b"x" + content
    path = tmp_path_factory.getbasetemp() / "any-list"
    items = read_file(path, gzip.compress(content) if zipped else content)
    expected = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = line.decode("utf-8", "replace").strip(" \r\v")
        blank = not text or text.isspace() or (text[0] == "#" and "\r" not in text)
        if not blank or "\ufffd" in text:
            expected.append(number)
    assert [number for number, _ in seen(items)] == expected


@given(LINES, st.sampled_from([b"\n", b"\r\n"]))
@example(lines=[b"\r,", b",\r", b",\r,", b"\r", b"#\r,"], end=b"\n")
def test_a_table_gives_an_item_for_each_row_in_order_and_never_an_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-list.csv"
    items = read_file(path, end.join([b"key,url", *lines, b'"', b"k,http://a/last"]))
    numbers = [number for number, _ in seen(items)]
    assert numbers == sorted(set(numbers))
    assert all(2 <= number <= len(lines) + 3 for number in numbers)
    if not any(b'"' in line for line in lines):
        said = [n for n, line in enumerate(lines, 2) if line.rstrip(b"\r").strip(b",")]
        assert [n for n in numbers if n < len(lines) + 2] == [
            n for n in said if lines[n - 2][:1] != b"#"
        ]


# ---------------------------------------------------------------- JSON lines


def test_a_json_line_has_url_key_and_headers() -> None:
    line = {"url": "http://a/x", "key": "k/x", "headers": {"Accept": "text/html"}}
    found = only(read_lines(json.dumps(line)))
    assert (found.url, found.key, found.listed) == ("http://a/x", "k/x", "http://a/x")
    assert found.headers == {"Accept": "text/html"}


@pytest.mark.parametrize(
    "line",
    [
        '{"url": "http://a/x.html"}',
        '  {"url": "http://a/x.html"}  ',
        '{"url": "http://a/x.html", "key": null, "headers": null}',
        '{"url": "http://a/x.html", "key": "", "headers": {}}',
        '{"url": "http://a/x.html", "comment": [1, {"more": true}]}',
        '{"url":\t"http://a/x.html"}',
        '{"url": "http:\\/\\/a\\/x.html"}',
        '{"url": "http://a/x.html\\n"}',
    ],
)
def test_a_json_line_may_leave_things_out_or_say_more(line: str) -> None:
    found = only(read_lines(line))
    assert (found.url, found.key, dict(found.headers)) == ("http://a/x.html", "a_http/x.html", {})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("{}", 'no "url"'),
        ("{url: 1}", "not JSON"),
        ('{"url": "http://a/"', "not JSON"),
        ('{"url": "http://a/"} x', "not JSON"),
        ('{"url": "http://a/", "x": NaN}', "not JSON"),
        ('{"url": "\\ud800"}', "not JSON"),
        ('{"a":' * 5000, "not JSON"),
        ('{"url": null}', 'no "url"'),
        ('{"url": 5}', 'no "url"'),
        ('{"url": ["http://a/"]}', 'no "url"'),
        ('{"URL": "http://a/"}', 'did you mean "url"?'),
        ('{"uri": "http://a/"}', 'did you mean "url"?'),
        ('{"url": "http://a/", "header": {"A": "b"}}', 'did you mean "headers"?'),
        ('{"url": "http://a/", "keys": "k"}', 'did you mean "key"?'),
        ('{"url": ""}', "no URL"),
        ('{"url": "a/b"}', "no scheme"),
        ('{"url": "http://a/\\u0000"}', "NUL"),
        ('{"url": "http://a/\\nhttp://b/"}', "line break"),
        ('{"url": "http://a/", "key": 5}', '"key"'),
        ('{"url": "http://a/", "key": ["x"]}', '"key"'),
        ('{"url": "http://a/", "key": "../x"}', "leaves the destination"),
        ('{"url": "http://a/", "key": "a\\u0000b"}', "NUL"),
        ('{"url": "http://a/", "headers": "Accept: x"}', '"headers"'),
        ('{"url": "http://a/", "headers": ["Accept: x"]}', '"headers"'),
        ('{"url": "http://a/", "headers": {"Accept": 5}}', "'Accept'"),
        ('{"url": "http://a/", "headers": {"Accept": null}}', "'Accept'"),
        ('{"url": "http://a/", "headers": {"": "x"}}', "not allowed"),
        ('{"url": "http://a/", "headers": {"A B": "x"}}', "not allowed"),
        ('{"url": "http://a/", "headers": {"A:": "x"}}', "not allowed"),
        ('{"url": "http://a/", "headers": {"Transfer-Encoding": "x"}}', "announces a body"),
        ('{"url": "http://a/", "headers": {"A": "x\\r\\nB: y"}}', "not allowed"),
        ('{"url": "http://a/", "headers": {"A": "\\u4e2d"}}', "not allowed"),
    ],
)
def test_a_bad_json_line_is_a_bad_line(line: str, why: str) -> None:
    bad, last = read_lines(line, "http://a/2")
    assert why in reason(bad)
    assert target(last).line == 2


@pytest.mark.parametrize(
    "line",
    [
        '{"url": "ftp://a/", "headers": {"Authorization": "Bearer hunter2"}}',
        '{"url": 5, "headers": {"Authorization": "Bearer hunter2"}}',
        '{"headers": {"Authorization": "Bearer hunter2"}, "url": 5}',
        '{"url": "http://a/", "headers": {"Authorization": "Bearer hunter2"}, oops',
        '{"url": "http://a/", "headers": {"Auth": "hunter2\\r\\n"}}',
        '{"url": "http://a/", "Headers": {"Authorization": "hunter2"',
    ],
)
def test_a_bad_json_line_does_not_show_its_headers(line: str) -> None:
    (bad,) = read_lines(line)
    assert reason(bad)
    assert "hunter2" not in repr(bad)


# ---------------------------------------------------------------- CSV and TSV


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "url\nhttp://a/1\n"),
        ("l.csv", "url,key\r\nhttp://a/1,\r\n"),
        ("l.csv", "\ufeffURL , Key\n http://a/1 ,\n"),
        ("l.csv", 'id,"url"\n7,"http://a/1"\n'),
        ("l.CSV", "id,url,more\n7,http://a/1,x,y,z\n"),
        ("l.tsv", "id\turl\n7\thttp://a/1\n"),
        ("l.csv.gz", "url\nhttp://a/1\n"),
        ("l.tsv.gz", "url\tkey\nhttp://a/1\t\n"),
        ("l.csv", "# a comment\nurl\n\nhttp://a/1\n# http://a/2\n\n"),
    ],
)
def test_a_table_has_a_column_of_urls_wherever_it_stands(
    tmp_path: Path, name: str, content: str
) -> None:
    raw = content.encode()
    items = read_file(tmp_path / name, gzip.compress(raw) if name.endswith("gz") else raw)
    assert only(items).url == "http://a/1"
    assert only(items).key.startswith("a_http/1--")


def test_a_table_may_have_keys_and_urls_with_commas(tmp_path: Path) -> None:
    content = b'key,url\nk/1,"http://a/x,y?q=""z"""\nk/2,http://a/2\n'
    one, two = read_file(tmp_path / "l.csv", content)
    assert (target(one).url, target(one).key) == ("http://a/x,y?q=%22z%22", "k/1")
    assert (target(two).url, target(two).key, target(two).line) == ("http://a/2", "k/2", 3)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (b"example.com,", "no scheme"),
        (b",k", "no URL"),
        (b"http://a/\xff,", "not UTF-8"),
        (b"http://a/,k\xff", "not UTF-8"),
        (b"http://a/\0,", "NUL"),
        (b"http://a/,../x", "leaves the destination"),
        (b"http://a/" + b"x" * LIMIT, "longer than"),
        (b"http://a/" + b"x" * 10_000_000 + b",k", "longer than"),
        (b'"http://a/' + b"x" * LIMIT + b'",k', "longer than"),
    ],
)
def test_a_bad_row_is_a_bad_line_and_the_next_rows_are_read(
    tmp_path: Path, row: bytes, why: str
) -> None:
    content = b"url,key\nhttp://a/2,\n" + row + b"\nhttp://a/4,\n"
    first, bad, last = read_file(tmp_path / "l.csv", content)
    assert why in reason(bad)
    assert [line for line, _ in seen([first, bad, last])] == [2, 3, 4]


def test_a_quote_that_is_never_closed_does_not_glue_urls_together(tmp_path: Path) -> None:
    content = b'url\nhttp://a/2\n"http://a/3\nhttp://a/4\n'
    first, bad = read_file(tmp_path / "l.csv", content)
    assert target(first).line == 2
    assert "never closed" in reason(bad)
    assert seen([bad]) == [(3, '"http://a/3')]


def test_a_quote_that_is_never_closed_costs_a_bounded_part_of_a_long_table(
    tmp_path: Path,
) -> None:
    many = b"".join(b"http://a/%d\n" % number for number in range(100_000))
    items = read_file(tmp_path / "l.csv", b'url\n"http://a/\n' + many)
    assert "field larger" in reason(items[0])
    assert len(items) > 80_000
    assert seen(items)[-1] == (100_002, "http://a/99999")


def test_a_field_of_two_lines_has_the_number_of_its_first(tmp_path: Path) -> None:
    content = b'note,url\n"a\nb",http://a/2\nc,http://a/4\n'
    assert [line for line, _ in seen(read_file(tmp_path / "l.csv", content))] == [2, 4]


@pytest.mark.parametrize(
    "content", [b"http://a/\n", b"link\nhttp://a/\n", b"url;key\n", b"x" * 70_000 + b"\n"]
)
def test_a_table_without_a_url_column_is_known_before_anything_starts(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(content)
    with pytest.raises(ListError, match=r"l\.csv"):
        open_sources([str(path)], never)


# ---------------------------------------------------------------- opening


def test_a_list_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListError, match=r"missing\.txt.*No such file"):
        open_sources([str(tmp_path / "missing.txt")], never)
    with pytest.raises(ListError, match="directory"):
        open_sources([str(tmp_path)], never)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_list_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.txt"
    path.write_bytes(b"http://a/\n")
    path.chmod(0)
    with pytest.raises(ListError, match=r"locked\.txt.*Permission"):
        open_sources([str(path)], never)


def test_every_list_is_opened_before_the_first_is_read(tmp_path: Path) -> None:
    path = tmp_path / "there.txt"
    path.write_bytes(b"http://a/\n")
    with pytest.raises(ListError, match="missing"):
        open_sources([str(path), str(tmp_path / "missing.txt")], never)


def test_a_list_that_vanishes_between_check_and_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.txt"
    path.write_bytes(b"http://a/\n")
    (source,) = open_sources([str(path)], never)
    path.unlink()
    with pytest.raises(ListError, match=r"gone\.txt"):
        read(source)


def test_the_size_of_a_plain_file_is_known_and_of_others_not(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain", tmp_path / "zipped"
    plain.write_bytes(b"http://a/\n")
    zipped.write_bytes(gzip.compress(b"http://a/\n"))
    sources = open_sources([str(plain), str(zipped)], never)
    assert [source.size for source in sources] == [10, None]


def many_lines(count: int) -> bytes:
    return b"".join(b"http://a/%d/%x\n" % (number, hash(number * 7919)) for number in range(count))


def test_a_torn_gzip_list_gives_what_it_had_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "torn.gz"
    path.write_bytes(gzip.compress(many_lines(50_000))[:-2000])
    (source,) = open_sources([str(path)], never)
    items: list[lists.Read] = []
    with pytest.raises(ListError, match=r"torn\.gz.*broke off"):
        items.extend(lists.read(source, keys.url_key))
    assert len(items) > 1000


def test_a_spoiled_gzip_list_says_so(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(many_lines(50_000)))
    raw[len(raw) // 2 : len(raw) // 2 + 100] = b"\xff" * 100
    path = tmp_path / "spoiled.gz"
    path.write_bytes(raw)
    (source,) = open_sources([str(path)], never)
    with pytest.raises(ListError, match=r"spoiled\.gz.*broke off"):
        read(source)


def test_gzip_that_is_spoiled_from_its_start_is_known_before_anything_starts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spoiled.gz"
    for raw in (
        b"\x1f\x8b",
        b"\x1f\x8b\x08",
        b"\x1f\x8bnot gzip at all",
        b"\x1f\x8b\x08" + b"\xff" * 99,
    ):
        path.write_bytes(raw)
        with pytest.raises(ListError, match=r"spoiled\.gz"):
            open_sources([str(path)], never)


def test_gzip_members_one_after_the_other_are_one_list(tmp_path: Path) -> None:
    content = gzip.compress(b"http://a/1\nhttp") + gzip.compress(b"://a/2\n")
    assert seen(read_file(tmp_path / "l", content)) == [(1, "http://a/1"), (2, "http://a/2")]


@pytest.mark.parametrize(
    "url", ["https://h/urls.txt", "S3://bucket/urls.txt", "http://h/l.csv?v=1"]
)
def test_a_list_may_be_at_a_url(url: str) -> None:
    asked = []

    def opener(name: str) -> BinaryIO:
        asked.append(name)
        return io.BytesIO(b"url\nhttp://a/2\n" if ".csv" in name else b"\nhttp://a/2\n")

    (source,) = open_sources([url], opener)
    assert asked == [url]
    assert seen(read(source)) == [(2, "http://a/2")]
    assert only(read(source)).source == url


def test_a_list_at_a_url_is_named_without_its_secrets() -> None:
    zipped = io.BytesIO(gzip.compress(b"http://a/\n"))
    (source,) = open_sources(["https://u:hunter2@h/l.gz?sig=hunter2"], lambda _: zipped)
    assert "hunter2" not in only(read(source)).source


def test_what_a_callers_iterable_raises_comes_as_it_is() -> None:
    def broken() -> Iterator[str]:
        yield "http://a/1"
        raise ConnectionResetError("theirs")

    items = lists.read(from_iterable(broken()), keys.url_key)
    assert target(next(items)).line == 1
    with pytest.raises(ConnectionResetError, match="theirs"):
        next(items)


def test_a_callers_iterable_is_taken_lazily() -> None:
    taken = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(1)
            yield f"http://a/{len(taken)}"

    items = lists.read(from_iterable(endless()), keys.url_key)
    assert target(next(items)).line == 1
    assert len(taken) == 1


# ---------------------------------------------------------------- pipes


class Pipe:
    """A pipe whose writer is ours, and its reading end as a path."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        self.path = f"/dev/fd/{self.reader}"

    def write(self, data: bytes) -> None:
        os.write(self._writer, data)

    def close(self) -> None:
        os.close(self._writer)
        os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def first_of(source: Source) -> Target:
    return target(next(iter(lists.read(source, keys.url_key))))


@pytest.mark.timeout(30)
def test_the_first_target_of_a_pipe_comes_while_its_writer_holds_it_open(pipe: Pipe) -> None:
    (source,) = open_sources([pipe.path], never)
    pipe.write(b"http://a/1\n")
    assert first_of(source).listed == "http://a/1"


@pytest.mark.timeout(30)
def test_the_first_target_of_a_gzip_pipe_comes_while_its_writer_holds_it_open(
    pipe: Pipe,
) -> None:
    (source,) = open_sources([pipe.path], never)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as zipped:
        zipped.write(b"http://a/1\n")
        zipped.flush()
        pipe.write(buffer.getvalue())
        assert first_of(source).listed == "http://a/1"


@pytest.mark.timeout(30)
def test_a_gzip_pipe_that_begins_with_one_byte_is_still_gzip(pipe: Pipe) -> None:
    (source,) = open_sources([pipe.path], never)
    found: list[Target] = []
    pipe.write(b"\x1f")
    reader = threading.Thread(target=lambda: found.append(first_of(source)))
    reader.start()
    pipe.write(gzip.compress(b"http://a/1\n")[1:])
    reader.join()
    assert [item.listed for item in found] == ["http://a/1"]


@pytest.mark.timeout(30)
def test_looking_at_a_pipe_that_says_nothing_yet_does_not_wait(pipe: Pipe, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    assert len(open_sources([pipe.path, str(fifo)], never)) == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["fifo", "fifo.csv"])
def test_no_line_of_a_named_pipe_is_lost_by_looking_at_it(tmp_path: Path, name: str) -> None:
    fifo = tmp_path / name
    os.mkfifo(fifo)
    (source,) = open_sources([str(fifo)], never)
    writer = threading.Thread(target=fifo.write_bytes, args=(b"url\nhttp://a/2\nhttp://a/3\n",))
    writer.start()
    numbers = [line for line, _ in seen(read(source))]
    writer.join()
    assert numbers == ([2, 3] if name.endswith("csv") else [1, 2, 3])


def test_a_named_pipe_of_a_table_without_urls_breaks_the_run_with_its_name(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    (source,) = open_sources([str(fifo)], never)
    writer = threading.Thread(target=fifo.write_bytes, args=(b"link\nhttp://a/2\n",))
    writer.start()
    with pytest.raises(ListError, match=r"fifo\.csv"):
        read(source)
    writer.join()


STDIN = """
from scraper.source import keys, lists
from scraper.source.sources import open_sources
(source,) = open_sources(["-"], None)
for item in lists.read(source, keys.url_key):
    print(item.source, item.line, item.listed, flush=True)
"""


@pytest.mark.timeout(60)
def test_stdin_is_read_line_by_line_as_it_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STDIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        for number in (1, 2):
            process.stdin.write(b"http://a/%d\n" % number)
            process.stdin.flush()
            assert process.stdout.readline() == b"- %d http://a/%d\n" % (number, number)
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 0


def test_a_stdin_that_is_closed_is_a_list_that_cannot_be_opened() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, STDIN]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ListError: can't read the list '-'" in ended.stderr
