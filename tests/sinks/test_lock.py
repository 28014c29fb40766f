"""The lock: one run at a time holds a destination, whatever becomes of that run."""

from contextlib import closing

import pytest

from scraper.model.errors import DestinationError
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.lock import hold
from scraper.sinks.s3.sink import S3Sink, open_sink
from tests.s3servers import S3Server

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
