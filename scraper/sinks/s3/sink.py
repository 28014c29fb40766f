"""The S3 sink: one object for each key, in a bucket of Amazon S3 or a compatible store.

A body is spooled until it is complete and is then put as a whole. So its digest is known
before the first byte is sent, and no reader sees a part of it. The client that was chosen
(curl or boto3) puts bodies from memory; boto3 puts those from the disk.

This module owns the prefix and the keys, what is stored beside the bytes, and what an error
means for the run. It does not know HTTP towards the web, the requests to S3 (`bucket.py`,
`curl_client.py`), or waiting.

Rejected: uploading parts while the body arrives. It costs two more requests for each small
object, and a crash leaves parts that somebody pays for.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from scraper.model.dates import milliseconds
from scraper.model.errors import DestinationError, Fenced, SinkError, UsageError
from scraper.model.records import Stored
from scraper.sinks.base import Blocking, Body, Listed, SinkOptions, SmallObject
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.put_request import PutRequest
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.bucket import PROBE, Bucket, Entry, Probed, Puts, parse_sse
from scraper.sinks.s3.bucket_in_endpoint import refuse_bucket_in_endpoint
from scraper.sinks.s3.clients import Found, check_client, choose_client, found_of, joined
from scraper.sinks.s3.confirmation import hint_of_refusal, unconfirmed
from scraper.sinks.s3.curl_client import CurlClient
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.metadata import URL_BYTES, Facts, facts_of, longest
from scraper.sinks.s3.permissions import missing_permission
from scraper.sinks.s3.spool import USUAL, Sizes
from scraper.sinks.spool import Spool, Spools
from scraper.source.keys import OWN_DIRECTORY

_READS = ("read", "list", "look at")
_PROBE_KEY = f"{OWN_DIRECTORY}/probe"


def open_sink(destination: str, options: SinkOptions) -> "S3Sink":
    """The sink for `s3://bucket/prefix`. Raises UsageError."""
    bucket, prefix = _split(destination)
    if not bucket:
        raise UsageError(f"--to {destination!r} names no bucket: s3://bucket/prefix")
    if options.s3.sse:
        try:
            parse_sse(options.s3.sse)
        except ValueError as error:
            raise UsageError(f"--s3-sse {error}") from None
    check_client(options.s3.client)
    return S3Sink(bucket, prefix, options)


class S3Sink:
    """Objects below `prefix` of `bucket`.

    `client` says who puts small objects, from `check()` on, and `remark` what is unusual: why it is
    another one than usually, what the endpoint does not confirm, what it does not allow.
    """

    blocking = Blocking.COMMIT
    near = False
    random_access = True

    def __init__(
        self, bucket: str, prefix: str, options: SinkOptions, sizes: Sizes = USUAL
    ) -> None:
        self.bucket = bucket
        self.client = options.s3.client
        self._remarks: list[str] = []
        self.disk = Path(tempfile.gettempdir())  # of what is too large to wait in memory
        self._prefix = prefix
        self._options = options
        self._sizes = sizes
        self._spools = Spools(sizes.memory, sizes.memory_of_all)
        self._objects: Bucket | None = None
        self._puts: Puts | None = None
        self._url_bytes = URL_BYTES[0]  # that the store takes of a URL beside the bytes
        self._closed = False
        self.found: Found | None = None
        self._holds: Callable[[], bool] = lambda: True
        self._uploads: set[S3Upload] = set()

    def check(self) -> None:
        """Put a small object and delete it. Raises DestinationError; UsageError for --s3-client."""
        key = self._name(_PROBE_KEY)
        choices = longest(sha256(PROBE).hexdigest(), self._options.s3.storage_class)
        try:
            bucket = self._objects = Bucket(self.bucket, self._options, self._sizes)
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
            text = f"can't use s3://{self.bucket}: {self._told(error, _PROBE_KEY)}"
            hint = s3errors.hint(error, self.bucket)
            hint = hint or hint_of_refusal(self._options.s3, error.status)
            raise DestinationError(text, hint=hint) from None
        self.client = puts.client
        self.found = found_of(bucket, probed.way, puts.client, self._url_bytes)

    def join(self, found: Found) -> None:
        """Begin as another process of the run did, whose `check` found this out.

        Raises DestinationError.
        """
        self._url_bytes, self.client = found.url_bytes, found.client
        try:
            self._objects, self._puts = joined(self.bucket, self._options, self._sizes, found)
        except S3Error as error:
            raise DestinationError(f"can't use s3://{self.bucket}: {error}") from None

    def _confirm(self, bucket: Bucket, key: str, probed: Probed) -> None:
        """Raise DestinationError if the endpoint does not confirm what was asked for."""
        s3 = self._options.s3
        found = unconfirmed(s3, probed.answer, lambda: bucket.storage_classes(key))
        if found and not s3.unconfirmed:
            text = f"can't use s3://{self.bucket}: the endpoint does not confirm {found}"
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

    @property
    def remark(self) -> str:
        """What the first line of the log tells of this destination, from `check()` on."""
        return "; ".join(self._remarks)

    @property
    def endpoint(self) -> str:
        """The URL of the service, from `check()` or `reach()` on."""
        return "" if self._objects is None else self._objects.endpoint

    def open(self, key: str) -> "S3Upload":
        """An empty spool for `key`."""
        upload = S3Upload(self, key, Spool(self._spools))
        self._uploads.add(upload)
        return upload

    def put(self, key: str, spool: Spool, body: Body) -> None:
        """Put the object. Raises SinkError, DestinationError."""
        with self._meaning("store", key) as bucket:
            assert self._puts is not None
            facts = self._facts(key, body)
            data = spool.in_memory()
            if data is not None:
                self._puts.put(self._name(key), data, facts)
            else:
                bucket.put_file(self._name(key), spool.on_disk(), spool.size, facts)

    def put_request(self, key: str, spool: Spool, body: Body) -> PutRequest | None:
        """The request that puts the object. None: `put` must do it.

        Raises SinkError, DestinationError.
        """
        puts, data = self._puts, spool.in_memory()
        if data is None or not isinstance(puts, CurlClient):
            return None
        with self._meaning("store", key):
            facts = self._facts(key, body)
            return puts.request(
                self._name(key),
                data,
                facts,
                lambda error: self.mapped(error, "store", key),
                self._holds,
            )

    def fence(self, holds: Callable[[], bool]) -> None:
        """Change nothing more once `holds()` is false: another run may be at work."""
        self._holds = holds
        if self._objects is not None:
            self._objects.fence(holds)

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put a small object only if its etag is still `etag`. None: only if there is no object.

        Returns its new etag, or None if another writer was quicker. An endpoint that ignores
        conditions (rclone's) always puts it. Raises SinkError, DestinationError.
        """
        with self._meaning("write", key) as bucket:
            return bucket.put_if(self._name(key), data, etag)

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """An object, and its bytes as they arrive. None if there is no such object.

        Raises SinkError and DestinationError, also while the bytes are read.
        """
        with self._meaning("read", key) as bucket:
            found = bucket.get(self._name(key))
        if found is None:
            return None
        return self._below(found[0]), self._read(key, found[1])

    def list(self, prefix: str) -> Iterator[Entry]:
        """Objects whose keys begin with `prefix`, in order. Raises SinkError, DestinationError."""
        with self._meaning("list", prefix) as bucket:
            for entry in bucket.list(self._name(prefix)):
                yield self._below(entry)

    def remove(self, key: str) -> None:
        """Delete an object, if there is one. Raises SinkError, DestinationError."""
        with self._meaning("delete", key) as bucket:
            bucket.delete(self._name(key))

    def reach(self) -> None:
        """Prepare for reading, where `check` was not called. Raises DestinationError."""
        if self._objects is None:
            try:
                bucket = self._objects = Bucket(self.bucket, self._options, self._sizes)
                bucket.reach(self._name(_PROBE_KEY))
            except S3Error as error:
                text = f"can't read s3://{self.bucket}: {self._told(error, '')}"
                raise DestinationError(text) from None

    def size(self, key: str) -> int | None:
        """The object's size in bytes. None if there is none. Raises SinkError, DestinationError."""
        found = self.object_stat(key)
        return found and found.size

    def object_stat(self, key: str) -> ObjectStat | None:
        """The object's size and digest. None if there is none. Raises SinkError, DestinationError.

        The digest is known of objects of this package, not of those that others have put.
        """
        with self._meaning("look at", key) as bucket:
            return bucket.stat(self._name(key))

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes as they arrive. Raises SinkError, DestinationError."""
        found = self.get(key)
        if found is None:
            raise SinkError(f"can't read {key!r}: there is no such object", transient=False)
        yield from found[1]

    def get_small(self, key: str) -> SmallObject | None:
        """The object, None if there is none. Raises SinkError, DestinationError."""
        found = self.get(key)
        if found is None:
            return None
        entry, chunks = found
        return SmallObject(b"".join(chunks), entry.etag, entry.age_s)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Keys that begin with `prefix`, in order. Raises SinkError, DestinationError."""
        return (entry.key for entry in self.list(prefix))

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        """Objects whose keys begin with `prefix`, in order. Raises SinkError, DestinationError."""
        for entry in self.list(prefix):
            yield Listed(entry.key, entry.size, milliseconds(entry.modified))

    def forget(self, upload: "S3Upload") -> None:
        """Stop tracking an upload that has ended."""
        self._uploads.discard(upload)

    def close(self) -> None:
        """Abort every upload, and remove the spool."""
        self._closed = True
        if self._objects is not None:
            self._objects.close()
        if isinstance(self._puts, CurlClient):
            self._puts.close()
        for upload in list(self._uploads):
            upload.abort()
        self._spools.close()

    def mapped(self, error: S3Error, verb: str, key: str) -> SinkError | DestinationError:
        """The error for the run. `verb` and `key` name what could not be done."""
        if self._closed:
            return SinkError("given up when the run was stopped", transient=False)
        if verb == "store" and not self._holds():
            return Fenced("the lease of the destination ran out")
        if error.fatal:
            text = f"s3://{self.bucket} takes no more objects"
            if error.denied and verb not in {"store", "write"}:
                text = f"can't {verb} {key!r} of s3://{self.bucket}"
            text = f"{text}: {self._told(error, key)}"
            return DestinationError(text, hint=s3errors.hint(error, self.bucket))
        text = f"can't {'store' if verb == 'write' else verb} {key!r}: {error}"
        return SinkError(text, transient=error.transient, retry_after_s=error.retry_after_s)

    def _told(self, error: S3Error, key: str) -> str:
        """The error in words. Where a permission is missing, it is asked which one."""
        if self._objects is not None and error.denied and not error.named:
            probe = "" if self._puts is None else self._name(_PROBE_KEY)
            error.denied = missing_permission(error.denied, self._objects, probe)
        return s3errors.told(error, f"s3://{self.bucket}/{self._name(key)}")

    @contextmanager
    def _meaning(self, verb: str, key: str) -> Iterator[Bucket]:
        """The bucket. Errors inside the `with` block become errors of ours."""
        assert self._objects is not None, "check() comes first"
        if self._closed:
            raise self.mapped(S3Error(""), verb, key)
        if not (verb in _READS or self._holds()):
            raise Fenced("the lease of the destination ran out")
        try:
            yield self._objects
        except S3Error as error:
            raise self.mapped(error, verb, key) from None
        except (OSError, ValueError) as error:
            raise self.mapped(s3errors.unspoolable(error), verb, key) from None

    def _facts(self, key: str, body: Body) -> Facts:
        """What is stored beside the bytes.

        Our own records are read again, so they always have the usual storage class.
        """
        own = key.startswith(f"{OWN_DIRECTORY}/")
        storage_class = None if own else self._options.s3.storage_class
        return facts_of(body, self._url_bytes, storage_class)

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _below(self, entry: Entry) -> Entry:
        return replace(entry, key=entry.key.removeprefix(self._name("")))

    def _read(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._meaning("read", key):
            yield from chunks


class S3Upload:
    """One body that is being stored."""

    def __init__(self, sink: S3Sink, key: str, spool: Spool) -> None:
        self._sink = sink
        self._key = key
        self._spool = spool

    def write(self, chunk: bytes) -> None:
        """Append `chunk` to the spool."""
        try:
            self._spool.write(chunk)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(s3errors.unspoolable(error), "store", self._key) from None

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset` of the spool, which is on the disk from then on."""
        try:
            self._spool.write_at(offset, chunk)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(s3errors.unspoolable(error), "store", self._key) from None

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of the spool at `offset`."""
        try:
            return self._spool.read_at(offset, size)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(s3errors.unspoolable(error), "store", self._key) from None

    def put_request(self, body: Body) -> PutRequest | None:
        """The request that puts the object."""
        return self._sink.put_request(self._key, self._spool, body)

    def commit(self, body: Body) -> Stored:
        """Put the object, and remove the spool."""
        self._sink.put(self._key, self._spool, body)
        self.abort()
        return body.stored()

    def abort(self) -> None:
        """Remove the spool."""
        self._spool.close()
        self._sink.forget(self)


def _split(destination: str) -> tuple[str, str]:
    """Bucket and prefix, without doubled slashes or slashes at the ends."""
    bucket, _, prefix = destination.partition("://")[2].partition("/")
    return bucket, "/".join(filter(None, prefix.split("/")))
