"""Options from a TOML file and from SCRAPER_* variables: the same names, the same meaning."""

from pathlib import Path
from typing import Any

import click
import pytest

from scraper.cli.fetch import fetch
from scraper.cli.options import SectionOption
from tests.e2e.command import Command
from tests.options import OPTIONS, Option
from tests.servers import Reply, Request, Serve

each_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda one: f"{one.name}={one.word}")


def parsed(*words: str) -> dict[str, Any]:
    """What the command line makes of these words, and of variables and files."""
    return fetch.make_context("scraper", [*words]).params


def test_every_option_is_tried_here() -> None:
    previous = {
        option.removeprefix("--")
        for param in fetch.params
        if isinstance(param, SectionOption) and param.name != "config"
        for option in param.opts
        if option.startswith("--")
    }
    assert previous == {option.name for option in OPTIONS}


@each_option
def test_flag_variable_and_file_mean_the_same(
    option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_flag = parsed(*option.flag)
    assert by_flag != parsed()
    config = tmp_path / "config.toml"
    config.write_text(f"{option.name} = {option.toml}\n")
    assert parsed("--config", str(config)) == by_flag
    config.write_text(f"{option.name.replace('-', '_')} = {option.toml}\n")
    assert parsed("--config", str(config)) == by_flag
    monkeypatch.setenv(option.variable, option.word)
    assert parsed() == by_flag


@each_option
def test_flags_win_over_variables_and_variables_over_the_file(
    option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"{option.name} = {option.toml}\n")
    by_file = parsed("--config", str(config))
    monkeypatch.setenv(option.variable, option.other)
    by_variable = parsed("--config", str(config))
    assert by_variable != by_file
    assert parsed("--config", str(config), *option.flag) == by_file


@each_option
def test_an_empty_variable_says_nothing(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    without = parsed()
    monkeypatch.setenv(option.variable, "")
    assert parsed() == without


@each_option
@pytest.mark.parametrize("wrong", ["[1, 2]", "{ a = 1 }", "2026-03-09", "1979-05-27T07:32:00Z"])
def test_a_value_of_the_wrong_kind_is_refused(option: Option, wrong: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"{option.name} = {wrong}\n")
    with pytest.raises(click.UsageError, match=rf"config.toml': '{option.name}': .* is no \w+$"):
        parsed("--config", str(config))


# ---------------------------------------------------------------- the program


def test_a_run_is_configured_by_file_variables_and_flags(cli: Command, serve: Serve) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Reply(body=b"body")

    server = serve(answer)
    cli.write(
        "config.toml",
        'to = "from-file"',
        'header = ["X-One: 1", "X-Two: 2"]',
        'user_agent = "file"',
        'key = "hash"',
        "quiet = true",
    )
    ran = cli(
        *("--config", "config.toml", "--to", "from-flag", "--key", "{line}.txt"),
        stdin=f"{server.url}/a\n",
        env={"SCRAPER_USER_AGENT": "variable", "SCRAPER_TO": "from-variable"},
    )
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert cli.files("from-flag") == {"1.txt": b"body"}
    assert cli.wrote == ["config.toml", "from-flag"]
    headers = asked[0].headers
    assert (headers["x-one"], headers["x-two"], headers["user-agent"]) == ("1", "2", "variable")


def test_the_file_can_be_named_by_a_variable(cli: Command) -> None:
    cli.write("config.toml", 'key = "{line}.txt"')
    ran = cli("--dry-run", stdin="https://example.com/a.b\n", env={"SCRAPER_CONFIG": "config.toml"})
    assert (ran.status, ran.out) == (0, "https://example.com/a.b\t1.txt\n")


def test_several_headers_in_a_variable_stand_on_lines_of_their_own(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    ran = cli(stdin=f"{server.url}/a.txt\n", env={"SCRAPER_HEADER": "X-One: a b\nX-Two: c"})
    assert (ran.status, ran.out) == (0, "")
    headers = server.requests[0].headers
    assert (headers["x-one"], headers["x-two"]) == ("a b", "c")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("max-concurency = 3", "there is no option 'max-concurency'"),
        ("config = 'other.toml'", "there is no option 'config'"),
        ("help = true", "there is no option 'help'"),
        ("version = true", "there is no option 'version'"),
        ("c = 3", "there is no option 'c'"),
        ("[fetch]\nto = 'x'", "there is no option 'fetch'"),
        ("max-concurrency = 1.5", "'max-concurrency': 1.5 is no integer"),
        ("max-concurrency = true", "'max-concurrency': True is no integer"),
        ("max-concurrency = 'many'", "'max-concurrency': 'many' is not a valid integer"),
        (
            "max-concurrency = 0",
            "'max-concurrency' in 'config.toml' must be a whole number, at least 1",
        ),
        ("delay = false", "'delay': False is no float"),
        ("delay = nan", "'delay' in 'config.toml' must be a number"),
        ("max-size = '10Q'", "'max-size': '10Q' is not a size like 500k, 10M or 2GiB"),
        ("max-size = true", "'max-size': True is no bytes"),
        ("insecure = 1", "'insecure': 1 is no boolean"),
        ("insecure = 'perhaps'", "'insecure': 'perhaps' is not a valid boolean"),
        ("header = [3]", "'header': 3 is no header"),
        ("header = 'no colon'", "'header' in 'config.toml' 'no' is not 'Name: value'"),
        ("log-format = 'xml'", "'log-format': 'xml' is not one of 'text', 'json'"),
        ("to = 'a'\nto = 'b'", "is not TOML: "),
        ("to = \\", "is not TOML: "),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line(toml: str, said: str, cli: Command) -> None:
    cli.write("config.toml", toml)
    ran = cli("--config", "config.toml", stdin="")
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert ran.err.startswith("scraper: ")
    assert said in ran.err
    assert cli.wrote == ["config.toml"]


def test_a_variable_that_is_wrong_is_one_clear_line(cli: Command) -> None:
    ran = cli(stdin="", env={"SCRAPER_RETRIES": "often"})
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert "'SCRAPER_RETRIES': 'often' is not a valid integer" in ran.err
    assert cli.wrote == []
