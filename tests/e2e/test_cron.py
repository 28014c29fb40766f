"""Where nobody looks: cron, systemd, containers. A bare environment, streams that are not there."""

import subprocess
from datetime import datetime

import pytest

from tests.e2e.command import WAIT_S, Command, Ran, folder
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Reply, Serve

BARE = {"PATH": "/usr/bin:/bin"}  # what cron gives, less HOME


@pytest.fixture
def cron(cli: Command) -> Command:
    """Runs the program with nothing but a bare PATH in its environment."""
    cli.environment = BARE
    return cli


def in_shell(cron: Command, redirections: str, *arguments: object) -> Ran:
    """Run it with streams that only a shell can take away (`>&-`), in a session of its own."""
    ended = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirections}', *cron.words(*arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cron.directory,
        env=cron.environment,
        timeout=WAIT_S,
        start_new_session=True,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def test_a_bare_environment_without_home_and_terminal_is_enough(
    cron: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a", "/b.html": b"b"})
    cron.write("list", f"{server.url}/a.txt", f"{server.url}/b.html")
    ran = in_shell(cron, "</dev/null", "list")
    assert (ran.status, ran.out) == (0, "")
    assert [line.split(":")[0] for line in (ran.errors[0], *ran.errors[3:])] == [
        "scraper 0.1.0",
        "2 targets",
        "  fetched",
        "  stored in",
        "  manifest",
    ]
    site = folder(server.url)
    assert cron.files() == {f"{site}/a.txt": b"a", f"{site}/b.html": b"b"}
    assert {record["status"] for record in cron.records()} == {"stored"}


def test_a_bare_environment_with_credentials_is_enough_for_s3(
    cron: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/a.txt": b"a"})
    bucket = moto_server.make_bucket()
    cron.environment = {**BARE, **CREDENTIALS}
    cron.write("list", f"{server.url}/a.txt\tpage")
    ran = in_shell(
        cron, "<&-", "-q", "list", "--to", f"s3://{bucket}/p", "--s3-endpoint", moto_server.url
    )
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert moto_server.read(bucket, "p/page") == b"a"


def test_quiet_says_nothing_when_nothing_failed(cron: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    cron.write("list", "# comment", f"{server.url}/a.txt", f"{server.url}/a.txt")
    ran = cron("-q", "list")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert cron.files() == {f"{folder(server.url)}/a.txt": b"a"}


def test_quiet_says_nothing_of_an_empty_list(cron: Command) -> None:
    ran = cron("-q", "-", stdin="")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_quiet_tells_of_failures_and_what_the_run_came_to(cron: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a", "/gone": Reply(404)})
    cron.write("list", f"{server.url}/a.txt", f"{server.url}/gone")
    ran = cron("-q", "-c", 1, "list")
    assert (ran.status, ran.out) == (1, "")
    assert ran.errors[0] == f"failed  {server.url}/gone (list:2): http_status: HTTP 404"
    assert ran.errors[1].startswith("2 targets: 1 stored, 1 failed in ")
    assert cron.files() == {f"{folder(server.url)}/a.txt": b"a"}


def test_quiet_is_quiet_about_failures_that_went_into_a_file(cron: Command, serve: Serve) -> None:
    server = serve({"/gone": Reply(404)})
    cron.write("list", f"{server.url}/gone")
    ran = cron("-q", "list", "--max-failures", 1, "--log-file", "log")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert "http_status: HTTP 404" in (cron.directory / "log").read_text()


@pytest.mark.parametrize(
    "redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full"]
)
def test_streams_that_are_closed_or_full_change_nothing(
    redirections: str, cron: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a" * 100_000})
    cron.write("list", f"{server.url}/a.txt")
    ran = in_shell(cron, redirections, "list")
    assert (ran.status, ran.out) == (0, "")
    assert "Traceback" not in ran.err
    assert cron.files() == {f"{folder(server.url)}/a.txt": b"a" * 100_000}
    assert [record["status"] for record in cron.records()] == ["stored"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "--dry-run"]])
def test_words_that_no_stdout_takes_are_an_error_of_one_line(
    arguments: list[str], cron: Command
) -> None:
    cron.write("list", "http://127.0.0.1:1/a")
    full = in_shell(cron, ">/dev/full", *arguments)
    closed = in_shell(cron, ">&-", *arguments)
    assert (full.status, full.err) == (1, "scraper: No space left on device\n")
    assert (closed.status, closed.err) == (1, "scraper: Bad file descriptor\n")
    assert cron.wrote == ["list"]


def test_results_for_a_closed_stdout_are_refused_before_anything_is_written(cron: Command) -> None:
    cron.write("list", "http://127.0.0.1:1/a")
    ran = in_shell(cron, ">&-", "list", "--results", "-")
    assert (ran.status, ran.err) == (2, "scraper: --results: can't write '-': stdout is closed\n")
    assert cron.wrote == ["list"]


def test_results_that_no_disk_takes_end_the_run_with_the_status_of_a_destination(
    cron: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    cron.write("list", f"{server.url}/a.txt")
    ran = in_shell(cron, ">/dev/full", "-q", "list", "--results", "-")
    assert ran.status == 3
    assert ran.errors[0] == "scraper: --results: No space left on device"
    assert [record["status"] for record in cron.records()] == ["stored"]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_no_list_at_all_is_wrong_usage(arguments: list[str], cron: Command) -> None:
    ran = in_shell(cron, "<&-", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert len(ran.complaints) == 1
    assert cron.wrote == []


def test_a_usage_error_that_nobody_can_read_is_a_status_still(cron: Command) -> None:
    for redirections in ("2>&-", "2>/dev/full"):
        ran = in_shell(cron, redirections, "--no-such-option")
        assert (ran.status, ran.out, ran.err) == (2, "", "")


def test_each_day_has_a_directory_of_its_own(cron: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    cron.write("list", f"{server.url}/a.txt\tpage")
    before = datetime.now().astimezone()
    ran = cron("-q", "list", "--to", "pages/{:%Y/%m-%d}")
    days = {f"{day:%Y/%m-%d}" for day in (before, datetime.now().astimezone())}
    assert (ran.status, ran.err) == (0, "")
    (stored,) = (cron.directory / "pages").glob("*/*/page")
    assert str(stored.parent.relative_to(cron.directory / "pages")) in days


def test_names_beyond_ascii_need_no_locale(cron: Command, serve: Serve) -> None:
    server = serve({"/caf%C3%A9": b"coffee"})
    (cron.directory / "list").write_text(f"{server.url}/café\tcafé/日本\n", "utf-8")
    for name in ("LANG", "LC_ALL"):
        ran = cron("list", "--to", name, env={name: "C"})
        assert ran.status == 0
        assert f"{server.url}/café -> café/日本" in ran.err
        assert (cron.directory / name / "café" / "日本").read_bytes() == b"coffee"
