"""What is promised of a destination in S3, asked of one server: the rows of the table.

Each promise is a function of a server. It returns what was seen, in a few words, and raises what a
test would raise. They are made of what the tests use. Owns: this list. Does not know: how a server
is started (`servers.py`), how the table is written (`__main__.py`).
"""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

from botocore.exceptions import ClientError

from scraper.model.errors import DestinationError, Held, SinkError
from scraper.model.records import Response
from scraper.sinks.base import Body
from scraper.sinks.lease import LEASE_KEY, Lease, Patience
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.e2e.command import Command
from tests.proof.places import Bucket
from tests.proof.site import Hold, Site
from tests.proof.story import Moment, Story
from tests.s3servers import Asked, Front, Refusal, S3Server
from tests.sinks.test_lease import foreign

ROUNDS = 10
_SIZES = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
_IN_PARTS = Random(1).randbytes(11_000_000)
_KEYS = ("a b+c", "%2F/%C3%A9", "\u00e9/\u00df", "'()!*~=&", "x/\uff5e", "x/\U0001f600")
_MANY = 1_005


def _sink(server: S3Server | Front, bucket: str, **s3: object) -> S3Sink:
    sink = S3Sink(bucket, "p", server.options(**s3), _SIZES)
    sink.check()
    return sink


def _fetched(sink: S3Sink, key: str, url: str, content_type: str) -> None:
    upload = sink.open(key)
    upload.write(b"x")
    response = Response(200, url, content_type=content_type)
    upload.commit(Body(url, time.time(), 1, sha256(b"x").hexdigest(), response))


def _round_trip(server: S3Server) -> str:
    bucket = server.make_bucket()
    with closing(_sink(server, bucket)) as sink:
        for key, body in (("nothing", b""), ("small", b"x"), ("parts", _IN_PARTS)):
            store(sink, key, body)
            assert server.read(bucket, f"p/{key}") == body
    return "yes"


def _conditions(server: S3Server) -> str:
    bucket = server.make_bucket()
    etag = server.client.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]

    def status(**condition: str) -> int:
        try:
            made = server.client.put_object(Bucket=bucket, Key="k", Body=b"1", **condition)  # type: ignore[arg-type]
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]
        return made["ResponseMetadata"]["HTTPStatusCode"]

    found = (status(IfNoneMatch="*"), status(IfMatch='"0"'), status(IfMatch=etag))
    return " ".join(map(str, found))


def _one_holder(server: S3Server) -> str:
    one = 0
    for _ in range(ROUNDS):
        bucket = server.make_bucket()
        sinks = [_sink(server, bucket) for _ in range(3)]
        barrier = threading.Barrier(len(sinks))
        with ThreadPoolExecutor(len(sinks)) as pool:
            held = [lease for lease in pool.map(partial(_taken, barrier), sinks) if lease]
        one += len(held) == 1
        for lease in held:
            lease.release()
        for sink in sinks:
            sink.close()
    return f"{one} of {ROUNDS}"


def _taken(barrier: threading.Barrier, sink: S3Sink) -> Lease | None:
    barrier.wait()
    try:
        return Lease(sink, "s3://b/p", lambda _: None)
    except Held:
        return None


def _takeover(server: S3Server) -> str:
    with closing(_sink(server, server.make_bucket())) as sink:
        sink.put_if(LEASE_KEY, foreign(-3600), None)
        Lease(sink, "s3://b/p", lambda _: None, patience=Patience(60), lease_s=3.0).release()
    return "yes"


def _long_url(server: S3Server) -> str:
    bucket = server.make_bucket()
    with closing(_sink(server, bucket)) as sink:
        _fetched(sink, "k", "http://h/" + "x" * 3_000, "text/plain")
    told = server.client.head_object(Bucket=bucket, Key="p/k")["Metadata"]
    return f"stored, {len(told.get('sourceurl', ''))} bytes of it beside"


def _long_type(server: S3Server) -> str:
    bucket = server.make_bucket()
    with closing(_sink(server, bucket)) as sink:
        _fetched(sink, "k", "http://h/", "text/html; x=" + "v" * 6_900)
    return f"stored as {server.client.head_object(Bucket=bucket, Key='p/k')['ContentType']}"


