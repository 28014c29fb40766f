"""Whichever request to S3 fails: no lie in the manifest, no part of an object, nothing left over.

The k-th request is not answered, or carried out and not answered, or refused; then the next
run makes all good. PROOF_CALLS=1 tries each fault at each k, of runs and with each client.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from random import Random

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.e2e.command import WAIT_S, Command
from tests.machine import patiently
from tests.proof.places import Bucket
from tests.proof.site import Site
from tests.proof.story import Story
from tests.s3servers import CUT, LOST, Asked, Front, S3Server

SMALL_PARTS = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
IN_PARTS = Random(1).randbytes(11_000_000)  # three parts
FAULTS = {
    "cut": (CUT, ""),
    "lost": (LOST, ""),
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "403": (403, "AccessDenied"),
    "expired": (400, "ExpiredToken"),
}
LEAST, MOST = 13, 15  # requests of a run over four pages; a slow one records twice
CLIENTS = ["boto3", "curl"]
FEW = [  # each request once, by turns with each fault
    (k, [*FAULTS][k % len(FAULTS)], CLIENTS[k // len(FAULTS) % len(CLIENTS)])
    for k in range(1, MOST + 1)
]
EACH = [(k, fault, client) for k in range(1, MOST + 1) for fault in FAULTS for client in CLIENTS]


class Once:
    """A fault for the `number`-th request from now on; `met` is that request."""

    def __init__(self, number: int, answer: tuple[int, str]) -> None:
        self.met: Asked | None = None
        self.over = False
        self._left = number
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> tuple[int, str] | None:
        with self._lock:
            self._left -= 1
            if self._left or self.over:
                return None
        self.met = asked
        return self._answer


@pytest.fixture
def site() -> Iterator[Site]:
    """Four small pages."""
    with Site(4, range(1, 70_000)) as made:
        made.fails = False
        yield made


@pytest.mark.parametrize(
    "struck",
    EACH if os.environ.get("PROOF_CALLS") else FEW,
    ids=lambda one: "-".join(map(str, one)),
)
def test_whichever_request_of_a_run_fails_no_record_lies_and_the_next_run_goes_on(
    struck: tuple[int, str, str], site: Site, cli: Command, moto_server: S3Server
) -> None:
    k, fault, client = struck
    once = Once(k, FAULTS[fault])
    with Front(moto_server.url, once) as front:
        place = Bucket(moto_server, moto_server.make_bucket(), front.url)
        story = Story(site, place, cli, "-c", 1, "--s3-client", client)
        with story.running("--max-failures", 1) as seen:
            seen.process.wait(WAIT_S)
        ran = story.ended(seen)
        assert ran.status in {0, 3}, ran.err
        said = [line for line in ran.errors if line.startswith("scraper: ")]
        assert len(said) == (ran.status == 3)
        if ran.status == 0:
            assert story.done == set(site.paths)
        assert once.met is not None or k > LEAST
        once.over = True
        story.ends()


# ---------------------------------------------------------------- one object in parts


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("fault", FAULTS)
def test_whichever_request_of_a_body_in_parts_fails_there_is_no_part_of_it(
    fault: str, moto_server: S3Server
) -> None:
    bucket = moto_server.make_bucket()
    once = Once(0, FAULTS[fault])

    def fails(asked: Asked) -> tuple[int, str] | None:
        return once(asked)

    with (
        Front(moto_server.url, fails) as front,
        closing(S3Sink(bucket, "", front.options(), SMALL_PARTS)) as sink,
    ):
        sink.check()
        for k in count(1):
            once = Once(k, FAULTS[fault])
            error = None
            try:
                store(sink, f"k{k}", IN_PARTS)
            except (SinkError, DestinationError) as raised:
                error = raised
            if once.met is None:
                assert error is None
                break
            assert error is not None, once.met.operation
            found = moto_server.read(bucket, f"k{k}")
            done = (once.met.operation, fault) == ("POST complete", "lost")
            assert found == (IN_PARTS if done else None)
            begun = (once.met.operation, fault) == ("POST begin", "lost")  # nobody knows its number
            assert moto_server.unfinished(bucket) == [f"k{k}"] * begun
            for left in moto_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                moto_server.client.abort_multipart_upload(
                    Bucket=bucket, Key=left["Key"], UploadId=left["UploadId"]
                )
            store(sink, f"k{k}", IN_PARTS)
            assert moto_server.read(bucket, f"k{k}") == IN_PARTS
    assert k == 6  # begin, three parts, complete


# ---------------------------------------------------------------- no answer at all


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("content", [b"small", IN_PARTS], ids=["small", "in parts"])
def test_a_request_that_is_never_answered_is_a_failure_that_may_pass(
    content: bytes, s3_client: str, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial(times: int) -> bool:
        """Whether all that was answered came in time."""
        monkeypatch.setattr(s3errors, "READ_TIMEOUT_S", times)
        bucket, over, waits = moto_server.make_bucket(), threading.Event(), threading.Event()

        def hangs(asked: Asked) -> tuple[int, str] | None:
            if not waits.is_set() or asked.operation.startswith(("DELETE", "POST")):
                return None
            over.wait(WAIT_S)
            return CUT, ""

        with (
            Front(moto_server.url, hangs) as front,
            closing(S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)) as sink,
        ):
            try:
                sink.check()
            except DestinationError:
                return False
            waits.set()
            with pytest.raises(SinkError, match="no answer") as caught:
                store(sink, "k", content)
            waits.clear()
            over.set()
            assert caught.value.transient
            assert moto_server.keys(bucket) == set()
            assert moto_server.unfinished(bucket) == []
            try:
                store(sink, "k", content)
            except SinkError:
                return False
        assert moto_server.read(bucket, "k") == content
        return True

    assert patiently(trial, bool)
