"""Endpoints of S3: that ask to wait, whose clock is another, that have the bucket in their URL."""

import time
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler

import pytest

from scraper.sinks.s3.bucket_in_endpoint import without_bucket
from tests.clocks import wrong_clock
from tests.e2e.command import Command
from tests.e2e.places import Bucket, kinds
from tests.s3servers import CREDENTIALS, Asked, Front, Refusal, S3Server
from tests.servers import Reply, Request, Serve

WAIT_S = 2
CLIENTS = ["boto3", "curl"]


def is_page(asked: Asked) -> bool:
    return asked.operation == "PUT" and ".scraper" not in asked.path


@pytest.mark.parametrize("engine", ["threads", "curl"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_store_that_asks_to_wait_is_left_alone_for_so_long(
    client: str, engine: str, cli: Command, moto_server: S3Server, serve: Serve
) -> None:
    """No page is asked for meanwhile, since its body would have nowhere to go."""
    refused: list[float] = []
    begun: list[float] = []

    def fault(asked: Asked) -> Refusal | None:
        if is_page(asked) and not refused:
            refused.append(time.monotonic())
            return Refusal(503, "SlowDown", headers={"Retry-After": str(WAIT_S)})
        return None

    def page(request: Request) -> Reply:
        begun.append(time.monotonic())
        return Reply(body=request.path.encode())

    site = serve(page)
    urls = cli.write("list", *(f"{site.url}/{number}\t{number}" for number in range(6)))
    with Front(moto_server.url, fault) as front:
        place = Bucket(moto_server, moto_server.make_bucket(), front.url)
        words = [*place.words, "--s3-client", client, "--engine", engine, "-c", 1]
        ran = cli("-q", urls.name, *words, env=CREDENTIALS)
    assert (ran.status, ran.err) == (0, "")
    assert kinds(place.records()) == {"stored": 6}
    (at,) = refused
    early = [when - at for when in begun if 0 < when - at < WAIT_S - 0.1]
    assert early == []


def test_a_wait_that_is_too_long_is_deferred(
    cli: Command, moto_server: S3Server, serve: Serve
) -> None:
    def fault(asked: Asked) -> Refusal | None:
        refusal = Refusal(503, "SlowDown", headers={"Retry-After": "3600"})
        return refusal if is_page(asked) else None

    site = serve(lambda _: Reply(body=b"x"))
    with Front(moto_server.url, fault) as front:
        place = Bucket(moto_server, moto_server.make_bucket(), front.url)
        ran = cli("-q", f"{site.url}/a", *place.words, "--max-retry-after", 1, env=CREDENTIALS)
    assert ran.status == 1
    assert [one["status"] for one in place.records()] == ["deferred"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_clock_that_is_wrong_is_told_with_the_right_one(
    client: str, cli: Command, moto_server: S3Server, serve: Serve
) -> None:
    """Amazon takes 15 minutes for too much: before the first request, and in the middle."""
    site = serve(lambda _: Reply(body=b"x"))

    def fault(skewed: Callable[[Asked], bool]) -> Callable[[Asked], Refusal | None]:
        return lambda asked: Refusal(403, "RequestTimeTooSkewed") if skewed(asked) else None

    for skewed in (lambda _: True, is_page):
        with Front(moto_server.url, fault(skewed)) as front:
            place = Bucket(moto_server, moto_server.make_bucket(), front.url)
            words = [*place.words, "--s3-client", client]
            clock = wrong_clock("+3600s")
            ran = cli("-q", f"{site.url}/a", *words, env=CREDENTIALS | clock)
        assert ran.status == 3
        text = "RequestTimeTooSkewed: the clock here says "
        (line,) = [line for line in ran.errors if line.startswith("scraper: ")]
        ours, _, theirs = line.partition(text)[2].partition(", that of the endpoint ")
        apart = datetime.fromisoformat(ours) - datetime.fromisoformat(theirs)
        assert 3500 < apart.total_seconds() < 3700


@pytest.mark.each_value
@pytest.mark.parametrize("name", ["swift", "radosgw"])
def test_stores_that_look_at_the_clock_say_so(
    name: str, cli: Command, serve: Serve, request: pytest.FixtureRequest
) -> None:
    server: S3Server = request.getfixturevalue(f"{name}_server")
    site = serve(lambda _: Reply(body=b"x"))
    place = Bucket(server, server.make_bucket())
    ran = cli(f"{site.url}/a", *place.words, env={**place.environment, **wrong_clock("-3600s")})
    (line,) = ran.complaints
    assert ran.status == 3
    assert ": RequestTimeTooSkewed: the clock here says " in line
    assert site.total == 0


@pytest.mark.parametrize(
    ("endpoint", "meant"),
    [
        ("http://h:9000/b", "http://h:9000"),
        ("http://h:9000/s3/b/", "http://h:9000/s3"),
        ("https://b.s3.example.com", "https://s3.example.com"),
        ("https://s3.example.com", None),
        ("https://s3.example.com/ab", None),
        ("https://bb.example.com/s3", None),
    ],
)
def test_a_bucket_is_found_in_an_endpoint(endpoint: str, meant: str | None) -> None:
    assert without_bucket(endpoint, "b") == meant


@pytest.mark.parametrize("name", ["moto", "rclone", "swift", "radosgw"])
def test_a_bucket_in_the_path_of_the_endpoint_is_told_with_what_was_meant(
    name: str, cli: Command, serve: Serve, request: pytest.FixtureRequest
) -> None:
    server: S3Server = request.getfixturevalue(f"{name}_server")
    site = serve(lambda _: Reply(body=b"x"))
    bucket = server.make_bucket()
    place = Bucket(server, bucket, f"{server.url}/{bucket}")
    ran = cli(f"{site.url}/a", *place.words, env=place.environment)
    assert ran.status == 3
    said = f"the endpoint {server.url}/{bucket} has the bucket in it; without it: {server.url}"
    assert ran.errors == [f"scraper: can't use s3://{bucket}: {said}"]
    assert site.total == 0
    assert server.keys(bucket) == set()
    _, to, *options = place.words
    listed = cli(f"s3://{bucket}/urls.txt", "--to", "out", *options, env=place.environment)
    others = [
        cli(command, to, *options, env=place.environment)
        for command in ("status", "failed", "list", "verify")
    ]
    assert [ran.status for ran in (listed, *others)] == [2, 3, 3, 3, 3]
    for ran in (listed, *others):
        assert f"has the bucket in it; without it: {server.url}\n" in ran.err


def test_a_store_behind_a_path_with_the_name_of_the_bucket_is_used(
    cli: Command, moto_server: S3Server, serve: Serve
) -> None:
    site = serve(lambda _: Reply(body=b"x"))
    bucket = moto_server.make_bucket()

    class Behind(Front):
        """A proxy that serves the store below `/bucket`."""

        def carry(self, request: BaseHTTPRequestHandler) -> None:
            request.path = request.path.removeprefix(f"/{bucket}")
            super().carry(request)

    with Behind(moto_server.url, lambda _: None) as front:
        place = Bucket(moto_server, bucket, f"{front.url}/{bucket}")
        ran = cli("-q", f"{site.url}/a", *place.words, env=CREDENTIALS)
    assert (ran.status, ran.err) == (0, "")
    assert list(place.files().values()) == [b"x"]
