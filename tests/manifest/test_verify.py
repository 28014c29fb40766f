"""`scraper verify`: every object that is not as its record says is found, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import scraper
from scraper.cli.command import group
from tests.s3servers import S3Server
from tests.servers import Reply, Serve


def verify(*arguments: str) -> tuple[int, list[list[str]], str]:
    """Exit status, lines of findings, and what was said on stderr."""
    command = [sys.executable, "-m", "scraper", "verify", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line.split("\t") for line in ended.stdout.splitlines()]
    return ended.returncode, found, ended.stderr


@pytest.fixture
def stored(serve: Serve, tmp_path: Path) -> Path:
    """A directory with ten pages."""
    server = serve(lambda request: Reply(body=request.path.encode() * 100))
    results = list(scraper.run([f"{server.url}/{n}.html" for n in range(10)], to=str(tmp_path)))
    assert {result.status for result in results} == {"stored"}
    return tmp_path


def pages(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*.html"))


def test_what_was_stored_is_whole(stored: Path) -> None:
    assert verify(str(stored)) == (
        0,
        [],
        "10 objects: 10 whole, 0 missing, 0 changed, 0 unreadable, 0 unknown\n",
    )
    assert verify(str(stored), "-q") == (0, [], "")


def test_what_is_missing_changed_or_unknown_is_found(stored: Path) -> None:
    gone, longer, other, *_ = pages(stored)
    gone.unlink()
    longer.write_bytes(longer.read_bytes() + b"x")
    other.write_bytes(b"X" * other.stat().st_size)
    (stored / "new.txt").write_text("from elsewhere")
    status, found, said = verify(str(stored))
    assert status == 1
    keys = {path: str(path.relative_to(stored)) for path in (gone, longer, other)}
    assert sorted(line[:2] for line in found) == sorted(
        [
            ["missing", keys[gone]],
            ["changed", keys[longer]],
            ["changed", keys[other]],
            ["unknown", "new.txt"],
        ]
    )
    assert said == "11 objects: 7 whole, 1 missing, 2 changed, 0 unreadable, 1 unknown\n"


def test_the_last_record_of_a_key_is_held_against_its_object(stored: Path) -> None:
    manifest = stored / ".scraper" / "manifest.jsonl"
    record = json.loads(manifest.read_text().splitlines()[0])
    older = json.dumps({**record, "size": 1, "sha256": "0" * 64})
    failed = json.dumps({**record, "status": "failed"})
    manifest.write_text(f"{older}\n{manifest.read_text()}{failed}\ntorn")
    assert verify(str(stored))[0] == 0


def test_a_manifest_elsewhere_is_read_there(stored: Path, tmp_path: Path) -> None:
    moved = tmp_path / ".scraper" / "elsewhere.jsonl"
    (stored / ".scraper" / "manifest.jsonl").rename(moved)
    assert verify(str(stored), "--manifest", str(moved))[0] == 0


@pytest.mark.parametrize("what", ["", "no directory"])
def test_where_there_is_nothing_to_verify_that_is_said(what: str, tmp_path: Path) -> None:
    status, found, said = verify(str(tmp_path / what))
    assert (status, found) == (2, [])  # as `status`, `list` and `failed` have it
    assert said.startswith(f"scraper: there is no manifest in {str(tmp_path / what)!r}: ")
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_is_named_and_not_there_is_said(stored: Path) -> None:
    status, found, said = verify(str(stored), "--manifest", "nowhere.jsonl")
    assert (status, found, len(said.splitlines())) == (2, [], 1)
    assert said.startswith("scraper: there is no manifest in 'nowhere.jsonl': ")


def test_a_toml_file_of_fetch_serves_verify_too(stored: Path, tmp_path: Path) -> None:
    moved = tmp_path / ".scraper" / "elsewhere.jsonl"
    (stored / ".scraper" / "manifest.jsonl").rename(moved)
    toml = tmp_path / ".scraper" / "fetch.toml"
    toml.write_text(f"manifest = '{moved}'\nmax-concurrency = 2\nretries = 5\nquiet = true\n")
    assert verify(str(stored), "--config", str(toml)) == (0, [], "")
    toml.write_text("max-concurrency = 0\n")
    assert verify(str(stored), "--config", str(toml))[0] == 2


def test_a_bucket_is_verified_and_not_written_to(
    serve: Serve, moto_server: S3Server, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = moto_server.make_bucket()
    server = serve(lambda request: Reply(body=request.path.encode() * 100))
    urls = [f"{server.url}/{n}.html" for n in range(5)]
    list(scraper.run(urls, to=f"s3://{bucket}/p", s3_endpoint=moto_server.url))
    keys = sorted(key for key in moto_server.keys(bucket) if key.endswith(".html"))
    moto_server.client.delete_object(Bucket=bucket, Key=keys[0])
    moto_server.client.put_object(Bucket=bucket, Key=keys[1], Body=b"another")
    before = moto_server.keys(bucket)
    arguments = ["verify", f"s3://{bucket}/p", "--s3-endpoint", moto_server.url]
    ended = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert ended.return_value == 1
    lines = [line.split("\t")[:2] for line in ended.stdout.splitlines()]
    assert sorted(lines) == [
        ["changed", keys[1].removeprefix("p/")],
        ["missing", keys[0].removeprefix("p/")],
    ]
    assert moto_server.keys(bucket) == before
