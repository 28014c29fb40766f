"""A run whose lease ran out while it did not run: it begins nothing more, and says why it ends."""

import time
from typing import Any

import pytest

import scraper
from scraper.model.errors import Held
from scraper.model.options import EngineName
from scraper.sinks import lease
from tests.s3servers import S3Server
from tests.servers import Reply, Request, Serve


@pytest.mark.parametrize("engine", ["threads", "curl"])
@pytest.mark.usefixtures("aws")
def test_a_run_that_wakes_after_its_lease_begins_nothing_more(
    engine: EngineName, serve: Serve, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock that counts sleep goes on by an hour, as it does while a machine sleeps."""

    def page(request: Request) -> Reply:
        if request.path == "/3":
            monkeypatch.setattr(lease, "now_s", lambda: time.clock_gettime(lease._CLOCK) + 3600)
        return Reply(body=b"page")

    server = serve(page)
    urls = [f"{server.url}/{number}" for number in range(1, 50)]
    place = f"s3://{moto_server.make_bucket()}/p"
    options: dict[str, Any] = {"s3_endpoint": moto_server.url, "engine": engine}
    told: list[str] = []
    results = scraper.run(urls, to=place, max_concurrency=1, **options)
    with pytest.raises(Held, match="ran out"):
        told.extend(result.status for result in results)
    assert server.total <= 4
    assert told.count("stored") in {2, 3, 4}
