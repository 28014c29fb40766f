"""Sizes and durations, as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.report.units import duration, human_size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (1, "1.0 s"),
        (119.9, "119.9 s"),
        (120, "2 min 00 s"),
        (125.4, "2 min 05 s"),
        (3599.6, "1 h 00 min 00 s"),
        (3725, "1 h 02 min 05 s"),
        (360_000, "100 h 00 min 00 s"),
    ],
)
def test_a_duration_is_as_exact_as_anyone_needs(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1949, "1.9 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_000_000, "1.0 MB"),
        (999_999_999, "1.0 GB"),
        (5_500_000_000, "5.5 GB"),
        (999_999_999_999, "1.0 TB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_a_size_is_in_decimal_units(size: int, shown: str) -> None:
    assert human_size(size) == shown


@given(st.integers(0, 10**14))
def test_a_size_has_at_most_three_digits_before_its_point(size: int) -> None:
    number, unit = human_size(size).split()
    assert float(number) < 1000
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    assert abs(float(number) * factor - size) <= factor / 19
