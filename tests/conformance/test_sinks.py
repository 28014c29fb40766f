"""Every sink of ours keeps the promises that `scraper.testing` asks of all."""

from pathlib import Path

import pytest

from scraper.sinks.directory import DirectorySink
from scraper.sinks.s3 import MIB, S3Sink, Sizes
from scraper.testing import SINK_CASES, Place, SinkCase
from tests.s3servers import S3Server

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


def in_s3(server: S3Server, sizes: Sizes) -> Place:
    bucket = server.make_bucket()
    return Place(
        lambda: S3Sink(bucket, "some/prefix", server.options(), sizes),
        lambda key: server.read(bucket, f"some/prefix/{key}"),
        lambda: server.keys(bucket) | {f"part of {key}" for key in server.unfinished(bucket)},
    )


@each_case
def test_a_directory(case: SinkCase, tmp_path: Path) -> None:
    case.run(in_directory(tmp_path / "out"))


@each_case
def test_s3_as_moto_serves_it(case: SinkCase, moto_server: S3Server) -> None:
    case.run(in_s3(moto_server, Sizes()))


@each_case
def test_s3_in_parts(case: SinkCase, moto_server: S3Server) -> None:
    case.run(in_s3(moto_server, SMALL_PARTS))


@each_case
def test_s3_as_rclone_serves_it(case: SinkCase, rclone_server: S3Server) -> None:
    if case.name == "a replacement is atomic":
        pytest.skip("rclone itself truncates the file it replaces")
    case.run(in_s3(rclone_server, Sizes()))
