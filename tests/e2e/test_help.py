"""Help: what people read first. In order, true, and in a blink."""

import os
import re
import statistics
import subprocess
import sys
from typing import Any

import click
import pytest

import scraper
from scraper.cli.commands import COMMANDS
from scraper.cli.fetch import fetch
from scraper.cli.values import Size
from scraper.model.settings import Budget, Settings
from tests.e2e.command import Command, program

SECTIONS = [
    "What to fetch:",
    "Where to:",
    "After an earlier run:",
    "How much at once:",
    "When something fails:",
    "Limits of one attempt:",
    "Limits of the whole run:",
    "Requests:",
    "S3 (credentials, region and endpoint as for the aws command):",
    "What is told:",
    "Other:",
    "Commands:",
    "Exit status:",
]
HEAVY = [
    "boto3",
    "botocore",
    "moto",
    "rich",
    "requests",
    "urllib3",
    "tenacity",
    "orjson",
]


@pytest.mark.parametrize("words", [["--help"], ["fetch", "--help"], ["urls.txt", "--help"]])
def test_help_has_its_sections_in_the_order_that_people_look_for(
    words: list[str], cli: Command
) -> None:
    ran = cli(*words)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(
        f"Usage: scraper {'fetch ' * (len(words) > 1)}[OPTIONS] [URL|FILE]..."
    )
    found = [line for line in ran.lines if re.fullmatch(r"\S.*:", line)]
    assert found == (SECTIONS if len(words) == 1 else SECTIONS[:-2])
    assert cli.wrote == []


def test_help_lists_every_option_once_and_the_ways_out(cli: Command) -> None:
    text = cli("--help").out.partition("\nCommands:")[0]
    for param in fetch.params:
        for name in [opt for opt in param.opts if opt.startswith("-")]:
            pattern = rf"^  (?:\S+(?:,| /) )*{name}[ ,\n]"
            assert len(re.findall(pattern, text, re.MULTILINE)) == 1, name
    assert "  --version" in text
    assert "  -h " in text
    assert "  --help " in text
    text = cli("--help").out
    assert "  demo " in text
    assert max(map(len, text.splitlines())) <= 80


def shown_defaults() -> dict[str, str]:
    """What the help says after `[default: `, by the name of the parameter."""
    context = click.Context(fetch, max_content_width=10_000)
    shown = {}
    for param in fetch.params:
        record = param.get_help_record(context)
        found = re.search(r"\[default: (.*)\]", record[1] if record else "")
        if found:
            shown[str(param.name)] = found[1]
    return shown


def test_the_defaults_in_the_help_are_those_of_settings() -> None:
    settings = Settings()
    flat: dict[str, Any] = {
        "to": settings.to,
        "key": settings.key,
        "max_failures": settings.max_failures,
    }
    for branch in ("politeness", "retries", "limits", "run_limits"):
        part = getattr(settings, branch)
        flat |= {name: getattr(part, name) for name in part.__dataclass_fields__}
    del flat["backoff_min"], flat["backoff_max"]  # no options
    del flat["robots"]  # a flag
    flat |= {"s3_client": settings.s3.client, "engine": settings.engine, "lock": settings.lock}
    in_words = {
        "manifest": ".scraper/manifest.jsonl in DEST",
        "user_agent": "scraper/VERSION",
        "proxy": "http_proxy and https_proxy",
        "robots_agent": "first word of the User-Agent",
        "refresh": "refresh",
        "durable": "no-durable",
        "list_format": "auto: by name, Content-Type, first line, or a column named",
        "url_column": "url",
        "store_compressed": "none",
        "warc_size": "1GiB; in stores 256MiB",
        "key_column": "key",
        "default_scheme": "none",
        "log_format": "text",
        "stats": "none",
        "progress": "when it is a terminal",
    }
    shown = shown_defaults()
    assert shown.keys() == flat.keys() | in_words.keys()
    for name, value in flat.items():
        said = shown[name].partition(":")[0]
        if name in {"continue_above", "split_above"}:
            assert Size().convert(said, None, None) == value
        elif value is None:
            assert said == "none", name
        elif isinstance(value, Budget):
            assert Budget.parse(said) == value
        else:
            assert said == (value if isinstance(value, str) else f"{value:g}"), name
    assert {name: shown[name] for name in in_words} == in_words


def test_an_option_that_is_not_given_has_no_value_so_that_settings_decide() -> None:
    params = fetch.make_context("scraper", []).params
    assert {name for name, value in params.items() if value is not None} == {
        "arguments",
        "headers",
        "input_files",
        "resolve",
    }


def test_what_has_no_default_in_the_help_is_off_or_none() -> None:
    settings = Settings()
    for part in (settings.http, settings.s3):
        for name in part.__dataclass_fields__.keys() - {"client"}:
            assert getattr(part, name) in {None, False, ()}, name


@pytest.mark.parametrize("words", [["--version"], ["fetch", "--version"]])
def test_version_is_the_packages(words: list[str], cli: Command) -> None:
    ran = cli(*words)
    assert (ran.status, ran.out, ran.err) == (0, f"scraper {scraper.__version__}\n", "")


