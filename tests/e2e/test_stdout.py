"""`--to -` and `tar:-`: bodies on stdout, whole ones, one after the other, and nothing else."""

import io
import json
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError
from scraper.model.options import EngineName
from scraper.sinks.stdout.stream import Stdout
from tests.e2e.command import WAIT_S, Command
from tests.e2e.watch import end
from tests.servers import RawServer, Reply, Request, Serve, in_turn, then_reset

PIPE = subprocess.PIPE
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"


def bodies(request: Request) -> Reply:
    """A page of its own for each path: 3,000 times its name."""
    return Reply(404) if "gone" in request.path else Reply(body=request.path.encode() * 3000)


def test_one_url_is_its_body_alone_as_curl_prints_it(
    cli: Command, serve: Serve, engine: EngineName
) -> None:
    server = serve(bodies)
    ran = cli(f"{server.url}/page", "--to", "-", "--engine", engine)
    assert (ran.status, ran.out) == (0, "/page" * 3000)
    assert "stored in: -" in ran.err
    assert "manifest:  not kept (--manifest PATH keeps one)" in ran.err
    assert cli.wrote == []


def test_several_come_one_after_the_other_and_a_failed_one_prints_nothing(
    cli: Command, serve: Serve, engine: EngineName
) -> None:
    server = serve(bodies)
    urls = [f"{server.url}/{name}" for name in ("a", "gone", "b", "c")]
    ran = cli(*urls, "--to", "-", "--engine", engine)
    assert ran.status == 1
    pages = [f"/{name}" * 3000 for name in "abc"]
    assert len(ran.out) == sum(map(len, pages))
    for page in pages:
        assert page in ran.out, "another body came between"
    in_order = cli(*urls, "--to", "-", "-c", 1, "--engine", engine)
    assert in_order.out == "".join(pages)


def test_a_body_that_broke_off_and_is_tried_again_is_there_once(
    cli: Command, engine: EngineName
) -> None:
    script = in_turn(then_reset(HEAD + b"01234"), HEAD + b"0123456789")
    with RawServer(script) as server:
        ran = cli(
            f"{server.url}/x", "--to", "-", "--retries", 1,
            "--engine", engine,
        )  # fmt: skip
    assert (ran.status, ran.out) == (0, "0123456789")


def test_a_reader_that_leaves_ends_the_run_as_with_results(
    cli: Command, serve: Serve, engine: EngineName
) -> None:
    server = serve(bodies)
    cli.write("list", *(f"{server.url}/{number}" for number in range(500)))
    with cli.start("list", "--to", "-", "--engine", engine, "-q") as process:
        assert process.stdout is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.wait(WAIT_S) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert len(server.requests) < 500


@pytest.mark.parametrize("to", ["-", "tar:-"])
def test_a_signal_ends_it_while_nobody_reads(
    cli: Command, serve: Serve, to: str, engine: EngineName
) -> None:
    server = serve(lambda request: Reply(body=request.path.encode() * 100_000))
    cli.write("list", *(f"{server.url}/{number}" for number in range(50)))
    with cli.start("list", "--to", to, "--grace", 0, "--engine", engine) as process:
        server.wait_until(lambda: len(server.requests) >= 16)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 130


def test_what_keeps_no_account_can_t_be_gone_on_with_but_by_a_manifest(
    cli: Command, serve: Serve
) -> None:
    server = serve(bodies)
    cli.write("list", f"{server.url}/a", f"{server.url}/b")
    for option in ("--resume", "--retry-failed", "--new-failures"):
        ran = cli("list", "--to", "-", option)
        assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
        assert f"scraper: {option}: this destination can't be read back" in ran.err
    assert not server.requests
    first = cli("list", "--to", "-", "--manifest", "m.jsonl", "-c", 1)
    assert first.out == "/a" * 3000 + "/b" * 3000
    cli.write("list", f"{server.url}/a", f"{server.url}/b", f"{server.url}/c")
    second = cli("list", "--to", "-", "--manifest", "m.jsonl", "--resume")
    assert (second.status, second.out) == (0, "/c" * 3000)
    assert cli.wrote == ["list", "m.jsonl", "m.jsonl.index", "m.jsonl.summary.json"]


