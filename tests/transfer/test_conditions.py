"""Conditional requests: what each hop asks, and what each answer to it means (RFC 9110 13, 14)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model import urls
from scraper.model.records import PreviousRecord
from scraper.transfer.conditions import (
    CONDITIONS,
    Answer,
    Conditions,
    RangeRequest,
    Rest,
    strong_validator,
)
from scraper.transfer.exchange import Reply
from scraper.transfer.redirects import Hop

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
URL = "http://host/a"
HOME = Hop(urls.canonical(URL))
AWAY = Hop(urls.canonical("http://host/b"), 1)
BACK = Hop(urls.canonical(URL), 2)
KNOWN = PreviousRecord(True, 300, '"v1"', DATE, variant="plain x-lang")
SENT = {"accept": "*/*"}
ASKED = {"if-none-match": '"v1"', "if-modified-since": DATE}


def asking(
    first: int = 100, complete_length: int | None = 300, coding: str | None = None
) -> RangeRequest:
    """What asks for the rest of a body of which so many bytes came."""
    return RangeRequest(URL, '"v1"', first, complete_length, coding)


REQUEST = asking()
REST = {"Content-Range": "bytes 100-299/300", "ETag": '"v1"'}


def answer(status: int = 206, **headers: str | None) -> Reply:
    """A 206 as it should be, but for these headers; None: left out."""
    every = {**REST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(
        status, [(name.lower(), value) for name, value in every.items() if value is not None]
    )


def test_it_is_asked_for_from_its_first_missing_byte_and_only_of_the_same_body() -> None:
    assert REQUEST.headers() == {"range": "bytes=100-", "if-range": '"v1"'}
    by_date = asking(7)._replace(validator=DATE)
    assert by_date.headers() == {"range": "bytes=7-", "if-range": DATE}


def test_the_rest_of_a_body_says_how_long_the_whole_is() -> None:
    assert REQUEST.completed_by(answer()) == 300
    assert asking(complete_length=None).completed_by(answer()) == 300
    assert REQUEST.completed_by(answer(Content_Range="bytes 100-299/*")) == 300
    assert REQUEST.completed_by(answer(Content_Range=" Bytes  100-299/300 ")) == 300


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
    assert REQUEST.completed_by(answer(Content_Range=content_range)) is None


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 13) | st.none(),
    st.integers(0, 13) | st.none(),
)
def test_only_what_joins_and_completes_it_is_its_rest(
    start: int, end: int, total: int | None, whole: int | None
) -> None:
    request = asking(5, whole)
    lengths = {total, whole} - {None}
    content_range = f"bytes {start}-{end}/{'*' if total is None else total}"
    right = start == 5 and lengths == {end + 1}
    assert request.completed_by(answer(Content_Range=content_range)) == (end + 1 if right else None)


def test_a_length_that_nobody_says_can_not_be_known_to_be_reached() -> None:
    assert (
        asking(complete_length=None).completed_by(answer(Content_Range="bytes 100-299/*")) is None
    )


@pytest.mark.parametrize("status", [200, 203, 204, 226, 304, 416])
def test_only_a_206_is_the_rest(status: int) -> None:
    assert REQUEST.completed_by(answer(status)) is None


@pytest.mark.parametrize("etag", ['"v2"', 'W/"v1"', "v1", "", None, '"v1", "v1"'])
def test_a_part_with_another_etag_or_none_is_of_another_body(etag: str | None) -> None:
    assert REQUEST.completed_by(answer(ETag=etag)) is None


@pytest.mark.parametrize(("date", "is_rest"), [(DATE, True), (None, True), (LATER, False)])
def test_a_part_with_another_date_is_of_another_body_but_it_may_say_none(
    date: str | None, is_rest: bool
) -> None:
    by_date = REQUEST._replace(validator=DATE)
    reply = answer(ETag=None, Last_Modified=date)
    assert (by_date.completed_by(reply) is not None) == is_rest


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
    request = asking(coding=coding)
    assert (request.completed_by(answer(Content_Encoding=said)) is not None) == is_rest


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


# ---------------------------------------------------------------- what is asked


def test_nothing_is_asked_where_nothing_is_known() -> None:
    assert Conditions().headers(HOME, SENT) == {}


def test_a_change_is_asked_about_at_the_url_that_answered_before() -> None:
    conditions = Conditions(previous=KNOWN)
    assert [conditions.headers(hop, SENT) for hop in (HOME, AWAY, BACK)] == [ASKED, {}, {}]
    elsewhere = KNOWN._replace(effective=urls.fingerprint(AWAY.url.href))
    conditions = Conditions(previous=elsewhere)
    assert [conditions.headers(hop, SENT) for hop in (HOME, AWAY, BACK)] == [{}, ASKED, {}]


def test_the_rest_is_asked_for_wherever_its_url_is_met_and_nothing_else_beside_it() -> None:
    conditions = Conditions(previous=KNOWN, range=REQUEST)
    rest = REQUEST.headers()
    assert [conditions.headers(hop, SENT) for hop in (HOME, AWAY, BACK)] == [rest, {}, rest]


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_the_users_own_condition_is_the_only_one(name: str) -> None:
    conditions = Conditions(frozenset({name}), KNOWN, REQUEST)
    assert conditions.headers(HOME, SENT) == {}


@pytest.mark.parametrize(
    ("variant", "sent", "raw"),
    [
        (None, SENT, False),
        ("plain x-lang", SENT | {"x-lang": "de"}, False),
        ("plain *", SENT, False),
        ("raw accept-encoding", SENT, False),
        ("decoded", SENT, True),
    ],
)
def test_a_change_is_not_asked_about_if_another_form_of_the_body_is_stored(
    variant: str | None, sent: dict[str, str], raw: bool
) -> None:
    conditions = Conditions(previous=KNOWN._replace(variant=variant), raw=raw)
    assert conditions.headers(HOME, sent) == {}


# ---------------------------------------------------------------- what is answered


def meaning(conditions: Conditions, status: int, hop: Hop = HOME) -> Answer | Rest | None:
    return conditions.answer(answer(status), conditions.headers(hop, SENT))


UNKNOWING = Conditions()


@pytest.mark.parametrize(
    ("variant", "sent"), [("decoded", '"v-br", "v"'), ("raw accept-encoding", '"v-br"')]
)
def test_a_decoded_body_has_the_tag_without_coding_too(variant: str, sent: str) -> None:
    previous = KNOWN._replace(etag='"v-br"', variant=variant)
    asked = Conditions(previous=previous, raw=variant.startswith("raw")).headers(HOME, SENT)
    assert asked["if-none-match"] == sent


REFRESHING = Conditions(previous=KNOWN)
CONTINUING = Conditions(previous=KNOWN, range=REQUEST)


@pytest.mark.parametrize(
    ("conditions", "status", "hop", "expected"),
    [
        (REFRESHING, 304, HOME, Answer.UNCHANGED),
        (REFRESHING, 304, AWAY, Answer.UNASKED),
        (CONTINUING, 304, HOME, Answer.UNASKED),
        (UNKNOWING, 304, HOME, Answer.UNASKED),
        (Conditions(previous=PreviousRecord(True, 300)), 304, HOME, Answer.UNASKED),
        (CONTINUING, 206, HOME, Rest(300)),
        (CONTINUING, 206, AWAY, Answer.UNASKED),
        (REFRESHING, 206, HOME, Answer.UNASKED),
        (REFRESHING, 226, HOME, Answer.UNASKED),
        (CONTINUING, 226, HOME, Answer.UNASKED),
        (CONTINUING, 416, HOME, Answer.NOT_THE_REST),
        (CONTINUING, 416, AWAY, None),
        (UNKNOWING, 416, HOME, None),
    ],
)
def test_an_answer_means_something_only_if_it_was_asked_for(
    conditions: Conditions, status: int, hop: Hop, expected: Answer | Rest | None
) -> None:
    assert meaning(conditions, status, hop) == expected


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_an_answer_to_the_users_own_condition_is_the_users(name: str) -> None:
    conditions = Conditions(frozenset({name}), KNOWN, REQUEST)
    asks = name in {"if-none-match", "if-modified-since"}
    expected = Answer.UNCHANGED_FOR_USER if asks else Answer.UNASKED
    assert meaning(conditions, 304) is expected
    assert meaning(conditions, 206) is (None if name == "range" else Answer.UNASKED)
    assert meaning(conditions, 226) is (None if name == "a-im" else Answer.UNASKED)
    assert meaning(conditions, 416) is None


def test_a_206_that_is_another_part_is_not_the_rest() -> None:
    reply = answer(206, Content_Range="bytes 0-299/300")
    assert CONTINUING.answer(reply, REQUEST.headers()) is Answer.NOT_THE_REST


def test_every_other_status_says_everything_by_itself() -> None:
    every = (UNKNOWING, REFRESHING, CONTINUING, Conditions(frozenset({"range"})))
    for conditions, status in itertools.product(
        every, set(range(100, 1000)) - {206, 226, 304, 416}
    ):
        assert meaning(conditions, status) is None, status
