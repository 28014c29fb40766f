"""The tables of docs/stores.md have the rows and columns that `python -m tests.stores` has."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.s3servers import S3Server
from tests.stores.clouds import PROMISES as CLOUD_PROMISES
from tests.stores.promises import PROMISES
from tests.stores.servers import CLOUDS, SERVERS, Store

PAGE = Path(__file__).parents[3] / "docs" / "stores.md"


def cells(number: int) -> list[list[str]]:
    """The rows of one of the tables."""
    tables = [part for part in PAGE.read_text().split("\n\n") if part.startswith("|")]
    lines = tables[number].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("number", "servers", "promises"),
    [(0, SERVERS, PROMISES), (1, CLOUDS, CLOUD_PROMISES)],
    ids=["s3", "clouds"],
)
def test_the_page_has_each_promise_and_each_server(
    number: int, servers: tuple[Store, ...], promises: Mapping[str, object]
) -> None:
    head, _, *rows = cells(number)
    assert [one.split()[0] for one in head[1:]] == [store.name for store in servers]
    assert all(len(one.split()) == 2 for one in head[1:]), "each with its version"
    assert [row[0] for row in rows] == list(promises)
    assert {len(row) for row in rows} == {1 + len(servers)}
    assert not [row for row in rows if any("BROKEN" in cell for cell in row[1:])]


def test_a_promise_says_what_it_saw(moto_server: S3Server, aws: None) -> None:
    del aws
    assert PROMISES["an answer to GET has"](moto_server) == "ETag, LastModified"
    assert PROMISES["Retry-After: 7 of a 503 is heard"](moto_server) == "7 s"
