"""The second line under a wrong call: for every option whose values are numbers or words."""

from typing import Any

import click
import pytest

from scraper.cli.command import group
from scraper.cli.fetch import fetch
from scraper.cli.values import Size
from scraper.cli.words import explain, for_key, for_option, for_variable
from scraper.model.errors import UsageError

NUMBERS = [
    param
    for param in fetch.params
    if isinstance(param, click.Option)
    and (param.type in {click.INT, click.FLOAT} or isinstance(param.type, Size))
]
CHOICES = [param for param in fetch.params if isinstance(param.type, click.Choice)]


def said(*words: str) -> tuple[str, str]:
    """Message and hint of a wrong call. The destination and the list are never looked at."""
    with pytest.raises((click.UsageError, UsageError)) as caught:
        group.main([*words, "--to", "out", "http://h/"], standalone_mode=False)
    assert isinstance(caught.value, click.ClickException | UsageError)
    return explain(caught.value, words)


def named(param: click.Parameter) -> str:
    return next(opt for opt in param.opts if opt.startswith("--"))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("param", NUMBERS, ids=named)
@pytest.mark.parametrize("value", ["-1", "many", "1e400"])
def test_a_wrong_number_gets_what_the_option_is(param: click.Option, value: str) -> None:
    message, hint = said(f"{named(param)}={value}")
    assert named(param) in message
    assert hint == f"{', '.join(param.opts)} {param.metavar}: {param.help}"


@pytest.mark.parametrize("param", CHOICES, ids=named)
def test_a_wrong_word_gets_the_nearest_one_or_what_the_option_is(param: click.Option) -> None:
    assert isinstance(param.type, click.Choice)
    for word in param.type.choices:
        assert said(f"{named(param)}={word}{word[-1]}")[1] == f"did you mean {word}?"
    words = param.metavar or "|".join(param.type.choices)
    assert said(f"{named(param)}=zzz")[1] == f"{named(param)} {words}: {param.help}"


@pytest.mark.parametrize(
    ("typed", "here"),
    [
        ("--thread", "--threads is here -c N"),
        ("--workrs", "--workers is here -c N"),
        ("--timout", "--timeout is here --connect-timeout S"),
        ("--no-check-certificat", "--no-check-certificate is here --insecure"),
        ("--output-diir", "--output-dir is here --to DEST"),
        ("--user-agnt", "did you mean --user-agent?"),  # ours come first
        ("--retrys", "did you mean --retries?"),
        ("--recursiv", "--recursive is another tool's; links are not followed"),
    ],
)
def test_a_slip_of_a_foreign_name_is_answered_as_that_name(typed: str, here: str) -> None:
    context = click.Context(fetch, info_name="fetch")
    assert for_option(typed, context).startswith(here)


def test_variables_and_keys_know_such_slips_too() -> None:
    assert for_key("thread", ["header", "retries"]).startswith("--threads is here -c N")
    assert for_key("retrys", ["header", "retries"]) == "did you mean retries?"
    known = ["SCRAPER_HEADER", "SCRAPER_RETRIES"]
    assert for_variable("SCRAPER_THREAD", known).startswith("--threads is here -c N")
    assert for_variable("SCRAPER_RETRYS", known) == "did you mean SCRAPER_RETRIES?"
