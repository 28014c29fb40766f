"""Every 2xx: whose body is the object, and which of them leave an earlier object as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import scraper
from scraper.model.records import Result
from tests.run.test_loop import QUICK
from tests.servers import HttpServer, Reply, Request, Serve

if TYPE_CHECKING:
    from tests.s3servers import S3Server

BRINGS = [200, 201, 203, 214, 218, 250, 299]  # an unknown 2xx is as a 200 (RFC 9110 15)
BRINGS_NOTHING = {202: 2, 204: 1, 205: 1, 206: 1, 207: 1, 208: 1, 226: 1}  # and the attempts
UNASKED = {206, 226}


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUICK, "engine", request.param)


class Place:
    """A destination, and what lies in it."""

    def __init__(self, to: str, read: Callable[[str], bytes | None], **options: Any) -> None:
        self._read = read
        self._options = {"to": to, **QUICK, "retries": 1, **options}

    def run(self, *lines: str, **options: Any) -> dict[str, Result]:
        """One run, by the last part of each URL."""
        results = scraper.run(lines, **{**self._options, **options})
        return {result.url.rpartition("/")[2]: result for result in results}

    def read(self, result: Result) -> bytes | None:
        return self._read(result.key)


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request, tmp_path)


def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The destination of the fixture's parameter."""
    if request.param == "directory":

        def read(key: str) -> bytes | None:
            return (tmp_path / key).read_bytes() if (tmp_path / key).exists() else None

        return Place(str(tmp_path), read)
    request.getfixturevalue("aws")
    server: S3Server = request.getfixturevalue("moto_server")
    bucket = server.make_bucket()
    return Place(
        f"s3://{bucket}/p", lambda key: server.read(bucket, f"p/{key}"), s3_endpoint=server.url
    )


class Site:
    """`/N`: `good` at first; later the status N, with a body where it may have one."""

    def __init__(self, serve: Serve) -> None:
        self.server: HttpServer = serve(self.answer)
        self.later = False

    def answer(self, request: Request) -> Reply:
        if not self.later:
            return Reply(body=b"good")
        status = int(request.path[1:])
        body = b"" if status in {204, 205} else b"other"
        return Reply(status, {"ETag": '"other"'}, body)

    def lines(self, *statuses: int) -> list[str]:
        return [f"{self.server.url}/{status}" for status in statuses]


@pytest.fixture
def site(serve: Serve) -> Site:
    return Site(serve)


def test_every_2xx_that_brings_no_object_leaves_the_one_that_is_there(
    site: Site, place: Place
) -> None:
    lines = site.lines(*BRINGS, *BRINGS_NOTHING)
    assert {one.status for one in place.run(*lines).values()} == {"stored"}
    site.later = True
    results = place.run(*lines)
    for status in BRINGS:
        assert results[str(status)].status == "stored"
        result = results[str(status)]
        assert result.response is not None
        assert result.response.http_code == status
        assert place.read(result) == b"other"
    for status, attempts in BRINGS_NOTHING.items():
        result = results[str(status)]
        assert result.status == "failed", result
        assert result.error is not None
        assert result.error.kind == ("protocol" if status in UNASKED else "http_status")
        assert result.error.http_code == status
        assert str(status) in result.error.message
        assert result.attempts == attempts
        assert place.read(result) == b"good"


def test_what_the_user_asked_for_is_stored(site: Site, place: Place) -> None:
    site.later = True
    results = place.run(*site.lines(206, 226), headers=["Range: bytes=0-4", "A-IM: feed"])
    assert {place.read(one) for one in results.values()} == {b"other"}


def test_what_is_not_ready_yet_is_asked_for_again_until_it_is(serve: Serve, place: Place) -> None:
    replies = iter([Reply(202, {"Retry-After": "0"}, b"wait"), Reply(202), Reply(body=b"done")])
    server = serve(lambda _: next(replies))
    (result,) = place.run(f"{server.url}/202", retries=2).values()
    assert (result.status, result.attempts) == ("stored", 3)
    assert place.read(result) == b"done"


def test_who_asks_for_more_patience_than_there_is_is_deferred(serve: Serve, place: Place) -> None:
    server = serve({"/202": Reply(202, {"Retry-After": "4000"}, b"wait")})
    (result,) = place.run(f"{server.url}/202").values()
    assert result.status == "deferred"
    assert place.read(result) is None
