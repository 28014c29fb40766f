"""The account: manifest, results, log, summary, exit status, and the display on a terminal."""

import hashlib
import json
import re
import subprocess
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import scraper
from scraper.model.errors import Kind
from tests.e2e.command import WAIT_S, Command, Ran, folder, lines, parsed
from tests.s3servers import CREDENTIALS, Asked, Front, S3Server
from tests.servers import (
    HttpServer,
    Misbehave,
    Reply,
    Request,
    Serve,
    closed_port,
)


def of_line(records: list[dict[str, Any]], line: int) -> dict[str, Any]:
    (record,) = [record for record in records if record["line"] == line]
    return record


# ---------------------------------------------------------------- the manifest

# CLI.md's table: each field, its type, and nothing else.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "url": str,
    "line": int,
    "source": str,
    "key": str,
    "status": str,
    "http_code": int,
    "content_type": str,
    "content_encoding": str,
    "etag": str,
    "last_modified": str,
    "size": int,
    "sha256": str,
    "attempts": int,
    "redirects": int,
    "url_effective": str,
    "started": str,
    "started_at": float,
    "time_connect": float,
    "time_starttransfer": float,
    "time_total": float,
    "time_queue": float,
    "remote_ip": str,
    "x_robots_tag": str,
    "variant": str,
    "identity": str,
    "run": str,
    "error": dict,
}
MORE = {"of_line": int, "expected": dict}  # of a duplicate, and of a list with digests
STATUSES = {
    *("stored", "not_modified", "skipped", "duplicate", "deferred", "failed"),
    "not_reached",
}


def test_a_stored_target_has_every_field_of_the_contract(cli: Command, serve: Serve) -> None:
    facts = {"ETag": '"tag"', "Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
    facts |= {"Content-Type": "text/plain; charset=utf-8", "X-Robots-Tag": "noarchive"}
    facts["Content-Encoding"] = "utf-8"
    page = Reply(headers=facts, body=b"a page")
    server = serve({"/from": Reply(301, {"Location": "/to?token=s3cret"}), "/to": page})
    before = datetime.now(UTC)
    cli.write("list.txt", "# first", f"http://me:s3cret@127.0.0.1:{server.port}/from?key=s3cret")
    ran = cli("list.txt")
    assert (ran.status, ran.out) == (0, "")
    (record,) = cli.records()
    assert record.keys() == FIELDS.keys() - {"error"}
    site = f"127.0.0.1:{server.port}"
    assert record["url"] == f"http://REDACTED@{site}/from?key=REDACTED"
    assert (record["line"], record["source"], record["status"]) == (2, "list.txt", "stored")
    assert cli.files() == {record["key"]: b"a page"}
    assert record["http_code"] == 200
    assert record["content_type"] == "text/plain; charset=utf-8"
    assert (record["etag"], record["last_modified"]) == ('"tag"', facts["Last-Modified"])
    assert (record["size"], record["sha256"]) == (6, hashlib.sha256(b"a page").hexdigest())
    assert (record["attempts"], record["redirects"]) == (1, 1)
    assert record["url_effective"] == f"http://{site}/to?token=REDACTED"
    assert record["remote_ip"] == "127.0.0.1"
    assert re.fullmatch("[0-9a-f]{16}", record["identity"])
    assert record["x_robots_tag"] == "noarchive"
    assert record["variant"] == "plain"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["started"])
    assert abs(record["started_at"] - before.timestamp()) < WAIT_S
    assert 0 <= record["started_at"] - datetime.fromisoformat(record["started"]).timestamp() < 1
    assert 0 <= record["time_connect"] <= record["time_starttransfer"] <= record["time_total"]
    assert record["time_queue"] >= 0
    assert "s3cret" not in json.dumps(record) + ran.err


