"""Header fields that come more than once: what they come to."""

import pytest

from scraper.transfer.exchange import Reply
from scraper.transfer.repeated import combined

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("etag", '"x"'),
        ("last-modified", DATE),
        ("date", DATE),
        ("content-type", "text/html; charset=utf-8"),
        ("content-range", "bytes 0-1/2"),
        ("location", "/a,b"),
        ("x-ratelimit-remaining", "3"),
        ("ratelimit-reset", DATE),
    ],
)
def test_two_alike_are_one(name: str, value: str) -> None:
    assert combined(name, [value, f"{value} "]) == value
    assert Reply(200, [(name, value), ("a", "1"), (name, value)]).get(name) == value


@pytest.mark.parametrize(
    ("name", "values", "comes_to"),
    [
        ("etag", ['"x"', '"y"'], None),
        ("etag", ['"x"', 'W/"x"'], None),
        ("last-modified", [DATE, LATER], None),
        ("date", [DATE, LATER], None),
        ("content-range", ["bytes 0-1/2", "bytes 0-1/3"], None),
        ("content-type", ["text/plain", "text/html"], "text/html"),
        ("x-ratelimit-remaining", ["3", "4"], "3, 4"),
        ("vary", ["Cookie", "Cookie"], "Cookie, Cookie"),
        ("content-encoding", ["gzip", "gzip"], "gzip, gzip"),
        ("content-length", ["5", "5"], "5, 5"),
    ],
)
def test_what_those_that_differ_come_to(name: str, values: list[str], comes_to: str | None) -> None:
    assert combined(name, values) == comes_to
    reply = Reply(200, [(name, value) for value in values])
    assert reply.get(name) == comes_to
    assert reply.all(name) == values
