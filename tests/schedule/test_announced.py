"""Limits that servers announce, in the forms of the drafts and of well-known services."""

import pytest

from scraper.schedule import Announced, announced

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def read(**headers: str) -> Announced | None:
    return announced({name.replace("_", "-"): value for name, value in headers.items()}.get)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            {"ratelimit_limit": "100", "ratelimit_remaining": "50", "ratelimit_reset": "30"},
            (50, 30),
        ),
        ({"ratelimit": "limit=100, remaining=50, reset=30"}, (50, 30)),
        ({"ratelimit": '"default";r=50;t=30'}, (50, 30)),
        ({"ratelimit": '"burst";r=9;t=1, "daily";r=0;t=600'}, (0, 600)),
        ({"ratelimit": '"p";r=0;t=5', "ratelimit_policy": '"p";q=9;w=5;qu="requests"'}, (0, 5)),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "17"}, (0, 17)),
        ({"x_rate_limit_remaining": "1", "x_rate_limit_reset": "17"}, (1, 17)),
        ({"x_ratelimit_remaining": "12, 12", "x_ratelimit_reset": "3, 3"}, (12, 3)),
        ({"x_ratelimit_remaining": "7", "x_ratelimit_reset": "2.5"}, (7, 2.5)),
    ],
)
def test_seconds_that_are_left(headers: dict[str, str], found: tuple[int, float]) -> None:
    assert read(**headers) == Announced(*found)


@pytest.mark.parametrize("reset", ["1700000090", "1700000090000", "Tue, 14 Nov 2023 22:14:50 GMT"])
def test_a_date_is_measured_from_the_date_of_the_response(reset: str) -> None:
    date = "Tue, 14 Nov 2023 22:13:20 GMT"  # 1700000000
    assert read(x_ratelimit_remaining="0", x_ratelimit_reset=reset, date=date) == Announced(0, 90)


def test_a_date_that_is_over_is_now() -> None:
    found = read(x_ratelimit_remaining="0", x_ratelimit_reset="1000000001")
    assert found == Announced(0, 0.0), "by our own clock"
    assert read(x_ratelimit_remaining="0", x_ratelimit_reset=DATE, date=DATE) == Announced(0, 0.0)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_ratelimit_remaining": "0"},
        {"x_ratelimit_reset": "10"},
        {"x_ratelimit_remaining": "none", "x_ratelimit_reset": "10"},
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "soon"},
        {"ratelimit": '"default";r=50'},
        {"ratelimit": "\x00"},
        {"ratelimit": '"bytes";r=0;t=5', "ratelimit_policy": '"bytes";q=9;qu="content-bytes"'},
    ],
)
def test_what_says_nothing_is_nothing(headers: dict[str, str]) -> None:
    assert read(**headers) is None
