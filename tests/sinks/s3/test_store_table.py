"""The table of docs/stores.md has the rows and columns that `python -m tests.stores` has."""

from pathlib import Path

from tests.s3servers import S3Server
from tests.stores.promises import PROMISES
from tests.stores.servers import SERVERS

PAGE = Path(__file__).parents[3] / "docs" / "stores.md"


def cells() -> list[list[str]]:
    """The rows of the table."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_each_promise_and_each_server() -> None:
    head, _, *rows = cells()
    assert [one.split()[0] for one in head[1:]] == [store.name for store in SERVERS]
    assert all(len(one.split()) == 2 for one in head[1:]), "each with its version"
    assert [row[0] for row in rows] == list(PROMISES)
    assert {len(row) for row in rows} == {1 + len(SERVERS)}
    assert not [row for row in rows if any("BROKEN" in cell for cell in row[1:])]


def test_a_promise_says_what_it_saw(moto_server: S3Server, aws: None) -> None:
    del aws
    assert PROMISES["an answer to GET has"](moto_server) == "ETag, LastModified"
    assert PROMISES["Retry-After: 7 of a 503 is heard"](moto_server) == "7 s"