def test_fetch_is_what_is_meant_when_no_command_is_named(cli: Command) -> None:
    cli.write("list.txt", "https://example.com/a.txt")
    expected = "https://example.com/a.txt\texample.com/a.txt\n"
    for words in (["--dry-run", "list.txt"], ["list.txt", "--dry-run"], ["-c", "3", "--dry-run"]):
        stdin = None if "list.txt" in words else "https://example.com/a.txt\n"
        assert cli(*words, stdin=stdin).out == cli("fetch", *words, stdin=stdin).out == expected


def test_the_demo_has_its_own_help(cli: Command) -> None:
    ran = cli("demo", "-h")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("Usage: scraper demo [OPTIONS] [-- COMMAND...]")


def test_a_module_is_the_same_program(cli: Command) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "scraper", "--version"],
        capture_output=True,
        text=True,
        cwd=cli.directory,
        env=cli.environment,
        check=True,
    )
    assert ran.stdout == cli("--version").out


# ---------------------------------------------------------------- the short one


@pytest.mark.parametrize("words", [["-h"], ["fetch", "-h"], ["urls.txt", "-h"], ["-c", "4", "-h"]])
def test_the_short_help_is_one_screen_with_examples_and_statuses(
    words: list[str], cli: Command
) -> None:
    ran = cli(*words)
    assert (ran.status, ran.err, cli.wrote) == (0, "", [])
    assert len(ran.lines) <= 50
    assert max(map(len, ran.lines)) <= 80
    for word in ("Examples:", "Commands:", "Exit status:", "130, 143", "scraper --help"):
        assert word in ran.out
    for name in COMMANDS.keys() - {"fetch"}:
        assert f"\n  {name} " in ran.out
    assert ran.out == cli("-h").out


def test_the_examples_of_the_short_help_are_calls_that_work(cli: Command) -> None:
    cli.write("urls.txt", "https://example.com/a")
    examples = re.findall(
        r"^  .*?((?:printf .*\| )?scraper .*--to \S+.*)$", cli("-h").out, re.MULTILINE
    )
    assert len(examples) == 4
    for example in examples:
        command = example.partition("  #")[0].replace("scraper ", f"{program()[0]} --dry-run ")
        command = command.replace("/usr/local/bin/", "").replace("/srv/", "")
        ran = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            cwd=cli.directory,
            env=cli.environment,
            check=False,
        )
        assert (ran.returncode, bool(ran.stdout)) == (0, True), (example, ran.stderr)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"fetch"}))
def test_another_command_has_one_help(name: str, cli: Command) -> None:
    assert cli(name, "-h").out == cli(name, "--help").out != ""


def test_the_help_says_in_two_sentences_what_is_a_url_and_what_a_list(cli: Command) -> None:
    text = " ".join(cli("--help").out.split())
    assert "An argument that is an http(s) URL is fetched itself. Any other argument is a" in text
    assert "one at an http(s) URL is given with -i." in text


# ---------------------------------------------------------------- the shell's completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, cli: Command) -> None:
    ran = cli(env={"_SCRAPER_COMPLETE": f"{shell}_source"})
    assert (ran.status, ran.err) == (0, "")
    assert f"_SCRAPER_COMPLETE={shell}_complete" in ran.out


def completed(cli: Command, *words: str) -> list[str]:
    """What bash is offered for the last of `words`."""
    environment = {
        "_SCRAPER_COMPLETE": "bash_complete",
        "COMP_LINE": " ".join(["scraper", *words]),
    }
    return cli(env=environment).lines


def test_options_values_and_paths_are_completed_without_naming_the_command(cli: Command) -> None:
    assert completed(cli, "--max-c") == ["plain,--max-concurrency"]
    assert completed(cli, "--version") == ["plain,--version"]
    assert completed(cli, "--log-format", "j") == ["plain,json"]
    assert completed(cli, "--log-format=j") == ["plain,json"]
    assert completed(cli, "urls") == ["file,urls"]
    assert completed(cli, "-i", "http://h:80/l") == ["file,http://h:80/l"]
    assert completed(cli, "ver") == ["plain,verify", "file,ver"]
    assert completed(cli, "verify", "--s3-e") == ["plain,--s3-endpoint"]
    for option in ("--to", "--manifest", "--cacert", "--results", "--log-file", "--config"):
        assert completed(cli, "fetch", option, "pa") == ["file,pa"], option


# ---------------------------------------------------------------- in a blink


@pytest.mark.parametrize("word", ["--help", "--version", "--nonsense"])
def test_nothing_heavy_is_imported_to_say_a_few_words(word: str, cli: Command) -> None:
    code = f"""
import sys
from scraper.cli import main
try:
    main([{word!r}])
finally:
    print(*sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=cli.environment,
        check=False,
    )
    loaded = ran.stderr.splitlines()[-1].split()
    assert "click" in loaded
    assert not {*HEAVY} & {*loaded}


def cpu_s(words: list[str], cli: Command) -> float:
    """What a program costs: its own time, whoever else is busy on the machine."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=cli.environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_costs_less_than_twice_an_import_of_click(cli: Command) -> None:
    commands = {
        "import click": [sys.executable, "-c", "import click"],
        "--help": [*program(), "--help"],
        "--version": [*program(), "--version"],
    }
    costs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(7):
        for name, words in commands.items():
            costs[name].append(cpu_s(words, cli))
    base = statistics.median(costs["import click"])
    ratios = {name: statistics.median(times) / base for name, times in costs.items()}
    print(*(f"{name}: {ratio:.2f} x import click" for name, ratio in ratios.items()), sep="\n")
    assert max(ratios.values()) < 2
