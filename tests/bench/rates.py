"""Rates of what came: pure arithmetic, for a benchmark and for a test of the same promise."""

from collections.abc import Sequence


def most_in_a_second(came: Sequence[tuple[float, int]]) -> int:
    """The most bytes that any second has, wherever it begins. `came`: times in order, and bytes."""
    most = size = first = 0
    for at, piece in came:
        size += piece
        while came[first][0] <= at - 1.0:
            size -= came[first][1]
            first += 1
        most = max(most, size)
    return most
