"""Dates in names of destinations and files."""

from datetime import UTC, datetime

import pytest

from scraper.model.dates import expand_date
from scraper.model.errors import UsageError

NOW = datetime(2026, 3, 9, 7, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("out", "out"),
        ("out/{date}", "out/2026-03-09"),
        ("s3://b/pages/{:%Y-%m-%d}", "s3://b/pages/2026-03-09"),
        ("{date:%Y}/{date:%m}/{:%d}/{:%H%M}", "2026/03/09/0705"),
        ("100%", "100%"),
        ("%Y", "%Y"),
    ],
)
def test_dates_in_a_destination_are_filled_in(text: str, expanded: str) -> None:
    assert expand_date(text, NOW) == expanded


@pytest.mark.parametrize("text", ["{host}", "{dat}", "{", "}", "{date", "date}", "{{date}}", "{0}"])
def test_another_field_in_a_destination_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--to"):
        expand_date(text, NOW)
