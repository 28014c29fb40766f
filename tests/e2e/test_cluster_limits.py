"""`--cluster`: limits of the whole run, and of each worker, are kept over all shards."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.command import Command
from tests.e2e.dask import Cluster
from tests.e2e.twelve_hosts import HOSTS, twelve_hosts
from tests.servers import HttpFarm, Reply, Request

_RATE = 4.0
_SLOTS = 4  # of two workers


@pytest.fixture
def site() -> Iterator[HttpFarm]:
    with twelve_hosts() as farm:
        yield farm


def times_of(site: HttpFarm) -> list[float]:
    """When each request came, once there are some."""
    found = list[float]()
    site.on_request = lambda _request: found.append(time.monotonic())
    return found


def test_the_rate_is_kept_over_shards_of_one_page_each(cli: Command, site: HttpFarm) -> None:
    cli.write("urls.txt", *(f"{url}/page" for url in site.urls))
    asked = times_of(site)
    ran = cli("urls.txt", "--to", "out", "--rate", _RATE, "--cluster", "local:2")
    assert ran.status == 0, ran.err
    assert len(asked) == len(HOSTS)
    assert asked[-1] - asked[0] >= (len(HOSTS) - _SLOTS) / _RATE


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_worker_has_no_more_at_once_than_it_was_told(
    at_once: int, cli: Command, site: HttpFarm
) -> None:
    """Also with more threads: shards wait for their turn. None of what it may have is lost."""
    cli.write("urls.txt", *(f"{url}/page" for url in site.urls))
    answer, too_many, lock = site.handler, threading.Event(), threading.Lock()
    first = iter(range(at_once))

    def wait_for_more(request: Request) -> Reply | None:
        with lock:
            is_first = next(first, None) is not None
            if site.in_flight > at_once:
                too_many.set()
        if is_first:
            site.wait_until(lambda: site.max_in_flight >= at_once)
            too_many.wait(3)  # one more would come by then
        return answer(request)

    site.handler = wait_for_more
    with Cluster(cli) as cluster:
        cluster.worker(4)
        cluster.wait_for_workers(1)
        ran = cli("urls.txt", "--to", "out", "-c", at_once, "--cluster", cluster.url)
    assert ran.status == 0, ran.err
    assert f"at most {at_once} at once in each worker" in ran.err
    assert site.max_in_flight == at_once
    assert site.total == len(HOSTS)


def test_a_run_whose_time_is_over_before_it_begins_asks_for_nothing(
    cli: Command, site: HttpFarm
) -> None:
    cli.write("urls.txt", *(f"{url}/page" for url in site.urls))
    words = ("urls.txt", "--to", "out", "--cluster", "local:2")
    ran = cli(*words, "--max-run-time", "0.01")
    assert (ran.status, site.total) == (1, 0), ran.err
    assert "stopped: --max-run-time 0.01 s is over" in ran.err
    assert cli(*words, "--resume").status == 0
    assert site.total == len(HOSTS)