def test_metrics_that_are_refused_are_not_written_into_stdout_either(cli: Command) -> None:
    path = cli.directory / "bodies"
    words = ["--to", "-", "--metrics", "/dev/stdout", "http://127.0.0.1:9/"]
    with path.open("wb") as bodies, cli.start(*words, stdout=bodies) as process:
        assert process.wait(WAIT_S) == 2
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--to", "-", "--results", "-"], "--results -: stdout has the bodies"),
        (["--to", "tar:-", "--results", "/dev/stdout"], "stdout has the bodies"),
        (["--to", "-", "--manifest", "/proc/self/fd/1"], "stdout has the bodies"),
        (["--to", "tar:-", "--log-file", "/dev/fd/1"], "stdout has the bodies"),
        (["--to", "-", "--metrics", "/dev/stdout"], "stdout has the bodies"),
        (["--to", "tar.gz:-"], "--to tar:- | gzip"),
        (["--to", "tar:~/x.tar"], 'tar:"$HOME"/x.tar'),
        (["--to", "zip:~/x.zip"], 'zip:"$HOME"/x.zip; a directory called ~ is zip:./~/x.zip'),
        (["--to", "warc:~/x"], 'warc:"$HOME"/x; a directory called ~ is warc:./~/x'),
        (["--to", "warc://~/x"], 'warc:"$HOME"/x'),
        (["--to", "-", "--processes", "2"], "--processes: one process writes to '-'"),
        (["--to", "tar:x.tar", "--shard", "0/2"], "--shard: several runs can't write"),
        (["--to", "tar:x.tar.zst"], "ends with .tar, .tar.gz or .tgz"),
        (["--to", "zip:-"], "is written in a file"),
        (["--to", "zip:x.tar"], "the name of a zip ends with .zip"),
        (["--to", "tar:"], "names no file"),
        (["--to", "warc:"], "names no directory"),
        (["--to", "-", "--skip-existing"], "can't be read back"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    words: list[str], why: str, cli: Command, serve: Serve
) -> None:
    server = serve(bodies)
    ran = cli(f"{server.url}/page", *words)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert why in ran.err
    assert (server.requests, cli.wrote) == ([], [])


def test_a_tar_goes_through_a_pipe(cli: Command, serve: Serve, engine: EngineName) -> None:
    server = serve(bodies)
    cli.write("list", *(f"{server.url}/{name}\t{name}" for name in ("a", "b/c", "gone")))
    with cli.start(
        "list", "--to", "tar:-", "--manifest", "m.jsonl", "--max-failures", 1, "--engine", engine
    ) as process:
        out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert out.endswith(bytes(1024))
    with tarfile.open(fileobj=io.BytesIO(out), mode="r|") as opened:
        found = {one.name: opened.extractfile(one).read() for one in opened}  # type: ignore[union-attr]
    assert found == {"a": b"/a" * 3000, "b/c": b"/b/c" * 3000}
    records = [json.loads(line) for line in (cli.directory / "m.jsonl").read_text().splitlines()]
    assert sorted(record["status"] for record in records) == ["failed", "stored", "stored"]


def test_a_tar_of_nothing_is_one(cli: Command, serve: Serve) -> None:
    server = serve(bodies)
    ran = cli(f"{server.url}/gone", "--to", "tar:-")
    assert (ran.status, ran.out) == (1, "\0" * 1024)


@pytest.mark.parametrize("to", ["-", "tar:-"])
@pytest.mark.parametrize("how", [">&-", "1</dev/null"])
def test_a_stdout_that_is_closed_ends_the_run_before_anything_is_asked(
    how: str, to: str, cli: Command, serve: Serve
) -> None:
    server = serve(bodies)
    cli.prefix = ["bash", "-c", f'exec "$@" {how}', "-"]
    ran = cli(f"{server.url}/a", f"{server.url}/b", "--to", to)
    assert (ran.status, ran.errors) == (3, ["scraper: stdout is closed"])
    assert server.requests == []


