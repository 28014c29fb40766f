"""`scraper status DEST`: one screen of what is there, and what to type next."""

import json
import os
import shlex
import signal
import subprocess
import threading
from typing import Any

import pytest

from tests.e2e.command import MANIFEST, SUMMARY, Command, Ran
from tests.e2e.places import Bucket, Directory, Place
from tests.e2e.watch import records_so_far, until
from tests.servers import Reply, Request, Serve

COLUMNS, ROWS = 80, 24


def fetch(cli: Command, place: Place, *lines: str, options: tuple[str, ...] = ()) -> Ran:
    cli.write("urls", *lines)
    words = ["urls", *place.words, "-q", "--retries", "0", *options]
    return cli(*words, env=place.environment)


def screen(cli: Command, place: Place, status: int) -> list[str]:
    ran = cli("status", *place.words[1:], env=place.environment)
    assert (ran.status, ran.err) == (status, ""), ran
    assert len(ran.lines) < ROWS
    for line in ran.lines:
        is_command = line.split(":")[0] in {"  again", "  see which"}
        assert is_command or len(line) <= COLUMNS, line
    return ran.lines


def facts(cli: Command, place: Place) -> dict[str, Any]:
    ran = cli("status", *place.words[1:], "--json", env=place.environment)
    assert (ran.err, len(ran.lines)) == ("", 1)
    found: dict[str, Any] = json.loads(ran.out)
    assert ran.status == (0 if found["done"] else 1)
    return found


def remove_summary(place: Place) -> None:
    if isinstance(place, Bucket):
        key = f"{place.prefix}/{SUMMARY}"
        place.server.delete(place.bucket, key)
    else:
        assert isinstance(place, Directory)
        (place.cli.directory / place.name / SUMMARY).unlink()


def broken(request: Request) -> Reply:
    codes = {"/gone": 404, "/gone2": 404, "/busy": 503}
    return Reply(codes.get(request.path, 200), {}, request.path.encode())


def test_what_failed_and_what_to_type_next(cli: Command, place: Place, serve: Serve) -> None:
    server = serve(broken)
    urls = [f"{server.url}/{name}" for name in ("a", "b", "gone", "gone2", "busy")]
    assert fetch(cli, place, *urls).status == 1
    lines = screen(cli, place, status=1)
    assert lines[0].startswith("3 of 5 targets are not done in ")
    for expected in (
        "  done:      2 stored",
        "  not done:  3 failed",
        "  objects:   2, 4 B",
        "  failed:    2 HTTP 404",
        "             1 HTTP 503",
    ):
        assert expected in lines
    assert any(" exit 1  " in line and "2 stored" in line for line in lines)
    found = facts(cli, place)
    assert (found["targets"], found["objects"], found["bytes"]) == (5, 2, 4)
    zeros = dict.fromkeys(("not_modified", "replaced", "deferred", "not_reached"), 0)
    assert found["statuses"] == {"stored": 2, "failed": 3, **zeros}
    groups = {group["reason"]: group["failures"] for group in found["failures"]}
    assert groups == {"HTTP 404": 2, "HTTP 503": 1}
    assert (found["runs_from"], len(found["runs"])) == ("summary", 1)
    assert f"  again:     {found['again']}" in lines
    assert f"  see which: {found['failed']}" in lines
    told = cli(*shlex.split(found["failed"])[1:], env=place.environment)
    assert sorted(told.lines) == sorted(urls[2:])
    assert "held_by" not in found


def test_all_is_done_after_the_rest_was_fetched(cli: Command, place: Place, serve: Serve) -> None:
    codes = {"/b": 503}
    server = serve(lambda one: Reply(codes.get(one.path, 200), {}, b"x"))
    fetch(cli, place, f"{server.url}/a", f"{server.url}/b")
    codes.clear()
    again = shlex.split(facts(cli, place)["again"])
    assert cli(*again[1:], env=place.environment).status == 0
    lines = screen(cli, place, status=0)
    assert lines[0].startswith("2 targets: all done in ")
    assert not any(line.startswith(("  again", "  see which", "  not done")) for line in lines)
    runs = facts(cli, place)["runs"]
    assert [run["exit_status"] for run in runs] == [0, 1]
    assert [run["statuses"]["failed"] for run in runs] == [0, 1]


