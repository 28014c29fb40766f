"""`--retry-failed`: with a list and without one, and what it leaves alone."""

import json
import os
import pty
from subprocess import PIPE

import pytest

from tests.e2e.breakable import Site
from tests.e2e.command import MANIFEST, Command, Ran
from tests.e2e.places import Bucket
from tests.e2e.runs import Runs
from tests.servers import Reply, Serve

RETRY = "--retry-failed"


def statuses(ran: Ran) -> list[str]:
    return [record["status"] for record in ran.records]


def test_without_a_list_it_is_what_the_manifest_shows(runs: Runs, site: Site, engine: str) -> None:
    site.broken = {"/a": 503, "/b": 500}
    assert runs("-", stdin=f"{site.url}/a\n{site.url}/b\tk.txt\n{site.url}/c\n").status == 1
    site.asked()
    site.broken = {}
    ran = runs(RETRY, "--engine", engine)
    assert ran.status == 0, ran.err
    assert site.asked() == ["/a", "/b"]
    assert statuses(ran) == ["stored", "stored"]
    assert set(runs.place.files()) == {record["key"] for record in runs.place.records()}
    assert "k.txt" in runs.place.files()
    ran = runs(RETRY)
    assert (ran.status, ran.records, site.asked()) == (0, [], [])


GONE = {"/404": 404, "/410": 410, "/451": 451}
MENDED = {"/403": 403, "/500": 500}


@pytest.mark.parametrize("with_list", [True, False])
def test_what_failed_for_good_is_left_alone(runs: Runs, site: Site, *, with_list: bool) -> None:
    site.broken = GONE | MENDED
    lines = "".join(f"{site.url}{path}\n" for path in site.broken) + "no url\n"
    assert runs("-", stdin=lines).status == 1
    site.asked()
    site.broken = GONE
    words, stdin = ([RETRY, "-"], lines) if with_list else ([RETRY], None)
    ran = runs(*words, stdin=stdin)
    assert site.asked() == sorted(MENDED)
    assert ran.status == 0, ran.err  # so that `until scraper ... --retry-failed` ends
    assert sorted(statuses(ran)) == ["skipped"] * (4 if with_list else 3) + ["stored"] * 2
    reasons = {record["reason"] for record in ran.records if record["status"] == "skipped"}
    assert "failed for good in an earlier run (--all tries it again)" in reasons
    assert f"skipped:   {4 if with_list else 3} failed for good earlier" in ran.err
    assert runs(*words, stdin=stdin).status == 0  # it stays so: nothing was recorded
    assert site.asked() == []


@pytest.mark.parametrize("with_list", [True, False])
def test_all_is_tried_again_if_asked(runs: Runs, site: Site, *, with_list: bool) -> None:
    site.broken = dict(GONE)
    lines = "".join(f"{site.url}{path}\n" for path in GONE) + "no url\n"
    runs("-", stdin=lines)
    site.asked()
    site.broken = {"/404": 404}
    words, stdin = ([RETRY, "--all", "-"], lines) if with_list else ([RETRY, "--all"], None)
    ran = runs(*words, stdin=stdin)
    assert ran.status == 1
    assert site.asked() == sorted(GONE)
    assert statuses(ran).count("stored") == 2
    assert statuses(ran).count("failed") == (2 if with_list else 1)


def test_what_was_deferred_or_not_reached_is_tried_again(runs: Runs, serve: Serve) -> None:
    answers = [Reply(503, {"Retry-After": "9999"}), Reply(200), Reply(200)]
    server = serve(lambda _: answers.pop(0))
    ran = runs("-", "-c", "1", "--max-total-size", "1", stdin=f"{server.url}/a\n")
    assert statuses(ran) == ["deferred"]
    assert statuses(runs(RETRY)) == ["stored"]