def test_no_field_is_unknown_changes_its_type_or_is_null(
    cli: Command, serve: Serve, misbehave: Misbehave
) -> None:
    server = serve(
        {
            "/a.txt": b"a",
            "/empty.txt": b"",
            "/later": Reply(429, {"Retry-After": "4000"}),
            "/loop": Reply(302, {"Location": "/loop"}),
        }
    )
    torn = misbehave(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntorn")
    urls = [
        f"{server.url}/a.txt",
        f"{server.url}/a.txt",
        f"{server.url}/empty.txt",
        f"{server.url}/missing",
        f"{server.url}/loop",
        f"{torn.url}/torn.txt",
        f"http://127.0.0.2:{closed_port('127.0.0.2')}/",
        "nonsense",
        f"{server.url}/later",
    ]
    ran = cli("-c", 1, "--retries", 0, "--results", "-", stdin=lines(*urls))
    assert ran.status == 1
    records = cli.records()
    assert records == ran.records
    assert sorted(record["line"] for record in records) == list(range(1, len(urls) + 1))
    for record in records:
        assert record.keys() >= {"url", "line", "source", "status", "run", "started", "started_at"}
        assert record["status"] in STATUSES
        for name, value in record.items():
            assert type(value) is {**FIELDS, **MORE}[name], name
        stored = record["status"] == "stored"
        assert ("sha256" in record, "size" in record) == (stored, stored)
        if record["status"] in {"failed", "deferred"}:
            assert record["error"].keys() == {"kind", "message"}
            assert record["error"]["kind"] in {*Kind}
            assert record["error"]["message"]
        else:
            assert "error" not in record
    kinds = {r["line"]: r["error"]["kind"] for r in records if "error" in r}
    assert kinds == {
        4: "http_status",
        5: "too_many_redirects",
        6: "truncated",
        7: "connect",
        8: "bad_url",
        9: "http_status",
    }
    assert of_line(records, 2)["of_line"] == 1
    assert of_line(records, 9)["status"] == "deferred"
    assert of_line(records, 3)["size"] == 0
    for record in records:  # jq's `fromdate` reads this form only
        second = datetime.strptime(record["started"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert second.timestamp() == int(record["started_at"])


def test_the_manifest_is_appended_to_after_a_torn_last_line(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    path = cli.directory / "out" / ".scraper" / "manifest.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"line": 1}\n{"line": 2, "to')
    assert cli(stdin=lines(f"{server.url}/a.txt")).status == 0
    first, torn, ours = path.read_text().splitlines()
    assert (first, torn) == ('{"line": 1}', '{"line": 2, "to')
    assert json.loads(ours)["status"] == "stored"


# ---------------------------------------------------------------- results


def test_results_on_stdout_are_a_clean_stream_and_the_log_is_on_stderr(
    cli: Command, serve: Serve
) -> None:
    server = serve({f"/{n}.txt": b"x" for n in range(20)})
    urls = [f"{server.url}/{n}.txt" for n in range(25)]
    ran = cli("--results", "-", "-v", "--retries", 0, stdin=lines(*urls, "nonsense"))
    assert ran.status == 1
    assert len(ran.records) == 26
    assert ran.records == cli.records()
    assert "  results:   stdout" in ran.errors


def test_results_come_while_the_list_is_still_being_written(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a", "/b.txt": b"b"})
    with cli.start("-q", "--results", "-", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a.txt", "b.txt"):
            process.stdin.write(f"{server.url}/{name}\n".encode())
            process.stdin.flush()
            record = json.loads(process.stdout.readline())
            assert record["url"] == f"{server.url}/{name}"
            assert cli.files()[record["key"]] == name[:1].encode()  # stored before it is told
        process.stdin.close()
        process.stdin = None
        assert cli.ended(process) == Ran(0, "", "")


def test_results_in_a_file_are_those_of_this_run_alone(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    for _ in range(2):
        ran = cli("--results", "results.jsonl", stdin=lines(f"{server.url}/a.txt"))
        assert (ran.status, ran.out) == (0, "")
        assert "  results:   results.jsonl" in ran.errors
    told = (cli.directory / "results.jsonl").read_text()
    assert [json.loads(line) for line in told.splitlines()] == cli.records()[1:]


# ---------------------------------------------------------------- the log


def test_the_log_has_a_line_for_every_target_and_begins_with_what_runs(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a" * 1500})
    url = f"{server.url}/a.txt"
    ran = cli("-c", 1, "--engine", "threads", stdin=lines(url, url, f"{server.url}/gone"))
    assert (ran.status, ran.out) == (1, "")
    version = scraper.__version__
    assert ran.errors[0] == f"scraper {version}: threads engine, at most 1 at once, to ./out"
    ended = [re.sub(r" +", " ", line) for line in ran.errors[1:4]]
    taken = f"{url} -> {folder(server.url)}/a.txt"
    assert f"duplicate {url} (-:2): same as line 1" in ended
    assert f"failed {server.url}/gone (-:3): http_status: HTTP 404" in ended
    assert any(re.fullmatch(rf"200 1\.5 kB \d+\.\d{{3}}s {re.escape(taken)}", one) for one in ended)


def test_a_json_log_is_json_in_every_line(cli: Command, serve: Serve) -> None:
    attempts = Counter[str]()

    def answer(request: Request) -> Reply:
        attempts[request.path] += 1
        if request.path == "/flaky.txt" and attempts[request.path] == 1:
            return Reply(503)
        return Reply(404) if request.path == "/gone" else Reply(body=b"x")

    server = serve(answer)
    urls = [f"{server.url}/{name}" for name in ("a.txt", "flaky.txt", "gone")]
    ran = cli("-v", "--log-format", "json", stdin=lines(*urls, "nonsense"))
    assert (ran.status, ran.out) == (1, "")
    events = [json.loads(line) for line in ran.errors]
    assert Counter(event["event"] for event in events) == {
        "start": 1,
        "result": 4,
        "retry": 1,
        "summary": 1,
    }
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert event["level"] in {"debug", "info", "warning", "error"}
    results = [event for event in events if event["event"] == "result"]
    manifest = {record["line"]: record for record in cli.records()}
    for result in results:
        extra = {name: result[name] for name in ("time", "level", "event")}
        assert result == extra | manifest[result["line"]]
    (retry,) = [event for event in events if event["event"] == "retry"]
    assert (retry["url"], retry["attempt"]) == (urls[1], 1)
    summary = events[-1]
    assert summary["targets"] == 4
    assert sum(summary["statuses"].values()) == 4
    assert (summary["statuses"]["stored"], summary["statuses"]["failed"]) == (2, 2)
    assert summary["errors"] == {"http_status": 1, "bad_url": 1}
    assert summary["attempts"] == 4
    assert summary["bytes"] == 2


def test_what_ends_a_run_is_an_event_of_a_json_log_too(cli: Command) -> None:
    cli.write("file", "in the way")
    ran = cli("--to", "file", "--log-format", "json", stdin="")
    assert (ran.status, ran.out, len(ran.errors)) == (3, "", 1)
    event = json.loads(ran.err)
    assert (event["event"], event["level"]) == ("error", "error")
    assert "can't write to directory 'file': it is a file" in event["message"]


def test_a_log_file_takes_the_log_and_what_ends_a_run_is_seen_all_the_same(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    log = cli.write("log", "of yesterday")
    cli.write("list.txt")
    ran = cli("--log-file", "log", stdin=lines(f"{server.url}/a.txt"))
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    first, start, result, *summary = log.read_text().splitlines()
    assert first == "of yesterday"
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    assert re.match(stamp + "scraper .* to ./out; run .+; command: scraper --log-file log$", start)
    assert re.match(stamp + "200 ", result)
    assert [line for line in summary if re.fullmatch(stamp + "  log:       log", line)]
    assert all(re.match(stamp, line) for line in summary)
    ran = cli("--log-file", "log", "--to", "list.txt", stdin="")
    said = "scraper: can't write to directory 'list.txt': it is a file\n"
    assert (ran.status, ran.err) == (3, said)
    assert log.read_text().endswith(f"Z {said}")


def test_stderr_that_is_a_file_has_the_time_in_every_line_and_no_colours(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    path = cli.write("list.txt", f"{server.url}/a.txt", f"{server.url}/gone")
    with (cli.directory / "err").open("wb") as err, cli.start(path, stderr=err) as process:
        assert process.wait(WAIT_S) == 1
    said = (cli.directory / "err").read_text().splitlines()
    assert said
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [^\x1b]*$", line) for line in said)


def test_the_line_that_opens_a_run_has_no_secret(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    words = ["--log-file", "log", "-H", "Authorization: Bearer 123secret", "--log-format", "json"]
    assert cli(*words, stdin=lines(f"{server.url}/a.txt")).status == 0
    start = json.loads((cli.directory / "log").read_text().splitlines()[0])
    assert (start["event"], start["level"]) == ("start", "info")
    assert start["command"].startswith("scraper --log-file log -H 'Authorization: REDACTED'")
    assert start["version"]


def test_verbose_tells_of_retries_and_quiet_of_failures_only(cli: Command, serve: Serve) -> None:
    attempts = Counter[str]()

    def answer(request: Request) -> Reply:
        attempts[request.path] += 1
        return Reply(503) if attempts[request.path] % 2 else Reply(body=b"x")

    server = serve(answer)
    plain = cli(stdin=lines(f"{server.url}/a.txt"))
    verbose = cli("-v", stdin=lines(f"{server.url}/b.txt"))
    quiet = cli("-q", "--retries", 0, stdin=lines(f"{server.url}/c.txt", "nonsense"))
    retried = re.compile(
        r"(retry  )?url=\S+/\w\.txt attempt=1 delay_s=\d+\.\d+ kind=http_status message=.*"
    )
    assert (plain.status, verbose.status, quiet.status) == (0, 0, 1)
    assert not any(retried.fullmatch(line) for line in plain.errors)
    assert len(verbose.errors) == len(plain.errors) + 1
    assert any(retried.fullmatch(line) for line in verbose.errors)
    assert [line.split(" ")[0] for line in quiet.errors[:2]] == ["failed", "failed"]
    assert quiet.errors[2].startswith("2 targets: 2 failed")


# ---------------------------------------------------------------- the summary and the status


def test_the_summarys_counts_add_up_to_the_lines_read(cli: Command, serve: Serve) -> None:
    server = serve({f"/{n}.txt": b"x" * 10 for n in range(40)})
    good = [f"{server.url}/{n}.txt" for n in range(40)]
    missing = [f"{server.url}/missing/{n}" for n in range(7)]
    cli.write("one.txt", *good[:25], "", "# comment", *missing, "nonsense")
    cli.write("two.csv", "url,key", *(f"{url}," for url in good[20:]), "ftp://x/,")
    ran = cli("one.txt", "two.csv")
    assert (ran.status, ran.out) == (1, "")
    summary = next(line for line in ran.errors if " targets: " in line)
    total, counts = re.fullmatch(r"(\d+) targets: (.*) in .* s", summary).groups()  # type: ignore[union-attr]
    assert any(line.startswith("  fetched:   400 B, ") for line in ran.errors)
    found = {name: int(count) for count, name in (part.split() for part in counts.split(", "))}
    assert found == {"stored": 40, "failed": 9, "duplicate": 5}
    assert int(total) == sum(found.values()) == 25 + 7 + 1 + 20 + 1 == len(cli.records())
    assert "  failed:    7 HTTP 404" in ran.errors
    assert {"             1 no scheme", "             1 scheme ... is not http or https"} <= {
        *ran.errors
    }
    assert len(cli.files()) == 40
    assert Counter(r["status"] for r in cli.records()) == found
    assert {(r["source"], r["line"]) for r in cli.records()} == {
        *(("one.txt", line) for line in (*range(1, 26), *range(28, 36))),
        *(("two.csv", line) for line in range(2, 23)),
    }


def test_the_summary_names_the_slowest_hosts(cli: Command) -> None:
    let_go = threading.Event()

    def answer(request: Request) -> Reply:
        slow = request.address == "127.0.0.2"
        if not slow:
            let_go.set()  # the other is answered after this one
        return Reply(body=b"x", delay=let_go)

    with HttpServer(answer) as quick, HttpServer(answer, "127.0.0.2") as slow:
        urls = lines(f"{slow.url}/a.txt", f"{quick.url}/a.txt")
        ran = cli("--log-format", "json", stdin=urls)
    assert ran.status == 0
    hosts = json.loads(ran.errors[-1])["slowest_hosts"]
    assert {host["host"]: host["attempts"] for host in hosts} == {
        f"127.0.0.1:{quick.port}": 1,
        f"127.0.0.2:{slow.port}": 1,
    }
    assert hosts[0]["mean_s"] >= hosts[1]["mean_s"]


def test_the_status_is_0_when_all_is_stored_or_repeated_and_1_when_something_failed(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a", "/later": Reply(429, {"Retry-After": "4000"})})
    good = f"{server.url}/a.txt"
    assert cli(stdin=lines(good, good)).status == 0
    assert cli(stdin=lines(good, f"{server.url}/gone")).status == 1
    assert cli(stdin=lines(good, f"{server.url}/later")).status == 1  # deferred is not done


def test_the_status_is_3_when_the_destination_stops_taking_objects(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if asked.path.endswith("/second") else None

    server = serve({f"/{n}.txt": b"x" for n in range(50)})
    bucket = moto_server.make_bucket()
    keys = ["first", "second", *map(str, range(2, 50))]
    urls = [f"{server.url}/{n}.txt\t{key}" for n, key in enumerate(keys)]
    with Front(moto_server.url, fault) as front:
        to = ["--to", f"s3://{bucket}", "--s3-endpoint", front.url, "--manifest", "m.jsonl"]
        ran = cli(*to, "-c", 1, stdin=lines(*urls), env=CREDENTIALS)
    assert (ran.status, ran.out) == (3, "")
    assert len([line for line in ran.errors if line.startswith("scraper: ")]) == 1
    assert any(line.startswith("stopped: ") for line in ran.errors)
    assert server.total < 50
    records = parsed((cli.directory / "m.jsonl").read_bytes())
    assert of_line(records, 1)["status"] == "stored"
    assert of_line(records, 2)["error"]["kind"] == "sink"
    later = Counter(record["status"] for record in records if record["line"] > 2)
    assert later["not_reached"] == len(records) - 2 > 0
    assert moto_server.read(bucket, "first") == b"x"
    assert moto_server.read(bucket, "second") is None


# ---------------------------------------------------------------- the display
