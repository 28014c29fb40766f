"""`scraper failed DEST`: what is not done, told so that scraper can do it."""

import json
import os
import pty
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.breakable import Site
from tests.e2e.command import MANIFEST, Command
from tests.e2e.places import Bucket, Directory
from tests.e2e.runs import Runs
from tests.servers import HttpServer, Reply, Serve


def test_what_is_told_can_be_fed_back_with_the_same_keys(runs: Runs, site: Site) -> None:
    lines = [
        f"{site.url}/a",
        f"{site.url}/b\tk/ü b.txt",
        f"{site.url}/done",
        f"{site.url}/q?x=ü&y=%41",
        json.dumps({"url": f"{site.url}/tab\there", "key": "t"}),
        f"http://us%65r@{site.url[7:]}/user",
    ]
    site.broken = dict.fromkeys(("/a", "/b", "/q", "/tabhere", "/user"), 503)
    assert runs.fetch(*lines).status == 1
    keys = {record["line"]: record["key"] for record in runs.place.records()}
    ran = runs.failed()
    assert {lines[0], lines[1]} < set(ran.lines)  # in the order in which they ended
    assert "left out" in ran.err  # a user name is a secret
    assert len(ran.lines) == 4
    site.broken = {}
    site.asked()
    again = runs.cli(
        "-", *runs.place.words, "--results", "-", stdin=ran.out, env=runs.place.environment
    )
    assert again.status == 0
    assert site.asked() == ["/a", "/b", "/q?x=%C3%BC&y=%41", "/tabhere"]
    stored = sorted(record["key"] for record in again.records)
    assert stored == sorted(keys[line] for line in (1, 2, 4, 5))
    ran = runs.failed("--format", "json")
    assert [record["line"] for record in ran.records] == [6]


def test_a_terminal_is_told_where_the_reasons_are(cli: Command, site: Site) -> None:
    site.broken = {"/a": 404}
    cli("-", "--to", "o u t", stdin=f"{site.url}/a\n")
    ours, theirs = pty.openpty()
    with cli.start("failed", "o u t", stdout=theirs) as process:
        ran = cli.ended(process)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert (ran.status, shown) == (0, f"{site.url}/a\r\n")
    assert ran.err == "hint: why: scraper failed --format tsv 'o u t'\n"
    assert cli("failed", "o u t").err == ""  # a pipe gets the list alone


def test_keys_of_another_rule_stay_what_they_were(runs: Runs, site: Site) -> None:
    site.broken = {"/a.html": 500, "/b": 500}
    runs.fetch(f"{site.url}/a.html", f"{site.url}/b", options=("--key", "hash"))
    told = runs.failed().lines
    keys = {record["url"]: record["key"] for record in runs.place.records()}
    assert dict(line.split("\t") for line in told) == keys


def test_only_the_last_word_on_a_target_counts(runs: Runs, site: Site) -> None:
    site.broken = {"/a": 503, "/b": 503, "/c": 503}
    pages = [f"{site.url}/{name}" for name in "abcd"]
    runs.fetch(*pages)
    site.broken = {"/c": 410, "/d": 429}
    runs.fetch(*pages, options=("--no-refresh",))
    ran = runs.failed("--format", "json")
    codes = {record["url"][-1]: record["http_code"] for record in ran.records}
    assert codes == {"c": 410, "d": 429}


def test_a_deferred_target_is_not_done(runs: Runs, serve: Serve) -> None:
    server = serve(lambda _: Reply(503, {"Retry-After": "9999"}))
    runs.fetch(f"{server.url}/a", options=("--retries", "1"))
    assert [record["status"] for record in runs.failed("--format", "json").records] == ["deferred"]
    assert runs.failed().lines == [f"{server.url}/a"]


