"""Whole runs to file servers: what is stored, gone on with, held, listed, checked, and not told."""

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.e2e.places import Files, kinds, place_of
from tests.file_servers import PASSWORD, FileServer, Making, Missing, ftpd, sshd
from tests.servers import HttpServer, Reply, Serve

LAST_MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"
PAGES = 12


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("wsgidav", "smbd")]


@pytest.fixture(params=["sshd", "ftpd", *_SLOW])
def files(request: pytest.FixtureRequest, cli: Command) -> Files:
    """A directory of each server."""
    made = place_of(request, cli)
    assert isinstance(made, Files)
    return made


@pytest.fixture
def site(serve: Serve) -> HttpServer:
    """Pages with validators; `/gone` is none of them."""
    headers = {"Last-Modified": LAST_MODIFIED, "ETag": '"1"'}
    pages = {f"/d/{number}": Reply(200, headers, b"page %d" % number) for number in range(PAGES)}
    return serve({**pages, "/gone": Reply(404)})


def test_a_run_stores_records_verifies_lists_and_is_gone_on_with(
    files: Files, site: HttpServer, cli: Command
) -> None:
    cli.write("urls.txt", *(f"{site.url}/d/{n}\td {n}/ä" for n in range(PAGES)), f"{site.url}/gone")
    first = cli("urls.txt", *files.words, env=files.environment)
    assert first.status == 1, first.err
    assert kinds(files.records()) == {"stored": PAGES, "http_status": 1}
    assert files.files() == {f"d {n}/ä": b"page %d" % n for n in range(PAGES)}
    asked = len(site.requests)
    again = cli("urls.txt", *files.words, "--resume", env=files.environment)
    assert again.status == 1, again.err
    assert [request.path for request in site.requests[asked:]] == ["/gone"]
    words, env = files.words[1:], files.environment
    verified = cli("verify", *words, env=env)
    assert (verified.status, verified.out) == (0, ""), verified.err
    (files.root / "d 3/ä").write_bytes(b"PAGE 3")  # of the same size
    assert cli("verify", *words, env=env).status == 1
    listed = cli("list", *words, env=env)
    assert listed.out.count("\n") == PAGES + 1
    assert f"scraper failed {words[0]}" in cli("status", *words, env=env).out  # to be typed
    status = cli("status", "--json", *words, env=env)
    assert json.loads(status.out)["targets"] == PAGES + 1
    assert PASSWORD not in first.err + again.err + verified.err + listed.err + status.out


def test_what_no_list_names_is_pruned(files: Files, site: HttpServer, cli: Command) -> None:
    cli.write("urls.txt", *(f"{site.url}/d/{number}\tk/{number}" for number in range(3)))
    assert cli("urls.txt", *files.words, env=files.environment).status == 0
    cli.write("urls.txt", f"{site.url}/d/0\tk/0")
    words = [*files.words[1:], "--prune", "--yes"]
    pruned = cli("list", "--unlisted", "urls.txt", *words, env=files.environment)
    assert pruned.status == 0, pruned.err
    assert set(files.files()) == {"k/0"}


def test_of_two_runs_one_waits_for_the_other(files: Files, site: HttpServer, cli: Command) -> None:
    lease = files.root / ".scraper/lock.json"
    with cli.start("-", *files.words, env=files.environment, stdin=-1) as first:
        assert first.stdin is not None
        first.stdin.write(f"{site.url}/d/0\n".encode())
        first.stdin.flush()
        site.wait_until(lambda: bool(site.requests))
        assert lease.exists()
        second = cli(f"{site.url}/d/1", *files.words, "--lock", "fail", env=files.environment)
        assert second.status == 75, second.err
        assert "another run holds" in second.err
        assert PASSWORD not in second.err
        ended = cli.ended(first)
        assert ended.status == 0, ended.err
    assert not lease.exists()
    assert len(files.files()) == 1


def test_a_killed_process_leaves_a_lease_that_the_next_run_takes_over_at_once(
    files: Files, site: HttpServer, cli: Command
) -> None:
    with cli.start("-", *files.words, env=files.environment, stdin=-1) as first:
        assert first.stdin is not None
        first.stdin.write(f"{site.url}/d/0\n".encode())
        first.stdin.flush()
        site.wait_until(lambda: bool(site.requests))
        first.kill()
    assert (files.root / ".scraper/lock.json").exists()
    ran = cli(f"{site.url}/d/1", *files.words, "--lock", "fail", env=files.environment)
    assert ran.status == 0, ran.err


def test_children_store_too_and_leave_nothing(files: Files, site: HttpServer, cli: Command) -> None:
    cli.write("urls.txt", *(f"{site.url}/d/{number}\tk/{number}" for number in range(PAGES)))
    ran = cli("urls.txt", *files.words, "--processes", 2, env=files.environment)
    assert ran.status == 0, ran.err
    assert len(files.files()) == PAGES
    assert len(files.records()) == PAGES  # nothing else is left among our own files


def latin(directory: Path) -> AbstractContextManager[FileServer]:
    """An FTP server that sends the names of its files as Latin-1."""
    return ftpd(directory, without=["UTF-8"])


