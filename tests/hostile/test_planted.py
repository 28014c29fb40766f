"""Things planted in a destination under the names of our own files, before a run.

Nothing elsewhere changes, nothing waits, and the run says in one line what is in its way, before
its first request.
"""

import os
from pathlib import Path

import pytest

import scraper
from scraper.model.errors import DestinationError
from tests.e2e.command import Command
from tests.planted import KEPT, WHAT, plant, untouched
from tests.servers import Reply, Serve

MANIFEST = ".scraper/manifest.jsonl"
BESIDE = ("index", "index-journal", "index-wal", "index-shm", "key", "key.new")
SUMMARY = ".scraper/summary.json"
FILES = (
    *(".scraper/lock", ".scraper/tmp/lock", SUMMARY, f"{SUMMARY}.new", MANIFEST),
    *(f"{MANIFEST}.{end}" for end in BESIDE),
)
DIRECTORIES = (".scraper", ".scraper/tmp")
CASES = [
    *((name, what) for name in FILES for what in WHAT),
    *((name, what) for name in DIRECTORIES for what in WHAT if what != "directory"),
]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Somebody else's file."""
    return tmp_path / "elsewhere"


@pytest.mark.parametrize(("name", "what"), CASES, ids=[f"{what} {name}" for name, what in CASES])
def test_what_was_planted_is_said_and_left_alone(
    name: str, what: str, serve: Serve, tmp_path: Path, elsewhere: Path
) -> None:
    server = serve({"/page": Reply(body=b"page")})
    out = tmp_path / "out"
    plant(what, out / name, elsewhere)
    with pytest.raises(DestinationError) as caught:
        list(scraper.run([f"{server.url}/page"], to=out))
    assert "\n" not in str(caught.value)
    assert untouched(elsewhere)
    assert os.path.lexists(out / name)
    assert server.total == 0
    assert not (out / "127.0.0.1").exists()


@pytest.mark.parametrize("what", WHAT)
def test_a_command_ends_with_status_3_and_one_line(
    what: str, cli: Command, serve: Serve, elsewhere: Path
) -> None:
    server = serve({"/page": Reply(body=b"page")})
    plant(what, cli.directory / "out" / MANIFEST, elsewhere)
    ran = cli("-q", stdin=f"{server.url}/page\n")
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (3, "", 1)
    assert MANIFEST in ran.err
    assert ": remove it" in ran.err or ": replace it" in ran.err
    assert untouched(elsewhere)
    assert server.total == 0


@pytest.mark.parametrize("what", [one for one in WHAT if one != "hard link"])
def test_what_only_reads_a_manifest_reads_no_planted_one(
    what: str, cli: Command, elsewhere: Path
) -> None:
    plant(what, cli.directory / "out" / MANIFEST, elsewhere)
    ran = cli("verify", "out")
    assert ran.status == 3
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("what", WHAT)
def test_a_manifest_is_not_compacted_into_what_was_planted(
    what: str, serve: Serve, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that can't compact its manifest is as good as any other."""
    monkeypatch.setattr("scraper.manifest.history._COMPACT_FROM", 0)
    server = serve({"/page": Reply(body=b"page")})
    out = tmp_path / "out"
    compacted = out / f"{MANIFEST}.compact"
    for _ in range(4):
        list(scraper.run([f"{server.url}/page"], to=out, refresh=True))
    plant(what, compacted, elsewhere)
    before = (out / MANIFEST).stat()
    for _ in range(4):
        (result,) = scraper.run([f"{server.url}/page"], to=out)
        assert result.status in {"stored", "not_modified"}
    assert untouched(elsewhere)
    after = (out / MANIFEST).stat()
    assert (after.st_ino == before.st_ino) == (what == "directory")
    assert after.st_nlink == 1


@pytest.mark.parametrize("what", ["link", "FIFO", "device"])
def test_paths_that_the_user_names_are_the_users(
    what: str, cli: Command, serve: Serve, elsewhere: Path
) -> None:
    server = serve({"/page": Reply(body=b"page")})
    named = cli.directory / "m.jsonl"
    plant(what, named, elsewhere)
    reader = os.open(named, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO needs one
    try:
        ran = cli("--manifest", "m.jsonl", "-q", stdin=f"{server.url}/page\n")
        assert (ran.status, ran.err) == (0, "")
        if what == "link":
            assert elsewhere.read_bytes().startswith(KEPT)
            assert b'"status":"stored"' in elsewhere.read_bytes()
        elif what == "FIFO":
            assert b'"status":"stored"' in os.read(reader, 65_536)
    finally:
        os.close(reader)


@pytest.mark.parametrize("end", BESIDE)
def test_beside_a_manifest_that_the_user_names_nothing_is_followed_either(
    end: str, serve: Serve, tmp_path: Path, elsewhere: Path
) -> None:
    server = serve({"/page": Reply(body=b"page")})
    named = tmp_path / "m.jsonl"
    plant("link", named.with_name(f"{named.name}.{end}"), elsewhere)
    with pytest.raises(DestinationError):
        list(scraper.run([f"{server.url}/page"], to=tmp_path / "out", manifest=named))
    assert untouched(elsewhere)
    assert server.total == 0
