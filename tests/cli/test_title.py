"""The title of the process: what others may see of a command line."""

import pytest

from scraper.cli.title import redacted


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-H", "Authorization: Bearer x"], ["-H", "Authorization: REDACTED"]),
        (["-HCookie: a=b"], ["-HCookie: REDACTED"]),
        (["-qHX-Api-Key: x"], ["-qHX-Api-Key: REDACTED"]),
        (["--header=Authorization:x"], ["--header=Authorization: REDACTED"]),
        (["-H", "Accept: text/html"], ["-H", "Accept: text/html"]),
        (["--proxy", "http://me:pw@proxy:3128"], ["--proxy", "http://REDACTED@proxy:3128"]),
        (["--proxy", "me:pw@proxy:3128"], ["--proxy", "me:REDACTED@proxy:3128"]),
        (["https://a/list?token=x&b=c"], ["https://a/list?token=REDACTED&b=c"]),
        (["scraper", "list.txt", "--to", "s3://b/p"], ["scraper", "list.txt", "--to", "s3://b/p"]),
        (["--contact", "me@example.com"], ["--contact", "me@example.com"]),
    ],
)
def test_what_may_be_secret_is_not_shown(words: list[str], shown: list[str]) -> None:
    assert list(redacted(words)) == shown
