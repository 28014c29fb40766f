"""Lists: what a line says, every bad line, JSON Lines. See `test_lines.py` for bytes to lines."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.records import Result
from tests.lists import LIMIT, LINES, only, read_file, read_lines, reason, seen, target

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
        (b"http://a/\tk\t", "two TABs"),
        (b"http://a/\tHTTP://b/", "is a URL"),
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


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_a_list_gives_one_item_for_each_line_that_says_something(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, zipped: bool
) -> None:
    content = end.join(lines)
    if content.lstrip().startswith((b"\x1f\x8b", b"\xff", b"{")) or b"\0" in content[:99]:
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
        '{"URL": "http://a/x.html"}',
        '{"Url": "http://a/x.html", "KEY": null, "Headers": {}}',
        '{"URL": "http://b/", "url": "http://a/x.html"}',
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
        ('{"URL": "http://a/", "Url": "http://b/"}', '"url" twice'),
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
