"""The closing account: the id of a run, the last screen, and summary.json, in both destinations."""

import json
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.version import __version__
from tests.e2e.command import SUMMARY, WAIT_S, Command, lines
from tests.e2e.places import Bucket, Directory, Place
from tests.s3servers import Asked, Front, S3Server
from tests.servers import Reply, Request, Serve


def kept(place: Place) -> dict[str, Any]:
    """What summary.json says."""
    if isinstance(place, Bucket):
        data = place.read(SUMMARY)
    else:
        assert isinstance(place, Directory)
        data = (place.cli.directory / place.name / SUMMARY).read_bytes()
    assert data.count(b"\n") == 1
    found: dict[str, Any] = json.loads(data)
    return found


def test_every_record_of_a_run_has_its_id(place: Place, cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    urls = lines(f"{server.url}/a.txt", f"{server.url}/a.txt", f"{server.url}/b.txt", "nonsense")
    words = ["--results", "-", "--log-format", "json", *place.words]
    runs = [cli(*words, stdin=urls, env=place.environment) for _ in range(2)]
    ids = []
    for ran in runs:
        (id_,) = {record["run"] for record in ran.records}
        events = [json.loads(line) for line in ran.errors]
        named = {event["run"] for event in events if event["event"] in {"start", "result"}}
        assert named == {id_}
        assert events[-1]["run"] == id_
        ids.append(id_)
    assert ids == sorted(set(ids))
    assert [record["run"] for record in place.records()] == [ids[0]] * 4 + [ids[1]] * 4
    summary = kept(place)
    assert (summary["run"], summary["version"]) == (ids[1], __version__)
    (earlier,) = summary["earlier_runs"]
    assert (earlier["run"], earlier["version"]) == (ids[0], __version__)


# ---------------------------------------------------------------- summary.json


def test_the_log_for_machines_ends_with_what_the_destination_keeps(
    place: Place, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"abc", "/odd": Reply(410)})
    urls = [f"{server.url}/{name}" for name in ("a.txt", "a.txt", "missing", "gone", "odd")]
    cli.write("l", *urls, "nonsense")
    ran = cli("l", "--log-format", "json", "--retries", 0, *place.words, env=place.environment)
    summary = kept(place)
    last = json.loads(ran.errors[-1])
    assert last == {"time": last["time"], "level": "warning", "event": "summary"} | summary
    assert ran.status == summary["exit_status"] == 1
    assert summary["reason"] == "more failures than --max-failures"
    assert summary["statuses"] == {
        "stored": 1,
        "not_modified": 0,
        "skipped": 0,
        "duplicate": 1,
        "deferred": 0,
        "failed": 4,
        "not_reached": 0,
    }
    assert (summary["targets"], summary["tried"], summary["bytes"]) == (6, 4, 3)
    assert summary["errors"] == {"http_status": 3, "bad_url": 1}
    assert summary["http_codes"] == {"404": 2, "410": 1}
    first = summary["failures"][0]
    assert (first["reason"], first["failures"], first["hosts"]) == ("HTTP 404", 2, 1)
    assert sorted(first["urls"]) == [f"{server.url}/gone", f"{server.url}/missing"]
    assert summary["failing_hosts"] == [{"host": f"127.0.0.1:{server.port}", "failures": 3}]
    assert summary["start"] < summary["end"]
    assert "again" not in summary  # nothing of this can get better


def test_a_quiet_run_that_is_well_keeps_its_summary_too(
    place: Place, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"abc"})
    ran = cli("-q", *place.words, stdin=lines(f"{server.url}/a.txt"), env=place.environment)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    summary = kept(place)
    assert (summary["exit_status"], summary["statuses"]["stored"]) == (0, 1)
    assert {"reason", "again"}.isdisjoint(summary)


def test_a_run_that_a_signal_ended_says_so_and_what_does_the_rest(
    place: Place, cli: Command, serve: Serve
) -> None:
    go = threading.Event()
    server = serve(lambda _: Reply(body=b"x", delay=go))
    cli.write("l", *(f"{server.url}/{number}" for number in range(10)))
    with cli.start("l", "-c", 2, *place.words, env=place.environment) as process:
        server.wait_until(lambda: server.in_flight == 2)
        process.send_signal(signal.SIGTERM)
        threading.Timer(0.1, go.set).start()
        ran = cli.ended(process)
    summary = kept(place)
    assert ran.status == summary["exit_status"] == 128 + signal.SIGTERM
    assert summary["reason"] == "SIGTERM"
    assert (summary["statuses"]["not_reached"], summary["statuses"]["failed"]) == (8, 0)
    assert summary["again"].endswith(" --retry-failed")
    assert f"  again:     {summary['again']}" in ran.errors


