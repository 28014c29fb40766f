"""One bucket of Google Cloud Storage, or one container of Azure Blob Storage: every request to it.

obstore makes the requests, called from the threads that store: its asynchronous calls cost twice
the CPU. Each gets one attempt. The frontier retries, and holds no slot meanwhile.

Owns: these requests. Does not know: prefixes or spools, nor what errors mean (`errors.py`).

What a store says beside its answers can't be seen through obstore. So `Retry-After` is not heard,
and the age of a lease is not known (`Entry.age_s`): a watch by our own clock is what is left.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from types import ModuleType
from typing import Any

from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud import errors
from scraper.sinks.cloud.access import connect
from scraper.sinks.cloud.kinds import Kind
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.objects.errors import StoreError
from scraper.sinks.objects.metadata import Facts, stat_of
from scraper.sinks.objects.service import Entry
from scraper.sinks.objects.sizes import MIB, USUAL, Sizes

_MOST_PARTS = 10_000  # https://cloud.google.com/storage/quotas#requests
_PART = 8 * MIB  # each is in memory while it is sent
_PARTS_AT_ONCE = 2  # of one body
_BODIES_IN_PARTS = 4  # at once, so that memory is bounded


class CloudBucket:
    """One bucket. Keys include the prefix. Many threads use it. Every method raises StoreError."""

    def __init__(
        self,
        kind: Kind,
        name: str,
        options: SinkOptions,
        sizes: Sizes = USUAL,
        attempts: int = 1,
    ) -> None:
        self.kind = kind
        self.endpoint = ""
        self.md5_is_told = False  # by the ETag of an answer; see `Kind.etag_is_md5`
        self._holds: Callable[[], bool] = lambda: True
        self._part = min(sizes.part, _PART)
        self._in_parts = threading.Semaphore(_BODIES_IN_PARTS)
        self._closed = False
        with self._asked("get"):
            self._obstore = _library()
            self._put = self._obstore.put
            self._store, self.endpoint = connect(kind, name, options, attempts)

    def put(self, key: str, data: bytes, facts: Facts) -> str:
        """Put an object from memory, in one request. Returns its ETag.

        An object whose ETag says that it was damaged on the way is deleted, and put again later.
        """
        try:  # a context manager would cost each object as much again as all else here
            made = self._put(
                self._store, key, data, attributes=_attributes(facts), use_multipart=False
            )
        except BaseException as error:
            raise self._failed(error, "put") from error
        etag: str = made["e_tag"]
        if self.md5_is_told and etag.strip('"') != digest_of(data):
            self.delete(key)
            raise StoreError("BadDigest: it was damaged on the way", transient=True)
        return etag

    def put_file(self, key: str, path: Path, size: int, facts: Facts) -> None:
        """Put a file as an object, in parts if it is larger than one. What fails is aborted."""
        part = max(self._part, -(-size // _MOST_PARTS))
        if size <= part:
            self.put(key, path.read_bytes(), facts)
            return
        with self._in_parts, self._asked("put"):
            self._obstore.put(
                self._store,
                key,
                self._pieces(path, part),
                attributes=_attributes(facts),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put an object only if its state is still `etag`. None: only if there is no object.

        Returns what says its new state, or None if the condition did not hold.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create" if etag is None else {self._state: etag}
        try:
            with self._asked("put"):
                made = self._obstore.put(self._store, key, data, mode=mode, use_multipart=False)
        except StoreError as error:
            if error.fatal:  # a container that is being deleted is a conflict too
                raise
            if isinstance(error.__cause__, AlreadyExistsError | PreconditionError):
                return None
            if etag is not None and errors.is_absent(error):
                return None
            raise
        return self._state_of(made)

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """An object, and its bytes as they arrive. None if there is no such object."""
        found = self._found(key)
        if found is None:
            return None
        told = found.meta
        etag = self._state_of(told)
        entry = Entry(key, told["size"], etag, told["last_modified"].timestamp())
        return entry, self._read(found)

    def stat(self, key: str) -> ObjectStat | None:
        """What its head says of an object. None if there is no such object."""
        found = self._found(key, {"head": True})
        return None if found is None else stat_of(found.meta["size"], found.attributes)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with `prefix`. obstore lists whole directories only."""
        directory = prefix.rpartition("/")[0]
        with self._asked("list"):
            for page in self._obstore.list(self._store, directory or None):
                for found in page:
                    if (key := found["path"]).startswith(prefix):
                        modified = found["last_modified"].timestamp()
                        yield Entry(key, found["size"], "", modified)

    def folders(self, prefix: str) -> Iterator[str]:
        """What begins keys, from `prefix` to the next slash."""
        with self._asked("list"):
            found = self._obstore.list_with_delimiter(self._store, prefix.rstrip("/"))
            yield from (f"{folder}/" for folder in found["common_prefixes"])

    def delete(self, key: str) -> None:
        """Delete an object. Nothing happens if there is none."""
        try:
            with self._asked("delete"):
                self._obstore.delete(self._store, key)
        except StoreError as error:
            if not errors.is_absent(error):
                raise

    def fence(self, holds: Callable[[], bool]) -> None:
        """Send no more parts once `holds()` is false: the upload is aborted."""
        self._holds = holds

    def close(self) -> None:
        """Abort uploads in parts. Nobody waits for a request that is under way."""
        self._closed = True

    @property
    def _state(self) -> str:
        return "version" if self.kind.by_version else "e_tag"

    def _state_of(self, told: Mapping[str, Any]) -> str:
        state = told[self._state]
        if not state:
            text = f"{self.endpoint} does not tell which state an object has"
            raise StoreError(text, fatal=True)
        return str(state)

    def _found(self, key: str, options: Any = None) -> Any:
        try:
            with self._asked("get"):
                return self._obstore.get(self._store, key, options=options)
        except StoreError as error:
            if errors.is_absent(error):
                return None
            raise

    def _read(self, found: Any) -> Iterator[bytes]:
        with self._asked("get"):
            for chunk in found.stream(min_chunk_size=MIB):
                yield bytes(chunk)

    def _pieces(self, path: Path, size: int) -> Iterator[bytes]:
        """The parts of a file. An error that is raised here makes obstore abort the upload."""
        with open(path, "rb") as file:
            while piece := file.read(size):
                self._go_on()
                yield piece
        self._go_on()

    def _go_on(self) -> None:
        if self._closed or not self._holds():
            raise StoreError("the lease ran out")

    @contextmanager
    def _asked(self, doing: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            raise self._failed(error, doing) from error

    def _failed(self, error: BaseException, doing: str) -> StoreError:
        """The error for what obstore raised. What it did not raise is raised again."""
        if isinstance(error, errors.foreign()):
            return errors.meant(error, self.kind, self.endpoint, doing)
        if type(error).__name__ == "PanicException":  # of Rust; it is no Exception
            return StoreError(f"obstore failed: {error}")
        raise error


def _library() -> ModuleType:
    """Obstore. One thread of its own is enough, and costs a fifth less CPU a put than several.

    The threads that store wait for it. It reads their number when it makes them, at its first use.
    """
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    import obstore

    return obstore


def digest_of(data: bytes) -> str:
    """The MD5, hexadecimal."""
    return md5(data, usedforsecurity=False).hexdigest()


def _attributes(facts: Facts) -> Any:
    """What obstore calls attributes: header fields by their names, all others are metadata."""
    told = dict(facts.metadata)
    if facts.content_type:
        told["Content-Type"] = facts.content_type
    if facts.content_encoding:
        told["Content-Encoding"] = facts.content_encoding
    return told
