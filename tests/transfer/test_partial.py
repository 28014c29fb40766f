"""Partial bodies: when one may be continued, and which answer is its rest (RFC 9110 13, 14)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.records import Response
from scraper.model.settings import Http, Limits
from scraper.sinks.base import Sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.body import Incoming
from scraper.transfer.exchange import Reply
from scraper.transfer.partial import Partial, strong_validator
from scraper.transfer.plan import Plan
from tests.transfer.test_transfer import BrokenSink

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
PLAN = Plan(Limits(), Http(raw=True), "x", {})


def broken_off(
    received: int = 100,
    whole: int | None = 300,
    *,
    coding: str | None = None,
    sink: Sink | None = None,
) -> Partial:
    """A body of which so many bytes came."""
    said = {"content-length": whole and str(whole), "content-encoding": coding}
    reply = Reply(200, [(name, value) for name, value in said.items() if value])
    sink = sink or BrokenSink(RuntimeError("a bug"), "abort")
    body = Incoming(PLAN, sink, "a", reply=reply, response=Response(200, "http://host/a"))
    body.take(bytes(received), lambda: None)
    return Partial("http://host/a", '"v1"', body)


PARTIAL = broken_off()
REST = {"Content-Range": "bytes 100-299/300", "ETag": '"v1"'}


def answer(status: int = 206, **headers: str | None) -> Reply:
    """A 206 as it should be, but for these headers; None: left out."""
    every = {**REST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(
        status, [(name.lower(), value) for name, value in every.items() if value is not None]
    )


def test_it_is_asked_for_from_its_first_missing_byte_and_only_of_the_same_body() -> None:
    assert PARTIAL.headers() == {"range": "bytes=100-", "if-range": '"v1"'}
    by_date = broken_off(7)._replace(validator=DATE)
    assert by_date.headers() == {"range": "bytes=7-", "if-range": DATE}


def test_the_rest_of_a_body_says_how_long_the_whole_is() -> None:
    assert PARTIAL.total(answer()) == 300
    assert broken_off(whole=None).total(answer()) == 300
    assert PARTIAL.total(answer(Content_Range="bytes 100-299/*")) == 300
    assert PARTIAL.total(answer(Content_Range=" Bytes  100-299/300 ")) == 300


@pytest.mark.parametrize(
    "content_range",
    [
        None,
        "",
        "bytes",
        "bytes */300",
        "bytes 0-299/300",
        "bytes 99-299/300",
        "bytes 101-299/300",
        "bytes 100-298/300",
        "bytes 100-300/300",
        "bytes 100-299/400",
        "bytes 100-399/400",
        "bytes 100-199/200",
        "bytes 100-99/300",
        "bytes 100-298/*",
        "bytes=100-299/300",
        "bytes 100-299/300, bytes 0-1/300",
        "bytes 0-99/300, 100-299/300",
        "octets 100-299/300",
        "100-299/300",
        "bytes -100-299/300",
        "bytes 100-299/\u0663\u0660\u0660",
        f"bytes 100-{10**30}/{10**30 + 1}",
    ],
)
def test_another_part_or_a_part_of_another_body_is_not_its_rest(content_range: str | None) -> None:
    assert PARTIAL.total(answer(Content_Range=content_range)) is None


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 13) | st.none(),
    st.integers(0, 13) | st.none(),
)
def test_only_what_joins_and_completes_it_is_its_rest(
    start: int, end: int, total: int | None, whole: int | None
) -> None:
    partial = broken_off(5, whole)
    lengths = {total, whole} - {None}
    content_range = f"bytes {start}-{end}/{'*' if total is None else total}"
    right = start == 5 and lengths == {end + 1}
    assert partial.total(answer(Content_Range=content_range)) == (end + 1 if right else None)


def test_a_length_that_nobody_says_can_not_be_known_to_be_reached() -> None:
    assert broken_off(whole=None).total(answer(Content_Range="bytes 100-299/*")) is None


@pytest.mark.parametrize("status", [200, 203, 204, 226, 304, 416])
def test_only_a_206_is_the_rest(status: int) -> None:
    assert PARTIAL.total(answer(status)) is None


@pytest.mark.parametrize("etag", ['"v2"', 'W/"v1"', "v1", "", None, '"v1", "v1"'])
def test_a_part_with_another_etag_or_none_is_of_another_body(etag: str | None) -> None:
    assert PARTIAL.total(answer(ETag=etag)) is None


@pytest.mark.parametrize(("date", "is_rest"), [(DATE, True), (None, True), (LATER, False)])
def test_a_part_with_another_date_is_of_another_body_but_it_may_say_none(
    date: str | None, is_rest: bool
) -> None:
    by_date = PARTIAL._replace(validator=DATE)
    reply = answer(ETag=None, Last_Modified=date)
    assert (by_date.total(reply) is not None) == is_rest


@pytest.mark.parametrize(
    ("coding", "said", "is_rest"),
    [
        (None, None, True),
        (None, "gzip", False),
        ("gzip", "gzip", True),
        ("gzip", None, True),  # RFC 9110 15.3.7: a 206 after If-Range may leave it out
        ("gzip", "br", False),
        ("gzip", "identity", False),
    ],
)
def test_a_part_of_another_coding_is_of_another_body(
    coding: str | None, said: str | None, is_rest: bool
) -> None:
    partial = broken_off(coding=coding)
    assert (partial.total(answer(Content_Encoding=said)) is not None) == is_rest


@pytest.mark.parametrize(
    ("etag", "modified", "date", "expected"),
    [
        ('"v1"', None, None, '"v1"'),
        ('"v1"', DATE, DATE, '"v1"'),
        ('""', None, None, '""'),
        ('W/"v1"', None, None, None),
        ('W/"v1"', DATE, LATER, None),  # RFC 9110 13.1.5: a date only where there is no ETag
        ("v1", DATE, LATER, None),
        ('"v1", "v2"', None, None, None),
        ("", DATE, LATER, None),
        (None, DATE, LATER, DATE),
        (None, DATE, "Mon, 07 Nov 1994 08:49:37 GMT", DATE),
        (None, DATE, DATE, None),  # changed again within that second?
        (None, LATER, DATE, None),
        (None, DATE, None, None),
        (None, None, LATER, None),
        (None, "yesterday", LATER, None),
        (None, DATE, "now", None),
        (None, "Sun Nov  6 08:49:37 1994", LATER, "Sun Nov  6 08:49:37 1994"),
        (None, DATE, "Sun, 06 Nov 99999 08:49:38 GMT", None),
        (None, None, None, None),
    ],
)
def test_only_a_strong_validator_may_continue_a_body(
    etag: str | None, modified: str | None, date: str | None, expected: str | None
) -> None:
    assert strong_validator(etag, modified, date) == expected


def test_a_body_that_is_let_go_leaves_nothing(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    sink.check()
    partial = broken_off(sink=sink)
    partial.discard()
    partial.discard()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"lock"}
    sink.close()


def test_an_upload_that_can_not_be_aborted_harms_nobody() -> None:
    PARTIAL.discard()