@pytest.mark.parametrize(
    ("words", "status"), [(["--fail-fast"], 1), (["--max-total-size", "10"], 1)]
)
def test_a_run_that_was_cut_short_has_its_own_status_in_its_summary(
    words: list[str], status: int, cli: Command, serve: Serve
) -> None:
    server = serve(lambda request: Reply(404) if request.path == "/1" else Reply(body=b"x" * 9))
    cli.write("l", *(f"{server.url}/{number}" for number in range(9)))
    ran = cli("l", "-c", 1, "--max-failures", "0", *words)
    summary = kept(Directory(cli))
    assert ran.status == summary["exit_status"] == status
    assert summary["reason"].startswith(words[0])
    assert summary["statuses"]["not_reached"] > 0


def test_a_list_that_was_not_read_to_its_end_is_gone_on_with(cli: Command, serve: Serve) -> None:
    server = serve({})
    cli.write("l", *(f"{server.url}/{number}" for number in range(30_000)))
    ran = cli("l", "-c", 1, "--fail-fast")
    assert ran.status == 1
    assert ran.errors[-1] == "  again:     scraper l -c 1 --fail-fast --resume"


def test_a_program_has_the_same_summary(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a": b"a"})
    results = scraper.run([f"{server.url}/a", f"{server.url}/b"], to=tmp_path, retries=0)
    assert results.summary.exit_status is None
    assert len(list(results)) == 2
    summary = json.loads((tmp_path / SUMMARY).read_text())
    assert summary == results.summary.as_record()
    assert (summary["exit_status"], summary["statuses"]["failed"]) == (1, 1)
    with scraper.run([f"{server.url}/{n}" for n in range(9)], to=tmp_path) as left:
        next(left)
    summary = json.loads((tmp_path / SUMMARY).read_text())
    assert (summary["exit_status"], summary["reason"]) == (1, "the iteration was left")


def test_a_run_that_can_not_begin_leaves_the_last_summary(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"abc"})
    assert cli(stdin=lines(f"{server.url}/a.txt")).status == 0
    before = kept(Directory(cli))
    assert cli("--log-file", "nowhere/log", stdin=lines(f"{server.url}/a.txt")).status == 2
    assert kept(Directory(cli)) == before


def test_in_a_bucket_it_lies_in_the_destination_also_if_the_manifest_does_not(
    moto_server: S3Server, cli: Command, serve: Serve
) -> None:
    bucket = Bucket(moto_server, moto_server.make_bucket())
    server = serve({"/a.txt": b"abc"})
    words = ["--manifest", "m.jsonl", *bucket.words]
    ran = cli(*words, stdin=lines(f"{server.url}/a.txt"), env=bucket.environment)
    assert ran.status == 0
    assert kept(bucket)["manifest"] == "m.jsonl"


def names_in(cli: Command) -> set[str]:
    """Every file and directory below the destination."""
    root = cli.directory / "out"
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_nothing_but_objects_stays_in_a_directory_whose_manifest_is_elsewhere(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"abc"})
    words = ["--manifest", "kept/m.jsonl", "--key", "{path}{ext}"]
    said = ""
    for status, more in ((0, []), (0, ["--resume"]), (1, ["--no-refresh"])):
        urls = [f"{server.url}/a.txt", *([f"{server.url}/gone"] if status else [])]
        ran = cli(*words, *more, stdin=lines(*urls))
        assert ran.status == status
        said = ran.err
        assert names_in(cli) == {"a.txt"}
        summary = json.loads((cli.directory / "kept/m.jsonl.summary.json").read_text())
        assert summary["exit_status"] == status
    assert f"summary:   {cli.directory}/kept/m.jsonl.summary.json" in said
    told = cli("status", "out", "--manifest", "kept/m.jsonl")
    assert (told.status, "runs:" in told.out) == (1, True)
    assert (
        json.loads(cli("status", "out", "--manifest", "kept/m.jsonl", "--json").out)["runs_from"]
        == "summary"
    )
    assert cli("verify", "out", "--manifest", "kept/m.jsonl", "--repair").status == 0
    assert names_in(cli) == {"a.txt"}


