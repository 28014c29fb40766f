"""Every sink of ours keeps the promises that `scraper.testing` asks of all."""

from pathlib import Path

import pytest

from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud.sink import open_sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import SINK_CASES, Place, SinkCase, store
from tests.azurite import Azurite
from tests.gcs import Gcs
from tests.s3servers import S3Server
from tests.swift import Swift

SMALL_PARTS = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
each_case = pytest.mark.parametrize("case", SINK_CASES, ids=lambda case: case.name)


pytestmark = pytest.mark.usefixtures("aws")


def in_directory(root: Path) -> Place:
    def read(key: str) -> bytes | None:
        try:
            return (root / key).read_bytes()
        except FileNotFoundError:
            return None

    def names() -> set[str]:
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    return Place(lambda: DirectorySink(root), read, names)


def in_s3(server: S3Server, sizes: Sizes, client: str) -> Place:
    bucket = server.make_bucket()
    return Place(
        lambda: S3Sink(bucket, "some/prefix", server.options(client=client), sizes),
        lambda key: server.read(bucket, f"some/prefix/{key}"),
        lambda: server.keys(bucket) | {f"part of {key}" for key in server.unfinished(bucket)},
    )


@each_case
def test_a_directory(case: SinkCase, tmp_path: Path) -> None:
    case.run(in_directory(tmp_path / "out"))


@each_case
def test_s3_as_moto_serves_it(case: SinkCase, moto_server: S3Server, s3_client: str) -> None:
    case.run(in_s3(moto_server, Sizes(), s3_client))


@each_case
def test_s3_in_parts(case: SinkCase, moto_server: S3Server, s3_client: str) -> None:
    case.run(in_s3(moto_server, SMALL_PARTS, s3_client))


@each_case
def test_s3_as_rclone_serves_it(case: SinkCase, rclone_server: S3Server, s3_client: str) -> None:
    if case.name == "a replacement is atomic":
        pytest.skip("rclone itself truncates the file it replaces")
    place = in_s3(rclone_server, Sizes(), s3_client)
    if case.name == "many threads may store at once":
        make_directories(place)
    case.run(place)


@each_case
def test_s3_as_swift_serves_it(
    case: SinkCase, swift_server: Swift, s3_client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift_server.credentials.items():
        monkeypatch.setenv(name, value)
    case.run(in_s3(swift_server, Sizes(), s3_client))


@each_case
def test_s3_as_radosgw_serves_it(
    case: SinkCase, radosgw_server: S3Server, s3_client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in radosgw_server.credentials.items():
        monkeypatch.setenv(name, value)
    case.run(in_s3(radosgw_server, Sizes(), s3_client))


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(Sizes(), id="usual"),
        pytest.param(SMALL_PARTS, id="in parts", marks=pytest.mark.slow),
    ],
)
@each_case
def test_gs_and_az(
    case: SinkCase, sizes: Sizes, cloud_server: Gcs | Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud_server.environment().items():
        monkeypatch.setenv(name, value)
    bucket = cloud_server.make_bucket()
    to = f"{cloud_server.scheme}://{bucket}/some/prefix"
    place = Place(
        lambda: open_sink(to, SinkOptions(), sizes),
        lambda key: cloud_server.read(bucket, f"some/prefix/{key}"),
        lambda: cloud_server.keys(bucket),
    )
    case.run(place)


def make_directories(place: Place) -> None:
    """Those of that case: rclone answers 500 when two first objects of one race each other."""
    sink = place.make_sink()
    sink.check()
    for number in range(5):
        store(sink, f"many/{number}/first", b"")
    sink.close()
