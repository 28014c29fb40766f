"""The way to a bucket of gs:// or az://: what is found out about it before it is used.

Owns: the probe and what it shows, and what is stored beside the bytes. Does not know: the requests
(`bucket.py`), prefixes, bodies on their way.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.cloud import errors
from scraper.sinks.cloud.bucket import CloudBucket, digest_of
from scraper.sinks.cloud.kinds import Kind
from scraper.sinks.objects.errors import StoreError, told
from scraper.sinks.objects.metadata import URL_BYTES, Facts, facts_of, longest
from scraper.sinks.objects.service import PROBE, Mapped
from scraper.sinks.objects.sizes import Sizes
from scraper.sinks.put_request import PutRequest

_TOO_MUCH = {400, 413, 431}  # what a store answers to facts that it does not take


class Found(NamedTuple):
    """What was found out about a bucket, for other processes of the run."""

    url_bytes: int
    md5_is_told: bool


class CloudService:
    """See `objects.service.Service`."""

    client = "obstore"

    def __init__(self, kind: Kind, bucket: str, options: SinkOptions, sizes: Sizes) -> None:
        self.place = f"{kind.scheme}://{bucket}"
        self.store: CloudBucket | None = None
        self.found: Found | None = None
        self.remark = ""
        self._kind = kind
        self._bucket = bucket
        self._options = options
        self._sizes = sizes
        self._url_bytes = URL_BYTES[0]  # that the store takes of a URL beside the bytes

    def check(self, key: str) -> None:
        """Put a small object and delete it."""
        bucket = self._open()
        etag = self._put_probe(bucket, key)
        try:
            bucket.delete(key)
        except StoreError as error:
            if error.denied:
                self.remark = f"{error.denied} is denied: what is over stays there"
        bucket.md5_is_told = self._kind.etag_is_md5 and etag.strip('"') == digest_of(PROBE)
        self.found = Found(self._url_bytes, bucket.md5_is_told)

    def join(self, found: Found) -> None:
        """Begin as another process of the run did."""
        self._url_bytes = found.url_bytes
        self._open().md5_is_told = found.md5_is_told

    def reach(self, key: str) -> None:
        """Prepare for reading."""
        next(self._open().list(key), None)

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return "" if self.store is None else self.store.endpoint

    def facts(self, body: Body, *, own: bool) -> Facts:
        """What is stored beside the bytes."""
        del own
        return facts_of(body, self._url_bytes, None)

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Put an object from memory."""
        assert self.store is not None, "check() comes first"
        self.store.put(key, data, facts)

    def put_request(
        self, key: str, data: bytes, facts: Facts, mapped: Mapped, may_be_sent: Callable[[], bool]
    ) -> PutRequest | None:
        """None: obstore has the credentials, and gives them to nobody."""
        del key, data, facts, mapped, may_be_sent
        return None

    def told(self, error: StoreError, key: str) -> str:
        """The error in words."""
        return told(error, f"{self.place}/{key}")

    def hint(self, error: StoreError) -> str:
        """The way out."""
        return errors.hint(error, self._kind, self._bucket)

    def close(self) -> None:
        """Abort what is under way."""
        if self.store is not None:
            self.store.close()

    def _open(self) -> CloudBucket:
        bucket = self.store = CloudBucket(self._kind, self._bucket, self._options, self._sizes)
        return bucket

    def _put_probe(self, bucket: CloudBucket, key: str) -> str:
        """Put PROBE with the longest facts that the store takes. Returns its ETag."""
        *choices, last = longest(sha256(PROBE).hexdigest(), None)
        for self._url_bytes, facts in choices:
            try:
                return bucket.put(key, PROBE, facts)
            except StoreError as error:
                if error.status not in _TOO_MUCH or error.fatal:
                    raise
        self._url_bytes, facts = last
        return bucket.put(key, PROBE, facts)
