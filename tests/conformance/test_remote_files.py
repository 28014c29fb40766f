"""The sink for file servers keeps the promises that `scraper.testing` asks of all, on real ones."""

import uuid
from collections.abc import Callable

import pytest

from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files import open_sink
from scraper.testing import SINK_CASES, Place, SinkCase
from tests.file_servers import SERVERS, FileServer


@pytest.mark.parametrize("case", SINK_CASES, ids=lambda case: case.name)
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
