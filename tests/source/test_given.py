"""Targets that a program gives as tuples and dicts, among lines."""

from collections import UserDict
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Failed, Result, Target
from scraper.source import keys, lists
from scraper.source.sources import from_iterable


class Row(NamedTuple):
    """A row of a database."""

    url: str
    key: str | None = None


def read(*given: object) -> list[lists.Read]:
    return list(lists.read(from_iterable(given), keys.url_key))


def target(given: object) -> Target:
    (found,) = read(given)
    assert isinstance(found, Target)
    return found


URL = "http://me:pw@a/x?y=1#z"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((URL,), URL),
        ((URL, None), URL),
        ((URL, ""), URL),
        ((URL, "the key"), f"{URL}\tthe key"),
        ((f" {URL} ", " the key "), f"{URL}\tthe key"),
        ([URL, "the key"], f"{URL}\tthe key"),
        (Row(URL, "the key"), f"{URL}\tthe key"),
        ({"url": URL}, URL),
        ({"url": URL, "key": None, "headers": None}, URL),
        ({"url": URL, "key": "the key", "other": object()}, f"{URL}\tthe key"),
        (UserDict({"url": URL, "key": "the key"}), f"{URL}\tthe key"),
        ({"url": URL, "headers": {"A": "b"}}, f'{{"url": "{URL}", "headers": {{"A": "b"}}}}'),
        (
            {"url": URL, "headers": MappingProxyType({"A": "b"})},
            f'{{"url": "{URL}", "headers": {{"A": "b"}}}}',
        ),
    ],
)
def test_an_object_is_the_target_of_its_line(given: object, line: str) -> None:
    assert target(given) == target(line)


def test_objects_and_lines_may_be_mixed_and_are_counted_together() -> None:
    found = read(("http://a/1", "k"), "# no", "http://a/2", b"http://a/3", {"url": "http://a/4"}, 5)
    numbers = [one.target.line if isinstance(one, Result) else one.line for one in found]
    assert numbers == [1, 3, 4, 5, 6]


def test_a_url_in_an_object_is_no_line() -> None:
    (found,) = read(("# http://a/",))
    assert isinstance(found, Result)
    assert target(("http://a/x\ty",)).url == "http://a/xy"  # as the URL standard says


def test_headers_are_those_of_the_moment_when_they_were_given() -> None:
    headers = {"A": "b"}
    found = target({"url": URL, "headers": headers})
    headers["A"] = "c"
    assert found.headers == {"A": "b"}


class NoMapping:
    """It has a `get`, and is no Mapping."""

    def get(self, _: str) -> str:
        raise AssertionError


BAD: list[tuple[Any, str]] = [
    (None, "NoneType is no line, no (url, key), and no dict"),
    (5, "int is no line"),
    (Path("/a"), "PosixPath is no line"),
    (object(), "object is no line"),
    (NoMapping(), "NoMapping is no line"),
    ({"http://a/"}, "set is no line"),
    ((), "tuple is no line"),
    ((URL, "k", "more"), "tuple is no line"),
    ((None,), 'tuple has no "url"'),
    ((b"http://a/", "k"), 'tuple has no "url"'),
    (("", "k"), "no URL"),
    ((URL, 42), '"key" of a tuple is not a string'),
    (("http://a/\nb", "k"), "URL has a line break"),
    (("http://a/\0", "k"), "NUL"),
    (("http://a/\ud800", "k"), "not UTF-8"),
    (("http://a/", "\ud800"), "not UTF-8"),
    (("http://a/" + "x" * 70_000,), "longer than 65,536 bytes"),
    (("ftp://a/", "k"), "ftp"),
    (("http://a/", "../k"), "key"),
    ({}, 'dict has no "url"'),
    ({"URL": URL, "Url": URL}, 'dict has "url" twice'),
    ({"url": 5}, 'dict has no "url"'),
    ({"url": URL, "key": 5}, '"key" of a dict is not a string'),
    ({"url": URL, "headers": [("A", "b")]}, '"headers" of a dict is not an object'),
    ({"url": URL, "headers": {5: "b"}}, '"headers" of a dict has a name that is not a string'),
    ({"url": URL, "headers": {"A": 5}}, "header 'A' of a dict is not allowed in HTTP"),
    ({"url": URL, "headers": {"A": "b\r\nC: d"}}, "header 'A' of a dict is not allowed in HTTP"),
    ({"url": URL, "headers": {"Content-Length": "5"}}, "announces a body"),
]


@pytest.mark.parametrize(("given", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_object_is_a_failed_result_and_the_next_one_is_read(given: Any, said: str) -> None:
    failed, following = read(given, "http://a/next")
    assert isinstance(failed, Result)
    assert isinstance(failed.outcome, Failed)
    assert failed.outcome.failure.kind is Kind.BAD_URL
    assert said in failed.outcome.failure.message
    assert failed.target.line == 1
    assert len(failed.url) <= 200
    assert isinstance(following, Target)


class Own(StrEnum):
    """Texts of a class of the program's."""

    PAGE = "http://a/"
    KEY = "page"
    NAME = "X-Key"
    VALUE = "a value"


@pytest.mark.parametrize(
    "given",
    [
        Own.PAGE,
        (Own.PAGE, Own.KEY),
        {"url": Own.PAGE, "key": Own.KEY, "headers": {Own.NAME: Own.VALUE}},
    ],
)
def test_texts_of_a_target_are_plain(given: object) -> None:
    found = target(given)
    pairs = (text for pair in found.headers.items() for text in pair)
    texts = [found.listed, found.url, found.host, found.key, found.source, *pairs]
    assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize(
    "given",
    [
        ("http://me:pass-word@a/\n", 5),
        ("http://me:pass-word@a/?token=pass-word", 5),
        {"url": "http://me:pass-word@a/", "headers": {"A": "pass-word\n"}},
        {"url": 5, "headers": {"A": "pass-word"}},
        ["pass-word", 1, 2],
    ],
)
def test_no_secret_of_a_bad_object_is_shown(given: Mapping[str, object]) -> None:
    (failed,) = read(given)
    assert isinstance(failed, Result)
    assert "pass-word" not in f"{failed!r} {failed.url} {failed.error} {failed.outcome!r}"
