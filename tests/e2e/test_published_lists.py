"""Lists in which publishers tell digests, as their own tools write them."""

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

import bagit  # type: ignore[import-untyped]
import pytest

from tests.e2e.command import Command
from tests.servers import Reply, Request, Serve

PAGES = {"a.txt": b"a\n", "sub/b c #1?.txt": b"b\n", "100%41.txt": b"c\n", "ü.txt": b""}


def site(serve: Serve, pages: dict[str, bytes]) -> str:
    """The URL of a site with these pages."""
    by_path = {"/" + quote(name): body for name, body in pages.items()}

    def answer(request: Request) -> Reply:
        found = by_path.get(request.path)
        return Reply(404) if found is None else Reply(body=found)

    return serve(answer).url


def write(directory: Path, pages: dict[str, bytes]) -> None:
    """Put the pages there as files."""
    for name, body in pages.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@pytest.mark.parametrize("program", ["md5sum", "sha512sum"])
@pytest.mark.parametrize("more", [[], ["--tag"]])
def test_a_checksum_file_names_what_is_beside_it(
    program: str, more: list[str], cli: Command, serve: Serve, tmp_path: Path
) -> None:
    write(tmp_path / "site", PAGES)
    with open(cli.directory / "SUMS", "wb") as sums:
        subprocess.run([program, *more, *PAGES], cwd=tmp_path / "site", stdout=sums, check=True)
    served = {**PAGES, "a.txt": b"A\n"}  # one has changed since
    words = ["--list-format", "sums", "--base", f"{site(serve, served)}/", "--require-digest"]
    ran = cli("SUMS", *words, "--to", "out", "--results", "-", "--retries", "0")
    assert ran.status == 1
    assert {record["line"]: record["status"] for record in ran.records} == {
        1: "failed",
        2: "stored",
        3: "stored",
        4: "stored",
    }
    (failed,) = (record for record in ran.records if record["status"] == "failed")
    assert failed["error"]["kind"] == "mismatch"
    assert failed["url"].endswith("/a.txt")


def test_a_bag_is_completed_and_valid(cli: Command, serve: Serve) -> None:
    bag, pages = cli.directory / "bag", {**PAGES, "a b/c d.txt": b"d\n"}
    write(bag, pages)
    bagit.make_bag(str(bag), checksums=["md5", "sha256"])
    url = site(serve, pages)
    with open(bag / "fetch.txt", "w", encoding="utf-8") as fetch:
        for name in ("a.txt", "a b/c d.txt", "ü.txt"):
            length = len(pages[name]) if name == "a.txt" else "-"
            fetch.write(f"{url}/{quote(name)} {length} data/{name}\n")
            os.unlink(bag / "data" / name)
    assert not bagit.Bag(str(bag)).is_valid()
    ran = cli("bag/fetch.txt", "--list-format", "bagit", "--to", "bag", "--require-digest")
    assert ran.status == 0, ran.err
    assert bagit.Bag(str(bag)).is_valid()


def test_a_page_that_is_not_the_bags_is_not_put_into_it(cli: Command, serve: Serve) -> None:
    bag = cli.directory / "bag"
    write(bag, PAGES)
    bagit.make_bag(str(bag), checksums=["sha256"])
    os.unlink(bag / "data" / "a.txt")
    url = site(serve, {"a.txt": b"other"})
    (bag / "fetch.txt").write_text(f"{url}/a.txt - data/a.txt\n")
    ran = cli("bag/fetch.txt", "--list-format", "bagit", "--to", "bag", "--retries", "0")
    assert ran.status == 1
    assert "mismatch: sha256 of the body is" in ran.err
    assert not (bag / "data" / "a.txt").exists()


