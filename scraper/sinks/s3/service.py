"""The way to a bucket in S3: what is found out about it before it is used.

The client that was chosen (curl or boto3) puts bodies from memory; boto3 puts those from the disk.

Owns: the probe and what it shows, what is stored beside the bytes, and who makes which requests.
Does not know: the requests (`bucket.py`, `curl_client.py`), prefixes, bodies on their way.
"""

from collections.abc import Callable
from hashlib import sha256

from scraper.model.errors import DestinationError
from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.objects.errors import StoreError, told
from scraper.sinks.objects.metadata import URL_BYTES, Facts, facts_of, longest
from scraper.sinks.objects.service import PROBE, Mapped
from scraper.sinks.objects.sizes import Sizes
from scraper.sinks.put_request import PutRequest
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.bucket import Bucket, Probed, Puts
from scraper.sinks.s3.bucket_in_endpoint import hint_of_endpoint, refuse_bucket_in_endpoint
from scraper.sinks.s3.clients import Found, choose_client, found_of, joined
from scraper.sinks.s3.confirmation import hint_of_refusal, unconfirmed
from scraper.sinks.s3.curl_client import CurlClient
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.permissions import missing_permission


class S3Service:
    """See `objects.service.Service`."""

    def __init__(self, bucket: str, options: SinkOptions, sizes: Sizes) -> None:
        self.place = f"s3://{bucket}"
        self.client = options.s3.client
        self.store: Bucket | None = None
        self.found: Found | None = None
        self._bucket = bucket
        self._options = options
        self._sizes = sizes
        self._puts: Puts | None = None
        self._probe = ""  # the key of the probe, where one may be put
        self._url_bytes = URL_BYTES[0]  # that the store takes of a URL beside the bytes
        self._remarks: list[str] = []

    def check(self, key: str) -> None:
        """Put a small object and delete it."""
        choices = longest(sha256(PROBE).hexdigest(), self._options.s3.storage_class)
        try:
            bucket = self.store = Bucket(self._bucket, self._options, self._sizes)
            probed = bucket.probe(key, [facts for _, facts in choices])
            self._url_bytes = next(most for most, one in choices if one is probed.facts)
            try:
                refuse_bucket_in_endpoint(bucket, key)
                self._confirm(bucket, key, probed)
                s3 = self._options.s3
                puts, why = choose_client(bucket, probed.way, key, probed.facts, s3)
                self._puts, self._remarks = puts, [*self._remarks, *filter(None, [why])]
            finally:
                self._delete_probe(bucket, key)
        except S3Error as error:
            error.hint = self.hint(error) or hint_of_refusal(self._options.s3, error.status)
            raise
        self._probe = key
        self.client = puts.client
        self.found = found_of(bucket, probed.way, puts.client, self._url_bytes)

    def join(self, found: Found) -> None:
        """Begin as another process of the run did."""
        self._url_bytes, self.client = found.url_bytes, found.client
        self.store, self._puts = joined(self._bucket, self._options, self._sizes, found)

    def reach(self, key: str) -> None:
        """Prepare for reading."""
        self.store = Bucket(self._bucket, self._options, self._sizes)
        try:
            self.store.reach(key)
        except S3Error as error:
            error.hint = hint_of_endpoint(self.store, error)
            raise

    @property
    def remark(self) -> str:
        """What is unusual."""
        return "; ".join(self._remarks)

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return "" if self.store is None else self.store.endpoint

    def facts(self, body: Body, *, own: bool) -> Facts:
        """What is stored beside the bytes."""
        storage_class = None if own else self._options.s3.storage_class
        return facts_of(body, self._url_bytes, storage_class)

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Put an object from memory."""
        assert self._puts is not None, "check() comes first"
        self._puts.put(key, data, facts)

    def put_request(
        self, key: str, data: bytes, facts: Facts, mapped: Mapped, may_be_sent: Callable[[], bool]
    ) -> PutRequest | None:
        """The request that puts it, where libcurl does."""
        if not isinstance(self._puts, CurlClient):
            return None
        return self._puts.request(key, data, facts, mapped, may_be_sent)

    def told(self, error: StoreError, key: str) -> str:
        """The error in words. Where a permission is missing, it is asked which one."""
        if self.store is not None and error.denied and not error.named:
            error.denied = missing_permission(error.denied, self.store, self._probe)
        return told(error, f"{self.place}/{key}")

    def hint(self, error: StoreError) -> str:
        """The way out."""
        return s3errors.hint(error, self._bucket)

    def close(self) -> None:
        """Close the clients."""
        if self.store is not None:
            self.store.close()
        if isinstance(self._puts, CurlClient):
            self._puts.close()

    def _confirm(self, bucket: Bucket, key: str, probed: Probed) -> None:
        """Raise DestinationError if the endpoint does not confirm what was asked for."""
        s3 = self._options.s3
        found = unconfirmed(s3, probed.answer, lambda: bucket.storage_classes(key))
        if found and not s3.unconfirmed:
            text = f"can't use {self.place}: the endpoint does not confirm {found}"
            raise DestinationError(text, hint="--s3-unconfirmed stores all the same")
        if found:
            self._remarks.append(f"not confirmed: {found}")

    def _delete_probe(self, bucket: Bucket, key: str) -> None:
        """Delete it. What a run keeps for itself stays there if that is not allowed."""
        try:
            bucket.delete(key)
        except S3Error as error:
            if error.denied:
                self._remarks.append(f"{error.denied} is denied: what is over stays there")
