"""What is retried, when, and what not: the contract's table, line by line."""

import math
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure, Target
from scraper.model.settings import Retries
from scraper.schedule.retry import (
    Again,
    Defer,
    GiveUp,
    RetryPolicy,
    is_transient,
    parse_retry_after,
)

TARGET = Target("http://a/", "http://a/", "a", "a/index.html", 1, "list")
MOMENT = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
RETRIED_STATUSES = {202, 408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530}


def failure(
    kind: Kind = Kind.CONNECT,
    *,
    http_code: int | None = None,
    transient: bool | None = None,
    retry_after_s: float | None = None,
) -> Failure:
    return Failure(
        kind, "why", transient=transient, http_code=http_code, retry_after_s=retry_after_s
    )


def http(code: int, retry_after_s: float | None = None) -> Failure:
    return failure(Kind.HTTP_STATUS, http_code=code, retry_after_s=retry_after_s)


def attempt(number: int = 1, started: float | None = 0.0) -> Attempt:
    return Attempt(TARGET, queued_at=0.0, number=number, first_started=started)


def delays(policy: RetryPolicy, number: int, times: int = 400) -> list[float]:
    verdicts = [policy.decide(failure(), attempt(number), now=0.0) for _ in range(times)]
    return [verdict.delay_s for verdict in verdicts if isinstance(verdict, Again)]


def test_exactly_the_statuses_of_the_table_are_retried() -> None:
    assert {code for code in range(1000) if is_transient(http(code))} == RETRIED_STATUSES


@pytest.mark.parametrize(
    ("kind", "retried"),
    [
        (Kind.CONNECT, True),  # refused, reset
        (Kind.TIMEOUT, True),
        (Kind.TRUNCATED, True),
        (Kind.BAD_URL, False),
        (Kind.TLS, False),
        (Kind.PROTOCOL, False),
        (Kind.TOO_LARGE, False),
        (Kind.TOO_MANY_REDIRECTS, False),
        (Kind.BLOCKED_ADDRESS, False),
        (Kind.UNEXPECTED_TYPE, False),
        (Kind.HOST_DOWN, False),
        (Kind.INTERRUPTED, False),
    ],
)
def test_kinds_are_retried_as_the_table_has_them(kind: Kind, retried: bool) -> None:
    assert is_transient(failure(kind)) is retried


@pytest.mark.parametrize("kind", [Kind.DNS, Kind.SINK])
def test_who_saw_a_dns_or_sink_failure_says_whether_it_may_pass(kind: Kind) -> None:
    assert is_transient(failure(kind, transient=True))
    assert not is_transient(failure(kind, transient=False))
    assert not is_transient(failure(kind))


def test_what_is_not_transient_gets_no_further_attempt() -> None:
    policy = RetryPolicy(Retries())
    assert policy.decide(http(404), attempt(), now=0.0) == GiveUp()
    assert policy.decide(failure(Kind.TLS), attempt(), now=0.0) == GiveUp()


@pytest.mark.parametrize(
    ("number", "most"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (9, 60), (400, 60)]
)
def test_jitter_is_full_from_one_second_to_a_doubling_bound(number: int, most: float) -> None:
    found = delays(RetryPolicy(Retries(retries=1000)), number)
    assert len(found) == 400
    assert all(1.0 <= delay <= most for delay in found)
    spread = most - 1.0  # 400 draws: both ends of the range are met, near enough
    assert min(found) < 1.0 + spread / 10
    assert max(found) > most - spread / 10


def test_the_bounds_of_the_backoff_can_be_set() -> None:
    policy = RetryPolicy(Retries(retries=9, backoff_min=0.01, backoff_max=0.02))
    assert all(0.01 <= delay <= 0.02 for number in (1, 5) for delay in delays(policy, number))


def test_no_backoff_at_all_is_possible() -> None:
    assert set(delays(RetryPolicy(Retries(backoff_min=0, backoff_max=0)), 2)) == {0.0}


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_after_the_last_retry_it_is_given_up(retries: int) -> None:
    policy = RetryPolicy(Retries(retries=retries))
    for number in range(1, retries + 1):
        assert isinstance(policy.decide(http(500), attempt(number), now=0.0), Again)
    assert policy.decide(http(500), attempt(retries + 1), now=0.0) == GiveUp()


def test_no_attempt_begins_after_the_time_for_retries() -> None:
    policy = RetryPolicy(Retries(retries=99, retry_max_time=10))
    begun = attempt(started=1000.0)
    assert isinstance(policy.decide(failure(), begun, now=1007.9), Again)  # 7.9 and 2 at most
    assert policy.decide(failure(), begun, now=1009.1) == GiveUp()  # 9.1 and 1 at least
    assert policy.decide(failure(), begun, now=1011.0) == GiveUp()


