"""What follows a failed attempt, by a clock that the tests own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Attempt, Deferred, Failed, Failure, NotReached, Target, Times
from scraper.model.settings import Settings
from scraper.run.failure_policy import FailurePolicy, Following
from scraper.run.stopping import Stop
from scraper.schedule.circuit_breaker import FAILURES_UNTIL_OPEN
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.completion import Completion
from scraper.transfer.partial import Partial
from tests.transfer.test_partial import PARTIAL, broken_off

BROKEN = Failure(Kind.TRUNCATED, "body ended")
GONE = Failure(Kind.HTTP_STATUS, "HTTP 404", http_code=404)
REFUSED = Failure(Kind.SINK, "503 SlowDown", transient=True)


@dataclass
class Scene:
    """A failure policy, and what it told."""

    options: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = Stop(lambda: None, self.note)
        settings = Settings.of(**{"backoff_min": 1.0, "backoff_max": 1.0, **self.options})
        self.failure_policy = FailurePolicy(settings, self.stop, self.note)

    def note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        self.told.append((name, record))

    def after(
        self, failure: Failure, *, number: int = 1, key: str = "a", partial: Partial | None = None
    ) -> Following | Failed | Deferred | NotReached:
        target = Target(f"http://h/{key}?token=x", f"http://h/{key}", "h", key, 1, "list")
        attempt = Attempt(target, queued_at=0.0, number=number, first_started=99.0)
        failed = Failed(failure)
        completion = Completion(attempt, failed, Times(), None, partial)
        return self.failure_policy.of(completion, failed, 99.0, now=100.0)


def test_what_may_pass_gets_another_attempt_later_and_that_is_told_without_secrets() -> None:
    scene = Scene()
    follows = scene.after(BROKEN)
    assert isinstance(follows, Following)
    assert follows.attempt.number == 2
    assert follows.due >= 101.0
    assert scene.told == [
        (
            "retry",
            {
                "url": "http://h/a?token=REDACTED",
                "attempt": 1,
                "delay_s": round(follows.due - 100.0, 3),
                "kind": "truncated",
                "message": "body ended",
            },
        )
    ]


def test_what_does_not_pass_ends_the_target() -> None:
    assert Scene().after(GONE) == Failed(GONE)
    assert Scene().after(BROKEN, number=4) == Failed(BROKEN), "of three retries"


def test_more_patience_than_there_is_defers_the_target() -> None:
    busy = Failure(Kind.HTTP_STATUS, "HTTP 429", http_code=429, retry_after_s=9000.0)
    assert Scene().after(busy) == Deferred(busy)


def test_nothing_follows_once_the_run_is_stopped() -> None:
    scene = Scene()
    scene.stop.ask("enough", 0.0)
    assert scene.after(BROKEN, partial=PARTIAL) == Failed(BROKEN)
    assert scene.failure_policy.take("a") is None


def test_a_partial_body_is_the_next_attempts_once() -> None:
    scene = Scene()
    scene.after(BROKEN, partial=PARTIAL)
    assert scene.failure_policy.take("a") is PARTIAL
    assert scene.failure_policy.take("a") is None


def test_no_more_partial_bodies_are_kept_than_there_are_slots(tmp_path: Path) -> None:
    scene, sink = Scene({"max_concurrency": 2}), DirectorySink(tmp_path)
    sink.check()
    for key in ("a", "b", "c"):
        scene.after(BROKEN, key=key, partial=broken_off(sink=sink))
    assert scene.failure_policy.take("c") is None, "discarded: one too many"
    assert scene.failure_policy.take("a") is not None
    scene.failure_policy.drop("b")
    assert scene.failure_policy.take("b") is None
    scene.failure_policy.drop("b")
    sink.close()


def test_an_outage_of_the_destination_costs_no_attempt_and_no_time() -> None:
    scene = Scene()
    for _ in range(FAILURES_UNTIL_OPEN - 1):
        follows = scene.after(REFUSED)
        assert isinstance(follows, Following)
        assert follows.attempt.number == 2
    follows = scene.after(REFUSED, number=3)
    assert isinstance(follows, Following)
    assert follows.attempt.number == 3
    assert follows.attempt.first_started is None
    assert [name for name, _ in scene.told].count("circuit_breaker") == 1
    scene.after(REFUSED)
    assert [name for name, _ in scene.told].count("circuit_breaker") == 1, "told once"


def test_a_destination_that_is_away_too_long_ends_the_run() -> None:
    scene = Scene({"retry_max_time": 0.0})
    for _ in range(FAILURES_UNTIL_OPEN - 1):
        scene.after(REFUSED)
    assert scene.stop.error is None
    assert scene.after(REFUSED) == Failed(REFUSED)
    assert isinstance(scene.stop.error, DestinationError)
    assert str(scene.stop.error) == "the destination refused all objects for 0 s: 503 SlowDown"


def test_an_attempt_that_the_end_of_the_run_broke_off_is_no_failure_of_its_target() -> None:
    scene = Scene()
    broken_off_by_us = Failure(Kind.INTERRUPTED, "given up when the run was stopped")
    assert scene.after(broken_off_by_us) == NotReached(broken_off_by_us)
    assert isinstance(scene.after(broken_off_by_us), NotReached)
    assert scene.told == []
