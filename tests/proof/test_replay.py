"""Players of archives show the pages as they were: pywb by our own index, wacz by its rules.

Both are installed into a temporary environment, which takes two minutes: PROOF_SLOW=1.
"""

import contextlib
import gzip
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import crawled_site
from tests.e2e.command import Command
from tests.servers import Reply, Request, Serve, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PACKAGES = ["pywb==2.10.0", "wacz==0.6.0", "setuptools<81"]
PAGE = b"<html>a page</html>" * 100
PAGES = {
    "/page": PAGE,
    "/same": PAGE,
    "/gzip": PAGE + b"coded",
    "/pieces": PAGE + b"in pieces",
    "/tagged": PAGE + b"tagged",
    "/hopped": PAGE + b"behind a hop",
}


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of their programs."""
    root = tmp_path_factory.mktemp("players")
    subprocess.run([sys.executable, "-m", "venv", root], check=True)
    subprocess.run([root / "bin/pip", "install", "-q", *PACKAGES], check=True)
    return root / "bin"


def answer(request: Request) -> Reply:
    path = request.path
    html = {"Content-Type": "text/html"}
    if path == "/hop":
        return Reply(302, {"Location": "/hopped"}, b"moved")
    if path not in PAGES:
        return Reply(404, html, b"not here")
    if path == "/tagged" and request.headers.get("if-none-match"):
        return Reply(304, {"ETag": '"1"'})
    if path == "/gzip":
        return Reply(200, {**html, "Content-Encoding": "gzip"}, gzip.compress(PAGES[path]))
    if path == "/pieces":
        return Reply(200, html, iter([PAGES[path]]))
    return Reply(200, {**html, "ETag": '"1"'} if path == "/tagged" else html, PAGES[path])


@contextlib.contextmanager
def pywb(players: Path, archive: Path, root: Path) -> Iterator[str]:
    """The URL of a pywb that has the archive, by the archive's own index."""
    root.mkdir()
    port = free_port()
    for words in (["init", "c"], ["add", "c", *archive.glob("*.warc.gz")]):
        subprocess.run([players / "wb-manager", *words], cwd=root, check=True, capture_output=True)
    lines = [line for path in archive.glob("*.cdxj") for line in path.read_bytes().splitlines(True)]
    (root / "collections/c/indexes/index.cdxj").write_bytes(b"".join(sorted(lines)))
    player: list[str | Path] = [players / "wayback", "-p", str(port), "-b", "127.0.0.1"]
    with subprocess.Popen(player, cwd=root, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}/"
            while process.poll() is None:
                with contextlib.suppress(OSError), urllib.request.urlopen(url):
                    break
                time.sleep(0.2)  # it tells nobody when it listens
            yield f"{url}c/2026mp_/"
        finally:
            process.terminate()


def shown(url: str) -> tuple[int, bytes]:
    """What a player answers."""
    try:
        with urllib.request.urlopen(url) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_players_show_the_pages_as_they_were(
    players: Path, serve: Serve, cli: Command, tmp_path: Path
) -> None:
    site = serve(answer)
    cli.write("urls", *(f"{site.url}{path}" for path in [*PAGES, "/hop", "/gone"]))
    for _ in range(2):  # the second one has a 304, and revisits of the first
        assert cli("urls", "--to", "warc:out", "--max-failures", 1).status == 0
    with pywb(players, cli.directory / "out", tmp_path / "pywb") as player:
        for path, body in PAGES.items():
            status, page = shown(f"{player}{site.url}{path}")
            assert (status, body in page) == (200, True), path  # pywb adds scripts of its own
        status, page = shown(f"{player}{site.url}/hop")
        assert (status, PAGES["/hopped"] in page) == (200, True)
        status, page = shown(f"{player}{site.url}/gone")
        assert (status, b"not here" in page) == (404, True)
    assert cli("export", "warc:out", "--format", "wacz", "-o", "out.wacz").status == 0
    checks: list[str | Path] = [players / "wacz", "validate", "-f", cli.directory / "out.wacz"]
    said = subprocess.run(checks, capture_output=True, check=True).stdout
    assert b"Validation succeeded" in said


def test_a_player_shows_a_site_as_crawlers_meet_it(
    players: Path, cli: Command, tmp_path: Path
) -> None:
    """All pages but those whose URLs are another's in the index, or have a secret."""
    with crawled_site.crawled_site() as site:
        cli.write("urls", *(f"{site.url}{path}" for path in crawled_site.ANSWERS))
        assert cli("urls", "--to", "warc:out", "--retries", 0, "-q").status == 1
        cli("urls", "--to", "warc:out", "--retries", 0, "-q")
    with pywb(players, cli.directory / "out", tmp_path / "pywb") as player:
        wrong, looked = [], 0
        for path, answer in crawled_site.ANSWERS.items():
            if crawled_site.PAGE in answer and path not in crawled_site.FAIL and "sid=" not in path:
                looked += 1
                status, page = shown(f"{player}{site.url}{path}")
                if status != 200 or b"a page of some length" not in page:
                    wrong.append((path[:60], status, page[:80]))
        assert wrong == []
        assert looked > 15