def test_without_a_summary_the_manifest_alone_tells(
    cli: Command, place: Place, serve: Serve
) -> None:
    server = serve(broken)
    for path in ("a", "busy"):
        fetch(cli, place, f"{server.url}/{path}")
    remove_summary(place)
    lines = screen(cli, place, status=1)
    assert "  runs:      by the manifest alone: there is no summary that can be read" in lines
    found = facts(cli, place)
    assert found["runs_from"] == "manifest"
    assert [run["statuses"] for run in found["runs"]] == [{"failed": 1}, {"stored": 1}]
    server.requests.clear()
    again = shlex.split(found["again"])
    assert cli(*again[1:], env=place.environment).status == 1
    assert {request.path for request in server.requests} == {"/busy"}


def test_records_of_versions_without_ids_of_runs_count_as_one(cli: Command) -> None:
    own = cli.directory / "out" / MANIFEST
    own.parent.mkdir(parents=True)
    gone = {"url": "http://h/g", "line": 2, "source": "l", "key": "h_http/g", "attempts": 1}
    error = {"kind": "interrupted", "message": "SIGINT"}
    own.write_text(json.dumps({**gone, "status": "failed", "error": error}) + "\n{torn\n")
    found = facts(cli, Directory(cli))
    assert found["statuses"]["not_reached"] == 1
    assert found["runs"] == [{"targets": 1, "statuses": {"not_reached": 1}}]
    assert "(no date)" in "".join(screen(cli, Directory(cli), status=1))
    assert sorted(cli.directory.rglob("*")) == [own.parent.parent, own.parent, own]


def test_a_run_that_goes_on_holds_it(cli: Command, place: Place, serve: Serve) -> None:
    go = threading.Event()
    server = serve(lambda one: Reply(200, {}, b"x", delay=go if one.path == "/slow" else None))
    fetch(cli, place, f"{server.url}/a")
    cli.write("urls", f"{server.url}/slow")
    with cli.start("urls", *place.words, "-q", env=place.environment) as process:
        server.wait_until(lambda: server.in_flight == 1)
        found = facts(cli, place)
        lines = screen(cli, place, status=1)
        assert found["held_by"].split(" on ")[0] == f"process {process.pid}"
        assert f"  held by:   {found['held_by']}"[:COLUMNS] in lines
        assert lines[0].startswith("1 target: done so far in ")
        go.set()
        assert cli.ended(process).status == 0
    assert screen(cli, place, status=0)[0].startswith("2 targets: all done in ")


