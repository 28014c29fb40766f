"""The title of the process: what others may see of a command line."""

import shlex

import pytest

from scraper.cli.title import command_line, redacted


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-H", "Authorization: Bearer x"], ["-H", "Authorization: REDACTED"]),
        (["-HCookie: a=b"], ["-HCookie: REDACTED"]),
        (["-qHX-Api-Key: x"], ["-qHX-Api-Key: REDACTED"]),
        (["--header=Authorization:x"], ["--header=Authorization: REDACTED"]),
        (["-H", "Accept: text/html"], ["-H", "Accept: text/html"]),
        (["http: x"], ["http: x"]),
        (["--proxy", "http://me:pw@proxy:3128"], ["--proxy", "http://REDACTED@proxy:3128"]),
        (["--proxy", "me:pw@proxy:3128"], ["--proxy", "me:REDACTED@proxy:3128"]),
        (["https://a/list?token=x&b=c"], ["https://a/list?token=REDACTED&b=c"]),
        (["scraper", "list.txt", "--to", "s3://b/p"], ["scraper", "list.txt", "--to", "s3://b/p"]),
        (["--contact", "me@example.com"], ["--contact", "me@example.com"]),
    ],
)
def test_what_may_be_secret_is_not_shown(words: list[str], shown: list[str]) -> None:
    assert list(redacted(words)) == shown


@pytest.mark.parametrize(
    "words", [[], [""], ["a b"], ["http://a/b", "-c", "4"], ["ä"], ["s3://b/p"]]
)
def test_a_command_line_is_quoted_as_a_shell_needs_it(words: list[str]) -> None:
    assert command_line(words) == shlex.join(["scraper", *words])


def test_every_character_is_quoted_where_a_shell_needs_it() -> None:
    for word in map(chr, range(1, 256)):
        assert command_line([word, f"a{word}"]) == shlex.join(["scraper", word, f"a{word}"])