def test_a_program_without_stdout_has_no_bodies_written_into_another_file(
    tmp_path: Path, serve: Serve
) -> None:
    """The next file that it opens has the number of stdout."""
    server = serve(bodies)
    script = f"""
import scraper
with open("other", "wb") as other:
    assert other.fileno() == 1
    try:
        list(scraper.run(["{server.url}/a"], to="-"))
    except scraper.DestinationError as error:
        assert str(error) == "stdout is closed", error
"""
    words = ["bash", "-c", 'exec "$@" >&-', "-", sys.executable, "-c", script]
    ran = subprocess.run(words, cwd=tmp_path, stderr=PIPE, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert (tmp_path / "other").read_bytes() == b""
    assert server.requests == []


def test_all_targets_tell_why_stdout_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout()
    with open("/dev/full", "wb") as full:
        monkeypatch.setattr("sys.stdout", full)
        stdout.check()
        for _ in range(2):
            with pytest.raises(DestinationError, match="takes no more: No space left"):
                stdout.write([b"body"])


def test_a_file_that_stdout_is_takes_back_what_a_full_disk_took_of_a_body(
    cli: Command, serve: Serve
) -> None:
    server = serve(bodies)
    cli.prefix = ["bash", "-c", 'ulimit -f 12; trap "" XFSZ; exec "$@"', "-"]
    cli.environment["PYTHONDONTWRITEBYTECODE"] = "1"  # half of one would be written
    path = cli.directory / "bodies"
    with (
        path.open("wb") as file,
        cli.start(
            *(f"{server.url}/{name}" for name in "abc"), "--to", "-", "-c", 1, stdout=file
        ) as process,
    ):
        ran = end(process)
    assert ran.status == 3
    assert "stdout takes no more: File too large" in ran.err
    assert path.read_bytes() == b"/a" * 3000 + b"/b" * 3000, "two whole ones"


@pytest.mark.parametrize("to", ["-", "tar:-"])
def test_a_file_that_is_appended_to_keeps_what_it_had_when_the_disk_is_full(
    to: str, cli: Command, serve: Serve
) -> None:
    server = serve(bodies)
    script = 'ulimit -f 20; trap "" XFSZ; exec "$@" >> kept'
    cli.prefix = ["bash", "-c", script, "-"]
    cli.environment["PYTHONDONTWRITEBYTECODE"] = "1"  # half of one would be written
    kept = cli.directory / "kept"
    for urls in (["aaa", "bbb"], ["ccc"]):  # the second one begins with a file that is full
        kept.write_bytes(b"precious" * (10 if len(urls) == 2 else 2400))
        before = kept.read_bytes()
        ran = cli(*(f"{server.url}/{name}" for name in urls), "--to", to, "-c", 1)
        assert ran.status == 3
        assert "stdout takes no more: File too large" in ran.err
        after = kept.read_bytes()
        assert after.startswith(before), "what was there is there"
        found = after.removeprefix(before)
        if to == "tar:-" and found:
            with tarfile.open(fileobj=io.BytesIO(found), mode="r:") as opened:
                (member,) = opened
                found = opened.extractfile(member).read()  # type: ignore[union-attr]
        assert found == (b"/aaa" * 3000 if len(urls) == 2 else b""), "one whole one"


def test_bytes_behind_a_body_that_stdout_has_no_room_for_are_not_cut_off(
    cli: Command, serve: Serve
) -> None:
    server = serve(bodies)
    script = 'ulimit -f 20; trap "" XFSZ; exec "$@" 1<> kept'
    cli.prefix = ["bash", "-c", script, "-"]
    cli.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    kept = cli.directory / "kept"
    kept.write_bytes(b"x" * 40_000)
    ran = cli(f"{server.url}/aaa", f"{server.url}/bbb", "--to", "-", "-c", 1)
    assert ran.status == 3
    assert kept.read_bytes()[-19_500:] == b"x" * 19_500


def test_bodies_that_wait_for_their_end_lie_on_the_disk_and_are_removed(
    cli: Command, serve: Serve, tmp_path: Path
) -> None:
    go = threading.Event()
    server = serve(lambda _: Reply(body=b"x" * 3_000_000, delay=go))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    go.set()
    cli.environment["TMPDIR"] = str(temporary)
    ran = cli(f"{server.url}/large", "--to", "-")
    assert (ran.status, len(ran.out)) == (0, 3_000_000)
    left = [path for path in temporary.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["lock"]
