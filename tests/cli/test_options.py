"""Options: every one of the contract, from flags, variables and a TOML file, in that order."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from scraper.cli import command as cli
from scraper.cli.commands import COMMANDS
from scraper.cli.fetch import fetch
from scraper.cli.options import SectionedCommand, fetch_options
from scraper.cli.values import Header, Size
from scraper.model.settings import Budget, Settings
from tests.options import OPTIONS, Option

# The table of CLI.md, without what other issues bring.
FLAGS = {"--dry-run", "--fail-fast", "--insecure", "--netrc", "--raw", "--quiet", "--verbose"}
FLAGS |= {"--resume", "--retry-failed", "--all", "--robots", "--public-only", "--new-failures"}
FLAGS |= {"--s3-unconfirmed", "--show-config", "--http1.1", "--ipv4", "--ipv6", "--skip-existing"}
FLAGS |= {"--require-digest", "--cdx-range"}
DEFAULTS = {"--refresh", "--no-durable"}  # of pairs of flags
PAIRS = {"--progress", "--no-progress", *DEFAULTS, "--no-refresh", "--durable"}
VALUES = {
    *("--to", "--max-concurrency", "--per-host", "--delay", "--rate", "--limit-rate", "--retries"),
    "--split",
    *("--retry-max-time", "--max-retry-after", "--connect-timeout", "--read-timeout"),
    *("--speed-limit", "--speed-time"),
    *("--max-time", "--max-size", "--max-redirects", "--header", "--user-agent", "--proxy"),
    *("--cacert", "--key", "--expect-type", "--s3-client", "--s3-endpoint", "--s3-profile"),
    *("--s3-storage-class", "--s3-sse", "--manifest", "--results", "--log-format", "--log-file"),
    *("--metrics", "--metrics-port"),
    *("--stats", "--robots-agent", "--robots-tags", "--retry-on", "--cert", "--cert-key", "--user"),
    *("--cookies", "--resolve"),
    *("--input-file", "--max-total-size", "--max-run-time", "--min-free-space", "--grace"),
    *("--max-failures", "--config", "--lock", "--engine", "--continue-above", "--contact"),
    *("--split-above", "--warc-size", "--store-compressed"),
    *("--list-format", "--url-column", "--key-column", "--default-scheme", "--base"),
    "--shard",
    "--processes",
    "--cluster",
}
SHORT = {
    "-i": "--input-file",
    "-o": "--to",
    "-c": "--max-concurrency",
    "-H": "--header",
    "-A": "--user-agent",
    "-u": "--user",
    "-4": "--ipv4",
    "-6": "--ipv6",
    "-q": "--quiet",
    "-v": "--verbose",
}
RUN_ALONE = {
    "show_config",
    "cluster",
    "input_files",
    "list_format",
    "url_column",
    "key_column",
    "default_scheme",
    "base",
    "cdx_range",
    "dry_run",
    "results",
    "log_format",
    "log_file",
    "quiet",
    "verbose",
    "stats",
    "progress",
    "metrics",
    "metrics_port",
}
IN_WORDS = {"manifest", "warc_size", "user_agent", "proxy", "refresh", "durable", "robots_agent"}
each_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda one: f"{one.name}={one.word}")
PARAMETERS = {option.parameter for option in OPTIONS}


@click.command(cls=SectionedCommand)
@fetch_options
def command(**options: Any) -> dict[str, Any]:
    """What `fetch` is called with."""
    return options


def parsed(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    result = CliRunner().invoke(command, arguments, env=env, standalone_mode=False)
    if result.exception:
        raise result.exception
    assert isinstance(result.return_value, dict)
    return result.return_value


def refused(*arguments: str, env: dict[str, str] | None = None) -> str:
    """The message of a usage error: one line."""
    with pytest.raises(click.UsageError) as caught:
        parsed(*arguments, env=env)
    message = caught.value.format_message()
    assert "\n" not in message
    return message


def given_options(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Those that have a value."""
    found = parsed(*arguments, env=env)
    return {name: value for name, value in found.items() if value not in (None, ())}


def config(directory: Path, text: str) -> str:
    path = directory / "config.toml"
    path.write_text(text)
    return f"--config={path}"


# ---------------------------------------------------------------- names


def test_the_options_are_those_of_the_contract() -> None:
    found = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    assert found == FLAGS | VALUES | SHORT.keys() | PAIRS | {"--version", "-h"}
    for param in command.params:
        for short in SHORT.keys() & set(param.opts):
            assert SHORT[short] in param.opts
        assert isinstance(param, click.Option)
        assert param.is_flag == bool((FLAGS | PAIRS | {"--version", "-h"}) & set(param.opts))


NEEDED: dict[str, dict[str, Any]] = {
    "all": {"retry_failed": True},
    "cert-key": {"cert": "me.pem"},
}