def _keys(server: S3Server) -> str:
    with closing(_sink(server, server.make_bucket())) as sink:
        for key in _KEYS:
            store(sink, key, key.encode())
        assert {key: b"".join(sink.read(key)) for key in _KEYS} == {k: k.encode() for k in _KEYS}
        listed = set(sink.keys())
        return "yes" if listed == set(_KEYS) else f"{len(listed & set(_KEYS))} of {len(_KEYS)}"


def _many(server: S3Server) -> str:
    with closing(_sink(server, server.make_bucket())) as sink:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: store(sink, f"k{number}", b""), range(_MANY)))
        try:
            listed = set(sink.keys())
        except SinkError as error:  # an error that is told is no list that is short
            return f"no: {error.message.partition(': ')[2].partition(':')[0]}"
        return "yes" if len(listed) == _MANY else f"{len(listed)} are listed"


def _abort(server: S3Server) -> str:
    def fault(asked: Asked) -> Refusal | None:
        fails = asked.operation == "PUT part" and asked.number == 2
        return Refusal(500, "InternalError") if fails else None

    bucket = server.make_bucket()
    with Front(server.url, fault) as front, closing(_sink(front, bucket)) as sink:
        try:
            store(sink, "k", _IN_PARTS)
        except SinkError:
            assert server.keys(bucket) == set()
            if server.unfinished(bucket):
                return "parts stay"
            try:
                server.client.list_multipart_uploads(Bucket=bucket)
            except server.client.exceptions.NoSuchUpload:  # rclone has none
                return "yes"
            except ClientError:
                return "the server does not tell"
            return "yes"
    raise AssertionError("it was stored")


def _asked_for(server: S3Server, **s3: object) -> str:
    sink = S3Sink(server.make_bucket(), "p", server.options(**s3))
    try:
        sink.check()
    except DestinationError as error:
        return "not confirmed: 3" if "does not confirm" in str(error) else "refused: 3"
    finally:
        sink.close()
    return "confirmed"


def _retry_after(server: S3Server) -> str:
    def fault(asked: Asked) -> Refusal | None:
        page = asked.operation == "PUT" and asked.path.endswith("/k")
        return Refusal(503, "SlowDown", headers={"Retry-After": "7"}) if page else None

    with Front(server.url, fault) as front, closing(_sink(front, server.make_bucket())) as sink:
        try:
            store(sink, "k", b"x")
        except SinkError as error:
            return f"{error.retry_after_s:g} s" if error.retry_after_s else "not heard"
    raise AssertionError("it was stored")


def _kill(server: S3Server) -> str:
    with tempfile.TemporaryDirectory() as directory, Site(12) as site:
        story = Story(site, Bucket(server, server.make_bucket()), Command(Path(directory)), "-c", 4)
        for number in (3, 8):
            story.killed(Moment("held", lambda seen: seen.site.held, Hold(number, "half")))
        story.ends()
    return "yes"


def _facts(server: S3Server) -> str:
    bucket = server.make_bucket()
    server.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    found = server.client.get_object(Bucket=bucket, Key="k")
    return ", ".join(name for name in ("ETag", "LastModified") if name in found)


PROMISES: Mapping[str, Callable[[S3Server], str]] = {
    "bodies of 0, 1 and 11,000,000 bytes (in parts) come back": _round_trip,
    "answers to If-None-Match on what is there, If-Match wrong, If-Match right": _conditions,
    "of three runs that begin at once one holds the destination": _one_holder,
    "the lease of a dead run is taken over": _takeover,
    "a URL of 3,000 characters": _long_url,
    "a Content-Type of 6,900 characters": _long_type,
    "odd keys come back, and are listed": _keys,
    "a list of 1,005 keys is whole": _many,
    "an upload in parts that fails leaves nothing": _abort,
    "--s3-sse AES256": partial(_asked_for, sse="AES256"),
    "--s3-storage-class STANDARD_IA": partial(_asked_for, storage_class="STANDARD_IA"),
    "Retry-After: 7 of a 503 is heard": _retry_after,
    "kill -9, twice, and gone on with": _kill,
    "an answer to GET has": _facts,
}
