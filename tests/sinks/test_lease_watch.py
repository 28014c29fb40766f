"""Whether the holder of a lease is alive: judged by what it does, with clocks of the tests."""

import pytest

from scraper.sinks.lease_watch import LeaseWatch, Life

LEASE_S = 60.0


class Watching:
    """One watch. `see` looks at `now`, at the lease in its `writes`-th state."""

    def __init__(self) -> None:
        self._watch = LeaseWatch(LEASE_S)

    def see(
        self, now: float, writes: int = 1, age_s: float | None = None, *, expired: bool = False
    ) -> Life:
        state = (f'"{writes}"', b"content")
        return self._watch.judge(state, age_s, expired=expired, now=now)


@pytest.mark.parametrize("age_s", [None, -3600.0, 0.0, 15.0, 21.0])
def test_a_lease_without_a_sign_of_death_is_alive(age_s: float | None) -> None:
    assert Watching().see(1000.0, age_s=age_s) is Life.ALIVE


@pytest.mark.parametrize(
    ("age_s", "expired"), [(None, True), (0.0, True), (23.0, False), (3600.0, False)]
)
def test_a_sign_of_death_is_no_proof(age_s: float | None, expired: bool) -> None:
    assert Watching().see(1000.0, age_s=age_s, expired=expired) is Life.DOUBTFUL


@pytest.mark.parametrize("expired", [True, False])
@pytest.mark.parametrize("age_s", [None, 0.0, -3600.0])
def test_what_does_not_change_for_its_length_is_dead(
    age_s: float | None,
    expired: bool,
) -> None:
    watching = Watching()
    watching.see(1000.0, age_s=age_s, expired=expired)
    assert watching.see(1059.9, age_s=age_s, expired=expired) is not Life.DEAD
    assert watching.see(1060.0, age_s=age_s, expired=expired) is Life.DEAD


def test_what_is_old_by_the_clock_of_the_store_is_watched_for_a_third() -> None:
    watching = Watching()
    assert watching.see(1000.0, age_s=3600.0) is Life.DOUBTFUL
    assert watching.see(1019.9, age_s=3619.0) is Life.DOUBTFUL
    assert watching.see(1020.0, age_s=3620.0) is Life.DEAD


def test_a_store_whose_clock_was_set_forward_does_not_kill_who_writes() -> None:
    watching = Watching()
    assert watching.see(1000.0, age_s=3600.0) is Life.DOUBTFUL
    assert watching.see(1014.0, writes=2, age_s=0.0) is Life.ALIVE


def test_every_change_is_a_sign_of_life_and_the_watch_begins_again() -> None:
    watching = Watching()
    watching.see(1000.0, expired=True)
    for number in range(2, 10):
        now = 1000.0 + 15 * number
        assert watching.see(now, number, expired=True) is Life.ALIVE
        assert watching.see(now + 14, number, expired=True) is Life.DOUBTFUL
    assert watching.see(1000.0 + 15 * 9 + 60, 9, expired=True) is Life.DEAD


def test_content_that_changes_under_one_etag_is_a_sign_of_life_too() -> None:
    watch = LeaseWatch(LEASE_S)
    watch.judge(('"same"', b"1"), None, expired=True, now=0.0)
    assert watch.judge(('"same"', b"2"), None, expired=True, now=100.0) is Life.ALIVE


def test_one_that_died_just_now_is_dead_a_minute_later_for_who_waits() -> None:
    watching = Watching()
    ages = [watching.see(1000.0 + s, age_s=float(s)) for s in range(63)]
    assert ages.index(Life.DEAD) == 60
