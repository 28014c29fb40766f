"""What is promised of a destination in gs:// or az://, asked of one server: the rows of a table.

As `promises.py` is for S3. Owns: this list.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

from scraper.model.errors import DestinationError, Held, SinkError
from scraper.model.records import Response
from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.cloud.sink import open_sink
from scraper.sinks.lease import LEASE_KEY, Lease, Patience
from scraper.sinks.objects.sink import ObjectSink
from scraper.sinks.objects.sizes import MIB, USUAL, Sizes
from scraper.testing import store
from tests.azurite import Azurite
from tests.e2e.command import Command
from tests.gcs import Gcs
from tests.proof.places import Bucket
from tests.proof.site import Hold, Site
from tests.proof.story import Moment, Story
from tests.s3servers import Asked, Front, Refusal
from tests.sinks.test_lease import foreign

Server = Gcs | Azurite
ROUNDS = 10
_SIZES = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
_IN_PARTS = Random(1).randbytes(11_000_000)
_KEYS = ("a b+c", "%2F/%C3%A9", "\u00e9/\u00df", "'()!*~=&", "x/\uff5e", "x/\U0001f600")


@contextmanager
def sink_in(
    server: Server, bucket: str, endpoint: str = "", sizes: Sizes = USUAL
) -> Iterator[ObjectSink]:
    """A sink that is checked, and closed in the end. Its variables stay."""
    os.environ.update(server.environment(endpoint))
    sink = open_sink(f"{server.scheme}://{bucket}/p", SinkOptions(), sizes)
    try:
        sink.check()
        yield sink
    finally:
        sink.close()


def _round_trip(server: Server) -> str:
    bucket = server.make_bucket()
    with sink_in(server, bucket, sizes=_SIZES) as sink:
        for key, body in (("nothing", b""), ("small", b"x"), ("parts", _IN_PARTS)):
            store(sink, key, body)
            assert server.read(bucket, f"p/{key}") == body
    return "yes"


def _conditions(server: Server) -> str:
    with sink_in(server, server.make_bucket()) as sink:
        first = sink.put_if("k", b"1", None)
        assert first
        held = [sink.put_if("k", b"2", None), sink.put_if("k", b"2", first)]
        held.append(sink.put_if("k", b"3", first))
    return " ".join("kept" if one else "refused" for one in held)


def _one_holder(server: Server) -> str:
    one = 0
    for _ in range(ROUNDS):
        barrier, bucket = threading.Barrier(3), server.make_bucket()

        def taken(sink: ObjectSink, barrier: threading.Barrier = barrier) -> Lease | None:
            barrier.wait()
            try:
                return Lease(sink, "b", lambda _: None)
            except Held:
                return None

        with (
            sink_in(server, bucket) as first,
            sink_in(server, bucket) as second,
            sink_in(server, bucket) as third,
            ThreadPoolExecutor(3) as pool,
        ):
            held = [lease for lease in pool.map(taken, (first, second, third)) if lease]
            one += len(held) == 1
            for lease in held:
                lease.release()
    return f"{one} of {ROUNDS}"


def _takeover(server: Server) -> str:
    with sink_in(server, server.make_bucket()) as sink:
        sink.put_if(LEASE_KEY, foreign(-3600), None)
        Lease(sink, "b", lambda _: None, patience=Patience(60), lease_s=3.0).release()
    return "yes"


def _facts(server: Server) -> str:
    bucket = server.make_bucket()
    url, digest = "http://h/" + "x" * 3_000, sha256(b"x").hexdigest()
    with sink_in(server, bucket) as sink:
        upload = sink.open("k")
        upload.write(b"x")
        response = Response(200, url, content_type="text/html; x=" + "v" * 6_900)
        upload.commit(Body(url, time.time(), 1, digest, response))
    told = server.headers(bucket, "p/k")
    return f"stored as {told['content-type']}, {len(told['sourceurl'])} bytes of it beside"


def _keys(server: Server) -> str:
    with sink_in(server, server.make_bucket()) as sink:
        for key in _KEYS:
            store(sink, key, key.encode())
        assert all(b"".join(sink.read(key)) == key.encode() for key in _KEYS)
        return "yes" if set(sink.keys()) == set(_KEYS) else "no"


def _many(server: Server) -> str:
    bucket = server.make_bucket()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: server.put(bucket, f"p/k{number}", b""), range(5_005)))
    with sink_in(server, bucket) as sink:
        found = len(set(sink.keys()))
    return "yes" if found == 5_005 else f"{found} are listed"


def _abort(server: Server) -> str:
    parts = []

    def fault(asked: Asked) -> Refusal | None:
        if "partNumber=" in asked.path or "comp=block&" in asked.path:
            parts.append(asked)
            return Refusal(500, "InternalError") if len(parts) == 2 else None
        return None

    bucket = server.make_bucket()
    with Front(server.url, fault) as front, sink_in(server, bucket, front.url, _SIZES) as sink:
        try:
            store(sink, "k", _IN_PARTS)
        except SinkError:
            assert server.keys(bucket) == set()
            left = server.unfinished(bucket)
            return "blocks that nobody sees" if left else "yes"
    raise AssertionError("it was stored")


def _damage(server: Server) -> str:
    def alter(asked: Asked, body: bytes) -> bytes:
        return b"Y" + body[1:] if asked.operation == "PUT" and asked.path.endswith("k") else body

    bucket = server.make_bucket()
    front = Front(server.url, lambda _: None, alter=alter)
    with front, sink_in(server, bucket, front.url) as sink:
        try:
            store(sink, "k", b"x" * 100)
        except SinkError:
            return "deleted, and put again"
    return "not over http; TLS guards the way"


def _denied(server: Server) -> str:
    bucket = server.make_bucket()
    environment = dict(os.environ)
    try:
        if isinstance(server, Azurite):
            os.environ.update({"AZURE_STORAGE_SAS_TOKEN": server.sas("rl")})
            os.environ.update({**server.environment(), "AZURE_STORAGE_KEY": ""})
        else:
            server.denied = {"storage.objects.create"}
            os.environ.update(server.environment())
        sink = open_sink(f"{server.scheme}://{bucket}/p", SinkOptions())
        sink.check()
    except DestinationError as error:
        return str(error).partition(": ")[2].partition(" is denied")[0] + " is named: 3"
    finally:
        os.environ.clear()
        os.environ.update(environment)
        if isinstance(server, Gcs):
            server.denied = set()
    raise AssertionError("it was not denied")


def _kill(server: Server) -> str:
    with tempfile.TemporaryDirectory() as directory, Site(12) as site:
        story = Story(site, Bucket(server, server.make_bucket()), Command(Path(directory)), "-c", 4)
        for number in (3, 8):
            story.killed(Moment("held", lambda seen: seen.site.held, Hold(number, "half")))
        story.ends()
    return "yes"


PROMISES: Mapping[str, Callable[[Server], str]] = {
    "bodies of 0, 1 and 11,000,000 bytes (in parts) come back": _round_trip,
    "a put on the condition that there is none, that it is the same, that it was an earlier one": (
        _conditions
    ),
    "of three runs that begin at once one holds the destination": _one_holder,
    "the lease of a dead run is taken over": _takeover,
    "a URL of 3,000 and a Content-Type of 6,900 characters": _facts,
    "odd keys come back, and are listed": _keys,
    "a list of 5,005 keys is whole": _many,
    "an upload in parts that fails leaves nothing": _abort,
    "bytes that are damaged on the way": _damage,
    "without the permission to write": _denied,
    "kill -9, twice, and gone on with": _kill,
}