def test_the_time_for_retries_counts_the_wait_that_the_server_asks_for() -> None:
    policy = RetryPolicy(Retries(retry_max_time=60))
    assert policy.decide(http(503, 30.0), attempt(), now=20.0) == Again(30.0)
    assert policy.decide(http(503, 30.0), attempt(), now=40.0) == GiveUp()


def test_the_time_for_retries_begins_with_the_first_attempt() -> None:
    policy = RetryPolicy(Retries(retry_max_time=10))
    assert isinstance(policy.decide(failure(), attempt(started=None), now=5000.0), Again)


def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    assert RetryPolicy(Retries()).decide(http(429, 30.0), attempt(), now=0.0) == Again(30.0)


def test_a_server_that_asks_for_no_wait_gets_the_usual_backoff() -> None:
    verdict = RetryPolicy(Retries()).decide(http(429, 0.0), attempt(), now=0.0)
    assert isinstance(verdict, Again)
    assert 1.0 <= verdict.delay_s <= 2.0


def test_a_longer_wait_than_is_granted_defers_the_target() -> None:
    policy = RetryPolicy(Retries(max_retry_after=120))
    assert policy.decide(http(503, 120.0), attempt(), now=0.0) == Again(120.0)
    assert policy.decide(http(503, 121.0), attempt(), now=0.0) == Defer(121.0)


def test_a_target_is_deferred_even_when_its_attempts_are_used_up() -> None:
    policy = RetryPolicy(Retries(retries=0, max_retry_after=5))
    assert policy.decide(http(503, 6.0), attempt(), now=0.0) == Defer(6.0)


def test_what_is_not_retried_is_not_deferred_either() -> None:
    assert RetryPolicy(Retries()).decide(http(404, 9999.0), attempt(), now=0.0) == GiveUp()


def test_one_policy_decides_for_all_targets_and_keeps_nothing() -> None:
    policy = RetryPolicy(Retries(retries=1))
    for _ in range(5):
        assert isinstance(policy.decide(failure(), attempt(1), now=0.0), Again)
        assert policy.decide(failure(), attempt(2), now=0.0) == GiveUp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("00012", 12.0), ("86400", 86400.0)],
)
def test_retry_after_in_seconds_is_read(value: str, seconds: float) -> None:
    assert parse_retry_after(value) == seconds


def test_retry_after_beyond_all_numbers_is_still_a_long_wait() -> None:
    found = parse_retry_after("9" * 5000)
    assert found is not None
    assert found > 1e9


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def _anywhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs in another time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_anywhere")
@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",  # RFC 9110 5.6.7: this, and the two old forms
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
    ],
)
def test_retry_after_as_a_date_is_read_in_every_form_of_http(date: str) -> None:
    assert parse_retry_after(date, now=MOMENT - 90) == 90.0
    assert parse_retry_after(date, now=MOMENT + 90) == 0.0


def test_retry_after_as_a_date_is_measured_by_the_clock_on_the_wall() -> None:
    found = parse_retry_after(formatdate(time.time() + 1000, usegmt=True))
    assert found is not None
    assert 900 < found <= 1000


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "-5", "+5", "1.5", "5, 5", "\N{SUPERSCRIPT TWO}", "Sun, 99 Nov 1994"],
)
def test_a_retry_after_that_says_nothing_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value) is None


PIECES = ["Sun", "Sunday", ", ", "06", "-", "Nov", "94", "1994", "9999", "0000", "1", "9" * 14, " "]
PIECES += [
    "08:49:37",
    "24:00:00",
    "08:49:60",
    ":",
    "GMT",
    "-0000",
    "+2400",
    "-9959",
    "EST",
    "(",
    "\0",
]


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_retry_after_can_break_us(value: str) -> None:
    found = parse_retry_after(value, now=MOMENT)
    assert found is None or 0 <= found < math.inf


@given(st.integers(0, 10**12 - 1), st.integers(0, 30))
def test_seconds_may_have_any_number_of_zeros_before_them(seconds: int, zeros: int) -> None:
    assert parse_retry_after("0" * zeros + str(seconds)) == seconds


@pytest.mark.parametrize("code", [403, 404, 599])
def test_statuses_that_the_user_names_are_tried_again(code: int) -> None:
    policy = RetryPolicy(Retries(retries=1, retry_on="403,404,599"))
    assert isinstance(policy.decide(http(code), attempt(), now=0.0), Again)
    assert isinstance(policy.decide(http(code), attempt()._replace(number=2), now=0.0), GiveUp)
    assert isinstance(policy.decide(http(410), attempt(), now=0.0), GiveUp)
