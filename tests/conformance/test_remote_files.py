"""The sink for file servers keeps the promises that `scraper.testing` asks of all, on real ones."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import LocalFileSystem

from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files import arrow, open_sink
from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.arrow import ArrowServer
from scraper.sinks.remote_files.servers import Settings
from scraper.testing import SINK_CASES, Place, SinkCase
from tests.file_servers import SERVERS, FileServer

each_case = pytest.mark.parametrize("case", SINK_CASES, ids=lambda case: case.name)


@each_case
@pytest.mark.parametrize("name", SERVERS)
def test_a_file_server(
    name: str,
    case: SinkCase,
    file_server: Callable[[str], FileServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = file_server(name)
    if case.name in server.as_it_is:
        pytest.skip(f"{server.name} itself does not keep it")
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    directory = uuid.uuid4().hex
    root = server.root / directory

    def read(key: str) -> bytes | None:
        try:
            return (root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names() -> set[str]:
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    url = f"{server.url}/{directory}"
    case.run(Place(lambda: open_sink(url, SinkOptions(8)), read, names))
    assert not {name for name in names() if ".scraper" in name}, "a closed sink left files"


@each_case
def test_hdfs_as_far_as_pyarrows_local_files_show_it(
    case: SinkCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same module of ours over the same wrapper of fsspec. HDFS itself can't be had here."""

    def connect(address: Address, settings: Settings) -> ArrowServer:
        return ArrowServer(ArrowFSWrapper(LocalFileSystem()))

    monkeypatch.setattr(arrow, "connect", connect)
    root = tmp_path / "out"

    def read(key: str) -> bytes | None:
        try:
            return (root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names() -> set[str]:
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    case.run(Place(lambda: open_sink(f"hdfs://default{root}", SinkOptions(8)), read, names))
