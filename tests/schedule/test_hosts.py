"""What is told of a host when an attempt at it ends: waits, and its circuit breaker."""

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure, Target
from scraper.model.settings import Politeness
from scraper.schedule import Frontier, HostChange
from scraper.schedule.circuit_breaker import FAILURES_UNTIL_OPEN, PROBE_EVERY_S

REFUSED = Failure(Kind.CONNECT, "connection refused", unreachable=True)


def asked(retry_after_s: float) -> Failure:
    failure = Failure(Kind.HTTP_STATUS, "HTTP 429", http_code=429, pushback=True)
    return failure._replace(retry_after_s=retry_after_s)


def end(frontier: Frontier, failure: Failure | None, now: float, at_once: int = 1) -> list[object]:
    """What is told when `at_once` transfers in flight end in the same way, one after another."""
    url = "http://a/"
    for line in range(1, at_once + 1):
        target = Target(url, url, "a", f"{line}", line, "list")
        frontier.add(Attempt(target, queued_at=now), now)
    attempts = []
    while frontier.may_start(now):
        attempts.append(frontier.start(now))
    assert len(attempts) == at_once
    return [frontier.ended(one, failure, now - 0.1, 0.1, now) for one in attempts]


def make(patience_s: float = 0.0) -> Frontier:
    return Frontier(Politeness(max_concurrency=100), 120.0, patience_s)


def test_a_burst_of_answers_that_ask_for_patience_is_told_once() -> None:
    told = end(make(), asked(31.0), now=5.0, at_once=20)
    wait = HostChange("wait", {"host": "a", "delay_s": 31.0, "reason": "HTTP 429"})
    assert told == [wait] + [None] * 19


def test_a_longer_wait_than_the_run_allows_is_told_as_that() -> None:
    record = {"host": "a", "delay_s": 500.0, "reason": "HTTP 429"}
    assert end(make(), asked(500.0), now=5.0, at_once=3)[0] == HostChange("deferred", record)


def test_a_host_that_goes_down_and_comes_back_is_told_once_each() -> None:
    frontier = make(patience_s=300.0)
    told = end(frontier, REFUSED, now=5.0, at_once=12)
    assert told[1:] == [None] * 11
    assert isinstance(told[0], HostChange)
    assert told[0].event == "host_down"
    assert told[0].record.keys() == {"host", "delay_s", "reason"}
    assert 0.1 <= told[0].record["delay_s"] <= 0.2
    assert end(frontier, REFUSED, now=6.0) == [None]
    assert end(frontier, None, now=20.0) == [HostChange("host_up", {"host": "a"})]
    assert end(frontier, None, now=21.0) == [None]


def test_a_host_that_is_given_up_is_told_once() -> None:
    frontier = make(patience_s=300.0)
    end(frontier, REFUSED, now=5.0)
    gone = HostChange("host_given_up", {"host": "a", "reason": "connection refused"})
    assert end(frontier, REFUSED, now=305.0) == [gone]
    assert end(frontier, REFUSED, now=305.0 + PROBE_EVERY_S) == [None]
    up = HostChange("host_up", {"host": "a"})
    assert end(frontier, None, now=305.0 + 2 * PROBE_EVERY_S) == [up]


def test_without_patience_a_host_goes_down_once_it_is_given_up() -> None:
    frontier = make()
    told = end(frontier, REFUSED, now=5.0, at_once=FAILURES_UNTIL_OPEN)
    down = HostChange("host_down", {"host": "a", "reason": "connection refused"})
    assert told == [None] * (FAILURES_UNTIL_OPEN - 1) + [down]
    assert end(frontier, REFUSED, now=5.0 + PROBE_EVERY_S) == [None]


def test_what_goes_well_or_fails_for_itself_is_not_told() -> None:
    assert end(make(), None, now=5.0) == [None]
    assert end(make(), Failure(Kind.TRUNCATED, "body ended early"), now=5.0) == [None]
    assert end(make(), asked(0.0), now=5.0) == [None]
