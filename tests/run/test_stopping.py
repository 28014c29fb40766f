"""A run that is told to stop: its reason, its error, its grace."""

import math
import time

from scraper.engines.threads.engine import ThreadsEngine
from scraper.model.errors import DestinationError, Held
from scraper.model.settings import Http, Limits
from scraper.run.stopping import GRACE_S, LAST_GRACE_S, RECORDS_S, Stop


class Scene:
    """A stop, what it woke and what it told; and an engine that counts how often it is broken."""

    def __init__(self) -> None:
        self.woken = 0
        self.told: list[tuple[str, str, object]] = []
        self.given_up = 0
        self.stop = Stop(self._wake, self._note)
        self.engine = ThreadsEngine(1, Limits(), Http())
        self.engine.give_up = self._give_up  # type: ignore[method-assign]

    def _wake(self) -> None:
        self.woken += 1

    def _note(self, level: str, name: str, record: object) -> None:
        self.told.append((level, name, record))

    def _give_up(self) -> None:
        self.given_up += 1


def test_the_first_reason_counts_and_wakes_the_run() -> None:
    scene = Scene()
    scene.stop.ask("SIGTERM", GRACE_S)
    until = scene.stop.give_up_at
    scene.stop.ask("SIGINT", 0.0)
    assert scene.stop.reason == "SIGTERM"
    assert scene.stop.give_up_at == until
    assert scene.woken == 1


def test_the_first_error_is_what_the_run_ends_with() -> None:
    scene = Scene()
    scene.stop.because_of(Held("taken over"))
    scene.stop.because_of(DestinationError("gone"))
    assert str(scene.stop.error) == scene.stop.reason == "taken over"
    assert isinstance(scene.stop.error, Held)


def test_an_error_counts_though_the_run_stops_already() -> None:
    scene = Scene()
    scene.stop.ask("SIGTERM", GRACE_S)
    scene.stop.because_of(DestinationError("gone"))
    assert scene.stop.reason == "SIGTERM"
    assert isinstance(scene.stop.error, DestinationError)


def test_what_is_in_flight_may_go_on_within_the_grace_and_that_is_told_once() -> None:
    scene = Scene()
    scene.stop.ask("SIGTERM", GRACE_S)
    assert scene.stop.wait_on(scene.engine, 3)
    assert scene.stop.wait_on(scene.engine, 2)
    assert scene.told == [("warning", "stopping", {"reason": "SIGTERM", "in_flight": 3})]
    assert not scene.given_up


def test_after_the_grace_it_is_broken_off_once_and_waited_for_a_little() -> None:
    scene = Scene()
    scene.stop.ask("enough", 0.0)
    assert scene.stop.wait_on(scene.engine, 2)
    assert scene.stop.abandoned
    assert scene.stop.wait_on(scene.engine, 1), "the last grace"
    scene.stop.give_up_at = 0.0
    assert not scene.stop.wait_on(scene.engine, 1)
    assert scene.given_up == 1


def test_with_nothing_in_flight_there_is_nothing_to_wait_for() -> None:
    scene = Scene()
    scene.stop.ask("enough", 0.0)
    assert not scene.stop.wait_on(scene.engine, 0)
    assert not scene.stop.abandoned


def test_the_destination_is_waited_for_as_long_as_the_grace_lasts() -> None:
    scene = Scene()
    assert scene.stop.last_moment()() == math.inf
    scene.stop.ask("SIGTERM", 0.0)
    assert scene.stop.last_moment()() == scene.stop.over_at < math.inf


def test_after_the_grace_all_waits_for_the_destination_share_a_little() -> None:
    scene = Scene()
    scene.stop.ask("SIGTERM", GRACE_S)
    scene.stop.over_at = 0.0
    before = time.monotonic()
    first = scene.stop.last_moment()()
    assert before <= first - RECORDS_S <= time.monotonic()
    assert scene.stop.last_moment()() == first


def test_all_of_it_is_less_than_docker_stop_allows() -> None:
    assert GRACE_S + LAST_GRACE_S + RECORDS_S < 10


def test_the_time_of_the_whole_run_bounds_the_wait_too() -> None:
    stop = Stop(lambda: None, lambda *_: None, limit_at=time.monotonic() + 100)
    assert stop.last_moment()() == stop.limit_at + GRACE_S + LAST_GRACE_S
