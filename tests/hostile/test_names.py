"""Hostile names: where each object goes, and what is left alone.

What is given in a list is kept where that is safe, and refused where it would leave the
destination; what a URL says becomes a name of its own, on any file system.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.command import WAIT_S, Command, Ran, folder
from tests.e2e.places import Bucket, Directory, Place
from tests.e2e.watch import until
from tests.servers import HttpServer, Reply, Request, Serve

if TYPE_CHECKING:
    from tests.s3servers import S3Server


LEAVES = "leaves the destination"
OWN = "is the manifest's own"
CLASH = "is taken by another URL in line"
LONG = "x" * 300

# A key of a list, and where the object goes ({} is a mark), or why it goes nowhere; in this order.
GIVEN: list[tuple[str, str | None, str]] = [
    ("../up", None, LEAVES),
    ("a/../../up", None, LEAVES),
    ("..", None, LEAVES),
    ("..\\up", None, LEAVES),
    ("/etc/passwd", None, LEAVES),
    ("\\\\server\\share", None, LEAVES),
    ("C:\\x", None, LEAVES),
    ("c:/x", None, LEAVES),
    ("%2e%2e/up", "_2e_2e/up", ""),
    ("%252e%252e/up", "_252e_252e/up", ""),
    ("..%2fup", ".._2fup", ""),
    ("\uff0e\uff0e/up", "__/up", ""),
    ("\u2025/up", "_/up", ""),
    ("..;/up", "..;/up", ""),
    ("...", ".._", ""),
    ("back\\slash", "back/slash", ""),
    ("full\uff0fslash", "full_slash", ""),
    ("C:x", "C_x", ""),
    ("x:stream", "x_stream", ""),
    ("con", "_con", ""),
    ("d/NUL.txt", "d/_NUL.txt", ""),
    ("COM\u00b9", "_COM\u00b9", ""),
    ("dot.", "dot_", ""),
    ("dots...", "dots.._", ""),
    ("dot_", None, CLASH),
    ("space /x", "space_/x", ""),
    ("line\nbreak", "line_break", ""),
    ("bell\x07", "bell_", ""),
    ("left\u202eright", "left_right", ""),
    ("zero\u200bwidth", "zero_width", ""),
    ("nul\0", None, "line has a NUL byte"),
    (LONG, f"{'x' * 200}--{{}}", ""),
    (f"{LONG}.tar.gz", f"{'x' * 200}--{{}}.tar.gz", ""),
    (f"{LONG}y", f"{'x' * 200}--{{}}", ""),
    ("deep/" * 1_000 + "x", None, "key of 5001 bytes is longer than 1024"),
    (".scraper", None, OWN),
    (".scraper/manifest.jsonl", None, OWN),
    ("./.Scraper/x", None, OWN),
    (".\u017fcraper/x", None, OWN),
    (".scraper\\lock", None, OWN),
    ("in/.scraper/x", "in/.scraper/x", ""),
    (".hidden", ".hidden", ""),
    ("-rf", "-rf", ""),
    ("~/.profile", "~/.profile", ""),
    ("$(reboot)", "$(reboot)", ""),
    ("empty//segment", "empty/segment", ""),
    ("./empty/./segment", None, CLASH),
    ("/", None, LEAVES),
    ("./", None, "names nothing"),
    ("twice", "twice", ""),
    ("twice/", None, CLASH),
    ("caf\u00e9", "caf\u00e9", ""),
    ("cafe\u0301", None, CLASH),
    ("हिन्दी", "हिन्दी", ""),
    ("हीन्दी", "हीन्दी", ""),
    ("5€ 😀", "5€ 😀", ""),
]

# A path of a URL, and its key below the host's directory.
PATHS = [
    ("/", "index.html"),
    ("/?", "index--{}.html"),
    ("/index.html", "index--{}.html"),
    ("/a", "a--{}"),
    ("/a/", "a/index.html"),
    ("/a/b", "a/b--{}"),
    ("/a/b/", "a/b/index.html"),
    ("/A", "A--{}"),
    ("/A/b", "A--{}/b--{}"),
    ("/a.txt", "a.txt"),
    ("/a.txt/", "a.txt--{}/index.html"),
    ("/a.txt/b", "a.txt--{}/b--{}"),
    ("/A.txt", "A--{}.txt"),
    ("/a.TXT", "a--{}.txt"),
    ("/caf%C3%A9.txt", "caf\u00e9.txt"),
    ("/cafe%CC%81.txt", "caf\u00e9--{}.txt"),
    ("/caf%c3%a9.txt", "caf\u00e9--{}.txt"),
    ("/CAF%C3%89.txt", "CAF\u00c9--{}.txt"),
    ("/%252e%252e/up", "_2e_2e--{}/up--{}"),
    ("/..%2fup", "_up--{}"),
    ("/..%5c..%5cup", "_.._up--{}"),
    ("/...", "index--{}.html"),
    ("//", "--{}/index.html"),
    ("//etc/passwd", "--{}/etc/passwd--{}"),
    ("/c:/x.txt", "c_--{}/x.txt"),
    ("/c%3A%5Cx.txt", "c__x--{}.txt"),
    ("/con", "_con--{}"),
    ("/nul.txt", "_nul--{}.txt"),
    ("/com1/x.txt", "_com1--{}/x.txt"),
    ("/dot.", "dot--{}"),
    ("/dot.txt%20", "dot.txt_--{}"),
    ("/space%20/x.txt", "space_--{}/x.txt"),
    ("/%00.txt", "_--{}.txt"),
    ("/%0a%1b%5b2J", "___2J--{}"),
    ("/left%E2%80%AEtxt.exe", "left_txt--{}.exe"),
    ("/.hidden", "hidden--{}"),
    ("/.scraper/manifest.jsonl", "scraper--{}/manifest.jsonl"),
    ("/.scraper", "scraper--{}"),
    ("/-rf", "rf--{}"),
    (f"/{LONG}", f"{'x' * 200}--{{}}"),
    (f"/{LONG}.txt", f"{'x' * 200}--{{}}.txt"),
    (f"/{LONG}/x.txt", f"{'x' * 200}--{{}}/x.txt"),
    (f"/{'deep/' * 999}x.txt", "--{}/x.txt"),
    (f"/{'deep/' * 999}X.txt", "--{}/X--{}.txt"),
    (f"/{'y' * 5_000}", f"{'y' * 200}--{{}}"),
    (f"/{'z' * 49}" * 18 + "/", "--{}/index.html"),
]


class Sent(NamedTuple):
    """A place, the words that send a run there, and what they make beside the list."""

    place: Place
    words: list[str]
    made: list[str]


@pytest.fixture(params=["directory", "boto3", "curl"])
def sent(request: pytest.FixtureRequest, cli: Command) -> Sent:
    """A directory, and a bucket by each client, below a prefix of 100 bytes."""
    if request.param == "directory":
        return Sent(Directory(cli), Directory(cli).words, ["out"])
    server: S3Server = request.getfixturevalue("moto_server")
    bucket = Bucket(server, server.make_bucket(), prefix="p" * 100)
    return Sent(bucket, [*bucket.words, "--s3-client", request.param], [])


def echo(request: Request) -> Reply:
    return Reply(body=request.path.encode())


def is_like(key: str, expected: str) -> bool:
    """Whether `key` is the one that is expected; `{}` stands for a mark."""
    pattern = re.escape(expected).replace(re.escape("{}"), "[a-z2-7]{13}")
    return re.fullmatch(pattern, key) is not None


def test_a_given_key_goes_where_it_says_or_nowhere(sent: Sent, cli: Command, serve: Serve) -> None:
    server = serve(echo)
    lines = [{"url": f"{server.url}/{n}", "key": given[0]} for n, given in enumerate(GIVEN, 1)]
    cli.write("list", *map(json.dumps, lines))
    ran = cli("list", "--results", "-", *sent.words, env=sent.place.environment)
    assert ran.status == 1
    stored: dict[str, bytes] = {}
    records = sorted(ran.records, key=lambda record: int(record["line"]))
    for record, (key, kept, why) in zip(records, GIVEN, strict=True):
        if kept is None:
            assert (record["status"], record["error"]["kind"]) == ("failed", "bad_url"), key
            assert why in record["error"]["message"], key
        else:
            assert record["status"] == "stored", (key, record)
            assert is_like(record["key"], kept), (key, record["key"])
            stored[record["key"]] = f"/{record['line']}".encode()
    assert sent.place.files() == stored
    assert cli.wrote == ["list", *sent.made]


def test_every_path_has_a_name_of_its_own_on_any_file_system(
    sent: Sent, cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    cli.write("list", *(f"{server.url}{path}" for path, _ in PATHS))
    ran = cli("list", "--results", "-", *sent.words, env=sent.place.environment)
    assert ran.status == 0
    stored: dict[str, bytes] = {}
    records = sorted(ran.records, key=lambda record: int(record["line"]))
    for record, (path, name) in zip(records, PATHS, strict=True):
        assert record["status"] == "stored", path
        assert is_like(record["key"], f"{folder(server.url)}/{name}"), (path, record["key"])
        stored[record["key"]] = path.encode()
    assert sent.place.files() == stored
    assert len({unicodedata.normalize("NFC", key).casefold() for key in stored}) == len(PATHS)
    assert all(len(f"{'p' * 100}/{key}".encode()) <= 1024 for key in stored)  # moto takes longer
    assert cli.wrote == ["list", *sent.made]


def test_what_is_a_file_is_no_directory_and_in_a_bucket_it_may_be_both(
    sent: Sent, cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    keys = ["a", "a/b", "d/e", "d"]
    cli.write("list", *(f"{server.url}/{n}\t{key}" for n, key in enumerate(keys)))
    ran = cli("list", "-c", 1, "--results", "-", *sent.words, env=sent.place.environment)
    if not sent.made:
        assert ran.status == 0
        assert sorted(sent.place.files()) == sorted(keys)
        return
    kinds = {record["key"]: record.get("error", {}).get("kind") for record in ran.records}
    assert kinds == {"a": None, "a/b": "bad_url", "d/e": None, "d": "bad_url"}
    assert server.total == 2
    assert sent.place.files() == {"a": b"/0", "d/e": b"/2"}


@pytest.mark.parametrize(
    ("template", "path", "key"),
    [
        (".{path}{ext}", "/scraper/x.txt", None),
        (".{path}{ext}", "/other/x.txt", ".other/x.txt"),
        ("..{path}", "/scraper/x.txt", "..scraper/x"),
        ("{path}\\..\\{line}", "/x.txt", None),
        ("{date:../..}/{path}", "/x.txt", None),
        ("{date:.scraper}/{path}", "/x.txt", None),
    ],
)
def test_a_template_leads_nowhere_else_either(
    template: str, path: str, key: str | None, cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    ran = cli("-", "--key", template, "--results", "-", stdin=f"{server.url}{path}\n")
    if key is not None:
        assert (ran.status, ran.records[0]["key"], cli.files()) == (0, key, {key: path.encode()})
        return
    assert ran.status in {1, 2}
    assert LEAVES in ran.err or OWN in ran.err
    assert cli.files() == {}
    assert server.total == 0


def test_a_destination_that_is_too_deep_for_a_name_fails_that_name(
    cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    deep = "/".join(["d" * 250] * 13)  # with what is above it: 4,096 bytes are the most
    lines = f"{server.url}/1\tshort\n{server.url}/2\t{'k/' * 500}x\n"
    ran = cli("-", "--to", deep, "-c", 1, "--results", "-", stdin=lines)
    short, long = ran.records
    assert (short["status"], (cli.directory / deep / "short").read_bytes()) == ("stored", b"/1")
    if long["status"] != "stored":  # directory by directory there is no such limit
        assert (ran.status, long["error"]["kind"]) == (1, "sink")
        assert long["error"]["message"].endswith(": File name too long")


# ---------------------------------------------------------------- links that somebody planted


class Trap(NamedTuple):
    """A destination `out`, and beside it a directory that no run may touch."""

    cli: Command
    server: HttpServer

    def plant(self, name: str, to: str) -> None:
        """A link in the destination to `to`, beside it."""
        link = self.cli.directory / "out" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.cli.directory / to)

    def run(self, *keys: str) -> Ran:
        lines = "".join(f"{self.server.url}/{key}\t{key}\n" for key in keys)
        return self.cli("-", "-c", 1, "--retries", 0, "--results", "-", stdin=lines)

    @property
    def outside(self) -> dict[str, bytes]:
        """All that lies there."""
        found = sorted((self.cli.directory / "outside").rglob("*"))
        return {path.name: path.read_bytes() if path.is_file() else b"" for path in found}


@pytest.fixture
def trap(cli: Command, serve: Serve) -> Trap:
    (cli.directory / "outside").mkdir()
    (cli.directory / "outside" / "precious").write_bytes(b"precious")
    return Trap(cli, serve(echo))


@pytest.mark.parametrize("to", ["outside/precious", "outside/new", "outside", "out/loop"])
def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
    to: str, trap: Trap
) -> None:
    trap.plant("loop", to)
    ran = trap.run("loop")
    assert [record["status"] for record in ran.records] == ["stored"]
    path = trap.cli.directory / "out" / "loop"
    assert (path.is_symlink(), path.read_bytes()) == (False, b"/loop")
    assert trap.outside == {"precious": b"precious"}


@pytest.mark.parametrize("key", ["d/new", "d/precious", "d/e/new", "in/d/new"])
def test_a_link_in_the_place_of_a_directory_is_not_followed(key: str, trap: Trap) -> None:
    trap.plant("in/d" if key.startswith("in") else "d", "outside")
    ran = trap.run(key, "other")
    assert [record["status"] for record in ran.records] == ["failed", "stored"]
    assert ran.records[0]["error"]["kind"] == "sink"
    assert ran.status == 1
    assert trap.outside == {"precious": b"precious"}


def test_a_link_that_leads_back_into_the_destination_is_not_followed_either(trap: Trap) -> None:
    (trap.cli.directory / "out" / "real").mkdir(parents=True)
    trap.plant("d", "out/real")
    ran = trap.run("d/new")
    assert [record["status"] for record in ran.records] == ["failed"]
    assert trap.cli.files() == {}


@pytest.mark.parametrize("own", [".scraper", ".scraper/tmp"])
def test_the_runs_own_directory_is_no_link(own: str, trap: Trap) -> None:
    trap.plant(own, "outside")
    ran = trap.run("new")
    assert (ran.status, ran.out) == (3, "")
    assert trap.outside == {"precious": b"precious"}
    assert trap.server.total == 0


def test_what_a_dead_run_left_is_not_swept_through_a_link(trap: Trap) -> None:
    trap.plant(".scraper/tmp/run-planted", "outside")
    ran = trap.run("new")
    assert (ran.status, trap.outside) == (0, {"precious": b"precious"})


def test_the_destination_itself_may_be_a_link(cli: Command, serve: Serve) -> None:
    server = serve(echo)
    (cli.directory / "real").mkdir()
    (cli.directory / "out").symlink_to("real")
    assert cli(stdin=f"{server.url}/1\td/x\n").status == 0
    assert cli.files("real") == {"d/x": b"/1"}


# ---------------------------------------------------------------- where case does not count


@contextmanager
def without_case(under: Path, place: Path) -> Iterator[None]:
    """A file system at `place` that takes A for a; skips the test where there is none."""
    rclone = Path(sys.executable).with_name("rclone")
    if not os.access("/dev/fuse", os.W_OK) or not shutil.which("fusermount3"):
        pytest.skip("no file systems of one's own here")
    words = ["mount", f":local:{under}", str(place), "--vfs-case-insensitive"]
    words += ["--vfs-cache-mode", "writes", "--config", os.devnull]
    cache = ["--cache-dir", str(under.with_name("cache"))]
    with subprocess.Popen([rclone, *words, *cache], stderr=subprocess.PIPE) as mount:
        try:
            until(lambda: place.is_mount() or mount.poll() is not None)
            if not place.is_mount():
                pytest.skip("no file systems of one's own here")
            yield
        finally:
            subprocess.run(["fusermount3", "-uz", str(place)], check=False, timeout=WAIT_S)
            mount.terminate()


def test_given_keys_that_differ_in_case_only_clash_where_case_does_not_count(
    cli: Command, serve: Serve
) -> None:
    server = serve(echo)
    keys = ["Read/Me.txt", "read/me.TXT", "caf\u00e9", "CAFE\u0301", "other"]
    cli.write("list", *(f"{server.url}/{n}\t{key}" for n, key in enumerate(keys)))
    words = ["list", "-c", 1, "--results", "-"]
    ran = cli(*words)
    assert [record["status"] for record in ran.records] == ["stored"] * 5
    for name in ("under", "mounted"):
        (cli.directory / name).mkdir()
    with without_case(cli.directory / "under", cli.directory / "mounted"):
        ran = cli(*words, "--to", "mounted/out")
    records = sorted(ran.records, key=lambda record: int(record["line"]))
    clash = "failed"
    assert [one["status"] for one in records] == ["stored", clash, "stored", clash, "stored"]
    assert records[1]["error"] == {
        "kind": "bad_url",
        "message": "key 'read/me.TXT' is taken by another URL in line 1"
        " (case does not count in this destination)",
    }
