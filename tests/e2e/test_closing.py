"""The closing account: the id of a run, the last screen, and summary.json, in both destinations."""

import json

import pytest

from tests.e2e.command import Command, lines
from tests.e2e.places import Bucket, Directory, Place
from tests.servers import Serve


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, cli: Command) -> Place:
    if request.param == "directory":
        return Directory(cli)
    server = request.getfixturevalue("moto_server")
    return Bucket(server, server.make_bucket())


def test_every_record_of_a_run_has_its_id(place: Place, cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    urls = lines(f"{server.url}/a.txt", f"{server.url}/a.txt", f"{server.url}/b.txt", "nonsense")
    words = ["--results", "-", "--log-format", "json", *place.words]
    runs = [cli(*words, stdin=urls, env=place.environment) for _ in range(2)]
    ids = []
    for ran in runs:
        (id_,) = {record["run"] for record in ran.records}
        events = [json.loads(line) for line in ran.errors]
        named = {event["run"] for event in events if event["event"] in {"start", "result"}}
        assert named == {id_}
        ids.append(id_)
    assert ids == sorted(set(ids))
    assert [record["run"] for record in place.records()] == [ids[0]] * 4 + [ids[1]] * 4
