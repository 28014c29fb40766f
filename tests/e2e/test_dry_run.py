"""--dry-run: what would be fetched, and where it would go. The network hears nothing of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.servers import Reply, Serve


def test_every_target_is_printed_with_its_key_and_nothing_is_asked_or_written(
    cli: Command, serve: Serve
) -> None:
    server = serve({})
    site = f"127.0.0.1_http_{server.port}"
    cli.write(
        "list.txt",
        f"{server.url}/docs/a.html",
        "# a comment",
        f"{server.url}/",
        f"{server.url}/given\tmy/own key.txt",
        json.dumps({"url": f"{server.url}/json", "key": "from-json.bin"}),
    )
    ran = cli("list.txt", "--dry-run", "--to", "out")
    assert ran.status == 0
    assert ran.lines == [
        f"{server.url}/docs/a.html\t{site}/docs/a.html",
        f"{server.url}/\t{site}/index.html",
        f"{server.url}/given\tmy/own key.txt",
        f"{server.url}/json\tfrom-json.bin",
    ]
    assert ran.err == "4 targets, 0 bad lines or collisions, 0 repeats; nothing was fetched\n"
    assert cli.wrote == ["list.txt"]
    assert (server.total, server.connections) == (0, 0)


def test_s3_is_not_asked_either(cli: Command, serve: Serve) -> None:
    server = serve({})
    to = ["--to", "s3://bucket/p", "--s3-endpoint", server.url]
    ran = cli("--dry-run", *to, stdin="https://example.com/a.txt\n")
    assert (ran.status, ran.out) == (0, "https://example.com/a.txt\texample.com/a.txt\n")
    assert server.connections == 0


def test_a_list_at_a_url_is_refused_since_fetching_it_would_ask_the_network(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/list": b"https://example.com/\n"})
    ran = cli("--dry-run", "-i", f"{server.url}/list?token=s3cret")
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert f"--dry-run asks nothing of the network: fetch the list '{server.url}/list" in ran.err
    assert "s3cret" not in ran.err
    assert server.connections == 0


def test_collisions_repeats_and_bad_lines_are_told_on_stderr(cli: Command) -> None:
    ran = cli(
        "--dry-run",
        stdin="https://a.example/1\tone\nhttps://a.example/2\tone\nhttps://a.example/1\tone\nnone\n",
    )
    assert (ran.status, ran.out) == (1, "https://a.example/1\tone\n")
    assert ran.errors == [
        "failed  https://a.example/2 (-:2): bad_url: key 'one' is taken by another URL in line 1",
        "duplicate  https://a.example/1 (-:3): same as line 1",
        "failed  none (-:4): bad_url: no scheme: a URL begins with http:// or https://",
        "4 targets, 2 bad lines or collisions, 1 repeats; nothing was fetched",
    ]


def test_the_failure_budget_holds_for_a_dry_run_too(cli: Command) -> None:
    lines = "none\nhttps://a.example/a.txt\n"
    assert cli("--dry-run", "--max-failures", 1, stdin=lines).status == 0
    assert cli("--dry-run", "--max-failures", "49%", stdin=lines).status == 1


def test_quiet_and_the_log_options_hold_for_a_dry_run_too(cli: Command) -> None:
    good = "https://a.example/a.txt\n"
    quiet = cli("--dry-run", "-q", stdin=good * 2)
    assert (quiet.status, quiet.err) == (0, "")
    told = cli("--dry-run", "--log-format", "json", stdin=good + "none\n")
    *results, summary = [json.loads(line) for line in told.errors]
    assert [result["error"]["kind"] for result in results] == ["bad_url"]
    assert (summary["event"], summary["targets"], summary["failures"]) == ("summary", 2, 1)
    filed = cli("--dry-run", "--log-file", "log", stdin=good)
    assert (filed.status, filed.err) == (0, "")
    assert "nothing was fetched" in (cli.directory / "log").read_text()


@pytest.mark.parametrize("template", ["url", "hash", "{date:%Y}/{host}/{path}-{hash:.8}{ext}"])
def test_what_it_prints_is_a_list_that_gives_the_same_keys(template: str, cli: Command) -> None:
    urls = [
        "https://example.com/",
        "https://example.com/a/b.html?q=1&r=%20",
        "http://ex.com:8080/Übung/MIXED.TXT",
        "https://example.com/con/aux.txt",
        "https://[::1]:8443/x",
        f"https://example.com/{'long/' * 300}end.bin",
        "https://example.com/a;b,c=(d)'!@$&+~",
    ]
    first = cli("--dry-run", "--key", template, stdin="".join(f"{url}\n" for url in urls))
    again = cli("--dry-run", stdin=first.out)
    assert (first.status, len(first.lines)) == (0, len(urls))
    assert again == first


def test_secrets_are_not_printed(cli: Command) -> None:
    ran = cli("--dry-run", stdin="https://me:s3cret@example.com/a.txt?token=s3cret\n")
    assert ran.status == 0
    assert "s3cret" not in ran.out + ran.err
    assert ran.out.startswith("https://REDACTED@example.com/a.txt?token=REDACTED\t")


def test_each_line_of_a_pipe_is_answered_while_the_writer_holds_it_open(cli: Command) -> None:
    with cli.start("--dry-run", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("one", "two"):
            process.stdin.write(f"https://example.com/{name}.txt\n".encode())
            process.stdin.flush()
            assert process.stdout.readline().endswith(f"\texample.com/{name}.txt\n".encode())
        process.stdin.close()
        process.stdin = None
        assert cli.ended(process).status == 0


def test_a_reader_that_has_enough_ends_it_quietly(cli: Command) -> None:
    path = cli.write("list.txt", *(f"https://example.com/{n}.txt" for n in range(20_000)))
    with cli.start("--dry-run", path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"https://example.com/0.txt\t")
        process.stdout.close()
        process.stdout = None
        ran = cli.ended(process)
    assert (ran.status, ran.err) == (0, "")


# The peak since the program was loaded; getrusage's would begin with that of the parent.
MEASURED = """
import sys
from scraper.source import duplicates
from scraper.cli import main
duplicates._IN_MEMORY, duplicates._CACHE_KIB = 10_000, 8 * 1024
try:
    main(["--dry-run", sys.argv[1]])
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(int(peak.split()[1]) * 1024, file=sys.stderr)
"""


def peak_bytes(lines: int, directory: Path) -> int:
    path = directory / "list.txt"
    with path.open("w") as file:
        file.writelines(f"https://host{n % 97}.example.com/{n}/page.html\n" for n in range(lines))
    with subprocess.Popen(
        [sys.executable, "-c", MEASURED, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert sum(1 for _ in process.stdout) == lines
        *_, peak = process.stderr.read().split()
    return int(peak)


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    small, large = peak_bytes(10_000, tmp_path), peak_bytes(100_000, tmp_path)
    print(f"{small:,} bytes for 10,000 lines, {large:,} for 100,000")
    assert large < 150_000_000
    assert large - small < 12_000_000  # what is remembered of a line has a cache of 8 MB here


def test_nested_keys_and_other_headers_are_clashes_before_any_request(
    cli: Command, serve: Serve
) -> None:
    server = serve(lambda one: Reply(200, {}, one.path.encode()))
    lines = [f"{server.url}/{name}\t{key}" for name, key in (("1", "docs"), ("2", "docs/a.html"))]
    for language in ("de", "fr"):
        line = {"url": f"{server.url}/3", "key": "k", "headers": {"Accept-Language": language}}
        lines.append(json.dumps(line))
    cli.write("urls", *lines)
    ran = cli("urls", "--dry-run")
    assert (ran.status, len(ran.lines), server.requests) == (1, 2, [])
    assert "key 'docs/a.html' is below 'docs', the key of line 1" in ran.err
    assert "key 'k' is taken by the same URL with other headers in line 3" in ran.err
    ran = cli("urls", "--to", "out", "--results", "-")
    assert sorted(one.get("error", {}).get("kind", one["status"]) for one in ran.records) == [
        *("bad_url", "bad_url", "stored", "stored"),
    ]
    assert sorted(one.path for one in server.requests) == ["/1", "/3"]


def test_with_resume_only_what_is_left_is_printed_and_nothing_is_written(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a": b"a", "/b?token=s3cret": b"b"})
    lines = [f"{server.url}/{name}" for name in ("a", "b?token=s3cret", "missing")]
    cli.write("urls", *lines)
    assert cli("urls", "-q", "--to", "out").status == 1
    before, asked = cli.wrote, server.total
    cli.write("urls", *lines, f"{server.url}/new", "no URL")
    for option, left in (("--resume", ["missing", "new"]), ("--retry-failed", [])):
        ran = cli("urls", "--dry-run", "--to", "out", option)
        assert [line.partition("\t")[0] for line in ran.lines] == [
            f"{server.url}/{name}" for name in left
        ]
        assert f"left out ({option})" in ran.err
    ran = cli("urls", "--dry-run", "--to", "out", "--retry-failed", "--all")
    assert [line.partition("\t")[0] for line in ran.lines] == [f"{server.url}/missing"]
    assert (cli.wrote, server.total) == (before, asked)


def test_with_resume_a_bucket_is_not_asked_and_says_so(cli: Command, serve: Serve) -> None:
    server = serve({})
    to = ["--to", "s3://bucket/p", "--s3-endpoint", server.url]
    ran = cli("--dry-run", "--resume", *to, stdin="https://example.com/a.txt\n")
    assert (ran.status, len(ran.lines)) == (0, 1)
    assert "s3://bucket/p is not looked at for what is there" in ran.err
    assert server.connections == 0


def test_what_require_digest_refuses_is_told(cli: Command) -> None:
    lines = [
        json.dumps({"url": "https://example.com/a.txt", "sha256": "0" * 64}),
        "https://example.com/b.txt",
    ]
    ran = cli("--dry-run", "--require-digest", stdin="\n".join(lines))
    assert (ran.status, ran.lines) == (1, ["https://example.com/a.txt\texample.com/a.txt"])
    assert "no digest" in ran.err