def test_a_record_of_an_old_run_that_was_stopped_is_tried_again(cli: Command, site: Site) -> None:
    cli("-", stdin=f"{site.url}/a\n")
    manifest = cli.directory / "out" / MANIFEST
    record = json.loads(manifest.read_text())
    error = {"kind": "interrupted", "message": "not finished: SIGINT"}
    kept = {name: record[name] for name in ("url", "line", "source", "key")}
    old = {**kept, "status": "failed", "error": error, "attempts": 0}
    manifest.write_text(json.dumps(old) + "\n")
    ran = cli(RETRY, "--results", "-")
    assert (ran.status, statuses(ran)) == (0, ["stored"])


def test_secrets_of_urls_are_not_there_and_the_status_says_so(runs: Runs, site: Site) -> None:
    site.broken = {"/a": 503, "/b": 503, "/gone": 404}
    lines = f"{site.url}/a?token=geheim\n{site.url}/b\n{site.url}/gone?token=geheim\n"
    runs("-", stdin=lines)
    site.broken = {"/gone": 404}
    site.asked()
    ran = runs(RETRY)
    assert ran.status == 1
    assert site.asked() == ["/b"]
    said = [line for line in ran.errors if "left out" in line]
    assert len(said) == 1
    assert said[0].startswith("scraper: 1 left out, since their secrets or headers are not in")
    assert f"scraper LIST --to {runs.place.words[1]} --retry-failed" in said[0]
    ran = runs(RETRY, "-", stdin=lines)
    assert (ran.status, site.asked()) == (0, ["/a?token=geheim"])


def test_a_pipe_with_lines_is_the_list(cli: Command, site: Site) -> None:
    site.broken = {"/a": 500, "/b": 500}
    lines = [f"{site.url}/a\n", f"{site.url}/b\n"]
    cli("-", "--retries", "0", stdin="".join(lines))
    site.broken = {}
    site.asked()
    assert cli(RETRY, stdin=lines[1]).status == 0
    assert site.asked() == ["/b"]
    with cli.start(RETRY, stdin=PIPE) as process:  # and one that is slow to come
        assert process.stdin is not None
        process.stdin.write(lines[0].encode())
        ran = cli.ended(process)
    assert (ran.status, site.asked()) == (0, ["/a"])


@pytest.mark.parametrize("stdin", ["empty pipe", "empty file", "/dev/null", "closed", "terminal"])
def test_without_a_line_on_stdin_it_is_the_manifest(cli: Command, site: Site, stdin: str) -> None:
    """Cron gives a pipe that has ended, systemd /dev/null."""
    site.broken = {"/a": 500}
    cli("-", "--retries", "0", stdin=f"{site.url}/a\n")
    site.broken = {}
    site.asked()
    if stdin == "empty pipe":
        ran = cli(RETRY, stdin="")
    elif stdin == "empty file":
        cli.write("empty")
        with (cli.directory / "empty").open() as file, cli.start(RETRY, stdin=file) as process:
            ran = cli.ended(process)
    elif stdin == "/dev/null":
        ran = cli(RETRY)
    elif stdin == "closed":
        cli.prefix = ["sh", "-c", 'exec "$@" <&-', "sh"]
        ran = cli(RETRY)
    else:
        controller, terminal = pty.openpty()
        with cli.start(RETRY, stdin=terminal) as process:
            os.close(terminal)
            ran = cli.ended(process)
        os.close(controller)
    assert ran.status == 0, ran.err
    assert site.asked() == ["/a"]


WRONG = [
    ([RETRY], "there is no manifest in './out'"),
    ([RETRY, "--manifest", "m.jsonl"], "there is no manifest in 'm.jsonl'"),
    ([RETRY, "--dry-run"], "--dry-run needs a list"),
    (["--all"], "--all is for --retry-failed only"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_wrong_call_ends_in_one_line(words: list[str], said: str, cli: Command) -> None:
    ran = cli(*words)
    assert (ran.status, ran.out, len(ran.errors)) == (2, "", 1)
    assert said in ran.err
    assert cli.wrote == []


def test_a_bucket_without_a_manifest_is_wrong_usage(
    request: pytest.FixtureRequest, cli: Command
) -> None:
    server = request.getfixturevalue("moto_server")
    place = Bucket(server, server.make_bucket())
    ran = cli(RETRY, *place.words, env=place.environment)
    assert ran.status == 2
    assert "there is no manifest in " in ran.err
