"""--limit-rate: how the bytes a second are shared. By a clock of the test's own."""

import contextlib
import heapq
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from scraper.engines.rate_limit import RateLimit
from scraper.model.shared_numbers import SharedNumbers
from tests.bench.rates import most_in_a_second

RATES = [100_000, 1_000_000, 10_000_000, 1_000_000_000]
BOUND = 1.2  # times the rate, in any second, at 1 MB/s and up


def simulate(
    limit: RateLimit, readers: int, seconds: float, delay: Callable[[float], float], start: float
) -> tuple[list[tuple[float, int]], list[int]]:
    """What `readers` take of endless bodies. `delay(turn)`: how long its server waits then.

    The pieces, each with its time, in order; and the bytes of each reader.
    """
    taken: list[tuple[float, int]] = []
    totals = [0] * readers
    waiting = [(limit.reserve(limit.piece, start), number) for number in range(readers)]
    heapq.heapify(waiting)
    while waiting[0][0] < start + seconds:
        turn, number = heapq.heappop(waiting)
        came = turn + delay(turn)
        taken.append((came, limit.piece))
        totals[number] += limit.piece
        heapq.heappush(waiting, (limit.reserve(limit.piece, came), number))
    return sorted(taken), totals


def test_limits_of_several_processes_give_turns_one_after_the_other() -> None:
    with contextlib.closing(SharedNumbers()) as numbers:
        limits = [RateLimit(1000, 4, numbers) for _ in range(3)]
        turns = [limits[number % 3].reserve(500, 10.0) for number in range(6)]
        assert turns == pytest.approx([10.0, 10.47, 10.97, 11.47, 11.97, 12.47])
        limits[0].give_back(500)
        assert limits[2].reserve(1, 10.0) == pytest.approx(12.47)


@pytest.mark.parametrize("readers", [1, 16, 64])
@pytest.mark.parametrize("rate", RATES)
def test_all_together_take_the_rate_and_no_more(rate: int, readers: int) -> None:
    limit = RateLimit(rate, readers)
    taken, totals = simulate(limit, readers, 3.0, lambda _: 0.0, 100.0)
    whole = sum(totals)
    assert whole <= 3.0 * rate + 0.03 * rate + limit.piece
    assert whole >= 3.0 * rate - limit.piece
    if rate >= 1_000_000:
        assert most_in_a_second(taken) <= BOUND * rate
    assert max(totals) - min(totals) <= limit.piece + 0.03 * rate  # nobody is starved


@pytest.mark.parametrize("rate", RATES[1:])
def test_servers_that_wake_up_together_bring_no_flood(rate: int) -> None:
    limit = RateLimit(rate, 16)

    def until_the_next_half(turn: float) -> float:
        return -turn % 0.5

    taken, _ = simulate(limit, 16, 4.0, until_the_next_half, 100.0)
    assert most_in_a_second(taken) <= BOUND * rate


@pytest.mark.parametrize("seed", range(5))
def test_any_mix_of_slow_servers_stays_within_the_rate(seed: int) -> None:
    chance = random.Random(seed)
    limit = RateLimit(2_000_000, 32)
    taken, _ = simulate(limit, 32, 4.0, lambda _: chance.choice([0, 0, 0.001, 0.3, 0.9]), 50.0)
    assert most_in_a_second(taken) <= BOUND * 2_000_000


def test_an_idle_time_is_not_caught_up() -> None:
    limit = RateLimit(1000, 1)
    assert limit.reserve(1000, 10.0) == 10.0
    assert limit.reserve(500, 500.0) == 500.0  # long after
    assert limit.reserve(500, 500.0) == pytest.approx(500.47)
    assert limit.reserve(500, 500.0) == pytest.approx(500.97)


def test_what_did_not_come_is_given_back() -> None:
    limit = RateLimit(1000, 1)
    limit.reserve(1000, 10.0)
    limit.give_back(900)
    assert limit.reserve(1, 10.0) == pytest.approx(10.07)


def test_turns_are_in_order() -> None:
    limit = RateLimit(1000, 4)
    turns = [limit.reserve(100, 10.0) for _ in range(50)]
    assert all(one <= other for one, other in pairwise(turns))


@pytest.mark.parametrize("rate", [1, 10, 1000, 10**12])
def test_a_piece_is_neither_tiny_nor_huge(rate: int) -> None:
    assert 1024 <= RateLimit(rate, 1000).piece <= 64 * 1024
