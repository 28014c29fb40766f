"""A server, and a sink that stores into a directory of its own there."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files.address import parse
from scraper.sinks.remote_files.sink import RemoteSink
from tests.file_servers import FileServer


@dataclass(frozen=True)
class There:
    """A directory of a server. `root` is the same one on this machine."""

    server: FileServer
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def root(self) -> Path:
        return self.server.root / self.name

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.name}"

    def sink(self, at_once: int = 8, timeout_s: float = 60.0) -> RemoteSink:
        address = parse(self.url, "--to", variable=True)
        return RemoteSink(address, SinkOptions(at_once), timeout_s)

    def names(self) -> set[str]:
        """Every file that is there."""
        found = self.root.rglob("*")
        return {str(path.relative_to(self.root)) for path in found if path.is_file()}


Open = Callable[[FileServer], There]


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> Open:
    """A directory of a server, into which we may store."""

    def sign_in(server: FileServer) -> There:
        for variable, value in server.environment.items():
            monkeypatch.setenv(variable, value)
        return There(server)

    return sign_in


@pytest.fixture
def there(
    request: pytest.FixtureRequest, file_server: Callable[[str], FileServer], signed_in: Open
) -> There:
    """A directory of the server that a parameter names."""
    return signed_in(file_server(request.param))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test opens is closed after it."""
    with ExitStack() as opened:
        yield opened
