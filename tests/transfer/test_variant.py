"""Variants: which form of a body was stored, and which requests ask for the same."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.decode import ACCEPT_ENCODING
from scraper.transfer.variant import is_same, variant_of

DEFAULT = {"user-agent": "scraper/1", "accept": "*/*", "accept-encoding": ACCEPT_ENCODING}
RAW = {"user-agent": "scraper/1", "accept": "*/*"}
GZIP = RAW | {"accept-encoding": "gzip"}
GERMAN = DEFAULT | {"x-lang": "de"}
FRENCH = DEFAULT | {"x-lang": "fr"}
COOKIE = DEFAULT | {"cookie": "session=1234"}


@pytest.mark.parametrize(
    ("coding", "vary", "sent", "word"),
    [
        (None, None, DEFAULT, "plain"),
        (None, "", DEFAULT, "plain"),
        ("identity", None, DEFAULT, "plain"),
        ("gzip", None, DEFAULT, "decoded"),
        (None, "Accept-Encoding", DEFAULT, "decoded"),
        ("br", "accept-encoding", DEFAULT, "decoded"),
        (None, None, RAW, "plain"),
        (None, "Accept-Encoding", RAW, "raw accept-encoding"),
        ("gzip", None, RAW, "raw accept-encoding"),
        (None, None, GZIP, "raw accept-encoding=f209e29b"),
    ],
)
def test_the_word_says_what_became_of_the_coding(
    coding: str | None, vary: str | None, sent: Mapping[str, str], word: str
) -> None:
    assert variant_of(coding, vary, sent, raw=sent is not DEFAULT) == word


def test_each_header_that_decides_is_named_in_one_order() -> None:
    first = variant_of(None, "X-Lang, Origin,,Cookie", GERMAN | COOKIE, raw=False)
    assert first == variant_of(None, " cookie ,ORIGIN, x-lang, origin", GERMAN | COOKIE, raw=False)
    assert first.split() == ["plain", "cookie=*", "origin", first.split()[-1]]
    assert first.split()[-1].startswith("x-lang=")
    assert len(first.split()[-1]) == len("x-lang=") + 8


@pytest.mark.parametrize("vary", ["*", "accept, *", "a b", "x-läng", "a\nb", "x," * 200])
def test_what_can_not_be_compared_is_anything(vary: str) -> None:
    assert variant_of(None, vary, DEFAULT, raw=False) == "plain *"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Basic bWU6aHVudGVyMg=="),
        ("cookie", "pin=1234"),
        ("x-api-key", "hunter2"),
        ("x-pin", "1234"),
    ],
)
def test_a_secret_leaves_no_digest(name: str, value: str) -> None:
    other = variant_of(None, name, DEFAULT | {name: "another"}, raw=False)
    assert variant_of(None, name, DEFAULT | {name: value}, raw=False) == other == f"plain {name}=*"


REQUESTS = {
    "default": (DEFAULT, False),
    "raw": (RAW, True),
    "raw gzip": (GZIP, True),
    "raw br": (RAW | {"accept-encoding": "br"}, True),
    "default gzip": (GZIP, False),
    "accept": (DEFAULT | {"accept": "text/html"}, False),
    "german": (GERMAN, False),
    "french": (FRENCH, False),
}


def compared(coding: str | None, vary: str | None) -> dict[tuple[str, str], bool | None]:
    """Of each request before and each request now, whether it is the same for sure."""
    found = {}
    for (before, (sent, raw)), (now, (asked, is_raw)) in itertools.product(
        REQUESTS.items(), REQUESTS.items()
    ):
        variant = variant_of(coding, vary, sent, raw=raw)
        found[before, now] = is_same(variant, asked, raw=is_raw)
    return found


@pytest.mark.parametrize("coding", [None, "gzip"])
@pytest.mark.parametrize("vary", [None, "Accept-Encoding", "X-Lang", "Accept, X-Lang"])
def test_the_same_request_again_asks_for_the_same(coding: str | None, vary: str | None) -> None:
    found = compared(coding, vary)
    assert all(found[name, name] is True for name in REQUESTS)


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_header_decides_only_if_the_response_varies_by_it(coding: str | None) -> None:
    found = compared(coding, "X-Lang")
    assert found["german", "french"] is found["default", "german"] is False
    assert found["german", "default"] is False
    assert found["default", "accept"] is True
    found = compared(coding, "Accept")
    assert found["german", "french"] is found["default", "german"] is True
    assert found["default", "accept"] is found["accept", "german"] is False


def test_a_body_without_coding_is_the_same_with_raw_and_without() -> None:
    found = compared(None, None)
    assert found["default", "raw"] is found["raw", "default"] is True
    assert found["default", "raw gzip"] is None  # does a server say all that it varies by?
    assert found["raw gzip", "default"] is found["raw gzip", "raw"] is False


@pytest.mark.parametrize(
    ("coding", "vary"), [("gzip", None), (None, "Accept-Encoding"), ("gzip", "Accept-Encoding")]
)
def test_a_body_that_keeps_its_coding_is_another_than_the_decoded_one(
    coding: str | None, vary: str | None
) -> None:
    found = compared(coding, vary)
    decoded = ["default", "default gzip", "accept", "german", "french"]
    for one, other in itertools.product(decoded, decoded):
        assert found[one, other] is True, "decoded, all codings are the same bytes"
    raw = ["raw", "raw gzip", "raw br"]
    for one, other in [*itertools.product(decoded, raw), *itertools.product(raw, decoded)]:
        assert found[one, other] is False
    for one, other in itertools.product(raw, raw):
        assert found[one, other] is (one == other)


def test_what_varies_by_anything_or_by_a_secret_is_never_surely_the_same() -> None:
    anything = variant_of("gzip", "*", DEFAULT, raw=False)
    assert is_same(anything, DEFAULT, raw=False) is None
    assert is_same(anything, RAW, raw=True) is False
    secret = variant_of(None, "Cookie", COOKIE, raw=False)
    assert is_same(secret, COOKIE, raw=False) is None
    assert is_same(secret, COOKIE | {"cookie": "another"}, raw=False) is None
    assert is_same(secret, DEFAULT, raw=False) is False
    none = variant_of(None, "Cookie", DEFAULT, raw=False)
    assert is_same(none, DEFAULT, raw=False) is True
    assert is_same(none, COOKIE, raw=False) is False


@pytest.mark.parametrize("variant", [None, "", "   ", "unheard-of", "unheard-of accept", "*"])
def test_an_older_record_is_never_surely_the_same(variant: str | None) -> None:
    assert is_same(variant, DEFAULT, raw=False) is None
    assert is_same(variant, GERMAN, raw=False) is None
    assert is_same(variant, COOKIE, raw=False) is None
    assert is_same(variant, RAW, raw=True) is False
    for name in ("accept", "accept-encoding", "accept-language", "accept-charset"):
        assert is_same(variant, DEFAULT | {name: "x"}, raw=False) is False


NAMES = ["accept", "accept-encoding", "x-lang", "cookie", "origin", "*"]
HEADERS = st.dictionaries(st.sampled_from(NAMES[:-1]), st.sampled_from(["a", "b"]))


REQUEST = st.tuples(HEADERS, st.booleans())


@given(st.sampled_from([None, "gzip"]), st.lists(st.sampled_from(NAMES)), REQUEST, REQUEST)
def test_it_is_surely_the_same_only_if_all_that_decides_is(
    coding: str | None,
    vary: list[str],
    earlier: tuple[dict[str, str], bool],
    asked: tuple[dict[str, str], bool],
) -> None:
    (before, was_raw), (now, is_raw) = earlier, asked
    found = is_same(variant_of(coding, ", ".join(vary), before, raw=was_raw), now, raw=is_raw)
    deciding = set(vary) - ({"accept-encoding"} if not (was_raw or is_raw) else set())
    if found is True:
        assert "*" not in vary
        assert all(before.get(name) == now.get(name) for name in deciding - {"accept-encoding"})
        if was_raw and is_raw and (coding or "accept-encoding" in vary):
            assert before.get("accept-encoding") == now.get("accept-encoding")
        if coding:
            assert was_raw == is_raw
    if before == now and was_raw == is_raw:
        assert found is not False