@pytest.mark.parametrize("before", [0, 1])
def test_a_run_that_was_killed_has_left_no_summary(cli: Command, serve: Serve, before: int) -> None:
    """Also the first one of a destination."""
    go, place = threading.Event(), Directory(cli)
    server = serve(lambda one: Reply(200, {}, b"x", delay=go if one.path == "/slow" else None))
    for _ in range(before):
        fetch(cli, place, f"{server.url}/a")
    cli.write("urls", f"{server.url}/b", f"{server.url}/slow")
    with cli.start("urls", *place.words, "-q") as process:
        until(lambda: len(records_so_far(place)) == before + 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    go.set()
    found = facts(cli, place)
    assert "held_by" not in found
    assert (found["done"], found["without_summary"]) == (False, place.records()[before]["run"])
    lines = screen(cli, place, status=1)
    assert lines[0].startswith(f"{before + 1} target{'s' * before}: done so far in ")
    assert ("the last one has left no summary" in "".join(lines)) == bool(before)


def test_a_list_that_was_not_read_to_its_end_is_not_done(cli: Command, serve: Serve) -> None:
    place = Directory(cli)
    server = serve(lambda _: Reply(200, {}, b"x" * 100))
    urls = [f"{server.url}/{number}" for number in range(20_000)]  # more than is read ahead
    fetch(cli, place, *urls, options=("--max-total-size", "100", "-c", "1"))
    found = facts(cli, place)
    assert found["unread"] is True
    assert found["again"].endswith(" --resume")
    said = "             the list of the last run was not read to its end"
    assert said in screen(cli, place, status=1)


def test_many_reasons_many_runs_and_long_names_fit_one_screen(cli: Command, serve: Serve) -> None:
    place = Directory(cli, "o" * 200)
    wait = {"Retry-After": "9999"}
    server = serve(lambda one: Reply(int(one.path[1:4]), wait if "w" in one.path else {}))
    codes = [*range(401, 407), 409, *range(411, 420), 500, 501, 505]
    urls = [f"{server.url}/{code}" for code in codes]
    for _ in range(7):
        fetch(cli, place, *urls, f"{server.url}/503w", f"{server.url}/429w")
    screen(cli, place, status=1)
    assert len(facts(cli, place)["runs"]) == 7


def test_what_drives_a_terminal_is_shown_safely_and_secrets_are_not(
    cli: Command, serve: Serve
) -> None:
    server = serve(broken)
    place = Directory(cli)
    fetch(cli, place, f"http://us:hunter2@{server.url[7:]}/gone?token=hunter2")
    path = cli.directory / "out" / SUMMARY
    summary = json.loads(path.read_text())
    evil = {"again": "a\x1b[2J", "reason": "\x1b[31m", "start": "\x9b1;1H"}
    path.write_text(json.dumps({**summary, **evil, "statuses": {"\x1b": 3}}))
    for words in ((), ("--json",)):
        ran = cli("status", "out", *words)
        assert "hunter2" not in ran.out + ran.err
        assert not {"\x1b", "\x9b"} & set(ran.out)
        assert "\\u001b" in ran.out


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{", '{"earlier_runs": 3}', '{"runs": [], "start": 1}']
)
def test_a_summary_that_is_none_is_no_reason_to_fail(
    cli: Command, serve: Serve, content: str
) -> None:
    server = serve(broken)
    place = Directory(cli)
    fetch(cli, place, f"{server.url}/a")
    (cli.directory / "out" / SUMMARY).write_text(content)
    screen(cli, place, status=0)
    facts(cli, place)


def test_without_a_manifest_it_is_wrong_usage(cli: Command) -> None:
    ran = cli("status", "nowhere")
    assert (ran.status, ran.out, len(ran.complaints), cli.wrote) == (2, "", 1, [])


def test_a_manifest_that_can_not_be_read_ends_with_3(cli: Command) -> None:
    (cli.directory / "out" / MANIFEST).mkdir(parents=True)
    ran = cli("status", "out")
    assert (ran.status, ran.out, len(ran.complaints)) == (3, "", 1)


def test_a_manifest_elsewhere_is_read_and_named_in_what_to_type(cli: Command, serve: Serve) -> None:
    server = serve(broken)
    options = ("--manifest", "m.jsonl")
    fetch(cli, Directory(cli), f"{server.url}/busy", options=options)
    ran = cli("status", "out", *options)
    assert ran.status == 1
    assert "  see which: scraper failed --manifest m.jsonl out" in ran.lines
    assert cli("status", "out").status == 2


def test_a_reader_that_leaves_ends_it_quietly(cli: Command, serve: Serve) -> None:
    server = serve(broken)
    fetch(cli, Directory(cli), f"{server.url}/gone")
    read, write = os.pipe()
    os.close(read)
    with cli.start("status", "out", stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        ran = cli.ended(process)
    assert (ran.status, ran.err) == (1, "")