def test_it_lies_in_the_destination_if_the_manifest_is_a_pipe(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"abc"})
    assert cli("--manifest", "/dev/null", stdin=lines(f"{server.url}/a.txt")).status == 0
    assert kept(Directory(cli))["manifest"] == "/dev/null"


def test_what_a_killed_run_left_goes_with_the_next(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"abc"})
    left = cli.directory / "out/.scraper/tmp/run-0123456789abcdef"
    left.mkdir(parents=True)
    for path in (left / "lock", left / "1", left.parent / "lock", left.parent.parent / "lock"):
        path.touch()
    ran = cli("--manifest", "m.jsonl", "--key", "{path}{ext}", stdin=lines(f"{server.url}/a.txt"))
    assert ran.status == 0
    assert names_in(cli) == {"a.txt"}


def test_a_run_that_is_refused_leaves_nothing(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"abc"})
    words = ["--manifest", "m.jsonl", "--key", "{path}{ext}"]
    assert cli(*words, stdin=lines(f"{server.url}/a.txt")).status == 0
    ran = cli(*words, "--to", "other", stdin=lines(f"{server.url}/a.txt"))
    assert ran.status == 2
    assert not [*(cli.directory / "other").rglob("*")]


def is_summary(asked: Asked) -> bool:
    return asked.path.endswith(SUMMARY)


def test_a_bucket_that_refuses_the_summary_makes_no_good_run_fail(
    moto_server: S3Server, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"abc"})

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if is_summary(asked) and asked.operation == "PUT" else None

    with Front(moto_server.url, fault) as front:
        place = Bucket(moto_server, moto_server.make_bucket(), front.url)
        ran = cli("-q", *place.words, stdin=lines(f"{server.url}/a.txt"), env=place.environment)
    assert ran.status == 0
    assert len(ran.errors) == 1
    assert "the summary was not written: " in ran.err
    assert place.records()[0]["status"] == "stored"


@pytest.mark.timeout(4 * WAIT_S)
def test_a_bucket_that_is_silent_at_the_end_is_left_after_a_while(
    moto_server: S3Server, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"abc"})
    over = threading.Event()

    def fault(asked: Asked) -> tuple[int, str] | None:
        if not is_summary(asked):
            return None
        over.wait(2 * WAIT_S)
        return 0, ""

    with Front(moto_server.url, fault) as front:
        place = Bucket(moto_server, moto_server.make_bucket(), front.url)
        ran = cli("-q", *place.words, stdin=lines(f"{server.url}/a.txt"), env=place.environment)
        over.set()
    assert ran.status == 0
    assert ran.err.endswith("summary.json' is silent\n")
    assert not [key for key in place.all() if "lock" in key]


# ---------------------------------------------------------------- the last screen


def test_the_command_that_does_the_rest_can_be_pasted(cli: Command, serve: Serve) -> None:
    broken = threading.Event()
    broken.set()

    def answer(_: object) -> Reply:
        return Reply(500) if broken.is_set() else Reply(body=b"x")

    server = serve(answer)
    cli.write("my list", f"{server.url}/a?b&c", f"{server.url}/d")
    ran = cli("my list", "--to", "o u t", "--resume", "--retries", 0)
    assert ran.status == 1
    label, _, again = ran.errors[-1].partition("again:")
    assert label.strip() == ""
    assert again.strip() == "scraper 'my list' --to 'o u t' --retries 0 --retry-failed"
    broken.clear()
    words = cli.words()
    command = again.strip().replace("scraper", " ".join(words), 1)
    environment = {**cli.environment}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=cli.directory, env=environment, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0
    assert len(cli.files("o u t")) == 2


def test_no_secret_is_in_the_account(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(500))
    site = server.url.replace("//", "//me:hunter2@")
    words = ["-H", "Authorization: hunter2", "--header=Cookie: a=hunter2", "--retries", 0]
    ran = cli(*words, "--contact", "https://h/?token=hunter2", stdin=lines(f"{site}/a?key=hunter2"))
    assert ran.status == 1
    told = ran.err + (cli.directory / "out" / SUMMARY).read_text()
    assert "hunter2" not in told
    assert "'Authorization: REDACTED'" in told


