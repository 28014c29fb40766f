"""Whole runs into gs:// and az://, by the command line: what s3:// promises holds there too."""

import json
from pathlib import Path

import pytest

from tests.azurite import Azurite
from tests.e2e.command import Command
from tests.e2e.places import Bucket, kinds
from tests.gcs import Gcs
from tests.s3servers import Asked, Front, Refusal
from tests.servers import Reply, Request, Serve

Server = Gcs | Azurite
NAMES = [f"page/{number}" for number in range(12)]


def page(request: Request) -> Reply:
    return Reply(200, {"Content-Type": "text/html", "ETag": '"1"'}, request.path.encode() * 100)


@pytest.fixture
def place(cloud_server: Server) -> Bucket:
    return Bucket(cloud_server, cloud_server.make_bucket())


def test_a_list_that_lies_there_is_fetched_there_and_gone_on_with(
    place: Bucket, cli: Command, serve: Serve
) -> None:
    """By several processes, verified, resumed, listed, pruned."""
    site = serve(page)
    lines = "".join(f"{site.url}/{name}\t{name}\n" for name in NAMES)
    place.server.put(place.bucket, "lists/urls.txt", lines.encode())
    listed = f"{place.server.scheme}://{place.bucket}/lists/urls.txt"
    ran = cli(listed, *place.words, "--processes", 2, env=place.environment)
    assert ran.status == 0, ran.err
    place.server.delete(place.bucket, "lists/urls.txt")
    assert place.files() == {name: f"/{name}".encode() * 100 for name in NAMES}
    assert place.server.unfinished(place.bucket) == []
    to = place.words[1]
    assert cli("verify", to, env=place.environment).status == 0
    cli.write("urls", *lines.splitlines())
    ran = cli("urls", *place.words, "--resume", "--results", "-", env=place.environment)
    assert (ran.status, kinds(ran.records)) == (0, {"skipped": 12})
    cli.write("fewer", *lines.splitlines()[:10])
    ran = cli("list", to, "--unlisted", "fewer", "--prune", "--yes", env=place.environment)
    assert ran.status == 0, ran.err
    assert sorted(place.files()) == sorted(NAMES[:10])
    told = json.loads(cli("status", to, "--json", env=place.environment).out)
    assert told["objects"] == 10


def test_shards_of_several_machines_fill_one_bucket(
    place: Bucket, cli: Command, serve: Serve
) -> None:
    sites = [serve(page) for _ in range(3)]
    cli.write("urls", *(f"{site.url}/{name}" for site in sites for name in NAMES[:4]))
    for shard in ("0/2", "1/2"):
        ran = cli("urls", *place.words, "--shard", shard, env=place.environment)
        assert ran.status == 0, ran.err
    assert len(place.files()) == 12
    assert cli("verify", place.words[1], env=place.environment).status == 0


def test_a_run_that_holds_it_keeps_another_out(place: Bucket, cli: Command, serve: Serve) -> None:
    site = serve(page)
    told = {"run": "x", "host": "elsewhere", "pid": 1, "until": 9e9}
    key = f"{place.prefix}/.scraper/lock.json"
    place.server.put(place.bucket, key, json.dumps(told).encode())
    ran = cli(f"{site.url}/a", *place.words, "--lock", "skip", env=place.environment)
    assert ran.status == 75
    assert "another run holds" in ran.err
    assert place.server.read(place.bucket, key) == json.dumps(told).encode()


def test_a_store_that_denies_ends_the_run_with_one_line_and_3(
    place: Bucket, cli: Command, serve: Serve, tmp_path: Path
) -> None:
    """Nothing is recorded that is not there, and the next run goes on."""
    site, puts = serve(page), [0]

    def fault(asked: Asked) -> Refusal | None:
        puts[0] += asked.operation == "PUT" and "page" in asked.path.rpartition("page")[1]
        return Refusal(403, "QuotaExceeded", "It is full.") if puts[0] > 5 else None

    cli.write("urls", *(f"{site.url}/{name}\t{name}" for name in NAMES))
    with Front(place.server.url, fault) as front:
        through = Bucket(place.server, place.bucket, front.url)
        ran = cli("urls", *through.words, "-c", 1, env=through.environment)
    assert ran.status == 3
    (line,) = [one for one in ran.errors if one.startswith("scraper: ")]
    scheme = place.server.scheme
    assert line.startswith(f"scraper: {scheme}://{place.bucket} takes no more objects: QuotaExce")
    stored = {one["key"] for one in place.records() if one["status"] == "stored"}
    assert stored <= set(place.files())
    ran = cli("urls", *place.words, "--resume", env=place.environment)
    assert ran.status == 0, ran.err
    assert sorted(place.files()) == sorted(NAMES)


UNSENDABLE = {
    "gs": ("GOOGLE_BEARER_TOKEN", "GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"),
    "az": (
        *("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_TOKEN"),
        *("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"),
        *("AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_IDENTITY_ENDPOINT"),
    ),
}


def test_a_credential_with_a_line_break_is_one_line_that_names_its_variable(
    place: Bucket, cli: Command, serve: Serve
) -> None:
    site, to = serve(page), place.words[1]
    calls: list[list[str]] = [[f"{site.url}/a", "--to", to], ["verify", to], [f"{to}/urls.txt"]]
    for number, name in enumerate(UNSENDABLE[place.server.scheme]):
        env = {**place.environment, name: "AccountName=a;\nAccountKey=secret\n"}
        ran = cli(*calls[number % len(calls)], env=env)
        assert ran.status in {2, 3}, f"{name}: {ran.err}"
        assert len(ran.err.strip().splitlines()) == 1, f"{name}: {ran.err}"
        assert f"{name} has a line break or another control character" in ran.err
        assert "secret" not in ran.err
    assert site.requests == []


def test_a_key_that_obstore_does_not_read_is_told_and_not_left_out(
    place: Bucket, cli: Command, serve: Serve
) -> None:
    site, to, env = serve(page), place.words[1], place.environment
    assert cli(f"{site.url}/a", "--to", to, env=env).status == 0
    place.server.put(place.bucket, f"{place.prefix}/x//y", b"of another program")
    for words in (["verify", to], [f"{site.url}/b", "--to", to, "--skip-existing"]):
        ran = cli(*words, env=env)
        assert ran.status in {1, 3}, ran.err
        assert "x//y" in ran.err
