"""The lock: one run at a time holds a destination, whatever becomes of that run."""

import json
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from scraper.model.errors import DestinationError, Held
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.lock import LEASE_KEY, Lease, hold
from scraper.sinks.s3.sink import S3Sink, open_sink
from tests.s3servers import S3Server
from tests.servers import WAIT_S

pytestmark = pytest.mark.usefixtures("aws")


def nobody(reason: str) -> None:
    raise AssertionError(reason)


def bucket_sink(server: S3Server) -> S3Sink:
    """A sink on a bucket of its own."""
    return another(server, server.make_bucket())


def another(server: S3Server, bucket: str) -> S3Sink:
    sink = open_sink(f"s3://{bucket}/p", server.options())
    sink.check()
    return sink


# ---------------------------------------------------------------- a lease


def test_a_bucket_is_held_by_one_and_free_again_after(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as one, closing(another(moto_server, one.bucket)) as two:
        first = Lease(one, "s3://b/p", nobody)
        assert first.remark == ""
        with pytest.raises(Held, match=r"process .* on "):
            Lease(two, "s3://b/p", nobody)
        first.release()
        assert moto_server.read(one.bucket, f"p/{LEASE_KEY}") is None
        Lease(two, "s3://b/p", nobody).release()


@pytest.mark.parametrize("left", [b'{"run": "dead", "until": 1.0}', b"garbage", b"[]", b"{}"])
def test_a_lease_that_is_over_is_taken(left: bytes, moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        sink.put_if(LEASE_KEY, left, None)
        lease = Lease(sink, "s3://b/p", nobody)
        said = json.loads(moto_server.read(sink.bucket, f"p/{LEASE_KEY}") or b"")
        assert said["until"] > time.time()
        lease.release()


def test_the_lease_of_a_process_that_is_dead_is_taken_at_once(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink, closing(bucket_sink(moto_server)) as other:
        lease = Lease(sink, "s3://b/p", nobody)
        found = sink.get_small(LEASE_KEY)
        assert found is not None
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            pass
        said = {**json.loads(found[0]), "pid": ended.pid}
        for dead, where in ((True, said), (False, {**said, "processes": "another machine"})):
            other.remove(LEASE_KEY)
            other.put_if(LEASE_KEY, json.dumps(where).encode(), None)
            if dead:
                Lease(other, "s3://b/p", nobody).release()
            else:
                with pytest.raises(Held):
                    Lease(other, "s3://b/p", nobody)
        lease.release()


def test_a_lease_is_renewed(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        lease = Lease(sink, "s3://b/p", nobody, lease_s=0.4)
        first = moto_server.read(sink.bucket, f"p/{LEASE_KEY}")
        until = time.monotonic() + WAIT_S
        while moto_server.read(sink.bucket, f"p/{LEASE_KEY}") == first:
            assert time.monotonic() < until
        lease.release()


def test_who_lost_a_lease_is_told_and_leaves_it_alone(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        lost = threading.Event()
        lease = Lease(sink, "s3://b/p", lambda _: lost.set(), lease_s=0.2)
        sink.remove(LEASE_KEY)
        theirs = b'{"run": "another", "until": 99999999999}'
        sink.put_if(LEASE_KEY, theirs, None)
        assert lost.wait(WAIT_S)
        lease.release()
        assert moto_server.read(sink.bucket, f"p/{LEASE_KEY}") == theirs


def test_an_endpoint_that_ignores_conditions_is_told_of(rclone_server: S3Server) -> None:
    with closing(bucket_sink(rclone_server)) as sink:
        lease = Lease(sink, "s3://b/p", nobody)
        assert "ignores If-None-Match" in lease.remark
        with pytest.raises(Held):
            Lease(sink, "s3://b/p", nobody)
        lease.release()


def test_a_sink_that_can_not_be_asked_on_a_condition_has_no_lock() -> None:
    assert hold(Plain(), "other://place", "fail", nobody) is None


def test_a_bucket_that_is_gone_is_told_in_one_line(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        moto_server.client.delete_bucket(Bucket=sink.bucket)
        with pytest.raises(DestinationError) as caught:
            hold(sink, "s3://b/p", "fail", nobody)
        assert "\n" not in str(caught.value)


class Plain:
    """A sink that offers nothing beside the protocol."""

    check = DirectorySink.check
    open = DirectorySink.open
    close = DirectorySink.close
