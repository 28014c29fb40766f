"""Least loaded first: the fewest in flight come first, equals by round robin."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scraper.schedule.least_loaded import LeastLoaded


def standing(queue: LeastLoaded[str]) -> list[str]:
    """Everyone, in the order of their queue; nobody stands there afterwards."""
    order = []
    while queue:
        order.append(queue.first())
        queue.drop(order[-1])
    return order


def test_those_with_less_in_flight_come_first_and_equals_in_turn() -> None:
    queue: LeastLoaded[str] = LeastLoaded()
    for host, in_flight in [("a", 2), ("b", 0), ("c", 1), ("d", 0), ("e", 2)]:
        queue.put(host, in_flight)
    assert standing(queue) == ["b", "d", "c", "a", "e"]


def test_who_has_less_in_flight_than_before_moves_forward() -> None:
    queue: LeastLoaded[str] = LeastLoaded()
    for host in "abc":
        queue.put(host, 1)
    queue.put("c", 0)
    queue.put("a", 1)  # it keeps its place
    assert standing(queue) == ["c", "a", "b"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-1, 5)), max_size=60))
def test_it_is_a_sorted_list_whatever_happens(steps: list[tuple[str, int]]) -> None:
    queue: LeastLoaded[str] = LeastLoaded()
    plain: list[tuple[int, int, str]] = []
    for number, (host, in_flight) in enumerate(steps):
        kept = next((entry for entry in plain if entry[2] == host), None)
        if in_flight < 0:
            if kept:
                plain.remove(kept)
                queue.drop(host)
        elif kept is None or kept[0] != in_flight:
            plain = [entry for entry in plain if entry[2] != host] + [(in_flight, number, host)]
            queue.put(host, in_flight)
        assert bool(queue) == bool(plain)
        assert Counter(host for host in "abcdef" if host in queue) == Counter(
            host for *_, host in plain
        )
        if plain:
            assert queue.first() == min(plain)[2]