@each_option
def test_what_is_not_the_commands_own_is_a_setting(option: Option) -> None:
    if option.parameter not in RUN_ALONE:
        needed = NEEDED.get(option.name, {})
        given = Settings.of(**{option.parameter: option.value}, **needed)
        assert (given == Settings()) == (option.flag[0] in DEFAULTS)


def test_nothing_has_a_value_unless_it_was_given() -> None:
    assert parsed() == dict.fromkeys(PARAMETERS) | {"headers": (), "input_files": (), "resolve": ()}


def test_every_option_has_an_example() -> None:
    assert {param.name for param in command.params} - {"config", "version", "h"} == PARAMETERS


@each_option
def test_an_option_is_read_from_its_flag(option: Option) -> None:
    assert parsed(*option.flag)[option.parameter] == option.value


@each_option
def test_an_option_is_read_from_its_variable(option: Option) -> None:
    assert parsed(env={option.variable: option.word})[option.parameter] == option.value


@each_option
def test_an_option_is_read_from_a_file(option: Option, tmp_path: Path) -> None:
    for written in (f'"{option.word}"', f"'{option.word}'", option.toml):
        file = config(tmp_path, f"{option.name} = {written}\n")
        assert parsed(file)[option.parameter] == option.value


# ---------------------------------------------------------------- which wins


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    file = config(tmp_path, "retries = 1\nheader = ['A: 1']\nraw = true\nmax-size = '1k'\n")
    env = {"SCRAPER_RETRIES": "2", "SCRAPER_HEADER": "A: 2", "SCRAPER_MAX_SIZE": "2k"}
    found = parsed(file, "--retries", "3", "-H", "A: 3", env=env)
    assert (found["retries"], found["headers"]) == (3, ("A: 3",))
    assert (found["max_size"], found["raw"]) == (2000, True)
    found = parsed(file, env=env)
    assert (found["retries"], found["headers"]) == (2, ("A: 2",))
    found = parsed(file)
    assert (found["retries"], found["headers"], found["max_size"]) == (1, ("A: 1",), 1000)


def test_a_flag_that_is_on_in_the_file_can_be_turned_off_by_a_variable(tmp_path: Path) -> None:
    file = config(tmp_path, "quiet = true\nprogress = true\n")
    found = parsed(file, "--no-progress", env={"SCRAPER_QUIET": "0"})
    assert (found["quiet"], found["progress"]) == (False, False)


def test_the_file_may_be_named_after_the_options_or_in_a_variable(tmp_path: Path) -> None:
    file = config(tmp_path, "retries = 1\n")
    assert parsed("--delay", "1", file)["retries"] == 1
    assert parsed(env={"SCRAPER_CONFIG": file.partition("=")[2]})["retries"] == 1


def test_an_empty_variable_says_nothing() -> None:
    for option in OPTIONS:
        assert given_options(env={option.variable: ""}) == {}


def test_variables_of_others_say_nothing() -> None:
    assert (
        given_options(env={"SCRAPER_NO_SUCH_OPTION": "1", "RETRIES": "1", "scraper_raw": "1"}) == {}
    )


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("007", 7),
        ("500b", 500),
        ("500k", 500_000),
        ("500K", 500_000),
        ("500kB", 500_000),
        ("10M", 10_000_000),
        ("2G", 2_000_000_000),
        ("3T", 3_000_000_000_000),
        ("1.5M", 1_500_000),
        ("1.005k", 1005),
        ("0.001k", 1),
        ("64KiB", 65_536),
        ("64Ki", 65_536),
        ("1MiB", 1 << 20),
        ("1gib", 1 << 30),
        ("1TiB", 1 << 40),
        ("1.1GiB", 1_181_116_006),
        (" 10 M ", 10_000_000),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_a_size_is_bytes_in_powers_of_1000_or_1024(text: str, size: int) -> None:
    assert parsed("--max-size", text)["max_size"] == size


@pytest.mark.parametrize(
    "text",
    ["", "-1", "k", "10X", "10iB", "1.M", ".5M", "1e6", "10 M B", "1,000", "0x10", "inf", "nan",
     "9" * 400, "10\u212a", "\u0661\u0660", "10M10", "1_000"],
)  # fmt: skip
def test_what_is_no_size_is_said_in_one_line(text: str) -> None:
    said = refused(f"--max-size={text}")
    assert said.startswith("Invalid value for '--max-size': ")
    assert "is not a size like 500k, 10M or 2GiB" in said


