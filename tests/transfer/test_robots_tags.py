"""X-Robots-Tag: what its fields say to us, to others, and to all."""

import pytest

from scraper.transfer.robots_tags import said

MINDED = ("noai", "noimageai", "noindex")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        (["noai"], "noai"),
        (["NoAI"], "noai"),
        (["nofollow, noimageai"], "noimageai"),
        (["nofollow", "noai"], "noai"),
        (["nofollow"], None),
        (["all"], None),
        ([""], None),
        (["noaiming"], None),
        (["none"], "none"),  # Google: noindex, nofollow
        # for a name
        (["scraper: noai"], "noai"),
        (["Scraper:noai"], "noai"),
        (["*: noai"], "noai"),
        (["otherbot: noai"], None),
        (["otherbot: noai", "noindex"], "noindex"),
        (["otherbot: nofollow, noai"], None),
        (["otherbot: nofollow, scraper: noai"], "noai"),
        (["scraper: nofollow, otherbot: noai"], None),
        (["scraper-news: noai"], None),
        # rules with a value are no names
        (["max-snippet: 20, noai"], "noai"),
        (["max-image-preview:large, noai"], "noai"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT"], None),
        ([":,: ,noai:"], None),
    ],
)
def test_a_rule_for_us_or_for_all_counts(fields: list[str], rule: str | None) -> None:
    assert said(fields, MINDED, "scraper") == rule


def test_none_counts_only_for_what_it_stands_for() -> None:
    assert said(["none"], ["noai"], "scraper") is None
    assert said(["none"], ["nofollow"], "scraper") == "none"