@pytest.mark.parametrize(("start", "name"), [(sshd, b"caf\xe9"), (latin, "caf\xe9".encode())])
def test_a_name_that_is_not_utf_8_is_an_unknown_object_and_no_more(
    start: Making, name: bytes, site: HttpServer, cli: Command, tmp_path: Path
) -> None:
    try:
        with start(tmp_path / "server") as server:
            _stores_beside(name, server, site, cli)
    except Missing as missing:
        pytest.skip(str(missing))


def _stores_beside(name: bytes, server: FileServer, site: HttpServer, cli: Command) -> None:
    there = server.root / "out"
    left = there / "d/.scraper-0123456789abcdef-2-0.tmp"  # of a run that was killed
    for path in (left, there / ".scraper/tmp/0123456789abcdef.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    foreign = Path(os.fsdecode(os.fsencode(there / "d") + b"/" + name))
    foreign.write_bytes(b"of an old system")
    url, env = f"{server.url}/{there.name}", server.environment
    ran = cli(f"{site.url}/d/0", "--to", url, env=env)
    assert ran.status == 0, ran.err
    assert not left.exists(), "what the killed run left is removed"
    ran = cli(f"{site.url}/d/0", "--to", url, "--skip-existing", env=env)
    assert ran.status == 0, ran.err
    verified = cli("verify", url, env=env)
    assert verified.status == 1, verified.err
    assert verified.out.split("\t")[:2] == ["unknown", "d/caf\\udce9"]
    assert foreign.read_bytes() == b"of an old system"


@pytest.mark.parametrize("packed", [False, True])
def test_a_list_lies_at_an_sftp_url(
    packed: bool, file_server: Callable[[str], FileServer], site: HttpServer, cli: Command
) -> None:
    server = file_server("sshd")
    text = "".join(f"{site.url}/d/{number}\n" for number in range(3)).encode()
    name = "urls.txt.gz" if packed else "urls.txt"
    (server.root / name).write_bytes(gzip.compress(text) if packed else text)
    for words in ([f"{server.url}/{name}"], ["-i", f"{server.url}/{name}"]):
        shutil.rmtree(cli.directory / "out", ignore_errors=True)
        ran = cli(*words, env=server.environment)
        assert ran.status == 0, ran.err
        assert len(cli.records()) == 3
    missing = cli(f"{server.url}/none.txt", env=server.environment)
    assert missing.status == 2
    assert len(missing.complaints) == 1
    assert "No such file" in missing.err
    directory = cli(server.url, env=server.environment)
    assert directory.status == 2
    assert directory.complaints[0].endswith(": it is a directory")


def test_the_destination_may_be_a_link_to_a_directory(
    file_server: Callable[[str], FileServer], site: HttpServer, cli: Command
) -> None:
    server = file_server("sshd")
    (server.root / "real").mkdir()
    (server.root / "link").symlink_to("real")
    url, env = f"{server.url}/link/below", server.environment
    ran = cli(f"{site.url}/d/0", "--to", url, env=env)
    assert ran.status == 0, ran.err
    for command in ("verify", "status"):
        asked = cli(command, url, env=env)
        assert asked.status == 0, asked.err
    assert (server.root / "real/below/.scraper").is_dir()


def test_no_way_in_is_exit_3_in_one_line(
    file_server: Callable[[str], FileServer], site: HttpServer, cli: Command, tmp_path: Path
) -> None:
    cases = {
        "no known host": (f"{file_server('sshd').url}/x", {}),
        "no password": (f"{file_server('ftpd').url}/x", {}),
        "a wrong one": (f"{file_server('ftpd').url}/x", {"SCRAPER_TO_PASSWORD": "secret"}),
    }
    for name, (url, env) in cases.items():
        ran = cli(f"{site.url}/d/0", "--to", url, env=env)
        assert ran.status == 3, f"{name}: {ran.err}"
        assert len(ran.complaints) == 1, f"{name}: {ran.err}"
        assert "secret" not in ran.err
    assert site.requests == []


def test_a_scheme_that_fsspec_may_know_and_we_do_not_is_refused_in_one_line(cli: Command) -> None:
    ran = cli("http://127.0.0.1:9/", "--to", "dropbox://x/y")
    assert ran.status == 2
    assert len(ran.complaints) == 1
    assert "no sink for dropbox://" in ran.err


def test_the_commands_of_the_page_work(
    file_server: Callable[[str], FileServer], site: HttpServer, cli: Command
) -> None:
    server = file_server("sshd")
    page = (Path(__file__).parents[2] / "docs/file-servers.md").read_text()
    commands = page.partition("```text\n")[2].partition("```")[0].splitlines()
    assert len(commands) == 4
    cli.write("urls.txt", f"{site.url}/d/0", f"{site.url}/d/1")
    (server.root / "srv").mkdir()
    shutil.copy(cli.directory / "urls.txt", server.root / "srv")
    root = server.url.partition("://")[2]
    for command in commands:
        if "/~/" in command:  # that is the home of who runs the tests
            continue
        words = re.sub("sftp://(me@)?backup.example.com", f"sftp://{root}", command).split()
        ran = cli(*words[1:], env=server.environment)
        assert ran.status == 0, ran.err
