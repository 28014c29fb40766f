"""Whole runs against many pages, many hosts, and servers that fail: fast, fair and complete."""

import itertools
import socket
import threading
from collections import Counter
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

from scraper.schedule.circuit_breaker import FAILURES_UNTIL_OPEN
from tests.e2e.command import Command
from tests.e2e.places import kinds
from tests.e2e.watch import end
from tests.servers import WAIT_S, Farm, Reply, Request, closed_port

Records = list[dict[str, Any]]


def page(host: str, path: str) -> bytes:
    """Of a length of its own, up to 9 kB."""
    number = int(path.rpartition("/")[2])
    return (f"{host}{path}\n".encode() * 400)[: number * 37 % 9_000]


def answer(request: Request) -> Reply:
    return Reply(body=page(request.host, request.path))


def attempts(records: Records) -> int:
    return sum(record.get("attempts", 0) for record in records)


def assert_pages_are_stored(cli: Command, count: int) -> None:
    """Each with its bytes and its record, and nothing else."""
    records, stored = cli.records(), cli.files()
    assert kinds(records) == {"stored": count}
    assert len(stored) == count
    for record in records:
        host, _, path = record["url"].removeprefix("http://").partition("/")
        body = page(host, f"/{path}")
        assert stored[record["key"]] == body
        assert (record["size"], record["sha256"]) == (len(body), sha256(body).hexdigest())


# ---------------------------------------------------------------- many, and failing


def test_two_thousand_pages_of_four_hosts_come_over_few_connections(
    cli: Command, farm: Farm
) -> None:
    """The first host holds its answers until the others are done, so that it meets its cap."""
    others_done = threading.Event()

    others = itertools.count(1)

    def handle(request: Request) -> Reply:
        first = request.address == "127.0.0.1"
        if not first and next(others) == 1_500:
            others_done.set()
        delay = others_done if first else None
        return Reply(body=page(request.host, request.path), delay=delay)

    servers = farm(handle)
    cli.write("list", *(f"{url}/{number}" for number in range(500) for url in servers.urls))
    ran = cli("-q", "list", "-c", 32, "--per-host", 8)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert_pages_are_stored(cli, 2_000)
    assert servers.total == 2_000
    assert servers.max_in_flight <= 32
    assert set(servers.max_in_flight_by_address) == set(servers.hosts)
    assert max(servers.max_in_flight_by_address.values()) == 8
    assert servers.connections <= 64


def test_a_server_that_fails_every_third_request_gives_everything_in_the_end(
    cli: Command, farm: Farm
) -> None:
    numbers = itertools.count(1)
    failed: Counter[str] = Counter()

    def flaky(request: Request) -> Reply:
        number, name = next(numbers), request.host + request.path
        if failed[name] == 2 or (number % 3 and number % 25):
            return answer(request)
        failed[name] += 1
        if number % 25 == 0:
            return Reply(429, {"Retry-After": "1"}, b"too many")
        return Reply((500, 502, 503, 504)[number % 4], {}, b"an error that is not the page")

    servers = farm(flaky)
    cli.write("list", *(f"{url}/{number}" for number in range(40) for url in servers.urls))
    ran = cli("list", "-c", 16, "--per-host", 8)
    assert (ran.status, ran.out) == (0, "")
    assert any(line.startswith("160 targets: 160 stored in ") for line in ran.errors)
    assert_pages_are_stored(cli, 160)
    assert attempts(cli.records()) == servers.total == 160 + failed.total()
    assert failed.total() > 50
    assert servers.max_in_flight <= 16


def test_targets_that_wait_for_a_retry_leave_all_slots_to_others(cli: Command, farm: Farm) -> None:
    """The second host answers when all slots are its own, while the first one's targets wait."""
    full = threading.Event()
    waiting: list[Request] = []
    failed: set[str] = set()

    def handle(request: Request) -> Reply:
        if request.address == "127.0.0.2":
            waiting.append(request)
            if len(waiting) == 8:
                full.set()
            return Reply(body=page(request.host, request.path), delay=full)
        if request.path in failed:
            return answer(request)
        failed.add(request.path)
        patience = {"Retry-After": "3"}
        return Reply(429, patience) if request.path == "/0" else Reply(500)

    servers = farm(handle)
    flaky, steady = servers.urls[:2]
    lines = [f"{flaky}/{number}" for number in range(8)]
    cli.write("list", *lines, *(f"{steady}/{number}" for number in range(8)))
    ran = cli("-q", "list", "-c", 8)
    assert (ran.status, ran.err) == (0, "")
    assert_pages_are_stored(cli, 16)
    asked = [request.address for request in servers.requests]
    assert Counter(asked[:16]) == {"127.0.0.1": 8, "127.0.0.2": 8}
    assert asked[16:] == ["127.0.0.1"] * 8
    assert servers.max_in_flight == 8


