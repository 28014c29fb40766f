"""Bad input: one clear line and exit 2 before anything is written; a bad line costs that line."""

import gzip
import json
import os
import re
import secrets

import pytest

from tests.e2e.command import Command
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Reply, Serve, closed_port

LIST = "list.txt"
BAD_OPTIONS = [
    (["--nonsense"], "No such option '--nonsense'"),
    (["--max-concurrency"], "Option '--max-concurrency' requires an argument"),
    (["-c", "many"], "'many' is not a valid integer"),
    (["-c", "0"], "--max-concurrency must be a whole number, at least 1, not 0"),
    (["--delay", "-1"], "--delay must be a number at least 0"),
    (["--rate", "0"], "--rate must be a number above 0"),
    (["--read-timeout", "nan"], "--read-timeout must be a number above 0"),
    (["--max-size", "10 parsecs"], "'10 parsecs' is not a size like 500k, 10M or 2GiB"),
    (["--max-failures", "half"], "--max-failures 'half' is not N or N%"),
    (["--max-failures", "101%"], "--max-failures '101%' is above 100%"),
    (["-H", "no colon"], "--header 'no' is not 'Name: value'"),
    (["-H", "Content-Length: 5"], "--header 'Content-Length' announces a body"),
    (["-H", "X: a\nb"], "--header 'X' has a character that no header may hold"),
    (["--proxy", "socks6://127.0.0.1:1"], "--proxy is not"),
    (["--resolve", "host:80"], "--resolve 'host:80' is not HOST:PORT:ADDRESS"),
    (["--resolve", "host:80:name"], "--resolve 'host:80:name' has no IP address after the port"),
    (["-4", "-6"], "--ipv4 and --ipv6 contradict each other"),
    (["--to", "out/{host}"], "--to 'out/{host}' has a field other than {date}"),
    (["--to", ""], "--to is empty"),
    (["--to", "gopher://somewhere/"], "no sink for gopher:// (there are: -, az, file, ftp, gs, "),
    (["--to", "s3:///prefix"], "names no bucket"),
    (["--to", "warc:s3://b/p"], "--to warc+s3://b/p"),
    (["--to", "tar:s3://b/p.tar"], "an archive is made on this machine"),
    (["--to", "s3://b", "--s3-sse", "rot13"], "--s3-sse 'rot13' is not"),
    (["--url-column", "0"], "--url-column 0: columns are counted from 1 on"),
    (["--key-column", "2"], "--key-column 2 is a place in a list without a header"),
    (["--default-scheme", "gopher"], "--default-scheme 'gopher' must be https or http"),
    (["--list-format", "xml"], "'xml' is not one of 'auto', 'lines', 'csv', 'tsv', 'jsonl'"),
    (["--key", "{nope}"], "--key '{nope}' has unknown field {nope}"),
    (["--key", "{host}"], "--key '{host}' gives every target one key"),
    (["--log-format", "xml"], "'xml' is not one of 'text', 'json'"),
    (["-q", "-v"], "--quiet and --verbose contradict each other"),
    (["--cacert", LIST, "--insecure"], "--cacert and --insecure contradict each other"),
    (["--cacert", "nowhere.pem"], "--cacert 'nowhere.pem': No such file or directory"),
    (["--cacert", LIST], f"--cacert '{LIST}': no certificates in PEM"),
    (["--netrc"], "--netrc: can't read"),
    (["--dry-run", "--results", "-"], "--dry-run has no results"),
    (["--results", "no/such/place"], "--results: can't write 'no/such/place'"),
    (["--log-file", "no/such/place"], "--log-file: can't write 'no/such/place'"),
    (["--results", LIST], f"--results '{LIST}' is the list too"),
    (["--log-file", f"./{LIST}"], f"--log-file './{LIST}' is the list too"),
    (["--manifest", "one", "--results", "one"], "--results 'one' is --manifest too"),
    (["--results", "out/.scraper/manifest.jsonl"], "is --manifest too"),
    (["--config", "nowhere.toml"], "--config: can't read 'nowhere.toml': No such file"),
    (["nowhere.txt"], "can't open the list 'nowhere.txt': No such file or directory"),
    (["."], "can't open the list '.': Is a directory"),
    (["-", "-"], "stdin ('-') can be read once only"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS, ids=lambda value: "")
def test_a_bad_option_is_one_clear_line_and_nothing_is_written(
    options: list[str], said: str, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    cli.write(LIST, f"{server.url}/a.txt")
    files = {"--manifest": "m", "--results": "r", "--log-file": "l"}
    others = [word for pair in files.items() if not {*files} & {*options} for word in pair]
    ran = cli(LIST, *(others if "--dry-run" not in options else []), *options)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert ran.err.startswith("scraper: ")
    assert said in ran.err
    assert cli.wrote == [LIST]
    assert server.total == 0


@pytest.mark.parametrize("options", [["--results", "old"], ["--log-file", "old"]])
def test_a_file_of_an_earlier_run_survives_a_bad_option(options: list[str], cli: Command) -> None:
    old = cli.write("old", "of yesterday")
    ran = cli("-", *options, "--key", "{nope}", stdin="")
    assert ran.status == 2
    assert old.read_text() == "of yesterday\n"


def test_a_device_may_take_several_things(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    options = ["--results", "/dev/null", "--log-file", "/dev/null", "--manifest", "/dev/null"]
    ran = cli(*options, stdin=f"{server.url}/a.txt\n")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert list(cli.files().values()) == [b"a"]


# ---------------------------------------------------------------- lists

_URL = b"http://127.0.0.1:1/a.txt\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("torn.gz", gzip.compress(_URL * 9)[:4], "broke off: "),
        ("not.csv", b"\x1f\x8bis no gzip", "broke off: "),
        ("no-column.csv", b"address,name\n" + _URL, "has no column named 'url'"),
        ("no-column.tsv", _URL, "has no column named 'url'"),
    ],
    ids=["torn", "no gzip", "csv", "tsv"],
)
def test_a_list_that_makes_no_sense_is_named(
    name: str, content: bytes, said: str, cli: Command
) -> None:
    (cli.directory / name).write_bytes(content)
    ran = cli(name)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert f"the list '{name}' {said}" in ran.err
    assert cli.wrote == [name]


def test_a_list_at_a_url_that_can_not_be_fetched_is_named_without_its_secrets(
    cli: Command, serve: Serve
) -> None:
    server = serve({})
    where = f"127.0.0.1:{server.port}/list?token=s3cret"
    ran = cli("-i", f"http://me:s3cret@{where}")
    assert (ran.status, ran.out) == (2, "")
    named = f"http://REDACTED@{where}".replace("s3cret", "REDACTED")
    assert ran.err == f"scraper: can't fetch the list '{named}': HTTP 404\n"
    ran = cli("--retries", 0, "-i", f"http://127.0.0.1:{closed_port()}/list")
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert "Connection refused" in ran.err
    assert cli.wrote == []


def test_a_list_that_breaks_off_ends_the_run_after_what_was_read_of_it(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    lines = [f"{server.url}/a.txt", *(f"# {secrets.token_hex(64)}" for _ in range(1000))]
    whole = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    (cli.directory / "list.gz").write_bytes(whole[:-100])
    cli.write("next.txt", f"{server.url}/a.txt\tnext")
    for budget in ([], ["--max-failures", "5"]):  # nobody knows how many lines are missing
        ran = cli("list.gz", "next.txt", *budget, "--results", "-")
        assert ran.status == 1
        assert re.search(r"^3 targets: .*1 failed", ran.err, re.MULTILINE)
        *done, torn = sorted(ran.records, key=lambda record: "error" in record)
        assert {record["status"] for record in done} <= {"stored", "not_modified"}
        assert (torn["source"], torn["error"]["kind"]) == ("list.gz", "bad_url")
        assert torn["error"]["message"].startswith("the list 'list.gz' broke off: ")
        assert 1 < torn["line"] <= 1001


@pytest.mark.parametrize("options", [[], ["empty"], ["comments"], ["empty.csv"]])
def test_an_empty_list_is_no_error_and_is_said(options: list[str], cli: Command) -> None:
    cli.write("empty")
    cli.write("empty.csv")
    cli.write("comments", "# nothing", "", "  ")
    ran = cli(*options)
    assert (ran.status, ran.out) == (0, "")
    assert "0 targets: the list is empty, nothing to do" in ran.errors
    assert (cli.records(), cli.files()) == ([], {})


def test_what_is_no_list_is_one_line_and_nothing_is_written(cli: Command) -> None:
    for name, content in (("list.parquet", b"PAR1\x15\4\n"), ("list.json", b'[{"url": "x"}]\n')):
        (cli.directory / name).write_bytes(content)
        ran = cli(name)
        assert (ran.status, ran.out) == (2, "")
        assert re.fullmatch(rf"scraper: the list '{name}' is [^\n]+: [^\n]+\n", ran.err)
    assert cli.wrote == ["list.json", "list.parquet"]
    ran = cli("-", stdin=b"PAR1\x15\4\n")
    assert ran.status == 2
    assert "scraper: the list '-' is no Parquet file that can be read: " in ran.err
    assert cli.records() == []


def test_a_field_that_means_nothing_is_named_once(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"a", "/b": b"b"})
    lines = [json.dumps({"URL": f"{server.url}/{name}", "colour": 1}) for name in "ab"]
    said = "the list '-' has a field that means nothing here: 'colour'"
    for options in ([], ["--dry-run"]):
        ran = cli("-", *options, stdin="\n".join(lines))
        assert ran.status == 0
        assert said in ran.err
        assert ran.err.count("colour") == 1


# ---------------------------------------------------------------- columns


def test_a_list_at_a_url_is_read_as_its_type_says(cli: Command, serve: Serve) -> None:
    csv, typed = b"", {"Content-Type": "text/csv; charset=utf-8"}
    server = serve(lambda request: Reply(200, typed, csv) if "?" in request.path else Reply())
    csv = f"id,url\n1,{server.url}/a.txt\n".encode()
    ran = cli("-i", f"{server.url}/export?all=1", "--results", "-")
    assert (ran.status, [record["url"] for record in ran.records]) == (0, [f"{server.url}/a.txt"])
    columns = ["--list-format", "csv", "--url-column", "2", "--key-column", "1", "--results", "-"]
    ran = cli("-", *columns, stdin=csv.partition(b"\n")[2])
    assert (ran.status, [record["key"] for record in ran.records]) == (0, ["1"])


def test_a_bare_domain_is_a_whole_url_in_the_records_and_so_it_can_be_asked_for_again(
    cli: Command, serve: Serve
) -> None:
    server = serve(lambda request: Reply(500))
    bare = server.url.removeprefix("http://")
    words = ["--default-scheme", "http", "--retries", "0"]
    assert cli("-", *words, stdin=f"{bare}/a.txt\n").status == 1
    assert cli("failed", "out").lines == [f"{server.url}/a.txt"]
    assert cli("--retry-failed", "--retries", "0").status == 1
    assert server.hits["/a.txt"] == 2


# ---------------------------------------------------------------- lines


def test_a_bad_line_is_a_failed_result_with_its_number_and_reason(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/first.txt": b"1", "/last.txt": b"2"})
    bad = {
        b"/relative/path": "no scheme",
        b"ftp://127.0.0.1/a": "scheme 'ftp' is not http or https",
        b"http://": "not a valid URL",
        b"http://127.0.0.1:99999/": "not a valid URL",
        b"http://127.0.0.1/\xff\xfe": "line is not UTF-8",
        b"http://127.0.0.1/\0": "line has a NUL byte",
        b'{"key": "no url"}': 'JSON line has no "url"',
        b'{"url": "http://127.0.0.1/", "headers": {"a b": "c"}}': "is not allowed in HTTP",
        b"{torn": "line is not JSON",
        b"http://127.0.0.1/\t../../etc/passwd": "leaves the destination",
        b"http://127.0.0.1/\t/etc/passwd": "is absolute",
        b"http://127.0.0.1/" + b"x" * 10_000_000: "line is longer than 65,536 bytes",
    }
    first, last = (f"{server.url}/{name}.txt".encode() for name in ("first", "last"))
    ran = cli("-c", 1, "--results", "-", stdin=b"\n".join([first, *bad, last]))
    assert ran.status == 1
    results = sorted(ran.records, key=lambda record: record["line"])
    assert [record["line"] for record in results] == list(range(1, len(bad) + 3))
    assert [record["status"] for record in results] == ["stored", *["failed"] * len(bad), "stored"]
    for record, (line, reason) in zip(results[1:-1], bad.items(), strict=True):
        assert record["error"]["kind"] == "bad_url", line
        assert reason in record["error"]["message"]
        assert f"(-:{record['line']}): bad_url: " in ran.err
    assert len(ran.err) < 10_000  # none of it in full
    assert sorted(cli.files().values()) == [b"1", b"2"]
    assert cli.records() == ran.records


def test_bad_lines_within_the_budget_are_told_and_tolerated(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    ran = cli("--max-failures", 1, stdin=f"nonsense\n{server.url}/a.txt\n")
    assert (ran.status, ran.out) == (0, "")
    assert any(line.startswith("failed  nonsense (-:1): bad_url: ") for line in ran.errors)
    assert any(line.startswith("2 targets: ") for line in ran.errors)


def test_no_line_and_no_server_drives_the_terminal(cli: Command) -> None:
    ran = cli("--retries", 0, stdin="http://\x1b[2J\x07\u202e.example/\n")
    assert ran.status == 1
    assert not {"\x1b", "\x07", "\u202e"} & {*ran.err}
    assert re.search(r"\\(x|u00)1b\[2J\\(x|u00)07\\u202e", ran.err)  # shown, not sent


def test_names_of_files_need_not_be_utf_8(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    odd = os.fsdecode(b"odd-\xff")
    cli.write(odd, f"{server.url}/a.txt")
    ran = cli(odd, "--to", f"to-{odd}", "--log-format", "json", "--results", "-")
    assert (ran.status, len(ran.errors)) == (0, 3)
    (record,) = ran.records
    assert (record["status"], record["source"]) == ("stored", "odd-\\xff")
    assert list(cli.files(f"to-{odd}").values()) == [b"a"]
    assert json.loads(ran.errors[-1])["destination"] == "to-odd-?"
    ran = cli(f"missing-{odd}")
    assert (ran.status, len(ran.complaints)) == (2, 1)
    assert "can't open the list" in ran.err


# ---------------------------------------------------------------- destinations


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        (LIST, "it is a file"),
        (f"{LIST}/out", "Not a directory"),
        ("/proc/out", "No such file or directory"),
    ],
)
def test_a_directory_that_can_not_be_written_is_one_line_before_any_request(
    to: str, reason: str, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    cli.write(LIST, f"{server.url}/a.txt")
    ran = cli("--to", to, LIST)
    assert (ran.status, ran.out) == (3, "")
    assert ran.err == f"scraper: can't write to directory '{to}': {reason}\n"
    assert cli.wrote == [LIST]
    assert server.total == 0


def test_a_manifest_that_can_not_be_written_is_one_line_before_any_request(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    cli.write(LIST, f"{server.url}/a.txt")
    ran = cli("--manifest", f"{LIST}/manifest", LIST)
    assert (ran.status, ran.out) == (3, "")
    assert (
        ran.err == f"scraper: can't write the manifest '{LIST}/manifest': its directory is a file\n"
    )
    assert cli.files() == {}
    assert server.total == 0


def test_a_missing_bucket_is_one_line_before_any_request(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/a.txt": b"a"})
    cli.write(LIST, f"{server.url}/a.txt")
    options = ["--to", "s3://nowhere-to-be-found/p", "--s3-endpoint", moto_server.url]
    ran = cli(*options, LIST, env=CREDENTIALS)
    assert (ran.status, ran.out, len(ran.complaints)) == (3, "", 1)
    assert "nowhere-to-be-found" in ran.err
    assert cli.wrote == [LIST]
    assert server.total == 0
