"""The sink for S3 buckets: one object for each key, in a bucket of Amazon S3 or a compatible store.

Owns: what its URL means. Does not know: bodies and keys (`sinks/objects/sink.py`), how a bucket is
reached (`service.py`).
"""

from scraper.model.errors import UsageError
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.sink import ObjectSink, split
from scraper.sinks.objects.sizes import USUAL, Sizes
from scraper.sinks.s3.clients import check_client
from scraper.sinks.s3.encryption import parse_sse
from scraper.sinks.s3.service import S3Service


def open_sink(destination: str, options: SinkOptions) -> "S3Sink":
    """The sink for `s3://bucket/prefix`. Raises UsageError."""
    bucket, prefix = split(destination)
    if not bucket:
        raise UsageError(f"--to {destination!r} names no bucket: s3://bucket/prefix")
    if options.s3.sse:
        try:
            parse_sse(options.s3.sse)
        except ValueError as error:
            raise UsageError(f"--s3-sse {error}") from None
    check_client(options.s3.client)
    return S3Sink(bucket, prefix, options)


class S3Sink(ObjectSink):
    """Objects below `prefix` of `bucket`."""

    def __init__(
        self, bucket: str, prefix: str, options: SinkOptions, sizes: Sizes = USUAL
    ) -> None:
        super().__init__(S3Service(bucket, options, sizes), prefix, sizes)
        self.bucket = bucket
        self.options = options