def test_a_host_that_asks_for_too_much_patience_is_deferred_and_the_others_are_not(
    cli: Command, farm: Farm
) -> None:
    def handle(request: Request) -> Reply:
        busy = request.address == "127.0.0.1"
        return Reply(429, {"Retry-After": "61"}) if busy else answer(request)

    servers = farm(handle)
    cli.write("list", *(f"{url}/{number}" for number in range(20) for url in servers.urls[:2]))
    ran = cli("-q", "list", "-c", 1, "--max-retry-after", 60)
    assert ran.status == 1
    assert kinds(cli.records()) == {"http_status": 20, "stored": 20}
    assert Counter(one["status"] for one in cli.records()) == {"deferred": 20, "stored": 20}
    assert sum(request.address == "127.0.0.1" for request in servers.requests) == 1
    assert sum(line.startswith("deferred  ") for line in ran.errors) == 20


# ---------------------------------------------------------------- hosts that are down


def test_without_retries_a_host_that_refuses_is_down_at_once_and_the_others_are_not(
    cli: Command, farm: Farm
) -> None:
    servers = farm(answer)
    down = f"http://127.0.0.9:{closed_port('127.0.0.9')}"
    lines = [f"{url}/{number}" for number in range(200) for url in (down, servers.url)]
    cli.write("list", *lines)
    ran = cli("-q", "list", "-c", 8, "--retries", 0)
    assert (ran.status, ran.out) == (1, "")
    counts = kinds(cli.records())
    assert counts["stored"] == 200
    assert counts["host_down"] >= 180
    assert counts["connect"] + counts["host_down"] == 200
    lost = [record for record in cli.records() if record["status"] == "failed"]
    assert FAILURES_UNTIL_OPEN <= attempts(lost) < 40
    assert servers.total == 200
    assert f"{counts['host_down']} host is down" in ran.err


def test_a_host_that_does_not_answer_costs_a_few_timeouts_and_not_one_for_each_line(
    cli: Command,
) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for _ in range(4):  # from then on the kernel drops what else would connect
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(address)
        cli.write("list", *(f"http://127.0.0.1:{address[1]}/{number}" for number in range(100)))
        ran = cli("-q", "list", "-c", 4, "--connect-timeout", 0.3, "--retries", 0)
    assert ran.status == 1
    counts = kinds(cli.records())
    assert set(counts) == {"timeout", "host_down"}
    assert FAILURES_UNTIL_OPEN <= counts["timeout"] < 20
    assert counts.total() == 100


# ---------------------------------------------------------------- fair over hosts


def test_one_hosts_long_run_of_lines_leaves_turns_to_the_others(cli: Command, farm: Farm) -> None:
    servers = farm(answer)
    first, second = servers.urls[:2]
    lines = [f"{first}/{number}" for number in range(600)]
    cli.write("list", *lines, *(f"{second}/{number}" for number in range(5)))
    ran = cli("-q", "list", "-c", 2)
    assert (ran.status, ran.err) == (0, "")
    assert_pages_are_stored(cli, 605)
    places = [at for at, one in enumerate(servers.requests) if one.address == "127.0.0.2"]
    assert len(places) == 5
    assert places[-1] < 300


def test_a_host_that_hangs_takes_no_more_slots_than_its_cap(cli: Command, farm: Farm) -> None:
    go = threading.Event()

    def handle(request: Request) -> Reply:
        delay = go if request.address == "127.0.0.1" else None
        return Reply(body=page(request.host, request.path), delay=delay)

    servers = farm(handle)
    slow, *quick = servers.urls[:3]
    lines = [f"{slow}/{number}" for number in range(20)]
    cli.write("list", *lines, *(f"{url}/{number}" for number in range(30) for url in quick))
    with cli.start("-q", "list", "-c", 4, "--per-host", 2) as process:
        servers.wait_until(lambda: servers.total == 62, WAIT_S)
        assert servers.in_flight_by_address["127.0.0.1"] == 2
        go.set()
        ran = end(process)
    assert (ran.status, ran.err) == (0, "")
    assert_pages_are_stored(cli, 80)
    assert max(servers.max_in_flight_by_address.values()) == 2