@given(st.integers(0, 10**15 - 1), st.sampled_from(["", "k", "M", "G", "T"]), st.booleans())
def test_any_whole_number_of_units_is_exact(number: int, unit: str, binary: bool) -> None:
    power = ["", "k", "M", "G", "T"].index(unit)
    text = f"{number}{unit}{'i' if binary and unit else ''}B"
    assert Size().convert(text, None, None) == number * (1024 if binary and unit else 1000) ** power


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--max-concurrency", "many"),
        ("--max-concurrency", "1.5"),
        ("--retries", ""),
        ("--delay", "1s"),
        ("--log-format", "xml"),
        ("--s3-client", "wget"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(flag: str, text: str) -> None:
    assert f"'{flag}'" in refused(flag, text)


def test_an_option_without_its_value_and_an_unknown_one_are_refused() -> None:
    assert "--retries" in refused("--retries")
    assert "--retrys" in refused("--retrys", "3")


def test_headers_may_be_repeated_and_keep_their_order() -> None:
    found = parsed("-H", "B: 2", "--header", "A: 1", "-HC: 3, 4")
    assert found["headers"] == ("B: 2", "A: 1", "C: 3, 4")


@pytest.mark.parametrize("value", ["A: 1\nB: 2 3", "A: 1\nB: 2 3\n", "\n  A: 1\r\n\n  B: 2 3  \n"])
def test_several_headers_of_a_variable_are_on_lines_of_their_own(value: str) -> None:
    assert parsed(env={"SCRAPER_HEADER": value})["headers"] == ("A: 1", "B: 2 3")
    assert Header().split_envvar_value(value) == ["A: 1", "B: 2 3"]


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("retries = 5", "retries", 5),
        ("delay = 1", "delay", 1.0),
        ("delay = 0.25", "delay", 0.25),
        ("max-size = 1000", "max_size", 1000),
        ("max_size = '1k'", "max_size", 1000),
        ("max-failures = 3", "max_failures", "3"),
        ("raw = true", "raw", True),
        ("raw = false", "raw", False),
        ("progress = false", "progress", False),
        ("header = 'A: b'", "headers", ("A: b",)),
        ("header = ['A: b', 'C: d']", "headers", ("A: b", "C: d")),
        ("header = []", "headers", ()),
        ("to = 'ü'", "to", "ü"),
    ],
)
def test_values_of_the_file_are_written_as_toml_has_them(
    line: str, name: str, value: Any, tmp_path: Path
) -> None:
    assert parsed(config(tmp_path, line))[name] == value


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("retrys = 5", "there is no option 'retrys'"),
        ("headers = ['A: b']", "there is no option 'headers'"),
        ("no-progress = true", "there is no option 'no-progress'"),
        ("config = 'x'", "there is no option 'config'"),
        ("files = ['x']", "there is no option 'files'"),
        ("'' = 1", "there is no option ''"),
        ("[fetch]\nretries = 5", "there is no option 'fetch'"),
        ("[retries]\nx = 5", "retries"),
        ("to = ['a', 'b']", "'to'"),
        ("retries = 1.5", "retries"),
        ("retries = true", "retries"),
        ("delay = true", "delay"),
        ("delay = 2024-01-01", "delay"),
        ("raw = 3", "raw"),
        ("max-size = true", "max-size"),
        ("log-format = 3", "log-format"),
        ("retries = ", "is not TOML"),
        ("retries = 1\nretries = 2", "is not TOML"),
    ],
)
def test_what_the_file_may_not_have_is_said_in_one_line(
    line: str, said: str, tmp_path: Path
) -> None:
    assert said in refused(config(tmp_path, line))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused("--config", str(tmp_path / "none")).endswith("none': No such file or directory")
    assert refused("--config", str(tmp_path)).endswith("': Is a directory")
    (tmp_path / "binary").write_bytes(b"to = '\xff'")
    assert "is not TOML" in refused("--config", str(tmp_path / "binary"))


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert given_options(config(tmp_path, "# nothing\n")) == {}


def test_a_header_in_the_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").touch()
    file = config(tmp_path, "header = [1]\n")
    result = run(file, "--dry-run", str(tmp_path / "list"))
    assert result.exit_code == 2
    assert "'header'" in result.stderr


# ---------------------------------------------------------------- help


