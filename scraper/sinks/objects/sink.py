"""The sink for object stores: one object for each key.

A body is spooled until it is complete and is then put as a whole. So its digest is known
before the first byte is sent, and no reader sees a part of it.

This module owns the prefix and the keys, and what an error means for the run. It does not know HTTP
towards the web, the requests to a store (`service.py`), or waiting.

Rejected: uploading parts while the body arrives. It costs two more requests for each small
object, and a crash leaves parts that somebody pays for.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from scraper.model.dates import milliseconds
from scraper.model.errors import DestinationError, Fenced, SinkError
from scraper.model.records import Stored
from scraper.sinks.base import Blocking, Body, Listed, SmallObject
from scraper.sinks.beginning import insist_on_rest
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.objects.errors import StoreError, unspoolable
from scraper.sinks.objects.service import Entry, Service, Store
from scraper.sinks.objects.sizes import USUAL, Sizes
from scraper.sinks.put_request import PutRequest
from scraper.sinks.spool import Spool, Spools
from scraper.source.keys import OWN_DIRECTORY

_READS = ("read", "list", "look at")
_PROBE_KEY = f"{OWN_DIRECTORY}/probe"
_LOOKED_AT = 1_000  # objects: one request


class ObjectSink:
    """Objects below `prefix` of a bucket, which `service` reaches.

    `client` says who puts small objects, from `check()` on, and `remark` what is unusual: why it is
    another one than usually, what the endpoint does not confirm, what it does not allow.
    """

    blocking = Blocking.COMMIT
    near = False
    random_access = True

    def __init__(self, service: Service, prefix: str, sizes: Sizes = USUAL) -> None:
        self.disk = Path(tempfile.gettempdir())  # of what is too large to wait in memory
        self._service = service
        self._prefix = prefix
        self._spools = Spools(sizes.memory, sizes.memory_of_all)
        self._closed = False
        self._holds: Callable[[], bool] = lambda: True
        self._uploads: set[ObjectUpload] = set()

    def check(self) -> None:
        """Put a small object and delete it. Raises DestinationError; UsageError for --s3-client."""
        self._spools.remove_leftovers()
        self._service.close()  # of an earlier try
        try:
            self._service.check(self._name(_PROBE_KEY))
        except StoreError as error:
            text = f"can't use {self._service.place}: {self._told(error, _PROBE_KEY)}"
            raise _unusable(error, text, self._hint(error)) from None

    def join(self, found: Any) -> None:
        """Begin as another process of the run did, whose `check` found this out.

        Raises DestinationError.
        """
        try:
            self._service.join(found)
        except StoreError as error:
            raise DestinationError(f"can't use {self._service.place}: {error}") from None

    def reach(self) -> None:
        """Prepare for reading, where `check` was not called. Raises DestinationError."""
        if self._service.store is None:
            try:
                self._service.reach(self._name(_PROBE_KEY))
            except StoreError as error:
                text = f"can't read {self._service.place}: {self._told(error, '')}"
                raise _unusable(error, text, error.hint) from None

    @property
    def found(self) -> Any:
        """What `check` found out, for `join`. None before it."""
        return self._service.found

    @property
    def client(self) -> str:
        """Who puts small objects."""
        return self._service.client

    @property
    def remark(self) -> str:
        """What the first line of the log tells of this destination, from `check()` on."""
        return self._service.remark

    @property
    def endpoint(self) -> str:
        """The URL of the service, from `check()` or `reach()` on."""
        return self._service.endpoint

    def open(self, key: str) -> "ObjectUpload":
        """An empty spool for `key`."""
        upload = ObjectUpload(self, key, Spool(self._spools))
        self._uploads.add(upload)
        return upload

    def put(self, key: str, spool: Spool, body: Body) -> None:
        """Put the object. Raises SinkError, DestinationError."""
        with self._meaning("store", key) as store:
            facts = self._service.facts(body, own=_is_own(key))
            data = spool.in_memory()
            if data is not None:
                self._service.put(self._name(key), data, facts)
            else:
                store.put_file(self._name(key), spool.on_disk(), spool.size, facts)

    def put_request(self, key: str, spool: Spool, body: Body) -> PutRequest | None:
        """The request that puts the object. None: `put` must do it.

        Raises SinkError, DestinationError.
        """
        data = spool.in_memory()
        if data is None:
            return None
        with self._meaning("store", key):
            return self._service.put_request(
                self._name(key),
                data,
                self._service.facts(body, own=_is_own(key)),
                lambda error: self.mapped(error, "store", key),
                self._holds,
            )

    def fence(self, holds: Callable[[], bool]) -> None:
        """Change nothing more once `holds()` is false: another run may be at work.

        What was under way then is told as Fenced, also if it succeeds.
        """
        self._holds = holds
        if self._service.store is not None:
            self._service.store.fence(holds)

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put a small object only if its etag is still `etag`. None: only if there is no object.

        Returns its new etag, or None if another writer was quicker. An endpoint that ignores
        conditions (rclone's) always puts it. Raises SinkError, DestinationError.
        """
        with self._meaning("write", key) as store:
            return store.put_if(self._name(key), data, etag)

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """An object, and its bytes as they arrive. None if there is no such object.

        Raises SinkError and DestinationError, also while the bytes are read.
        """
        with self._meaning("read", key) as store:
            found = store.get(self._name(key))
        if found is None:
            return None
        return self._below(found[0]), self._read(key, found[1])

    def list(self, prefix: str) -> Iterator[Entry]:
        """Objects whose keys begin with `prefix`, in order. Raises SinkError, DestinationError."""
        return insist_on_rest(partial(self._list, prefix), attrgetter("key"))

    def remove(self, key: str) -> None:
        """Delete an object, if there is one. Raises SinkError, DestinationError."""
        with self._meaning("delete", key) as store:
            store.delete(self._name(key))

    def size(self, key: str) -> int | None:
        """The object's size in bytes. None if there is none. Raises SinkError, DestinationError."""
        found = self.object_stat(key)
        return found and found.size

    def object_stat(self, key: str) -> ObjectStat | None:
        """The object's size and digest. None if there is none. Raises SinkError, DestinationError.

        The digest is known of objects of this package, not of those that others have put.
        """
        with self._meaning("look at", key) as store:
            return store.stat(self._name(key))

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

    def may_have_objects(self) -> bool:
        """Whether there is anything beside our own objects, or too many of these to know."""
        found = [entry.key for entry in islice(self.list(""), _LOOKED_AT)]
        return len(found) == _LOOKED_AT or not all(map(_is_own, found))

    def folders(self, prefix: str) -> Iterator[str]:
        """See `base.folders_of`. `prefix` ends with a slash. Raises SinkError, DestinationError."""
        whole = self._name(prefix)
        with self._meaning("list", prefix) as store:
            for folder in store.folders(whole):
                yield folder.removeprefix(whole).rstrip("/")

    def forget(self, upload: "ObjectUpload") -> None:
        """Stop tracking an upload that has ended."""
        self._uploads.discard(upload)

    def close(self) -> None:
        """Abort every upload, and remove the spool."""
        self._closed = True
        self._service.close()
        for upload in list(self._uploads):
            upload.abort()
        self._spools.close()

    def mapped(self, error: StoreError, verb: str, key: str) -> SinkError | DestinationError:
        """The error for the run. `verb` and `key` name what could not be done."""
        if self._closed:
            return SinkError("given up when the run was stopped", transient=False)
        if verb == "store" and not self._holds():
            return Fenced("the lease of the destination ran out")
        if error.fatal:
            text = f"{self._service.place} takes no more objects"
            if verb not in {"store", "write"}:
                text = f"can't {verb} {key!r} of {self._service.place}"
            text = f"{text}: {self._told(error, key)}"
            return DestinationError(text, hint=self._hint(error))
        text = f"can't {'store' if verb == 'write' else verb} {key!r}: {error}"
        return SinkError(text, transient=error.transient, retry_after_s=error.retry_after_s)

    def _told(self, error: StoreError, key: str) -> str:
        return self._service.told(error, self._name(key))

    def _hint(self, error: StoreError) -> str:
        return error.hint or self._service.hint(error)

    @contextmanager
    def _meaning(self, verb: str, key: str) -> Iterator[Store]:
        """The bucket. Errors inside the `with` block become errors of ours.

        Fenced too where something was changed, and the lease ran out meanwhile.
        """
        store = self._service.store
        assert store is not None, "check() comes first"
        if self._closed:
            raise self.mapped(StoreError(""), verb, key)
        self._keep_to_fence(verb)
        try:
            yield store
        except StoreError as error:
            raise self.mapped(error, verb, key) from None
        except (OSError, ValueError) as error:
            raise self.mapped(unspoolable(error), verb, key) from None
        self._keep_to_fence(verb)

    def _keep_to_fence(self, verb: str) -> None:
        if not (verb in _READS or self._holds()):
            raise Fenced("the lease of the destination ran out")

    def _list(self, prefix: str) -> Iterator[Entry]:
        with self._meaning("list", prefix) as store:
            for entry in store.list(self._name(prefix)):
                yield self._below(entry)

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _below(self, entry: Entry) -> Entry:
        return replace(entry, key=entry.key.removeprefix(self._name("")))

    def _read(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._meaning("read", key):
            yield from chunks


class ObjectUpload:
    """One body that is being stored."""

    def __init__(self, sink: ObjectSink, key: str, spool: Spool) -> None:
        self._sink = sink
        self._key = key
        self._spool = spool

    def write(self, chunk: bytes) -> None:
        """Append `chunk` to the spool."""
        try:
            self._spool.write(chunk)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(unspoolable(error), "store", self._key) from None

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset` of the spool, which is on the disk from then on."""
        try:
            self._spool.write_at(offset, chunk)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(unspoolable(error), "store", self._key) from None

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of the spool at `offset`."""
        try:
            return self._spool.read_at(offset, size)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(unspoolable(error), "store", self._key) from None

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


def split(destination: str) -> tuple[str, str]:
    """Bucket and prefix of a URL, without doubled slashes or slashes at the ends."""
    bucket, _, prefix = destination.partition("://")[2].partition("/")
    return bucket, "/".join(filter(None, prefix.split("/")))


def _is_own(key: str) -> bool:
    """Whether it is ours. We read it again, so it always has the usual storage class."""
    return key.startswith(f"{OWN_DIRECTORY}/")


def _unusable(error: StoreError, text: str, hint: str) -> DestinationError:
    """The error of a store that can't be used from the start."""
    refused = DestinationError(text, hint=hint)
    refused.passing = error.transient and error.status != 0
    refused.retry_after_s = error.retry_after_s
    return refused