def test_a_list_from_stdin_is_said_to_be_needed_again(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(500))
    ran = cli("--retries", 0, stdin=lines(f"{server.url}/a"))
    expected = "  again:     (the same list) | scraper --retries 0 --retry-failed"
    assert ran.errors[-1] == expected


def test_the_screen_names_each_status_and_reason(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"abc"})
    cli.write("l", f"{server.url}/a.txt", *(f"{server.url}/{n}" for n in range(12)))
    ran = cli("l")
    screen = ran.errors[ran.errors.index(next(one for one in ran.errors if "targets:" in one)) :]
    assert re.fullmatch(r"13 targets: 12 failed, 1 stored in \d+\.\d s", screen[0])
    assert re.fullmatch(r"  fetched:   3 B, \S+ k?B/s, \S+ targets/s", screen[1])
    assert screen[2] == "  failed:    12 HTTP 404"
    assert len([line for line in screen if f"                {server.url}/" in line]) == 3
    assert screen[6:] == [
        "  stored in: ./out",
        "  manifest:  out/.scraper/manifest.jsonl",
        "  summary:   out/.scraper/summary.json",
    ]


# ---------------------------------------------------------------- --new-failures


def test_a_night_tells_only_of_failures_that_the_night_before_did_not_have(
    place: Place, cli: Command, serve: Serve
) -> None:
    broken = {"/a"}
    server = serve(lambda one: Reply(404) if one.path in broken else Reply(body=b"x"))
    cli.write("l", f"{server.url}/a", f"{server.url}/b?token=s3cret", "nonsense")
    words = ["l", "-q", "--new-failures", "--retries", 0, *place.words]

    def night() -> list[str]:
        ran = cli(*words, env=place.environment)
        assert ran.status == 1
        assert kept(place)["statuses"]["failed"] == len(broken) + 1
        failed = [line for line in ran.errors if line.startswith("failed ")]
        assert (ran.err == "") == (not failed)
        new = kept(place)["new_failures"]
        assert sum(group["failures"] for group in new) == len(failed)
        return failed

    first = night()
    assert sorted(line.split()[1] for line in first) == [f"{server.url}/a", "nonsense"]
    assert night() == []
    broken.add("/b?token=s3cret")
    (line,) = night()
    assert "/b?token=REDACTED" in line
    broken.clear()
    broken.add("/b?token=s3cret")
    assert night() == []
    broken.add("/a")  # it was well in between
    (line,) = night()
    assert f"{server.url}/a" in line


def test_a_failure_is_no_news_though_the_last_run_did_not_reach_it(
    cli: Command, serve: Serve
) -> None:
    go = threading.Event()

    def answer(one: Request) -> Reply:
        return Reply(404) if one.path == "/gone" else Reply(body=b"x", delay=go)

    server = serve(answer)
    cli.write("first", f"{server.url}/gone")
    cli.write("l", f"{server.url}/held", f"{server.url}/gone", f"{server.url}/other")
    words = ["-c", 1, "--new-failures", "--retries", 0]
    assert cli("first", *words).status == 1
    with cli.start("l", *words) as process:
        server.wait_until(lambda: server.in_flight == 1)
        process.send_signal(signal.SIGTERM)
        threading.Timer(0.1, go.set).start()
        assert cli.ended(process).status == 143
    assert cli.records()[-1]["status"] == "not_reached"
    ran = cli("l", *words, "-q")
    assert (ran.status, ran.err) == (1, "")


def test_verbose_tells_of_old_failures_too_and_results_have_them_all(
    cli: Command, serve: Serve
) -> None:
    server = serve({})
    words = ["--new-failures", "--retries", 0, "--results", "-"]
    for more, told in (((), 1), ((), 0), (("-v",), 1)):
        ran = cli(*words, *more, stdin=lines(f"{server.url}/a"))
        assert len([line for line in ran.errors if line.startswith("failed ")]) == told
        assert [record["status"] for record in ran.records] == ["failed"]


def test_new_failures_need_a_manifest_that_can_be_read(cli: Command, serve: Serve) -> None:
    server = serve({})
    ran = cli("--new-failures", "--manifest", "/dev/null", stdin=lines(f"{server.url}/a"))
    assert (ran.status, server.total) == (2, 0)
    assert "--new-failures: this destination can't be read back" in ran.err
