"""The S3 sink: one object for each key, in any bucket that speaks S3's language.

A body is spooled until it is whole and then put at once: so its digest is known
before its first byte leaves, and no reader ever meets a part of it. What is in
memory is put by the client that was chosen (obstore or boto3), what is on the
disk by boto3.

Owns: prefix and keys, what is kept beside the bytes, the choice of the client,
and what an error means to the run. Refuses to know: HTTP towards the web;
requests to S3 (`bucket.py`, `objectstore.py`); waiting. Rejected: writing parts
while the body arrives; it costs two requests more for each small object, and a
crash leaves parts that are paid for.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from scraper.model.dates import rfc3339
from scraper.model.errors import DestinationError, ListError, SinkError, UsageError
from scraper.model.records import Stored
from scraper.model.urls import redact
from scraper.sinks.base import Blocking, Body, SinkOptions
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3 import objectstore
from scraper.sinks.s3.bucket import PROBE, USUAL, Bucket, Entry, Facts, Puts, Sizes, Way, parse_sse
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.objectstore import ObjectStore
from scraper.sinks.s3.spool import Spool, Spools
from scraper.source.keys import OWN_DIRECTORY

_URL_BYTES = 1024  # of 2,048 for all metadata (S3 user guide, UsingMetadata); rclone counts more
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_VISIBLE_URL = re.compile(rf"[\x21-\x7e]{{0,{_URL_BYTES}}}")
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
    if options.s3.client == "obstore" and not objectstore.is_installed():
        raise UsageError("--s3-client obstore needs obstore: pip install 'scraper[fast]'")
    return S3Sink(bucket, prefix, options)


def open_object(url: str, options: SinkOptions) -> BinaryIO:
    """The object at an `s3://bucket/key` URL as a temporary file. Raises ListError."""
    name, _, key = url.partition("://")[2].partition("/")
    if not name or not key:
        raise ListError(f"can't open the list {redact(url)!r}: it is not s3://bucket/key")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads and closes it
    try:
        with contextlib.closing(Bucket(name, options, attempts=4)) as bucket:
            found = bucket.get(key)
            if found is not None:
                file.writelines(found[1])
                file.seek(0)
                return file
        reason = "there is no such object"
    except S3Error as error:
        reason = str(error)
    except OSError as error:
        reason = str(s3errors.unspoolable(error))
    file.close()
    raise ListError(f"can't open the list {redact(url)!r}: {reason}")


class S3Sink:
    """Objects below `prefix` of `bucket`.

    `client` says who puts small objects, from `check()` on, and `remark` why it
    is not the one that is usually taken.
    """

    blocking = Blocking.COMMIT
    near = False

    def __init__(
        self, bucket: str, prefix: str, options: SinkOptions, sizes: Sizes = USUAL
    ) -> None:
        self.bucket = bucket
        self.client = options.s3.client
        self.remark = ""
        self.disk = Path(tempfile.gettempdir())  # of what is too large to wait in memory
        self._prefix = prefix
        self._options = options
        self._sizes = sizes
        self._spools = Spools(sizes.memory, sizes.memory_of_all)
        self._objects: Bucket | None = None
        self._puts: Puts | None = None
        self._closed = False
        self._uploads: set[S3Upload] = set()

    def check(self) -> None:
        """Put and delete a small object. Raises DestinationError; UsageError for the client."""
        key = self._name(_PROBE_KEY)
        facts = Facts(sha256(PROBE).hexdigest(), storage_class=self._options.s3.storage_class)
        try:
            bucket = self._objects = Bucket(self.bucket, self._options, self._sizes)
            way = bucket.probe(key, facts)
            try:
                puts = self._puts = self._choose(bucket, way, key, facts)
            finally:
                with contextlib.suppress(S3Error):  # who may write may not always delete
                    bucket.delete(key)
        except S3Error as error:
            raise DestinationError(f"can't use s3://{self.bucket}: {error}") from None
        self.client = puts.client

    def open(self, key: str) -> "S3Upload":
        """An empty spool for `key`."""
        upload = S3Upload(self, key, Spool(self._spools))
        self._uploads.add(upload)
        return upload

    def put(self, key: str, spool: Spool, body: Body) -> None:
        """Make the object. Raises SinkError, DestinationError."""
        with self._meaning(f"store {key!r}") as bucket:
            assert self._puts is not None
            facts = self._facts(key, body)
            data = spool.in_memory()
            if data is not None:
                self._puts.put(self._name(key), data, facts)
            else:
                bucket.put_file(self._name(key), spool.on_disk(), spool.size, facts)

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Make a small object if its etag is still `etag`, or, for None, if there is none.

        Its new etag, or None if somebody was quicker. An endpoint that ignores
        conditions (rclone's) makes it always. Raises SinkError, DestinationError.
        """
        with self._meaning(f"store {key!r}") as bucket:
            return bucket.put_if(self._name(key), data, etag)

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """An object and its bytes as they come, None if there is none.

        Raises SinkError, DestinationError, while the bytes are read too.
        """
        with self._meaning(f"read {key!r}") as bucket:
            found = bucket.get(self._name(key))
        if found is None:
            return None
        return self._below(found[0]), self._read(key, found[1])

    def list(self, prefix: str) -> Iterator[Entry]:
        """Objects whose keys begin with `prefix`, in order. Raises SinkError, DestinationError."""
        with self._meaning(f"list {prefix!r}") as bucket:
            for entry in bucket.list(self._name(prefix)):
                yield self._below(entry)

    def remove(self, key: str) -> None:
        """Remove an object; fine if there is none. Raises SinkError, DestinationError."""
        with self._meaning(f"delete {key!r}") as bucket:
            bucket.delete(self._name(key))

    def reach(self) -> None:
        """Make reading possible where `check()` was not called. Raises DestinationError."""
        if self._objects is None:
            try:
                bucket = self._objects = Bucket(self.bucket, self._options, self._sizes)
                next(bucket.list(self._name(_PROBE_KEY)), None)
            except S3Error as error:
                raise DestinationError(f"can't read s3://{self.bucket}: {error}") from None

    def size(self, key: str) -> int | None:
        """Bytes of the object, None if there is none. Raises SinkError, DestinationError."""
        with self._meaning(f"look at {key!r}") as bucket:
            return bucket.size(self._name(key))

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes as they come. Raises SinkError, DestinationError."""
        found = self.get(key)
        if found is None:
            raise SinkError(f"can't read {key!r}: there is no such object", transient=False)
        yield from found[1]

    def get_small(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes and its etag, None if there is none."""
        found = self.get(key)
        return None if found is None else (b"".join(found[1]), found[0].etag)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Keys that begin with `prefix`, in order. Raises SinkError, DestinationError."""
        return (entry.key for entry in self.list(prefix))

    def forget(self, upload: "S3Upload") -> None:
        """It has ended."""
        self._uploads.discard(upload)

    def close(self) -> None:
        """Give up what is under way, and remove the spool."""
        self._closed = True
        if self._objects is not None:
            self._objects.close()
        for upload in list(self._uploads):
            upload.abort()
        self._spools.close()

    def mapped(self, error: S3Error, what: str) -> SinkError | DestinationError:
        """What an error means to the run; `what` could not be done."""
        if self._closed:
            return SinkError("given up when the run was stopped", transient=False)
        if error.fatal:
            return DestinationError(f"s3://{self.bucket} takes no more objects: {error}")
        return SinkError(f"can't {what}: {error}", transient=error.transient)

    @contextmanager
    def _meaning(self, what: str) -> Iterator[Bucket]:
        """The bucket; what goes wrong with it inside becomes an error of ours."""
        assert self._objects is not None, "check() comes first"
        if self._closed:
            raise self.mapped(S3Error(""), what)
        try:
            yield self._objects
        except S3Error as error:
            raise self.mapped(error, what) from None
        except (OSError, ValueError) as error:
            raise self.mapped(s3errors.unspoolable(error), what) from None

    def _choose(self, bucket: Bucket, way: Way, key: str, facts: Facts) -> Puts:
        """The client that puts small objects: obstore, if it can do here what boto3 did."""
        wanted = self._options.s3.client
        if wanted == "boto3" or (wanted == "auto" and not objectstore.is_installed()):
            return bucket
        why = objectstore.unfit(way, key, os.environ)
        if why is None:
            try:
                store = ObjectStore(bucket, way, self._options.s3, self._sizes)
                store.put(key, PROBE, facts)
            except S3Error as error:
                if wanted == "obstore":
                    raise
                why = str(error)
            except ImportError as error:
                why = f"it can't be imported: {error}"
            else:
                return store
        if wanted == "obstore":
            raise UsageError(f"--s3-client obstore can't be used here: {why}")
        self.remark = f"not obstore: {why}"
        return bucket

    def _facts(self, key: str, body: Body) -> Facts:
        """What is kept beside the bytes. Metadata is ASCII and below 2 KB.

        Records of our own are read again, so they are kept in the usual storage class.
        """
        metadata = {"fetched-at": rfc3339(body.fetched_at), "sha256": body.sha256}
        if body.source_url:
            metadata["source-url"] = _visible(body.source_url)
        own = key.startswith(f"{OWN_DIRECTORY}/")
        return Facts(
            body.sha256,
            metadata,
            content_type=_sendable(body.response.content_type),
            content_encoding=_sendable(body.response.content_encoding),
            storage_class=None if own else self._options.s3.storage_class,
        )

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _below(self, entry: Entry) -> Entry:
        return replace(entry, key=entry.key.removeprefix(self._name("")))

    def _read(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._meaning(f"read {key!r}"):
            yield from chunks


class S3Upload:
    """One body on its way."""

    def __init__(self, sink: S3Sink, key: str, spool: Spool) -> None:
        self._sink = sink
        self._key = key
        self._spool = spool

    def write(self, chunk: bytes) -> None:
        """Append to the spool."""
        try:
            self._spool.write(chunk)
        except (OSError, ValueError) as error:
            what = f"store {self._key!r}"
            raise self._sink.mapped(s3errors.unspoolable(error), what) from None

    def commit(self, body: Body) -> Stored:
        """Put the object."""
        self._sink.put(self._key, self._spool, body)
        self.abort()
        return body.stored()

    def abort(self) -> None:
        """Remove the spool."""
        self._spool.close()
        self._sink.forget(self)


def _split(destination: str) -> tuple[str, str]:
    """Bucket and prefix, without slashes at the ends or doubled."""
    bucket, _, prefix = destination.partition("://")[2].partition("/")
    return bucket, "/".join(filter(None, prefix.split("/")))


def _visible(url: str) -> str:
    """The URL in visible ASCII, and not too long for metadata."""
    if _VISIBLE_URL.fullmatch(url):  # as nearly always, and far quicker
        return url
    quoted = quote(url, safe=_VISIBLE)
    cut = quoted[:_URL_BYTES]
    return re.sub("%.?$", "", cut) if len(cut) < len(quoted) else quoted


def _sendable(value: str | None) -> str | None:
    """The value if it may stand in a header."""
    return value if value and value.isascii() and value.isprintable() else None
