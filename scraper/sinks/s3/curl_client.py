"""The cheap client for puts of small objects: libcurl, with signatures of our own.

boto3 spends 1.5 ms of CPU on a put; this client a tenth of that. One request has been made already
(`Bucket.probe`). This client uses the same URL, region, credentials, authorities and proxy.

A put is a `PutRequest`. An engine that can carries it itself; else `put` waits for it. The digest
that the transfer has computed signs the payload. So the body is read once, and a store that checks
signatures finds out if it was damaged on the way.

Credentials are boto3's. Those that expire are renewed by boto3, which may take a while. So no
request is handed out then (`request` is None), and `put`, which may wait, renews them.

Owns: the headers of a put from memory, and who waits in which handle. Does not know: what errors
mean (`errors.py`), and how libcurl is used (`sinks/curl_put.py`). boto3 makes all other requests:
they are rare, or their cost is that of their bytes.

It is not used for buckets with another signature than S3's usual one: directory buckets (S3
Express), multi-region access points, object lambdas. One thing differs from boto3: there is one
time limit for a whole put, not one for each pause.
"""

import base64
from collections.abc import Callable

from scraper.model.errors import DestinationError, SinkError
from scraper.model.settings import S3
from scraper.sinks.objects.metadata import Facts
from scraper.sinks.put_request import Answer, NoAnswer, PutRequest
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.encryption import encryption_headers
from scraper.sinks.s3.endpoint import Way
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.signed_requests import Payload

NEED = "pycurl 7.45.7 or later: pip install 'scraper[fast]'"
Mapped = Callable[[S3Error], SinkError | DestinationError]


class CurlClient:
    """Puts into one bucket, in the way that boto3 found. Many threads use it."""

    client = "curl"

    def __init__(self, bucket: Bucket, way: Way, s3: S3) -> None:
        """Raises ImportError and AttributeError without a pycurl that is new enough."""
        from scraper.sinks.curl_put import CurlPut, Handles

        self._handles = Handles(CurlPut)
        self._bucket = bucket
        self._requests = bucket.signed_requests(way)
        self._fixed = encryption_headers(s3)

    def request(
        self, key: str, data: bytes, facts: Facts, mapped: Mapped, may_be_sent: Callable[[], bool]
    ) -> PutRequest | None:
        """A put for an engine to carry out. None: credentials have to be renewed first.

        `mapped` makes an error for the run of an S3Error. `may_be_sent` is asked just before it is
        sent, while it is, and when it has succeeded. Raises S3Error.
        """
        if self._requests.needs_renewal():
            return None

        def judge(end: Answer | NoAnswer) -> SinkError | DestinationError | None:
            error = self._error_of(end)
            if error is None and may_be_sent():
                return None
            return mapped(error or S3Error("the lease ran out"))

        request = self._signed(key, data, facts)
        return request._replace(judge=judge, may_be_sent=may_be_sent)

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Put an object, and wait for it. It replaces an older one. Raises S3Error."""
        request = self._signed(key, data, facts)._replace(may_be_sent=self._bucket.holds)
        with self._handles.one() as handle:
            end = handle.perform(request)
        error = self._error_of(end)
        if error is not None:
            raise error

    def close(self) -> None:
        """Close the connections that nobody waits for. The others follow when they are done."""
        self._handles.close()

    def _signed(self, key: str, data: bytes, facts: Facts) -> PutRequest:
        return self._requests.request("PUT", key, self._headers(facts), Payload(data, facts.sha256))

    def _headers(self, facts: Facts) -> dict[str, str]:
        headers = {f"x-amz-meta-{name}": value for name, value in facts.metadata.items()}
        if facts.content_type:
            headers["content-type"] = facts.content_type
        if facts.content_encoding:
            headers["content-encoding"] = facts.content_encoding
        if facts.storage_class:
            headers["x-amz-storage-class"] = facts.storage_class
        if self._bucket.checksums:
            digest = base64.b64encode(bytes.fromhex(facts.sha256)).decode()
            headers["x-amz-checksum-sha256"] = digest
        return headers | self._fixed

    def _error_of(self, end: Answer | NoAnswer) -> S3Error | None:
        endpoint = self._requests.endpoint
        error = s3errors.failure(end, endpoint)
        if error is None and isinstance(end, Answer) and not end.headers().get("etag"):
            error = s3errors.no_etag(endpoint, fatal=False)
        return error


def unfit(way: Way) -> str | None:
    """Why this client can't be used for a bucket that was reached in this way. None if it can."""
    return None if way.url else "the bucket is not asked with S3's usual signature"
