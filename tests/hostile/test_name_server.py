"""A name server that can't tell at first, as after a boot: it says so, and later it can."""

import pytest

from tests.e2e.command import Command
from tests.hostile.island import SERVFAIL, island, islands_can_be_had

PUBLIC, SIX = "93.184.216.34", "2606:2800:220:1::1"
COUNT = 12


@pytest.mark.skipif(not islands_can_be_had(), reason="this user may have no network of its own")
@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_resolver_that_comes_up_late_costs_no_target(engine: str, cli: Command) -> None:
    """EAI_AGAIN is no answer about a name. The host is asked again, by one target at a time."""
    pages = {f"/{number}": {"body": f"page {number}"} for number in range(COUNT)}
    # Each look-up asks twice. So three fail, and a target has two attempts.
    names = {"late.example": [*[SERVFAIL] * 6, [PUBLIC, SIX]]}
    with island({PUBLIC: pages, SIX: pages}, names) as land:
        cli.write("list", *(f"http://late.example{path}\tk{path}" for path in pages))
        cli.prefix = land.prefix(cli.directory)
        ran = cli("list", "--engine", engine, "--retries", 1)
        assert ran.status == 0, ran.err
        assert sorted(path for _, path in land.asked()) == sorted(pages)
    assert [record["status"] for record in cli.records()] == ["stored"] * COUNT
