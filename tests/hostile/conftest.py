"""The program, in a directory of its own, as for `tests/e2e`; and a strict S3 server."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import cli
from tests.swift import Swift, swift, swift_works

__all__ = ["cli"]


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """Swift's S3; a test makes a bucket of its own in it."""
    home = tmp_path_factory.mktemp("swift")
    if not swift_works(home.parent):
        pytest.skip("there is no Swift, or no file system with extended attributes for it")
    with swift(home) as server:
        yield server