def test_the_own_files_of_a_bag_are_never_replaced(cli: Command, serve: Serve) -> None:
    bag = cli.directory / "bag"
    write(bag, PAGES)
    bagit.make_bag(str(bag), checksums=["sha256"])
    own = ["manifest-sha256.txt", "bagit.txt", "bag-info.txt", "fetch.txt", "new.txt", "data/new"]
    server = serve(lambda _: Reply(body=b"other"))
    (bag / "fetch.txt").write_text("".join(f"{server.url}/x - {name}\n" for name in own))
    before = {path: path.read_bytes() for path in bag.rglob("*") if path.is_file()}
    ran = cli("bag/fetch.txt", "--list-format", "bagit", "--to", "bag", "--results", "-")
    assert ran.status == 1
    assert [record["error"]["kind"] for record in ran.records] == ["bad_url"] * len(own)
    for path, content in before.items():
        assert path.read_bytes() == content
    assert server.requests == []


def test_a_bag_without_its_manifests_is_refused(cli: Command) -> None:
    cli.write("fetch.txt", "http://127.0.0.1:1/a - data/a")
    ran = cli("fetch.txt", "--list-format", "bagit", "--to", "out")
    assert (ran.status, "no payload manifest" in ran.err) == (2, True)
    ran = cli("-", "--list-format", "bagit", "--to", "out", stdin="http://127.0.0.1:1/a - data/a\n")
    assert (ran.status, "give it as a file" in ran.err) == (2, True)


@pytest.mark.parametrize("way", ["list", "list.tsv", "pipe", "named"])
def test_a_list_of_the_storage_transfer_service(way: str, cli: Command, serve: Serve) -> None:
    url = site(serve, PAGES)
    lines = ["TsvHttpData-1.0"]
    for name, body in PAGES.items():
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        lines.append(f"{url}/{quote(name)}\t{len(body)}\t{md5}")
    lines += [f"{url}/a.txt?1\t3\t", f"{url}/a.txt?2"]
    text = "".join(f"{line}\n" for line in lines)
    name = way if way.startswith("list") else "list"
    (cli.directory / name).write_text(text)
    words = ["-"] if way == "pipe" else [name]
    words += ["--list-format", "gcs"] if way == "named" else []
    given = text if way == "pipe" else ""
    ran = cli(*words, "--to", "out", "--results", "-", "--retries", "0", stdin=given)
    found = {record["line"]: record.get("expected", {}) for record in ran.records}
    assert [record["status"] for record in ran.records if record["line"] in {2, 3, 4, 5}] == [
        "stored"
    ] * 4
    assert {len(found[line]) for line in (2, 3, 4)} == {2}
    assert set(found[5]) == {"md5"}  # of no bytes: 0 is unknown
    assert found[6] == {"size": 3}
    assert found[7] == {}


@pytest.mark.parametrize(
    "line", ["a.txt", "./a.txt", "/d/a.txt", "?x=1", "{here}/d/a.txt", "//{host}/d/a.txt"]
)
def test_relative_lines_are_relative_to_the_base(line: str, cli: Command, serve: Serve) -> None:
    server = serve(lambda request: Reply(body=request.path.encode()))
    line = line.replace("{here}", server.url).replace("{host}", server.url.partition("//")[2])
    wanted = "/d/list?x=1" if line == "?x=1" else "/d/a.txt"
    for name, text in (
        ("lines", f"{line}\n"),
        ("table.csv", f"url,title\n{line},x\n"),
        ("jsonl", json.dumps({"url": line}) + "\n"),
    ):
        cli.write(name, text.rstrip("\n"))
        ran = cli(name, "--base", f"{server.url}/d/list", "--to", name + ".out", "--results", "-")
        (record,) = ran.records
        assert record["url"] == server.url + wanted
        assert record["status"] == "stored"


def test_what_contradicts_itself_is_refused(cli: Command) -> None:
    cli.write("sums", f"{'0' * 64}  a")
    ran = cli("sums", "--list-format", "sums")
    assert (ran.status, "--list-format sums needs --base URL" in ran.err) == (2, True)
    ran = cli("sums", "--list-format", "sums", "--base", "nowhere")
    assert (ran.status, "--base 'nowhere' is no URL" in ran.err) == (2, True)
