"""Hosts with several addresses, one of which swallows packets or refuses: both engines."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from scraper.model.happy_eyeballs import connect, in_turns
from scraper.sinks.s3.addresses import race_addresses
from tests.run.test_loop import fetch
from tests.servers import HttpServer, closed_port, free_port

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])
V4, V6 = socket.AF_INET, socket.AF_INET6
Answer = list[tuple[Any, ...]]


def swallows(stack: ExitStack, family: socket.AddressFamily, host: str, port: int) -> None:
    """Let connections to `host` time out: its queue is full, and the kernel drops what comes."""
    full = stack.enter_context(socket.socket(family))
    full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        full.bind((host, port))
    except OSError as error:
        pytest.skip(f"{host} is no address here: {error}")
    full.listen(0)
    for _ in range(4):
        caller = stack.enter_context(socket.socket(family))
        caller.setblocking(False)
        caller.connect_ex((host, port))


@pytest.fixture
def dead_first(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """A name with a dead address first, of IPv6 or IPv4, then one with a server; its URL."""
    with ExitStack() as stack:

        def make(dead: str) -> str:
            port = free_port()
            server = stack.enter_context(HttpServer({"/": b"a page"}, port=port))
            family = V6 if ":" in dead else V4
            swallows(stack, family, dead, port)
            real = socket.getaddrinfo

            def both(host: Any, *args: Any, **options: Any) -> Answer:
                if host != "two.test":
                    return real(host, *args, **options)
                tail = (0, 0) if family == V6 else ()
                first = (family, socket.SOCK_STREAM, 6, "", (dead, port, *tail))
                return [first, (V4, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

            monkeypatch.setattr(socket, "getaddrinfo", both)
            return f"http://two.test:{port}/"

        yield make


@ENGINES
@pytest.mark.parametrize("dead", ["::1", "127.0.0.7"])
def test_a_dead_address_costs_a_fraction_of_the_time_out(
    engine: str, dead: str, dead_first: Callable[[str], str], tmp_path: Path
) -> None:
    (result,) = fetch([dead_first(dead)], tmp_path, engine=engine, connect_timeout=60, retries=0)
    assert result.ok, result
    assert result.times.connect is not None
    assert 0.1 < result.times.connect < 30.0, "a quarter of a second, and not the whole time-out"


def test_an_endpoint_of_s3_with_a_dead_address_does_too(
    dead_first: Callable[[str], str], tmp_path: Path
) -> None:
    """The name's second address has the server; the whole time-out would be ten seconds."""
    url = dead_first("::1").removesuffix("/")
    client = boto3.client(
        "s3", "us-east-1", endpoint_url=url, aws_access_key_id="k", aws_secret_access_key="s",
        config=Config(connect_timeout=60, retries={"total_max_attempts": 1}),
    )  # fmt: skip
    race_addresses(client)
    begun = time.monotonic()
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket="bucket")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert time.monotonic() - begun < 30.0, "a quarter of a second, and not the whole time-out"
    client.close()


def test_errors_of_its_connections_are_those_that_botocore_knows(tmp_path: Path) -> None:
    for host, error in (
        (f"127.0.0.1:{closed_port()}", EndpointConnectionError),
        ("no.such.host.invalid:80", EndpointConnectionError),
    ):
        client = boto3.client(
            "s3", "us-east-1", endpoint_url=f"http://{host}", aws_access_key_id="k",
            aws_secret_access_key="s", config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        race_addresses(client)
        with pytest.raises(error):
            client.list_objects_v2(Bucket="bucket")
        client.close()


def test_one_that_refuses_costs_nothing() -> None:
    with HttpServer({}) as server:
        addresses = [
            (V4, ("127.0.0.1", closed_port())),
            (V4, ("127.0.0.1", closed_port())),
            (V4, ("127.0.0.1", server.port)),
        ]
        with connect(addresses, 60.0, ()) as sock:
            assert sock.getpeername() == ("127.0.0.1", server.port)
            assert sock.gettimeout() == 60.0


def test_if_all_refuse_that_is_said() -> None:
    addresses = [(V4, ("127.0.0.1", closed_port())) for _ in range(3)]
    with pytest.raises(ConnectionRefusedError):
        connect(addresses, 60.0, ())
    with pytest.raises(ConnectionRefusedError):
        connect(addresses[:1], 60.0, ())


def test_if_none_answers_the_time_is_over() -> None:
    with ExitStack() as stack:
        port = free_port("127.0.0.8")
        for host in ("127.0.0.8", "127.0.0.9"):
            swallows(stack, V4, host, port)
        addresses = [(V4, (host, port)) for host in ("127.0.0.8", "127.0.0.9")]
        with pytest.raises(TimeoutError):
            connect(addresses, 0.5, ())
        with pytest.raises(TimeoutError):
            connect(addresses[:1], 0.1, ())


def test_families_take_turns_and_the_systems_first_stays_first() -> None:
    found = in_turns([(V6, 1), (V6, 2), (V6, 3), (V4, 4), (V4, 5)])
    assert found == [(V6, 1), (V4, 4), (V6, 2), (V4, 5), (V6, 3)]
    assert in_turns([(V4, 1), (V6, 2)]) == [(V4, 1), (V6, 2)]
