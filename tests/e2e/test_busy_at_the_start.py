"""Destinations that are busy when a run begins: what may pass is asked again, as for a body."""

import re
import socket
import threading
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from tests.e2e.command import Command
from tests.e2e.places import SLOW_CLOUDS, Bucket
from tests.s3servers import Asked, Front, Refusal
from tests.servers import Reply, Request, Serve

BUSY = Refusal(503, "SlowDown", "Please reduce your request rate.")


class BusyAtFirst:
    """Answers 503 to whatever is asked for the first time."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str, str]] = set()

    def __call__(self, asked: Asked) -> Refusal | None:
        path, _, query = unquote(asked.path).partition("?")
        listed = "".join(re.findall("prefix=[^&]*", query))
        what = asked.operation, re.sub(r"/mutex/[^/]+$", "/mutex/", path), listed
        if what in self.asked:
            return None
        self.asked.add(what)
        return BUSY


def page(request: Request) -> Reply:
    return Reply(200, {}, request.path.encode())


@pytest.fixture(params=["moto", *SLOW_CLOUDS])
def place(request: pytest.FixtureRequest) -> Bucket:
    server = request.getfixturevalue(f"{request.param}_server")
    return Bucket(server, server.make_bucket())


def test_each_first_request_to_a_store_may_fail(place: Bucket, cli: Command, serve: Serve) -> None:
    """The probe, the lease, the lists, the manifest, a body."""
    site = serve(page)
    assert cli(*place.words, f"{site.url}/0", env=place.environment).status == 0
    with Front(place.server.url, BusyAtFirst()) as front:
        there = Bucket(place.server, place.bucket, front.url)
        urls = [f"{site.url}/{number}" for number in range(2)]
        ran = cli(*there.words, "--resume", *urls, env=there.environment)
        puts = {asked.headers.get("user-agent", "") for asked in front.asked}
    assert ran.status == 0, ran.err
    assert f"waiting for {place.words[1]}" in ran.err
    assert len(place.files()) == 2
    assert not any("boto" in agent.lower() for agent in puts)  # one 503 changes no client
    with Front(place.server.url, lambda _: BUSY) as front:
        there = Bucket(place.server, place.bucket, front.url)
        ran = cli(*there.words, "--retries", 1, "-q", *urls, env=there.environment)
        assert (ran.status, len(ran.complaints)) == (3, 1), ran.err
        assert front.count("PUT") == 2


def of_pages(asked: Asked) -> Refusal | None:
    return BUSY if "/127.0.0.1" in unquote(asked.path) else None


def test_verify_reads_again_what_was_refused_for_a_moment(
    place: Bucket, cli: Command, serve: Serve
) -> None:
    site = serve(page)
    urls = [f"{site.url}/{number}" for number in range(3)]
    assert cli(*place.words, *urls, env=place.environment).status == 0
    with Front(place.server.url, BusyAtFirst()) as front:
        there = Bucket(place.server, place.bucket, front.url)
        ran = cli("verify", *there.words[1:], env=there.environment)
    assert (ran.status, "3 whole" in ran.out + ran.err) == (0, True), ran.err
    with Front(place.server.url, of_pages) as front:
        there = Bucket(place.server, place.bucket, front.url)
        ran = cli("verify", *there.words[1:], "-c", 1, env=there.environment)
    assert (ran.status, ran.out.count("unreadable\t")) == (1, 3), ran.err
    assert front.count("HEAD") == 4 + 1 + 1  # it is not waited for with each object anew


def test_a_webdav_server_that_is_busy_is_asked_again(cli: Command, serve: Serve) -> None:
    asked: list[str] = []

    def busy(request: Request) -> Reply:
        asked.append(request.path)
        return Reply(503)

    there = serve(busy)
    to = there.url.replace("http:", "webdav:")
    times = []
    for retries in (0, 1):
        asked.clear()
        ran = cli("--to", f"{to}/x", "-q", "--retries", retries, "http://127.0.0.1:9/")
        assert (ran.status, len(ran.complaints)) == (3, 1), ran.err
        assert "503" in ran.err
        times.append(len(asked))
    assert times[1] == 2 * times[0]


@pytest.fixture
def crowded(request: pytest.FixtureRequest) -> Iterator[tuple[int, list[int]]]:
    """A server that has no room, and may say so; its port, and an item for each connection."""
    taken: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    taken.append(1)
                    connection.sendall(request.param)

        threading.Thread(target=answer, daemon=True).start()
        yield listening.getsockname()[1], taken
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("scheme", "crowded"),
    [
        ("ftp", b"421 Too many users are connected.\r\n"),
        ("sftp", b""),
        ("sftp", b"Not allowed at this time\r\n"),  # OpenSSH beyond its MaxStartups
        ("smb", b""),
    ],
    indirect=["crowded"],
)
def test_a_file_server_without_room_is_asked_again(
    scheme: str, cli: Command, crowded: tuple[int, list[int]]
) -> None:
    port, taken = crowded
    to = f"{scheme}://me@127.0.0.1:{port}/x/y"
    environment = {"SCRAPER_TO_PASSWORD": "secret"}
    ran = cli("--to", to, "-q", "--retries", 1, "http://127.0.0.1:9/", env=environment)
    assert (ran.status, len(ran.complaints), len(taken)) == (3, 1, 2), ran.err


def test_nobody_at_an_address_is_told_at_once(cli: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    words = ["--to", "s3://bucket/x", "--s3-endpoint", f"http://127.0.0.1:{port}"]
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    ran = cli(*words, "http://127.0.0.1:9/", env=environment)
    assert (ran.status, len(ran.complaints)) == (3, 1), ran.err
    assert "waiting for" not in ran.err
