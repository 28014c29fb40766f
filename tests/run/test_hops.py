"""Redirects to other hosts: each hop is under the caps, gaps, pauses and breaker of its host."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Deferred
from tests.run.test_loop import fetch, kinds, make_run, results_of, statuses
from tests.servers import WAIT_S, HttpFarm, HttpServer, Reply, Request, Serve, closed_port

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])
MANY = [f"127.0.1.{number}" for number in range(1, 13)]
PAGE = b"a page of the publisher"


def redirecting(there: str) -> HttpFarm:
    """Many hosts whose every page is at `there`."""
    return HttpFarm(lambda one: Reply(302, {"Location": there + one.path}), hosts=MANY)


@ENGINES
def test_the_cap_of_a_host_holds_for_redirects_to_it(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    publisher = serve(lambda _: Reply(body=PAGE))
    with redirecting(publisher.url) as many:
        urls = [f"{url}/{number}" for number in range(2) for url in many.urls]
        results = fetch(urls, tmp_path, engine=engine, max_concurrency=16, per_host=1)
    assert statuses(results) == {"stored": 24}
    assert publisher.max_in_flight == 1
    assert {result.attempts for result in results} == {1}
    assert {result.response.redirects for result in results if result.response} == {1}


@ENGINES
def test_the_delay_of_a_host_holds_for_redirects_to_it(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    asked: list[float] = []

    def answer(_: Request) -> Reply:
        asked.append(time.monotonic())
        return Reply(body=PAGE)

    publisher = serve(answer)
    with redirecting(publisher.url) as many:
        urls = [f"{url}/" for url in many.urls]
        results = fetch(urls, tmp_path, engine=engine, max_concurrency=16, delay=0.1)
    assert statuses(results) == {"stored": 12}
    assert asked[-1] - asked[0] >= 0.5, "eleven gaps; a busy server may note the first late"


@ENGINES
def test_a_redirect_waits_for_its_turn_without_a_slot(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    go = threading.Event()
    publisher = serve(lambda _: Reply(body=PAGE, delay=go))
    other = serve(lambda _: Reply(body=b"another page"))
    with redirecting(publisher.url) as many:
        urls = [f"{url}/" for url in many.urls]
        urls += [f"{other.url}/{number}" for number in range(20)]
        run = make_run(urls, tmp_path, engine=engine, max_concurrency=2, per_host=1)
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.extend(results_of(run)), daemon=True)
        thread.start()
        other.wait_until(lambda: other.total == 20)
        many.wait_until(lambda: many.total == 12)
        assert publisher.total == 1
        go.set()
        thread.join(WAIT_S)
    assert len(done) == 32
    assert publisher.max_in_flight == 1


@ENGINES
def test_a_publisher_that_asks_for_patience_defers_its_own_and_not_its_resolver(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    busy = serve(lambda _: Reply(429, {"Retry-After": "3600"}))
    fine = serve(lambda _: Reply(body=PAGE))

    def resolve(request: Request) -> Reply:
        number = int(request.path[1:])
        return Reply(302, {"Location": f"{(busy if number % 10 == 0 else fine).url}/{number}"})

    resolver = serve(resolve)
    urls = [f"{resolver.url}/{number}" for number in range(100)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=4)
    assert statuses(results) == {"stored": 90, "deferred": 10}
    for result in results:
        if isinstance(result.outcome, Deferred):
            assert busy.url.removeprefix("http://") in result.outcome.failure.message


@ENGINES
def test_a_publisher_that_is_down_takes_only_its_own_along(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    fine = serve(lambda _: Reply(body=PAGE))
    down = f"127.0.0.1:{closed_port()}"

    def resolve(request: Request) -> Reply:
        number = int(request.path[1:])
        there = f"http://{down}" if number % 2 else fine.url
        return Reply(302, {"Location": f"{there}/{number}"})

    resolver = serve(resolve)
    urls = [f"{resolver.url}/{number}" for number in range(40)]
    results = fetch(urls, tmp_path, engine=engine, max_concurrency=4, retry_max_time=1.0)
    assert statuses(results) == {"stored": 20, "failed": 20}
    found = kinds(results)
    assert found[Kind.HOST_DOWN] + found[Kind.CONNECT] == 20
    assert found[Kind.CONNECT] <= 4
    for result in results:
        if result.failure is not None and result.failure.kind is Kind.HOST_DOWN:
            assert down in result.failure.message


@ENGINES
def test_the_count_of_redirects_and_the_deadline_go_along(engine: str, tmp_path: Path) -> None:
    """Two hosts that send each other's pages back and forth, for ever."""
    hosts = ["127.0.1.1", "127.0.1.2"]

    def back_and_forth(request: Request) -> Reply:
        other = hosts[request.address == hosts[0]]
        port = request.host.rpartition(":")[2]
        return Reply(302, {"Location": f"http://{other}:{port}{request.path}"})

    with HttpFarm(back_and_forth, hosts=hosts) as two:
        results = fetch([f"{two.urls[0]}/"], tmp_path, engine=engine, max_redirects=5, per_host=1)
        assert kinds(results) == {Kind.TOO_MANY_REDIRECTS: 1}
        assert two.total == 6
        assert Counter(request.address for request in two.requests) == dict.fromkeys(hosts, 3)
        (result,) = results
        assert result.attempts == 1


@ENGINES
def test_headers_of_the_first_host_do_not_go_along(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    publisher = serve(lambda _: Reply(body=PAGE))
    with redirecting(publisher.url) as many:
        headers = ["Authorization: Bearer hunter2", "X-Plain: yes"]
        (result,) = fetch([f"{many.urls[0]}/"], tmp_path, engine=engine, headers=headers)
    assert result.ok
    sent = publisher.requests[0].headers
    assert "authorization" not in sent
    assert sent["x-plain"] == "yes"


@ENGINES
def test_a_run_that_is_stopped_has_a_result_for_each_that_waited_at_another_host(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    held = threading.Event()
    publisher: HttpServer = serve(lambda _: Reply(body=PAGE, delay=held))
    with redirecting(publisher.url) as many:
        urls = [f"{url}/" for url in many.urls]
        run = make_run(urls, tmp_path, engine=engine, max_concurrency=4, per_host=1)
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.extend(results_of(run)), daemon=True)
        thread.start()
        many.wait_until(lambda: many.total == 12)
        run.stop("enough", 0.0)
        thread.join(WAIT_S)
        held.set()
    assert len(done) == 12
