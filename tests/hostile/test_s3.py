"""A strict S3 (Swift's): who may not write is told so, and no damaged byte is ever `stored`."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from random import Random

import pytest

from scraper.model.errors import SinkError
from scraper.sinks.lease import LEASE_KEY, Lease
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.e2e.command import WAIT_S, Command, lines
from tests.machine import patiently
from tests.proof.places import Bucket
from tests.proof.site import HUGE, Hold, Site
from tests.proof.story import Story
from tests.s3servers import Asked, Front
from tests.servers import Serve
from tests.swift import Swift

SMALL_PARTS = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
IN_PARTS = Random(1).randbytes(11_000_000)  # three parts
REFUSED = "can't use s3://{}: SignatureDoesNotMatch: "


@pytest.fixture
def place(swift_server: Swift) -> Bucket:
    return Bucket(swift_server, swift_server.make_bucket())


@pytest.fixture
def _credentials(swift_server: Swift, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in swift_server.credentials.items():
        monkeypatch.setenv(name, value)


def passes(asked: Asked) -> None:
    """Nothing is broken."""


# ---------------------------------------------------------------- who may write


@pytest.mark.parametrize(
    "wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "test:nobody"}]
)
def test_a_wrong_secret_or_an_unknown_key_is_said_before_anything_is_asked_for(
    wrong: Mapping[str, str], s3_client: str, place: Bucket, cli: Command, serve: Serve
) -> None:
    server = serve({"/a": b"a"})
    words = ["-", *place.words, "--s3-client", s3_client]
    ran = cli(*words, stdin=lines(f"{server.url}/a"), env={**place.environment, **wrong})
    assert ran.status == 3
    (said,) = ran.errors
    assert said.startswith("scraper: " + REFUSED.format(place.bucket))
    assert not any(value in ran.err for value in wrong.values())
    assert server.total == 0
    assert place.all() == []


# ---------------------------------------------------------------- damaged on the way


class Damage:
    """Flips a bit of what is put under a key that holds `word`, at the first `times` of them."""

    def __init__(self, word: str, times: int) -> None:
        self.done = 0
        self._word = word
        self._times = times
        self._lock = threading.Lock()

    def __call__(self, asked: Asked, body: bytes) -> bytes:
        if self._word not in asked.path or not asked.operation.startswith("PUT") or not body:
            return body
        with self._lock:
            if self.done >= self._times:
                return body
            self.done += 1
        return bytes([body[0] ^ 1]) + body[1:]


@pytest.fixture
def site() -> Iterator[Site]:
    """Small pages, and one that is put from a file."""
    with Site(6, range(1, 70_000)) as made:
        made.paths.append("/p/77")
        assert len(made.body("/p/77")) == HUGE
        made.fails = False
        yield made


def test_bytes_that_are_damaged_on_the_way_are_put_again(
    s3_client: str, place: Bucket, site: Site, cli: Command, swift_server: Swift
) -> None:
    damage = Damage("/pages/a", len(site.paths))
    with Front(swift_server.url, passes, alter=damage) as front:
        through = Bucket(swift_server, place.bucket, front.url)
        story = Story(site, through, cli, "-c", 1, "--s3-client", s3_client, "-v")
        ran = story.ends("--retries", 20)
    assert damage.done == len(site.paths)
    retries = [line for line in ran.errors if line.startswith("retry ")]
    assert len(retries) == damage.done
    assert all("kind=sink" in line for line in retries)
    assert all("BadDigest" in line or "XAmzContentSHA256Mismatch" in line for line in retries)


def test_bytes_that_are_damaged_every_time_are_never_stored(
    s3_client: str, place: Bucket, cli: Command, serve: Serve, swift_server: Swift
) -> None:
    server = serve({"/good": b"good", "/damaged": b"bad"})
    damage = Damage("/pages/damaged", 1_000)
    words = ["-", "--retries", 1, "--s3-client", s3_client]
    given = f"{server.url}/good\tgood\n{server.url}/damaged\tdamaged\n"
    with Front(swift_server.url, passes, alter=damage) as front:
        through = Bucket(swift_server, place.bucket, front.url)
        ran = cli(*words, *through.words, stdin=given, env=place.environment)
    assert ran.status == 1
    assert damage.done == 2
    assert place.files() == {"good": b"good"}
    records = {record["key"]: record for record in place.records()}
    assert records["good"]["status"] == "stored"
    assert (records["damaged"]["status"], records["damaged"]["attempts"]) == ("failed", 2)
    assert records["damaged"]["error"]["kind"] == "sink"


@pytest.mark.usefixtures("_credentials")
def test_a_part_that_is_damaged_on_the_way_makes_no_object(
    place: Bucket, swift_server: Swift
) -> None:
    damage = Damage("partNumber=2", 1)
    with Front(swift_server.url, passes, alter=damage) as front:
        sink = S3Sink(place.bucket, "pages", front.options(), SMALL_PARTS)
        with closing(sink):
            sink.check()
            with pytest.raises(SinkError) as caught:
                store(sink, "k", IN_PARTS)
            assert caught.value.transient
            assert place.files() == {}
            assert swift_server.unfinished(place.bucket) == []
            store(sink, "k", IN_PARTS)
    assert place.files() == {"k": IN_PARTS}


# ---------------------------------------------------------------- away, and back


def test_an_outage_is_waited_for_and_costs_no_target(
    s3_client: str, place: Bucket, site: Site, cli: Command, swift_server: Swift
) -> None:
    story = Story(site, place, cli, "-c", 2, "--s3-client", s3_client, "-v")
    site.hold = Hold(3, "half")
    with story.running("--max-failures", 1) as seen:
        site.wait_until(lambda: site.held or seen.ended, WAIT_S)
        with swift_server.without_objects():
            site.release()
            site.wait_until(lambda: seen.ended or seen.said_any(b" kind=sink "), WAIT_S)
        seen.process.wait(WAIT_S)
    ran = story.ended(seen)
    assert ran.status == 0, ran.err
    assert "ServiceUnavailable" in ran.err
    story.ends()


# ---------------------------------------------------------------- held, where If-Match is not known


@pytest.mark.usefixtures("_credentials")
def test_a_lease_is_renewed_and_taken_over_where_if_match_is_not_known(
    place: Bucket, swift_server: Swift
) -> None:
    def losses(times: int) -> list[str]:
        with closing(S3Sink(place.bucket, "pages", swift_server.options())) as sink:
            sink.check()
            sink.remove(LEASE_KEY)
            sink.put_if(LEASE_KEY, b'{"run": "dead", "until": 1.0}', None)
            lost: list[str] = []
            lease = Lease(sink, "s3://b/p", lost.append, lease_s=0.4 * times)
            first = place.read(LEASE_KEY)
            while place.read(LEASE_KEY) == first and not lost:
                pass
            lease.release()
            return lost

    assert patiently(losses, lambda lost: not lost) == []
    assert place.all() == []
