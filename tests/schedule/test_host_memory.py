"""What a run that was killed knew of its hosts, for the run after it."""

from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failure, Target
from scraper.model.settings import Politeness
from scraper.schedule import Frontier
from scraper.schedule.announced import Announced
from scraper.schedule.circuit_breaker import PROBE_EVERY_S
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.pauses_file import PausesFile

BUSY = Failure(Kind.HTTP_STATUS, "HTTP 429", http_code=429, pushback=True)
REFUSED = Failure(Kind.CONNECT, "connection refused", transient=True, unreachable=True)
HOST = "h.example"


def made(patience_s: float = 300.0) -> Frontier:
    return Frontier(Politeness(max_concurrency=8), 120.0, patience_s)


def attempt(number: int) -> Attempt:
    url = f"http://{HOST}/{number}"
    return Attempt(Target(url, url, HOST, str(number), number, "urls"), 0.0)


def asked(frontier: Frontier, failure: Failure | None, times: int, now: float = 0.0) -> float:
    """The end of so many attempts, one after another, each as soon as it may start."""
    for number in range(times):
        frontier.add(attempt(number), now)
        if [*frontier.take_ended_early()]:
            break
        while not frontier.may_start(now):
            due = frontier.wake_at(now)
            assert due is not None
            now = max(due, now + 0.001)
        one = frontier.start(now)
        frontier.ended(one, failure, now, 0.01, now + 0.01)
        now += 0.01
    return now


def handed_on(before: Frontier, now: float) -> Frontier:
    after = made()
    for host, memory in before.memories(now).items():
        after.recall(host, memory, now)
    return after


def starts(frontier: Frontier, now: float) -> float:
    """How long a target waits that is added now."""
    frontier.add(attempt(99), now)
    due = frontier.wake_at(now)
    assert due is not None
    return due - now


def test_a_host_of_which_nothing_matters_is_not_kept() -> None:
    before = made()
    now = asked(before, None, 3)
    assert before.memories(now) == {}


def test_the_gap_after_push_backs_goes_on() -> None:
    before = made()
    now = asked(before, None, 3)
    now = asked(before, BUSY, 8, now)
    gap_s = before.memories(now)[HOST].gap_s
    assert gap_s > 0.1
    assert starts(handed_on(before, now), now) >= gap_s
    after = handed_on(before, now)
    end = asked(after, None, 5, now)
    assert end - now > 4 * 0.5 * gap_s
    end = asked(after, None, 500, end)
    assert after.memories(end).get(HOST) is None or after.memories(end)[HOST].gap_s < gap_s / 4


def test_a_limit_that_is_used_up_is_waited_for() -> None:
    before = made()
    for number in range(2):
        before.add(attempt(number), 0.0)
    first, second = before.start(0.0), before.start(0.0)
    before.ended(first, None, 0.0, 0.1, 0.1, Announced(3, 50.0))
    assert before.memories(0.2) == {}, "the next answer tells what is left"
    before.ended(second, None, 0.0, 0.1, 0.2, Announced(0, 50.0))
    assert starts(handed_on(before, 10.0), 10.0) == pytest.approx(40.2)
    assert before.memories(50.3) == {}


def test_a_longer_delay_goes_on_and_begins_anew() -> None:
    before = made()
    before.slow_down(HOST, 5.0, 0.0, 0.0)
    assert starts(handed_on(before, 100.0), 100.0) == 5.0


def test_a_host_that_is_down_is_probed_by_one() -> None:
    before = made()
    now = asked(before, REFUSED, 6)
    after = handed_on(before, now)
    wait_s = starts(after, now)
    assert wait_s > 1.0
    after.add(attempt(1), now)
    now += wait_s
    assert after.may_start(now)
    after.start(now)
    assert not after.may_start(now)


def test_a_host_that_was_given_up_is_left_alone() -> None:
    before = made(patience_s=1.0)
    now = asked(before, REFUSED, 12)
    assert before.memories(now)[HOST].down is not None
    after = handed_on(before, now)
    after.add(attempt(1), now)
    ((_, outcome),) = after.take_ended_early()
    assert "is down" in str(outcome)
    assert after.wake_at(now) is None
    assert PROBE_EVERY_S > 1


def test_the_file_keeps_all_of_it(tmp_path: Path) -> None:
    before = made()
    before.slow_down("slow.example", 5.0, 0.0, 0.0)
    now = asked(before, REFUSED, 6)
    memories = before.memories(now)
    sink = DirectorySink(tmp_path)
    sink.check()
    file = PausesFile(sink, str(tmp_path), "")
    assert file.read() == {}
    file.write(memories)
    found = file.read()
    assert found.keys() == memories.keys() == {HOST, "slow.example"}
    assert found["slow.example"] == memories["slow.example"]
    down, kept = memories[HOST].down, found[HOST].down
    assert down is not None
    assert kept is not None
    assert kept[2:] == down[2:]
    assert abs(kept.until - down.until) < 60
    (tmp_path / "pauses.json").write_text('{"at": 1, "hosts": {"a": {"until": "x"}}}')
    assert file.read() == {}
    sink.close()
