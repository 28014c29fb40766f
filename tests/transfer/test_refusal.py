"""What a status says of its target, and of the whole host."""

import pytest

from scraper.model.records import Failure
from scraper.schedule import announced, is_transient
from scraper.transfer.exchange import Reply
from scraper.transfer.refusal import refusal

DATE = ("date", "Sun, 06 Nov 1994 08:49:37 GMT")


def refused(status: int, *headers: tuple[str, str]) -> Failure:
    reply = Reply(status, headers)
    return refusal(reply, f"HTTP {status}", announced(reply.get))


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_pushes_back(status: int) -> None:
    assert refused(status).pushback
    assert refused(status).retry_after_s is None


@pytest.mark.parametrize("status", [400, 403, 404, 410, 500, 502, 504])
def test_other_statuses_speak_for_their_target_alone(status: int) -> None:
    failure = refused(status, ("retry-after", "600"))
    assert not failure.pushback
    assert failure.retry_after_s == 600.0


def test_a_403_with_nothing_left_is_a_push_back_that_may_pass() -> None:
    failure = refused(403, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30"))
    assert failure.pushback
    assert failure.retry_after_s == 30.0
    assert is_transient(failure)
    plain = refused(403, ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "30"))
    assert not plain.pushback
    assert not is_transient(plain)


def test_a_time_that_is_named_goes_before_one_that_is_announced() -> None:
    limits = ("ratelimit-remaining", "0"), ("ratelimit-reset", "30")
    assert refused(429, *limits).retry_after_s == 30.0
    assert refused(429, *limits, ("retry-after", "7")).retry_after_s == 7.0


@pytest.mark.parametrize("lines", [("2", "3"), ("3", "2"), ("3", "3"), ("3", "soon")])
def test_of_two_lines_the_longer_counts(lines: tuple[str, str]) -> None:
    assert refused(429, *(("retry-after", line) for line in lines)).retry_after_s == 3.0


def test_a_date_is_measured_from_the_responses_own() -> None:
    after = ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")
    assert refused(503, after, DATE).retry_after_s == 30.0
    assert refused(503, after).retry_after_s == 0.0, "long ago, by our own clock"
