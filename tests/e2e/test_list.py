"""`scraper list DEST`: what is stored, by the last record of each key."""

import json

import pytest

from tests.e2e.command import Command
from tests.e2e.places import Bucket, Directory, Place
from tests.servers import Reply, Serve


@pytest.fixture(params=["directory", "moto"])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    if request.param == "directory":
        return Directory(cli)
    server = request.getfixturevalue("moto_server")
    return Bucket(server, server.make_bucket())


def test_each_object_is_listed_once_with_who_stored_it_last(
    cli: Command, place: Place, serve: Serve
) -> None:
    server = serve(lambda one: Reply(404 if one.path == "/gone" else 200, {}, one.path.encode()))
    first = [f"{server.url}/a\tk.txt", f"{server.url}/longer\tl.txt", f"{server.url}/gone"]
    for lines in (first, [f"{server.url}/another\tk.txt"]):
        cli("-", *place.words, stdin="\n".join(lines), env=place.environment)
    words = place.words[1:]
    table = cli("list", *words, env=place.environment)
    assert (table.status, table.lines[0]) == (0, "key\tsize\turl\tdate")
    rows = [line.split("\t") for line in table.lines[1:]]
    found = {key: (int(size), url) for key, size, url, _ in rows}
    assert found == {"k.txt": (8, f"{server.url}/another"), "l.txt": (7, f"{server.url}/longer")}
    assert cli("list", *words, "--format", "keys", env=place.environment).lines == [
        "l.txt",
        "k.txt",
    ]
    records = cli("list", *words, "--format", "json", env=place.environment).records
    assert [record["status"] for record in records] == ["stored", "stored"]
    assert set(found) == set(place.files())


def test_characters_that_drive_a_terminal_are_shown_safely(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(200))
    cli("-", stdin=json.dumps({"url": f"{server.url}/\x1b[2Ja", "key": "k"}) + "\n")
    out = cli("list", "out").out
    assert "\\u001b[2Ja" in out
    assert "\x1b" not in out


def test_without_a_manifest_it_is_wrong_usage(cli: Command) -> None:
    ran = cli("list", "nowhere")
    assert (ran.status, len(ran.errors), cli.wrote) == (2, 1, [])