def sections() -> dict[str, str]:
    """Title and text of each part of the help."""
    text = CliRunner().invoke(command, ["--help"]).output
    parts = re.split(r"^(\S.*):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_help_has_sections_in_the_order_of_what_people_reach_for() -> None:
    titles = [title for title in sections() if not title.startswith("Usage")]
    assert [title.partition(" (")[0] for title in titles] == [
        "What to fetch",
        "Where to",
        "After an earlier run",
        "How much at once",
        "When something fails",
        "Limits of one attempt",
        "Limits of the whole run",
        "Requests",
        "S3",
        "What is told",
        "Other",
    ]


def test_the_help_tells_every_option_in_words() -> None:
    text = " ".join(" ".join(sections().values()).split())
    for option in FLAGS | VALUES | {"--progress"}:
        assert option in text
    for param in command.params:
        assert isinstance(param, click.Option)
        assert param.help
        assert param.help[-1] in ".]", param.name


def test_the_defaults_that_the_help_shows_are_those_of_the_settings() -> None:
    shown = {
        param.name: found[1]
        for param in command.params
        if isinstance(param, click.Option)
        and (found := re.search(r"\[default: ([^]]*)\]", param.help or ""))
    }
    flat = {**dataclasses.asdict(Settings())}
    for branch in ("politeness", "retries", "limits", "run_limits", "http", "earlier"):
        flat |= flat.pop(branch)
    flat |= {f"s3_{name}": value for name, value in flat.pop("s3").items()}
    flat["max_failures"] = Budget().count
    for name, text in shown.items():
        assert name is not None
        if name in RUN_ALONE or name in IN_WORDS:
            continue
        if name in {"continue_above", "split_above"}:
            assert Size().convert(text, None, None) == flat[name]
            continue
        expected = "none" if flat[name] is None else f"{flat[name]}".removesuffix(".0")
        assert text.partition(":")[0] == expected, name
    numbers = {name for name, value in flat.items() if type(value) in {int, float}}
    assert numbers - {"backoff_min", "backoff_max"} <= shown.keys()


# ---------------------------------------------------------------- the commands


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    """`scraper arguments`, its status and its words as a shell has them."""

    @click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def program(arguments: tuple[str, ...]) -> None:
        cli.main(arguments)

    return CliRunner().invoke(program, arguments, env=env)


@pytest.fixture
def urls(tmp_path: Path) -> str:
    path = tmp_path / "urls.txt"
    path.write_text("http://a/x.html\n")
    return str(path)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["fetch", "--help"], ["fetch", "-h"]])
def test_help_is_the_help_of_fetch(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert "--max-concurrency" in result.stdout
    assert result.stderr == ""


def test_the_help_of_the_whole_names_the_commands() -> None:
    commands = run("--help").stdout.partition("\nCommands:\n")[2].partition("\nExit")[0]
    others = sorted(COMMANDS.keys() - {"fetch"})
    assert re.findall(r"^  (\w+)", commands, re.MULTILINE) == ["fetch", *others]


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"scraper \d+\.\d+\.\d+\n", run("--version").stdout)


def test_fetch_is_what_is_meant_without_a_command(urls: str) -> None:
    expected = run("fetch", "--dry-run", urls)
    assert expected.exit_code == 0
    assert expected.stdout == "http://a/x.html\ta_http/x.html\n"
    assert run("--dry-run", urls).stdout == expected.stdout
    assert run(urls, "--dry-run").stdout == expected.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--retries", "x"], "Invalid value for '--retries': 'x' is not a valid integer."),
        (["--max-concurrency", "0"], "--max-concurrency must be a whole number, at least 1, not 0"),
        (["-q", "-v"], "--quiet and --verbose contradict each other"),
        (["--dry-run", "--results", "-"], "--dry-run has no results: leave --results out"),
        (["--cacert", "none.pem"], "--cacert 'none.pem': No such file"),
        (["--to", "scp://u:hunter2@h"], "--to 'scp://REDACTED@h': no sink for scp://"),
        (
            ["--to", "simplecache::ftp://u:hunter2@h/x"],
            "--to 'simplecache::ftp://REDACTED@h/x': no sink for simplecache::ftp://",
        ),
        (["--to", "arrow_hdfs://u:hunter2@h"], "--to 'arrow_hdfs://REDACTED@h': no sink for"),
        *(
            ([option, "sftp://u:hunter2@h/x"], f"Invalid value for '{option}': 'sftp://REDACTED@h")
            for option in (
                *("--manifest", "--results", "--log-file", "--metrics", "--config"),
                *("--cacert", "--cookies", "--cert", "--cert-key"),
            )
        ),
        *(
            ([option, "-"], f"Invalid value for '{option}': '-' is no file here")
            for option in ("--manifest", "--log-file", "--metrics")
        ),
        (["--key", "{nonsense}"], "--key"),
        (["--max-failures", "101%"], "--max-failures '101%' is above 100%"),
        (["-H", "Authorization hunter2"], "--header 'Authorization' is not 'Name: value'"),
        (["none.txt"], "can't open the list 'none.txt': No such file or directory"),
        (["-", "-"], "stdin ('-') can be read once only"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], said: str, urls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(tmp_path.iterdir())
    result = run(*arguments, urls)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"scraper: {said}")
    said, _, hint = result.stderr[:-1].partition("\n")
    assert not hint or re.fullmatch("hint: .+", hint)
    assert "hunter2" not in result.stderr
    assert list(tmp_path.iterdir()) == before


def test_the_command_has_these_options_and_no_others() -> None:
    assert [param.name for param in fetch.params if isinstance(param, click.Option)] == [
        param.name for param in command.params
    ]
