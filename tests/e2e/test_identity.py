"""Who a record is about: runs after runs with other lists, users and destinations."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from threading import Event
from typing import Any

import pytest

from tests.e2e.command import MANIFEST, Command
from tests.e2e.places import SLOW_CLOUDS, Bucket, Directory, Place, place_of
from tests.e2e.runs import Runs
from tests.servers import HttpServer, Reply, Request, Serve

AGAIN = [(), ("--resume",), ("--retry-failed",), ("--no-refresh",)]


@pytest.fixture(params=["directory", "moto", "rclone", *SLOW_CLOUDS])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    return place_of(request, cli)


class Site:
    """Echoes the path. Every page has one etag, and a condition that names it gets a 304."""

    def __init__(self, serve: Serve) -> None:
        self.server: HttpServer = serve(self.answer)
        self.asked: list[str] = []
        self.broken = False
        self.url = self.server.url

    def answer(self, request: Request) -> Reply:
        self.asked.append(request.path)
        if self.broken:
            return Reply(404)
        if request.headers.get("if-none-match") == '"e"':
            return Reply(304, {"ETag": '"e"'})
        user = request.headers.get("authorization", "")
        return Reply(200, {"ETag": '"e"'}, f"{request.path} {user}".encode())


@pytest.fixture
def site(serve: Serve) -> Site:
    return Site(serve)


# ---------------------------------------------------------------- who owns a key


@pytest.mark.each_value
@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("other", ["bbb", "longer"])
def test_a_key_belongs_to_the_last_url_that_was_stored_there(
    again: tuple[str, ...], other: str, runs: Runs, site: Site
) -> None:
    assert runs.statuses(f"{site.url}/aaa\tk.txt") == ["stored"]
    assert runs.statuses(f"{site.url}/{other}\tk.txt") == ["stored"]
    assert runs.place.files()["k.txt"] == f"/{other} ".encode()
    assert runs.statuses(f"{site.url}/aaa\tk.txt", options=again) == ["stored"]
    assert runs.place.files() == {"k.txt": b"/aaa "}
    assert runs.statuses(f"{site.url}/aaa\tk.txt", options=("--resume",)) == ["skipped"]


@pytest.mark.each_value
@pytest.mark.parametrize("more", [{"headers": {"X-Form": "x"}}, {"md5": "0" * 32}])
def test_a_line_that_clashes_with_another_of_its_url_says_nothing_of_that(
    more: dict[str, Any], runs: Runs, site: Site
) -> None:
    plain = f"{site.url}/aaa\tk.txt"
    clash = json.dumps({"url": f"{site.url}/aaa", "key": "k.txt", **more})
    assert runs.statuses(plain, clash) == ["stored", "failed"]
    for again in ("--resume", "--retry-failed", "--resume"):
        told = runs.statuses(plain, clash, options=(again,))
        assert told == ["skipped", "skipped" if again == "--retry-failed" else "failed"]
    assert site.asked == ["/aaa"]
    site.broken = True
    failure = runs.fetch(f"{site.url}/bbb\tl.txt", clash.replace("aaa", "bbb").replace("k.", "l."))
    assert sorted(one["error"]["kind"] for one in failure.records) == ["bad_url", "http_status"]
    assert runs.failed().lines == [f"{site.url}/bbb\tl.txt"]


@pytest.mark.each_value
@pytest.mark.parametrize("again", AGAIN)
def test_a_list_in_another_order_with_keys_by_line(
    again: tuple[str, ...], runs: Runs, site: Site, engine: str
) -> None:
    keyed = ("--key", "{line}.txt", "--engine", engine)
    pages = [f"{site.url}/{name}" for name in ("aaa", "bbb", "ccc")]
    assert runs.statuses(*pages, options=keyed) == ["stored"] * 3
    assert runs.statuses(*reversed(pages), options=keyed) == ["stored", "not_modified", "stored"]
    middle = "skipped" if again[:1] in (("--resume",), ("--retry-failed",)) else "not_modified"
    middle = "stored" if again == ("--no-refresh",) else middle
    assert runs.statuses(*pages, options=(*keyed, *again)) == ["stored", middle, "stored"]
    assert runs.place.files() == {"1.txt": b"/aaa ", "2.txt": b"/bbb ", "3.txt": b"/ccc "}


def test_a_url_that_fails_takes_no_key(runs: Runs, site: Site) -> None:
    runs.statuses(f"{site.url}/aaa\tk.txt")
    site.broken = True
    assert runs.statuses(f"{site.url}/bbb\tk.txt") == ["failed"]
    assert runs.statuses(f"{site.url}/aaa\tk.txt", f"{site.url}/bbb\tk.txt") == ["failed", "failed"]
    site.broken = False
    assert runs.statuses(f"{site.url}/aaa\tk.txt") == ["not_modified"]
    assert runs.statuses(f"{site.url}/aaa\tk.txt", options=("--resume",)) == ["skipped"]


def test_a_clash_within_a_list_takes_no_key(runs: Runs, site: Site) -> None:
    both = [f"{site.url}/aaa\tk.txt", f"{site.url}/bbb\tk.txt"]
    assert runs.statuses(*both) == ["stored", "failed"]
    assert runs.statuses(*both, options=("--resume",)) == ["skipped", "failed"]
    assert runs.statuses(*reversed(both), options=("--resume",)) == ["stored", "failed"]
    assert runs.place.files() == {"k.txt": b"/bbb "}


def test_verify_tells_what_was_replaced(runs: Runs, site: Site) -> None:
    runs.statuses(f"{site.url}/aaa\tk.txt")
    runs.statuses(f"{site.url}/bbb\tk.txt")
    detail = f"{site.url}/aaa was stored, then another URL under the same key"
    counts = "1 objects: 1 whole, 0 missing, 0 changed, 0 unreadable, 0 unknown"
    assert runs.verify() == (0, [["replaced", "k.txt", detail]], f"{counts}, 1 replaced\n")
    assert runs.verify("-q") == (0, [], "")


def test_verify_tells_what_an_old_version_took_for_unmodified(
    cli: Command, serve: Serve, site: Site
) -> None:
    runs = Runs(cli, Directory(cli))
    runs.statuses(f"{site.url}/aaa\tk.txt")
    runs.statuses(f"{site.url}/bbb\tk.txt")
    manifest = cli.directory / "out" / MANIFEST
    first = json.loads(manifest.read_text().splitlines()[0])
    wrong = {name: first[name] for name in ("url", "line", "source", "key")}
    with manifest.open("a") as file:
        file.write(json.dumps({**wrong, "status": "not_modified", "http_code": 304}) + "\n")
    status, found, _ = runs.verify()
    assert (status, [line[:2] for line in found]) == (1, [["changed", "k.txt"]])
    assert f"{site.url}/aaa" in found[0][2]
    assert runs.statuses(f"{site.url}/aaa\tk.txt", options=("--resume",)) == ["stored"]
    assert runs.verify()[0] == 0


# ---------------------------------------------------------------- the whole URL


@pytest.mark.each_value
@pytest.mark.parametrize("again", AGAIN[:2])
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("/page?code=US", "/page?code=DE"),
        ("/page?a=1&token=s3cret", "/page?a=1&token=s3kret"),
        ("/page?X-Amz-Signature=ab", "/page?X-Amz-Signature=cd"),
        ("alice:pw@/page", "bob:pw@/page"),
        ("alice:pw@/page", "alice:ps@/page"),
    ],
)
def test_what_is_redacted_still_tells_urls_apart(
    one: str, two: str, again: tuple[str, ...], runs: Runs, site: Site
) -> None:
    def line(what: str) -> str:
        user, at, path = what.rpartition("@")
        return site.url.replace("//", f"//{user}{at}") + f"{path}\tk.txt"

    assert runs.statuses(line(one)) == ["stored"]
    first = runs.place.files()
    assert runs.statuses(line(one), options=("--resume",)) == ["skipped"]
    assert runs.statuses(line(one)) == ["not_modified"]
    assert runs.statuses(line(two), options=again) == ["stored"]
    assert runs.place.files() != first
    assert runs.statuses(line(two), options=("--resume",)) == ["skipped"]
    assert runs.statuses(line(one), options=again) == ["stored"]
    assert runs.place.files() == first
    shown = json.dumps(runs.place.records())
    assert not [secret for secret in ("US", "DE", "s3cret", ":pw") if f"{secret}" in shown]


def test_two_users_of_one_page_in_a_list_clash(runs: Runs, site: Site) -> None:
    host = site.url.removeprefix("http://")
    both = [f"http://alice:pw@{host}/p\tk.txt", f"http://bob:pw@{host}/p\tk.txt"]
    assert runs.statuses(*both) == ["stored", "failed"]
    assert runs.statuses(both[0], both[0]) == ["not_modified", "duplicate"]


def test_an_old_record_of_a_redacted_url_is_believed_of_nobody(runs: Runs, site: Site) -> None:
    plain, secret = f"{site.url}/plain", f"{site.url}/page?code=US\tk.txt"
    assert runs.statuses(plain, secret) == ["stored", "stored"]
    forget(runs.place, "identity")
    assert runs.statuses(plain, secret, options=("--resume",)) == ["skipped", "stored"]
    assert runs.statuses(plain, secret, options=("--resume",)) == ["skipped", "skipped"]


def test_an_old_record_of_a_redacted_url_still_takes_the_key(runs: Runs, site: Site) -> None:
    assert runs.statuses(f"{site.url}/aaa\tk.txt") == ["stored"]
    assert runs.statuses(f"{site.url}/page?code=US\tk.txt") == ["stored"]
    forget(runs.place, "identity")
    assert runs.statuses(f"{site.url}/aaa\tk.txt", options=("--resume",)) == ["stored"]


def forget(place: Place, field: str) -> None:
    """Take `field` out of every record, as if the manifest were of a version without it."""

    def without(text: bytes) -> bytes:
        records = [json.loads(line) for line in text.splitlines()]
        assert any(field in record for record in records)
        left = [{k: v for k, v in record.items() if k != field} for record in records]
        return b"".join(json.dumps(record).encode() + b"\n" for record in left)

    if isinstance(place, Directory):
        path = place.cli.directory / place.name / MANIFEST
        path.write_bytes(without(path.read_bytes()))
        return
    assert isinstance(place, Bucket)
    for key in place.all():
        if key.endswith(".jsonl"):
            body = b"".join(
                without(line) if b'"identity"' in line else line + b"\n"
                for line in place.read(key).splitlines()
            )
            full = f"{place.prefix}/{key}"
            place.server.put(place.bucket, full, body)


def test_without_its_secret_a_manifest_is_believed_of_no_redacted_url(
    cli: Command, site: Site
) -> None:
    runs = Runs(cli, Directory(cli))
    secret = cli.directory / "out" / f"{MANIFEST}.key"
    assert runs.statuses(f"{site.url}/plain") == ["stored"]
    assert not secret.exists(), "it is made when it is needed"
    line = f"{site.url}/page?code=US\tk.txt"
    assert runs.statuses(line) == ["stored"]
    assert secret.stat().st_mode & 0o007 == 0
    assert runs.statuses(line, options=("--resume",)) == ["skipped"]
    kept = secret.read_bytes()
    for damaged in (None, b"", kept[:-1], os.urandom(16)):
        secret.unlink(missing_ok=True)
        if damaged is not None:
            secret.write_bytes(damaged)
        assert runs.statuses(line, options=("--resume",)) == ["stored"]
        assert runs.statuses(line, options=("--resume",)) == ["skipped"]


# ---------------------------------------------------------------- --manifest


def other_place(place: Place, cli: Command) -> list[str]:
    """Options for a second destination of the same kind."""
    if isinstance(place, Bucket):
        to = f"{place.server.scheme}://{place.bucket}/elsewhere"
        return ["--to", to, *place.words[2:]]
    return ["--to", "elsewhere"]


def test_a_manifest_is_of_one_destination(
    cli: Command, place: Place, site: Site, tmp_path: Path
) -> None:
    cli.write("list", f"{site.url}/aaa\tk.txt")
    words = ["list", "--manifest", "m.jsonl"]
    assert cli(*words, *place.words, env=place.environment).status == 0
    before = (cli.directory / "m.jsonl").read_bytes()
    for options in ((), ("--resume",), ("--no-refresh",)):
        ran = cli(*words, *options, *other_place(place, cli), env=place.environment)
        assert ran.status == 2
        line = ran.errors[-1]  # rclone has a remark on its locks before it
        assert line.startswith("scraper: --manifest: its records are of another destination, ")
    to, *rest = other_place(place, cli)[1:]
    ran = cli("verify", to, *rest, "--manifest", "m.jsonl", env=place.environment)
    assert ran.status in {2, 3}
    assert (cli.directory / "m.jsonl").read_bytes() == before
    assert len(site.asked) == 1
    ran = cli(*words, "--resume", *place.words, "--results", "-", env=place.environment)
    assert [record["status"] for record in ran.records] == ["skipped"]
    assert [json.loads(line)["status"] for line in before.splitlines()] == ["stored"]


def test_a_directory_is_known_by_any_of_its_names(cli: Command, site: Site) -> None:
    cli.write("list", f"{site.url}/aaa\tk.txt")
    (cli.directory / "link").symlink_to("out")
    for to in ("out", "./out/", cli.directory / "out", "link", f"file://{cli.directory}/out"):
        assert cli("list", "--manifest", "m.jsonl", "--to", to).status == 0


def test_a_manifest_with_lines_of_another_destination_in_its_middle(
    cli: Command, site: Site
) -> None:
    cli.write("list", *(f"{site.url}/{n}" for n in range(500)))
    manifest = cli.directory / "m.jsonl"
    assert cli("list", "--manifest", "m.jsonl").status == 0
    lines = manifest.read_bytes().splitlines(keepends=True)
    lines[250] = lines[250].replace(b"work/out", b"work/elsewhere")
    manifest.write_bytes(b"".join(lines))
    assert cli("list", "--manifest", "m.jsonl", "--resume").status == 2


def test_an_old_manifest_is_of_the_destination_that_it_is_used_with(
    cli: Command, site: Site
) -> None:
    cli.write("list", f"{site.url}/aaa\tk.txt")
    assert cli("list").status == 0
    (cli.directory / "out" / MANIFEST).rename(cli.directory / "m.jsonl")
    ran = cli("list", "--manifest", "m.jsonl", "--resume", "--results", "-")
    assert [record["status"] for record in ran.records] == ["skipped"]
    assert cli("list", "--manifest", "m.jsonl").status == 0
    assert cli("list", "--manifest", "m.jsonl", "--to", "elsewhere").status == 2


@pytest.mark.each_value
@pytest.mark.parametrize("name", ["m.jsonl", "link.jsonl", "hard.jsonl"])
def test_a_manifest_is_held_while_a_run_writes_to_it(
    name: str, cli: Command, place: Place, serve: Serve
) -> None:
    go = Event()
    server = serve(lambda request: Reply(body=b"x", delay=go if "slow" in request.path else None))
    manifest = cli.directory / "m.jsonl"
    manifest.touch()
    (cli.directory / "link.jsonl").symlink_to("m.jsonl")
    os.link(manifest, cli.directory / "hard.jsonl")
    cli.write("slow", f"{server.url}/slow")
    cli.write("quick", f"{server.url}/quick")
    first = ["slow", *place.words, "--manifest", "m.jsonl"]
    second = ["quick", *other_place(place, cli), "--manifest", name]
    with cli.start(*first, env=place.environment, stderr=PIPE) as process:
        server.wait_until(lambda: server.total == 1)
        for how in ("fail", "skip"):
            ran = cli(*second, "--lock", how, env=place.environment)
            assert ran.status == 75
            assert f"another run holds the manifest '{name}'" in ran.err
        assert server.hits["/quick"] == 0
        with cli.start(*second, "--lock", "wait", env=place.environment) as waiting:
            go.set()
            assert cli.ended(process).status == 0
            assert cli.ended(waiting).status == 2, "it is of the other destination now"
    assert [json.loads(line)["status"] for line in manifest.read_bytes().splitlines()] == ["stored"]


@pytest.mark.parametrize("where", ["/dev/null", "/dev/stdout", "/dev/fd/1"])
def test_a_manifest_that_can_not_be_read_back_is_of_no_destination(
    where: str, cli: Command, site: Site
) -> None:
    cli.write("list", f"{site.url}/aaa?code=US\tk.txt")
    for to in ("out", "elsewhere"):
        ran = cli("list", "--manifest", where, "--to", to)
        assert ran.status == 0, ran.err
        if where != "/dev/null":
            (record,) = ran.records
            assert record["status"] == "stored"


# ---------------------------------------------------------------- edits


def cut_out(path: Path) -> None:
    """In place, as long as before."""
    text = path.read_bytes()
    with open(path, "r+b") as file:
        file.write(text.replace(b'"stored"', b'"failed"', 1))


def replaced(path: Path) -> None:
    """As `sed -i` does."""
    path.with_name("new").write_bytes(path.read_bytes().replace(b'"stored"', b'"failed"', 1))
    path.with_name("new").replace(path)


@pytest.mark.parametrize("edit", [cut_out, replaced])
def test_a_manifest_that_was_edited_by_hand_is_read_anew(
    edit: Callable[[Path], Any], cli: Command, site: Site
) -> None:
    pages = [f"{site.url}/{n}" for n in range(100)]
    runs = Runs(cli, Directory(cli))
    runs.statuses(*pages)
    assert runs.statuses(*pages, options=("--resume",)) == ["skipped"] * 100
    manifest = cli.directory / "out" / MANIFEST
    size = manifest.stat().st_size
    edit(manifest)
    assert manifest.stat().st_size == size
    assert sorted(runs.statuses(*pages, options=("--resume",))) == ["skipped"] * 99 + ["stored"]
