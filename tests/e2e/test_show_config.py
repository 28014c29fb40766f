"""--show-config: what is in force and where it came from; nothing is fetched."""

import tomllib

from tests.e2e.command import Command
from tests.servers import Serve


def origins(text: str) -> dict[str, str]:
    """The origin of each option."""
    lines = [line for line in text.splitlines() if "  # " in line]
    return {line.lstrip("# ").split()[0]: line.rpartition("  # ")[2] for line in lines}


def test_each_option_is_shown_with_its_value_and_its_origin(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"a"})
    cli.write("config.toml", "retries = 5", 'to = "from-file"', "robots = true")
    ran = cli(
        *("--config", "config.toml", "--show-config", "-c", 4, "--no-refresh", f"{server.url}/a"),
        env={"SCRAPER_RETRIES": "7", "SCRAPER_HEADER": "A: 1\nB: 2"},
    )
    assert (ran.status, ran.err) == (0, "")
    values, origin = tomllib.loads(ran.out), origins(ran.out)
    assert (values["max-concurrency"], origin["max-concurrency"]) == (4, "command line")
    assert (values["refresh"], origin["refresh"]) == (False, "command line")
    assert (values["retries"], origin["retries"]) == (7, "SCRAPER_RETRIES")
    assert (values["header"], origin["header"]) == (["A: 1", "B: 2"], "SCRAPER_HEADER")
    assert (values["to"], origin["to"]) == ("from-file", "config.toml")
    assert (values["robots"], origin["robots"]) == (True, "config.toml")
    assert (values["read-timeout"], origin["read-timeout"]) == (30, "default")
    assert "rate" not in values
    assert origin["rate"] == "default: none"
    assert (cli.wrote, server.total) == (["config.toml"], 0)


def test_what_is_shown_can_be_read_again(cli: Command) -> None:
    shown = cli("--show-config", "-c", 4, "--delay", 0.5, "--max-size", "10M", "--key", "hash").out
    cli.write("again.toml", shown)
    again = cli("--config", "again.toml", "--show-config").out
    assert tomllib.loads(again) == tomllib.loads(shown)
    assert origins(again)["delay"] == "again.toml"


def test_secrets_are_redacted(cli: Command) -> None:
    env = {
        "SCRAPER_HEADER": "Authorization: Bearer hunter2\nX-Api-Key: hunter2",
        "SCRAPER_PROXY": "http://me:hunter2@proxy:3128",
        "SCRAPER_INPUT_FILE": "https://h/list?token=hunter2",
    }
    ran = cli("--show-config", "--s3-endpoint", "https://me:hunter2@s3/", env=env)
    assert ran.status == 0
    assert "hunter2" not in ran.out + ran.err
    assert ran.out.count("REDACTED") == 5


def test_a_wrong_value_is_an_error_here_too(cli: Command) -> None:
    ran = cli("--show-config", env={"SCRAPER_RETRIES": "-1"})
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("scraper: SCRAPER_RETRIES must be")
