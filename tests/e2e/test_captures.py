"""The records of captures, of a CDX index: `--cdx-range`."""

import gzip
import json
import re
from typing import Any

import pytest

from tests.e2e.command import Command
from tests.servers import Reply, Request, Serve

RECORDS = [gzip.compress(b"WARC/1.0\r\n" + bytes([65 + n]) * 100 * (n + 1)) for n in range(3)]
WARC = b"".join(RECORDS)
NAME = "crawl-data/CC-MAIN-2024-10/segments/1.2/warc/CC-MAIN-00000.warc.gz"


def lines(*numbers: int, **other: Any) -> list[str]:
    """Lines of Common Crawl's index, of these records."""
    found = []
    for number in numbers:
        offset = len(b"".join(RECORDS[:number]))
        place = {"length": str(len(RECORDS[number])), "offset": str(offset), "filename": NAME}
        told = {"urlkey": "com,example)/", "url": "http://e.example/", "status": "200", **place}
        found.append(json.dumps({**told, **other}))
    return found


def partial(request: Request) -> Reply:
    """A server of that file which gives ranges."""
    if request.path != f"/{NAME}":
        return Reply(404)
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["range"])
    assert asked is not None
    assert request.headers["accept-encoding"] == "identity"
    first, last = int(asked[1]), min(int(asked[2]), len(WARC) - 1)
    said = {"Content-Range": f"bytes {first}-{last}/{len(WARC)}", "ETag": '"x"'}
    return Reply(206, said, WARC[first : last + 1])


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_each_record_is_stored_alone_and_once(engine: str, cli: Command, serve: Serve) -> None:
    server = serve(partial)
    cli.write("index", *lines(0, 1), "com,example)/ 20240101 " + lines(2)[0])
    words = ["index", "--cdx-range", "--base", f"{server.url}/", "--engine", engine, "--split", "4"]
    ran = cli(*words, "--results", "-", "--split-above", "1")
    assert ran.status == 0, ran.err
    assert sorted(cli.files().values()) == sorted(RECORDS)
    assert all(key.endswith(".warc.gz") for key in cli.files())
    assert {one["expected"]["range_start"] for one in ran.records} == {
        len(b"".join(RECORDS[:n])) for n in range(3)
    }
    again = cli(*words, "--resume", "--results", "-")
    assert {one["status"] for one in again.records} == {"skipped"}
    assert server.total == 3
    assert cli("verify", "out").status == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_record_that_failed_is_asked_for_again_with_its_list(
    processes: int, cli: Command, serve: Serve
) -> None:
    """A line of another list can't say which bytes are meant, and so it is told."""
    is_up = False

    def answer(request: Request) -> Reply:
        first = f"bytes={len(RECORDS[0])}-"
        down = not is_up and request.headers["range"].startswith(first)
        return Reply(503) if down else partial(request)

    server = serve(answer)
    cli.write("index", *lines(0, 1, 2))
    words = ["--cdx-range", "--base", f"{server.url}/", "--processes", processes, "--retries", 0]
    ran = cli("index", *words)
    assert (ran.status, len(cli.files())) == (1, 2), ran.err
    is_up = True
    ran = cli("--retry-failed")
    assert (ran.status, server.total) == (1, 3)
    assert "1 left out, since their secrets or headers are not in the manifest" in ran.err
    ran = cli("index", *words, "--retry-failed", "--results", "-")
    assert ran.status == 0, ran.err
    assert [one["status"] for one in ran.records].count("stored") == 1
    assert sorted(cli.files().values()) == sorted(RECORDS)
    assert server.total == 4
    assert cli("verify", "out").status == 0


WRONG = {
    "whole": (lambda _: Reply(200, {}, WARC), "the server sent the whole file"),
    "other": (
        lambda _: Reply(206, {"Content-Range": f"bytes 0-{len(RECORDS[1]) - 1}/*"}, RECORDS[1]),
        "the server sent bytes 0-",
    ),
    "none": (lambda _: Reply(206, {}, RECORDS[1]), "206 without a Content-Range"),
    "several": (
        lambda _: Reply(206, {"Content-Type": "multipart/byteranges; boundary=x"}, RECORDS[1]),
        "206 without a Content-Range",
    ),
    "not satisfiable": (lambda _: Reply(416, {}, b""), "HTTP 416"),
}


@pytest.mark.parametrize("engine", ["threads", "curl"])
@pytest.mark.parametrize("what", WRONG)
def test_other_bytes_are_never_stored(what: str, engine: str, cli: Command, serve: Serve) -> None:
    answer, said = WRONG[what]
    server = serve(answer)
    cli.write("index", *lines(1))
    words = ["--cdx-range", "--base", server.url, "--engine", engine, "--results", "-"]
    ran = cli("index", *words)
    assert (ran.status, server.total, cli.files()) == (1, 1, {})
    assert said in ran.records[0]["error"]["message"]


def test_a_file_that_is_one_record_may_come_whole(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(200, {}, RECORDS[0]))
    cli.write("index", *lines(0))
    assert cli("index", "--cdx-range", "--base", server.url).status == 0
    assert [*cli.files().values()] == [RECORDS[0]]
    server = serve(lambda _: Reply(200, {}, WARC))
    ran = cli("index", "--cdx-range", "--base", server.url, "--retries", "0", "--results", "-")
    assert ran.records[0]["error"]["kind"] == "mismatch"


def test_without_the_option_the_page_is_meant(cli: Command) -> None:
    cli.write("index", *lines(0, url="http://127.0.0.1:1/a.html"))
    for words in (["--list-format", "cdxj"], []):
        ran = cli("index", "--dry-run", *words)
        assert (ran.status, ran.lines[0].split("\t")[0]) == (0, "http://127.0.0.1:1/a.html")


def test_wrong_calls_and_lines(cli: Command) -> None:
    cli.write("index", "x", "{", '{"filename": "a", "offset": "-1", "length": "1"}')
    assert "--cdx-range needs --base URL" in cli("index", "--cdx-range").err
    words = ["--cdx-range", "--base", "http://127.0.0.1:1"]
    assert "not csv" in cli("index", *words, "--list-format", "csv").err
    ran = cli("index", *words, "--dry-run")
    assert ran.status == 1
    for said in ("it has no object", "line is not JSON", '"offset" is no number of bytes'):
        assert said in ran.err
