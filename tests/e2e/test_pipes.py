"""Lists that come through pipes and from other servers, results that go on through pipes."""

import gzip
import json
import os
import select
import subprocess
import sys
import threading
import zlib
from typing import Any

import pytest

from scraper.model.records import places_of
from scraper.schedule.frontier import WINDOW
from tests.e2e.command import Command, folder, parsed
from tests.e2e.watch import end, narrow_pipe, said, write
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Reply, Request, Serve

PIPE = subprocess.PIPE
PAGES = {"/a.txt": b"a", "/b.txt": b"b", "/c.txt": b"c"}


def echo(request: Request) -> Reply:
    return Reply(body=request.path.encode())


def sources(records: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return sorted((record["source"], record["line"]) for record in records)


# ---------------------------------------------------------------- a writer that takes its time


def test_each_line_is_fetched_while_the_writer_holds_the_pipe_open(
    cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    with cli.start(stdin=PIPE, bufsize=0) as process:
        for number in range(3):
            write(process, f"{server.url}/{number}\t{number}\n")
            said(process, f"-> {number}\n")
        write(process, f"{server.url}/last\tlast")  # without a line feed
        ran = end(process)
    assert (ran.status, ran.out) == (0, "")
    assert cli.files() == {"0": b"/0", "1": b"/1", "2": b"/2", "last": b"/last"}
    assert sources(cli.records()) == [("-", number) for number in range(1, 5)]


def test_a_slow_writer_does_not_hold_up_what_is_in_flight(cli: Command, serve: Serve) -> None:
    go = threading.Event()
    server = serve(lambda request: Reply(body=request.path.encode(), delay=go))
    with cli.start("-", stdin=PIPE, bufsize=0) as process:
        write(process, f"{server.url}/first\tfirst\n{server.url}/sec")
        server.wait_until(lambda: server.in_flight == 1)
        go.set()
        said(process, "-> first\n")
        write(process, "ond\tsecond\n")
        said(process, "-> second\n")
        assert end(process).status == 0
    assert cli.files() == {"first": b"/first", "second": b"/second"}


def test_retries_go_on_while_the_writer_is_silent(cli: Command, serve: Serve) -> None:
    answers = iter([Reply(503), Reply(body=b"up again")])
    server = serve(lambda request: next(answers))
    with cli.start("-", stdin=PIPE, bufsize=0) as process:
        write(process, f"{server.url}/\tpage\n")
        said(process, "-> page after 2 attempts\n")
        assert end(process).status == 0
    assert cli.files() == {"page": b"up again"}


def test_a_growing_file_is_followed_by_tail(cli: Command, serve: Serve) -> None:
    server = serve(echo)
    growing = cli.write("list", f"{server.url}/0\t0")
    tail = subprocess.Popen(["tail", "-n", "+1", "-f", growing], stdout=PIPE)
    try:
        with cli.start("-", stdin=tail.stdout, bufsize=0) as process:
            assert tail.stdout is not None
            tail.stdout.close()  # ours; the program has its own
            said(process, "-> 0\n")
            with open(growing, "a") as file:
                file.write(f"{server.url}/1\t1\n")
            said(process, "-> 1\n")
            tail.terminate()
            ran = end(process)
    finally:
        tail.kill()
        tail.wait()
    assert (ran.status, ran.out) == (0, "")
    assert ran.errors[0].startswith("2 targets: 2 stored in ")
    assert cli.files() == {"0": b"/0", "1": b"/1"}


def test_gzip_comes_through_a_pipe_line_by_line(cli: Command, serve: Serve) -> None:
    server = serve(echo)
    packer = zlib.compressobj(wbits=31)
    with cli.start("-", stdin=PIPE, bufsize=0) as process:
        for number in range(3):
            line = packer.compress(f"{server.url}/{number}\t{number}\n".encode())
            write(process, line + packer.flush(zlib.Z_SYNC_FLUSH))
            said(process, f"-> {number}\n")
        write(process, packer.flush())
        assert end(process).status == 0
    assert cli.files() == {"0": b"/0", "1": b"/1", "2": b"/2"}


def test_a_gzip_pipe_that_breaks_off_is_told_after_what_it_gave(cli: Command, serve: Serve) -> None:
    server = serve(echo)
    whole = gzip.compress(f"{server.url}/0\t0\n{server.url}/1\t1\n".encode())
    ran = cli("-q", "-", stdin=whole[:-8])
    assert (ran.status, ran.out) == (1, "")
    assert "bad_url: the list '-' broke off: " in ran.errors[0]
    assert cli.files() == {"0": b"/0", "1": b"/1"}
    assert sorted(record["line"] for record in cli.records()) == [1, 2, 3]


def test_a_pipe_that_somebody_left_non_blocking_is_read_to_its_end(
    cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    heard, told = os.pipe()
    os.set_blocking(heard, False)
    with cli.start("-", stdin=heard, bufsize=0) as process, open(told, "w") as writer:
        os.close(heard)
        said(process, "scraper ")  # it has begun to read, and there is no line yet
        for number in range(2):
            print(f"{server.url}/{number}\t{number}", file=writer, flush=True)
            said(process, f"-> {number}\n")
        writer.close()
        assert end(process).status == 0
    assert cli.files() == {"0": b"/0", "1": b"/1"}


# ---------------------------------------------------------------- a reader of results


READER = """
import json, sys
for line in sys.stdin:
    record = json.loads(line)
    print(record["line"], record["status"], record.get("key"), flush=True)
"""


def test_results_can_be_read_live_by_the_next_program(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    with cli.start("-q", "-", "--results", "-", stdin=PIPE, bufsize=0) as process:
        reader = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=process.stdout, stdout=PIPE, text=True
        )
        with reader:
            assert process.stdout is not None
            assert reader.stdout is not None
            process.stdout.close()
            process.stdout = None
            write(process, f"{server.url}/a.txt\ta\n")
            assert reader.stdout.readline() == "1 stored a\n"  # the list is open still
            write(process, f"{server.url}/gone\tgone\nno url\n")
            ran = end(process)
            rest = reader.stdout.read().splitlines()
    assert sorted(rest) == ["2 failed gone", "3 failed None"]
    assert (ran.status, reader.returncode) == (1, 0)
    assert len([line for line in ran.errors if line.startswith("failed  ")]) == 2


def test_results_and_the_manifest_are_the_same(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    lines = "".join(f"{server.url}{path}\n" for path in (*PAGES, "/gone", "/a.txt"))
    ran = cli("--results", "-", stdin=lines)
    assert ran.status == 1
    assert ran.records == cli.records()
    assert [record["line"] for record in sorted(ran.records, key=lambda one: one["line"])] == [
        *range(1, 6)
    ]
    filed = cli("--results", "records", "--to", "again", stdin=lines)
    assert (filed.status, filed.out) == (1, "")
    assert (cli.directory / "records").read_bytes() == (
        cli.directory / "again/.scraper/manifest.jsonl"
    ).read_bytes()


def test_results_for_a_full_pipe_that_somebody_left_non_blocking_wait(
    cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    cli.write("list", *(f"{server.url}/{number}" for number in range(300)))
    heard, told = narrow_pipe()
    os.set_blocking(told, False)
    with cli.start("-q", "list", "--results", "-", stdout=told) as process:
        os.close(told)
        server.wait_until(lambda: server.total == 300)  # their records are more than it holds
        with open(heard, "rb") as reader:
            records = parsed(reader.read())
        ran = end(process)
    assert (ran.status, ran.err) == (0, "")
    assert len(records) == 300


# ---------------------------------------------------------------- several lists


def test_several_files_and_stdin_are_read_in_order(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    cli.write("first", f"{server.url}/a.txt")
    cli.write("last", "# nothing", f"{server.url}/c.txt", f"{server.url}/a.txt")
    ran = cli("-c", 1, "first", "-", "last", "--results", "-", stdin=f"{server.url}/b.txt\n")
    assert ran.status == 0
    assert [request.path for request in server.requests] == ["/a.txt", "/b.txt", "/c.txt"]
    assert sorted((one["source"], one["line"], one["status"]) for one in ran.records) == [
        ("-", 1, "stored"),
        ("first", 1, "stored"),
        ("last", 2, "stored"),
        ("last", 3, "duplicate"),
    ]
    site = folder(server.url)
    assert cli.files() == {f"{site}{path}": body for path, body in PAGES.items()}


def test_a_list_may_be_a_pipe_with_a_name(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    os.mkfifo(cli.directory / "fifo")
    with cli.start("fifo", bufsize=0) as process:
        with open(cli.directory / "fifo", "w") as fifo:
            print(f"{server.url}/a.txt\ta", file=fifo, flush=True)
            said(process, "-> a\n")
            print(f"{server.url}/b.txt\tb", file=fifo)
        assert end(process).status == 0
    assert cli.files() == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list", '{"url": "SITE/a.txt", "key": "a"}\n{"url": "SITE/b.txt", "key": "b"}\n'),
        ("list.csv", 'Note,URL,Key\n"x, y",SITE/a.txt,a\n,"SITE/b.txt",b\n'),
        ("list.tsv", "url\tkey\nSITE/a.txt\ta\nSITE/b.txt\tb\n"),
        ("list", "\ufeffSITE/a.txt\ta\r\n\r\n# comment\r\nSITE/b.txt\tb\r\n"),
    ],
    ids=["json", "csv", "tsv", "windows"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_form_of_a_list_is_understood(
    name: str, text: str, zipped: bool, cli: Command, serve: Serve
) -> None:
    data = text.replace("SITE", serve(PAGES).url).encode()
    name += ".gz" if zipped else ""
    (cli.directory / name).write_bytes(gzip.compress(data) if zipped else data)
    ran = cli("-q", name)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert cli.files() == {"a": b"a", "b": b"b"}


def test_headers_of_a_json_line_are_sent_for_it_alone(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    lines = [
        json.dumps({"url": f"{server.url}/a.txt", "headers": {"X-Name": "secret"}}),
        f"{server.url}/b.txt",
    ]
    ran = cli("-c", 1, "-H", "X-All: yes", "-", "--results", "-", stdin="\n".join(lines))
    assert ran.status == 0
    sent = [(one.headers.get("x-name"), one.headers.get("x-all")) for one in server.requests]
    assert sent == [("secret", "yes"), (None, "yes")]
    assert "secret" not in ran.out + ran.err


# ---------------------------------------------------------------- lists at URLs


@pytest.mark.parametrize("form", ["plain", "gzip", "csv", "coded", "moved", "flaky"])
def test_a_list_at_an_http_url_is_fetched_first(form: str, cli: Command, serve: Serve) -> None:
    def answer(request: Request) -> Reply:
        if request.path in PAGES:
            return Reply(body=PAGES[request.path])
        lines = f"{server.url}/a.txt\ta\n{server.url}/b.txt\tb\n".encode()
        if form == "csv":
            lines = b"url,key\n" + lines.replace(b"\t", b",")
        first = server.hits.total() == 1
        answers = {
            "gzip": Reply(body=gzip.compress(lines)),
            "coded": Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(lines)),
            "moved": Reply(302, {"Location": "/table.csv"}) if first else Reply(body=lines),
            "flaky": Reply(503) if first else Reply(body=lines),
        }
        return answers.get(form, Reply(body=lines))

    server = serve(answer)
    source = f"{server.url}/list{'.csv' if form == 'csv' else ''}?page=1"
    ran = cli("-q", "-i", source)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert cli.files() == {"a": b"a", "b": b"b"}
    assert sources(cli.records()) == [(source, 1 + (form == "csv")), (source, 2 + (form == "csv"))]


def test_a_list_in_a_bucket_is_read_with_the_runs_own_endpoint(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve(PAGES)
    bucket = moto_server.make_bucket()
    listed = gzip.compress(f"url\n{server.url}/a.txt\n{server.url}/b.txt\n".encode())
    moto_server.client.put_object(Bucket=bucket, Key="lists/new.csv.gz", Body=listed)
    source = f"s3://{bucket}/lists/new.csv.gz"
    ran = cli("-q", source, "--s3-endpoint", moto_server.url, env=CREDENTIALS)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    site = folder(server.url)
    assert cli.files() == {f"{site}/a.txt": b"a", f"{site}/b.txt": b"b"}
    assert {record["source"] for record in cli.records()} == {source}


def test_a_list_that_is_not_there_is_named_before_anything_is_written(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/table.csv": b"name\nhttp://host/\n"})
    here = cli.write("list", f"{server.url}/a.txt")
    bucket = moto_server.make_bucket()
    redacted = f"{server.url.replace('//', '//REDACTED@')}/missing?token=REDACTED"
    for name, shown in (
        ("missing", "missing"),
        (f"{server.url}/missing", f"{server.url}/missing"),
        (redacted.replace("REDACTED", "pass:word"), redacted),
        (f"{server.url}/table.csv", f"{server.url}/table.csv"),
        (f"s3://{bucket}/missing", f"s3://{bucket}/missing"),
        ("s3://no-such-bucket/list", "s3://no-such-bucket/list"),
        ("http://", "http://"),
    ):
        ran = cli("list", "-i", name, "--s3-endpoint", moto_server.url, env=CREDENTIALS)
        assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
        assert ran.err.startswith("scraper: ")
        assert repr(shown) in ran.err
    assert cli.wrote == [here.name]


def test_a_long_pipe_is_not_read_far_ahead_of_the_fetching(cli: Command, serve: Serve) -> None:
    """Else a list of any length would sit in memory."""
    go = threading.Event()
    server = serve(lambda request: Reply(body=b"page", delay=go))
    url = f"{server.url}/{0:02000}"
    room = WINDOW // places_of(url, url, {})
    taken = 0
    with cli.start("-q", "-c", 2, "-", stdin=PIPE, bufsize=0) as process:
        assert process.stdin is not None
        while taken < 2 * room:
            if select.select([], [process.stdin], [], 0.5)[1]:
                write(process, f"{server.url}/{taken:02000}\n")
                taken += 1
            elif taken > room:
                break  # it was full for so long that it stays full
        server.wait_until(lambda: server.in_flight == 2)
        go.set()
    assert taken < 2 * room
