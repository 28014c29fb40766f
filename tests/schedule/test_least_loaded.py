"""Least loaded first: the fewest in flight come first, equals by round robin."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from scraper.schedule.least_loaded import LeastLoaded


@dataclass(eq=False)
class Someone:
    name: str
    in_flight: int = 0
    level: int | None = None


Queue = LeastLoaded[Someone]


def standing(queue: Queue) -> str:
    """The names of all, in the order of their queue; nobody stands there afterwards."""
    order = ""
    while queue:
        first = queue.first()
        order += first.name
        queue.drop(first)
    return order


def test_those_with_less_in_flight_come_first_and_equals_in_turn() -> None:
    queue = Queue()
    for host, in_flight in [("a", 2), ("b", 0), ("c", 1), ("d", 0), ("e", 2)]:
        queue.put(Someone(host, in_flight))
    assert standing(queue) == "bdcae"


def test_who_has_less_in_flight_than_before_moves_forward() -> None:
    queue = Queue()
    a, b, c = (Someone(name, 1) for name in "abc")
    for host in (a, b, c):
        queue.put(host)
    c.in_flight = 0
    queue.put(c)
    queue.put(a)  # it keeps its place
    assert standing(queue) == "cab"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-1, 5)), max_size=60))
def test_it_is_a_sorted_list_whatever_happens(steps: list[tuple[str, int]]) -> None:
    queue = Queue()
    hosts = {name: Someone(name) for name in "abcdef"}
    plain: list[tuple[int, int, str]] = []
    for number, (name, in_flight) in enumerate(steps):
        host = hosts[name]
        kept = next((entry for entry in plain if entry[2] == name), None)
        if in_flight < 0:
            if kept:
                plain.remove(kept)
                queue.drop(host)
        elif kept is None or kept[0] != in_flight:
            plain = [entry for entry in plain if entry[2] != name] + [(in_flight, number, name)]
            host.in_flight = in_flight
            queue.put(host)
        assert len(queue) == len(plain)
        assert {one.name for one in hosts.values() if one.level is not None} == {
            name for *_, name in plain
        }
        if plain:
            assert queue.first().name == min(plain)[2]
