"""Header fields that a user gives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import UsageError
from scraper.model.headers import is_field_name, is_field_value, parse_header
from scraper.model.settings import Settings


def message(**options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        Settings.of(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("Accept: text/html", ("Accept", "text/html")),
        ("Accept:text/html", ("Accept", "text/html")),
        ("Accept:  text/html \t", ("Accept", "text/html")),
        ("X-Time: 12:30", ("X-Time", "12:30")),
        ("X-Empty:", ("X-Empty", "")),
        ("X-Latin: \xfc\t\xff", ("X-Latin", "\xfc\t\xff")),
        ("!#$%&'*+-.^_`|~1a: x", ("!#$%&'*+-.^_`|~1a", "x")),
    ],
)
def test_a_header_is_a_name_a_colon_and_a_value(text: str, pair: tuple[str, str]) -> None:
    assert parse_header(text) == pair
    assert Settings.of(headers=[text]).http.headers == (pair,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Accept",
        ": x",
        "A B: x",
        "Accept : x",
        " Accept: x",
        "Ä: x",
        "A(: x",
        "A: x\r\nB: y",
        "A: x\ny",
        "A: \0",
        "A: \x7f",
        "A: \x80",
        "A: \u20ac",
    ],
)
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--header"):
        parse_header(text)
    assert "--header" in message(headers=[text])


def test_a_refused_header_does_not_show_its_value() -> None:
    for text in ("Authorization Bearer hunter2", "Authorization: hunter2\n", "A B: hunter2"):
        with pytest.raises(UsageError) as caught:
            parse_header(text)
        assert "hunter2" not in str(caught.value)


def test_headers_may_come_as_a_mapping_as_pairs_or_as_texts() -> None:
    expected = (("A", "1"), ("B", "2"))
    for headers in ({"A": "1", "B": "2"}, [("A", "1"), ("B", "2")], ["A: 1", "B: 2"]):
        assert Settings.of(headers=headers).http.headers == expected


@pytest.mark.parametrize("pair", [("A B", "x"), ("A", "x\r\nB: y"), ("", "x"), ("A:", "x")])
def test_a_header_given_as_a_pair_is_checked_too(pair: tuple[str, str]) -> None:
    assert "--header" in message(headers=[pair])


@given(st.text(max_size=20))
def test_a_field_value_never_ends_a_line(text: str) -> None:
    if is_field_value(text):
        text.encode("latin-1")
        assert not set(text) & {"\r", "\n", "\0"}
    if is_field_name(text):
        assert text.isascii()
        assert not set(text) & set(" \t\r\n:")