FILTERS: list[tuple[list[str], str]] = [
    ([], "abcde"),
    (["--code", "404"], "a"),
    (["--code", "404,5XX"], "abc"),
    (["--code", "404", "--code", "503"], "ac"),
    (["--kind", "http_status"], "abc"),
    (["--kind", "connect"], "d"),
    (["--kind", "connect, bad_url"], "de"),
    (["--host", "127.0.0.1"], "abcd"),
    (["--host", "127.*:1"], "d"),
    (["--host", "LOCALHOST,127.0.0.9"], ""),
    (["--kind", "http_status", "--code", "5xx", "--host", "127.0.0.1"], "bc"),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A directory with five failures: a is 404, b 500, c 503, d is refused, e is no URL."""
    cli = Command(tmp_path_factory.mktemp("filled"))
    codes = {"/a": 404, "/b": 500, "/c": 503}
    with HttpServer(lambda request: Reply(codes[request.path])) as server:
        urls = [f"{server.url}/{name}" for name in "abc"]
        cli.write("list", *urls, "http://127.0.0.1:1/d", "e")
        assert cli("list", "--retries", "0").status == 1
    return cli


@pytest.mark.parametrize(("words", "expected"), FILTERS)
def test_filters(words: list[str], expected: str, filled: Command) -> None:
    records = filled("failed", "out", "--format", "json", *words).records
    assert "".join(sorted(record["url"][-1] for record in records)) == expected


WRONG = [
    (["--code", "40x"], "--code '40x' is not a status like 404, or a class like 5xx"),
    (["--code", "4004"], "--code '4004' is not a status"),
    (["--kind", "dsn"], "--kind 'dsn' is none of bad_url, dns,"),
    (["--format", "csv"], "'csv' is not one of"),
    ([], "there is no manifest in 'nowhere'"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_wrong_call_ends_in_one_line(words: list[str], said: str, filled: Command) -> None:
    before = filled.wrote
    ran = filled("failed", "out" if words else "nowhere", *words)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert said in ran.err
    assert filled.wrote == before


def test_lines_that_name_no_target_are_said_to_be_left_out(filled: Command) -> None:
    ran = filled("failed", "out")
    assert len(ran.lines) == 4
    assert ran.errors == [
        "scraper: 1 left out, since they name no target (bad_url): see --format tsv"
    ]


def test_a_table_is_a_list_too(cli: Command, site: Site) -> None:
    site.broken = {"/a": 500, "/b": 404}
    cli("-", "--retries", "0", stdin=f"{site.url}/a\tk.txt\n{site.url}/b\n")
    table = cli("failed", "out", "--format", "tsv").out
    assert table.splitlines()[0] == "url\tkey\tstatus\thttp_code\tkind\tattempts\tstarted\tmessage"
    (cli.directory / "again.tsv").write_text(table)
    site.broken = {}
    assert cli("again.tsv", "--to", "new").status == 0
    assert "k.txt" in cli.files("new")


def test_secrets_can_not_be_fed_back_and_one_line_says_so(runs: Runs, site: Site) -> None:
    site.broken = {"/a": 503, "/b": 503, "/h": 503}
    with_headers = json.dumps({"url": f"{site.url}/h", "headers": {"X-A": "geheim"}})
    runs.fetch(f"{site.url}/a?token=geheim", f"{site.url}/b", with_headers)
    ran = runs.failed()
    assert ran.lines == [f"{site.url}/b"]
    (said,) = ran.errors
    assert said.startswith("scraper: 2 left out, since their secrets or headers are not in the")
    assert said.endswith(f"scraper LIST --to {runs.place.words[1]} --retry-failed")
    assert "geheim" not in runs.failed("--format", "json").out


def test_a_corrected_line_is_no_failure_any_more(cli: Command, site: Site) -> None:
    cli.write("list", "htp:/broken", f"{site.url}/a")
    cli("list")
    cli("list")  # the same once more: still one
    assert [record["line"] for record in cli("failed", "out", "--format", "json").records] == [1]
    cli.write("list", f"{site.url}/broken", f"{site.url}/a")
    cli("list", "--resume")
    assert cli("failed", "out", "--format", "json").out == ""


def test_what_a_signal_left_is_not_done(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(200, {}, b"x", delay=None))
    cli.write("list", *(f"{server.url}/{n}" for n in range(3)))
    # A record of a run that was stopped, as it will be written from now on.
    cli("list")
    manifest = cli.directory / "out" / MANIFEST
    *others, last = manifest.read_text().splitlines()
    record: dict[str, Any] = json.loads(last)
    error = {"kind": "interrupted", "message": "not finished: SIGINT"}
    kept = {name: record[name] for name in ("url", "line", "source", "key")}
    stopped = {**kept, "status": "not_reached", "error": error, "attempts": 0}
    manifest.write_text("\n".join([*others, last, json.dumps(stopped)]) + "\n")
    assert cli("failed", "out").lines == [record["url"]]


def test_characters_that_drive_a_terminal_are_shown_safely(cli: Command, site: Site) -> None:
    url = f"{site.url}/\x1b[2J\u202epa\x07ge"
    site.broken = dict.fromkeys(["/%1B[2J%E2%80%AEpa%07ge"], 500)
    cli.write("list", json.dumps({"url": url, "key": "k"}))
    assert cli("list", "--retries", "0").status == 1
    for format_ in ("urls", "tsv", "json"):
        out = cli("failed", "out", "--format", format_).out
        assert out
        assert all(char.isprintable() or char in "\n\t" for char in out), format_
    told = cli("failed", "out").out
    assert json.loads(told) == {"url": url, "key": "k"}
    site.broken = {}
    assert cli("-", stdin=told).status == 0
    assert cli("failed", "out").out == ""


def test_nothing_is_made_where_only_is_read(runs: Runs, site: Site) -> None:
    site.broken = {"/a": 500}
    runs.fetch(f"{site.url}/a?code=1", f"{site.url}/b")
    if isinstance(runs.place, Directory):
        out = runs.cli.directory / "out"
        before = {path: path.lstat().st_mtime_ns for path in [out, *out.rglob("*")]}
        out.chmod(0o555)
        runs.failed()
        assert {path: path.lstat().st_mtime_ns for path in [out, *out.rglob("*")]} == before
    else:
        assert isinstance(runs.place, Bucket)
        before_keys = runs.place.all()
        runs.failed()
        assert runs.place.all() == before_keys


def test_a_bucket_without_a_manifest_is_wrong_usage(moto_server: Any, cli: Command) -> None:
    place = Bucket(moto_server, moto_server.make_bucket())
    ran = cli("failed", *place.words[1:], env=place.environment)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    gone = ["s3://not-there/x", *place.words[2:]]
    assert cli("failed", *gone, env=place.environment).status == 3


def test_a_manifest_elsewhere(runs: Runs, site: Site, cli: Command) -> None:
    site.broken = {"/a": 500}
    runs.fetch(f"{site.url}/a", options=("--manifest", "m.jsonl"))
    assert runs.failed("--manifest", "m.jsonl").lines == [f"{site.url}/a"]
    assert runs.failed(status=2).err.startswith("scraper: there is no manifest in ")
    ran = cli("failed", "other", "--manifest", "m.jsonl")
    assert (ran.status, len(ran.complaints)) == (2, 1)


def test_a_configuration_of_fetch_serves_here_too(cli: Command, site: Site) -> None:
    site.broken = {"/a": 500}
    cli.write("c.toml", 'manifest = "m.jsonl"', "retries = 0", 'key = "hash"')
    cli("-", "--config", "c.toml", stdin=f"{site.url}/a\n")
    assert len(cli("failed", "out", "--config", "c.toml").lines) == 1
    cli.write("d.toml", "retrys = 0")
    ran = cli("failed", "out", "--config", "d.toml")
    assert (ran.status, len(ran.complaints)) == (2, 1)


def test_a_reader_that_leaves_early_is_no_error(cli: Command) -> None:
    record = {"line": 1, "source": "l", "status": "failed", "error": {"kind": "dns"}}
    manifest = cli.directory / "out" / MANIFEST
    manifest.parent.mkdir(parents=True)
    with manifest.open("w") as file:
        for number in range(20_000):
            url = f"http://example.com/{number}.html"
            one = {"url": url, "key": f"example.com_http/{number}.html", **record}
            file.write(json.dumps(one) + "\n")
    with cli.start("failed", "out") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"http://example.com/0.html\n"
        process.stdout.close()
        assert process.stderr is not None
        assert (process.wait(), process.stderr.read()) == (0, b"")


def test_a_full_disk_is_told(cli: Command, site: Site) -> None:
    site.broken = {"/a": 500}
    cli("-", "--retries", "0", stdin=f"{site.url}/a\n")
    with open("/dev/full", "wb") as full, cli.start("failed", "out", stdout=full) as process:
        ran = cli.ended(process)
    assert (ran.status, ran.err) == (1, "scraper: No space left on device\n")


def test_what_was_planted_is_not_followed(cli: Command, tmp_path: Path) -> None:
    own = cli.directory / "out" / ".scraper"
    own.mkdir(parents=True)
    os.mkfifo(own / "manifest.jsonl")
    ran = cli("failed", "out")
    assert (ran.status, len(ran.errors)) == (3, 1)
    assert "is a FIFO" in ran.err
    (own / "manifest.jsonl").unlink()
    (own / "manifest.jsonl").symlink_to(tmp_path / "gone")
    assert cli("failed", "out").status == 3
