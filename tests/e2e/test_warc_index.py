"""The index of an archive is a cache: what is lost or damaged is made anew from the manifest."""

import json
import random
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.servers import HttpServer, Reply, Serve


def lost(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


def broken_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    assert len(data) > 3 * 4096
    data[4096:] = random.Random(2).randbytes(len(data) - 4096)
    path.write_bytes(data)


def of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE objects DROP COLUMN start")


def pages(serve: Serve, cli: Command) -> HttpServer:
    site = serve(lambda request: Reply(body=request.path.encode() * 1_000))
    cli.write("urls", *(f"{site.url}/{number}" for number in range(120)))
    return site


@pytest.mark.parametrize("harm", [lost, empty, no_database, broken_pages, of_another_version])
def test_an_index_that_is_no_use_is_made_anew(
    harm: Callable[[Path], None], serve: Serve, cli: Command
) -> None:
    site = pages(serve, cli)
    assert cli("urls", "--to", "warc:archive").status == 0
    index = cli.directory / "archive/.scraper/warc/index.db"
    harm(index)
    verified = cli("verify", "warc:archive")  # which changes nothing
    assert (verified.status, verified.out) == (0, ""), verified.err
    asked = site.total
    ran = cli("urls", "--to", "warc:archive", "--resume")
    assert ran.status == 0, ran.err
    assert site.total == asked
    verified = cli("verify", "warc:archive")
    assert (verified.status, verified.out) == (0, ""), verified.err


def test_an_index_that_is_lost_while_a_killed_run_has_a_journal_is_made_anew(
    serve: Serve, cli: Command
) -> None:
    site = pages(serve, cli)
    cli.write("some", *(f"{site.url}/{number}" for number in range(200, 240)))
    assert cli("some", "--to", "warc:archive").status == 0
    with cli.start("urls", "--to", "warc:archive", "-c", 2) as process:
        site.wait_until(lambda: site.total >= 60)
        process.kill()
    lost(cli.directory / "archive/.scraper/warc/index.db")
    assert list(cli.directory.rglob("*.journal"))
    ran = cli("urls", "--to", "warc:archive", "--resume")
    assert ran.status == 0, ran.err
    verified = cli("verify", "warc:archive")
    assert (verified.status, verified.out) == (0, ""), verified.err
    assert "160 objects: 160 whole" in verified.err


def test_an_export_lists_no_page_of_a_file_that_is_not_finished(serve: Serve, cli: Command) -> None:
    html = {"Content-Type": "text/html"}
    site = serve(lambda request: Reply(200, html, request.path.encode() * 1_000))
    exporting = ["export", "warc:archive", "--format", "wacz", "-o", "out.wacz"]
    cli.write("urls", *(f"{site.url}/{number}" for number in range(120)))
    cli.write("some", f"{site.url}/finished")
    assert cli("some", "--to", "warc:archive").status == 0
    with cli.start("urls", "--to", "warc:archive", "-c", 2) as process:
        site.wait_until(lambda: site.total >= 60)
        process.kill()
    assert list(cli.directory.rglob("*.open"))
    recorded = len(cli("export", "warc:archive", "--format", "jsonl").lines) - 1
    assert recorded > 0
    ran = cli(*exporting)
    assert (ran.status, ran.out) == (1, ""), ran.err
    assert ran.err.startswith(f"scraper: {recorded} objects were left out")
    assert pages_of(cli) == [f"{site.url}/finished"]
    assert cli("urls", "--to", "warc:archive", "--resume").status == 0
    assert cli(*exporting).status == 0
    assert len(pages_of(cli)) == 121


def pages_of(cli: Command) -> list[str]:
    with zipfile.ZipFile(cli.directory / "out.wacz") as made:
        _, *lines = made.read("pages/pages.jsonl").splitlines()
    return [json.loads(line)["url"] for line in lines]
