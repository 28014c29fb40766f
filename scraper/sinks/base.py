"""The interface between transfers and destinations: Sink, Upload, and how a sink is found.

This module is public. Sinks of other packages import it.

It owns the protocols, the facts that accompany a body, and the look-up of a sink by its
URL scheme in the entry-point group `scraper.sinks`. It does not know any particular sink.

Our own sinks are registered in the entry-point group too, and are called in the same way.
`OURS` names them a second time, because asking all installed packages takes longer than
a small run.

A factory is called as `factory(destination, options)`. It must not use the network or the
disk. `check()` does that, when the run begins.

Rejected: base classes. A Protocol is enough to check the types of a plug-in, and
`scraper.testing` checks its behaviour.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from scraper.model.dates import milliseconds
from scraper.model.errors import UsageError
from scraper.model.records import Response, Stored
from scraper.model.settings import S3
from scraper.model.urls import redact, scheme_in
from scraper.sinks.object_stat import ObjectStat, modified_ms

ENTRY_POINT_GROUP = "scraper.sinks"
# The entry points of this package; a test compares them. No other package can replace them.
OURS = {
    "file": "scraper.sinks.directory:open_sink",
    "s3": "scraper.sinks.s3:open_sink",
    "gs": "scraper.sinks.cloud:open_sink",
    "az": "scraper.sinks.cloud:open_sink",
    "sftp": "scraper.sinks.remote_files:open_sink",
    "ftp": "scraper.sinks.remote_files:open_sink",
    "stdout": "scraper.sinks.stdout:open_sink",
    "tar": "scraper.sinks.archives:open_sink",
    "warc": "scraper.sinks.warc:open_sink",
    "zip": "scraper.sinks.archives:open_sink",
    "webdav": "scraper.sinks.remote_files:open_sink",
    "webdavs": "scraper.sinks.remote_files:open_sink",
    "smb": "scraper.sinks.remote_files:open_sink",
    "hdfs": "scraper.sinks.remote_files:open_sink",
    "warc+s3": "scraper.sinks.warc:open_sink",
    "warc+gs": "scraper.sinks.warc:open_sink",
    "warc+az": "scraper.sinks.warc:open_sink",
}


class Body(NamedTuple):
    """What is known of a body when it is complete.

    `size` is in bytes, as stored. `sha256` is hexadecimal. `fetched_at` is in seconds since
    1970 (UTC). `source_url` has no secrets.
    """

    source_url: str
    fetched_at: float
    size: int
    sha256: str
    response: Response

    def stored(self) -> Stored:
        """The record of this body, for a sink to return from `commit`."""
        return Stored(response=self.response, size=self.size, sha256=self.sha256)

    @property
    def modified_ms(self) -> int:
        """The time for the object, in milliseconds since 1970, where objects have one.

        It is the response's Last-Modified, else the time of the fetch.
        """
        return modified_ms(self.response.last_modified, milliseconds(self.fetched_at))


class SinkOptions(NamedTuple):
    """What a sink may need to know about the run."""

    max_concurrency: int = 16
    s3: S3 = S3()
    durable: bool = False  # objects survive a power cut; see `Sink.sync`
    cacert: str | None = None  # --cacert
    together: bool = False  # other processes of the run store there at the same time (--processes)
    warc_size: int | None = None  # --warc-size: bytes of one file of an archive


class Upload(Protocol):
    """One body that is being stored under one key. One thread at a time uses it.

    Where its commit is one HTTP request, it may have `put_request`: see `sinks/put_request.py`.
    """

    def write(self, chunk: bytes) -> None:
        """Append `chunk` to the body. Raises SinkError."""

    def commit(self, body: Body) -> Stored:
        """Make the object visible, complete and durable. It replaces an older one.

        Raises SinkError.
        """

    def abort(self) -> None:
        """Remove everything that was not committed. Never raises.

        It may be called at any time, after `commit` too.
        """


class RandomAccessUpload(Upload, Protocol):
    """An upload whose bytes may come in any order: a body that is fetched in parts (--split).

    Such a body is written with `write_at` only. Several threads call both methods at once, for
    different bytes. `commit` comes when all bytes are there, and `abort` when no thread writes.
    """

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` so that it begins at byte `offset` of the body. Raises SinkError."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes that were written at `offset`. Raises SinkError."""


class Blocking(Enum):
    """Which methods of a sink may block for longer than a few hundred microseconds."""

    NEVER = auto()
    COMMIT = auto()  # only `commit`
    WRITE = auto()  # all of them


class Sink(Protocol):
    """A destination for bodies. Many threads call `open`.

    A sink may have these attributes too. The engine reads them after `check`.

    `blocking`, a `Blocking`: which methods may block. See `blocking_of`.
    `disk`, a Path: the file system on which bodies take room. See `disk_of`.
    `ignores_case`, a bool: keys that differ only in case are the same key here.
    `has_directories`, a bool: `a` and `a/b` can't both be keys here.
    `random_access`, a bool: each upload is a `RandomAccessUpload`. Else bodies are not split.
    `found`, anything that can be pickled, and `join(found)`: what `check` found out, and what is
    called instead of it in other processes of the same run (--processes). Where there is no `join`
    they call `check`. It raises DestinationError.
    `sync()`: return when all committed objects survive a power cut. It is called, from one thread,
    before records of them are written. It raises DestinationError. A sink whose `commit` does all
    of that has no `sync`. See `sync_of`.
    """

    def check(self) -> None:
        """Make sure that objects can be stored, before the first request to the web.

        Raises DestinationError, whose message is one line.
        """

    def open(self, key: str) -> Upload:
        """Begin an object. `key` is a relative, safe path with slashes. Raises SinkError."""

    def close(self) -> None:
        """Release everything. Uploads that were neither committed nor aborted are aborted."""


@runtime_checkable
class ReadableSink(Protocol):
    """The methods of a sink that can be read. A later run can then resume an earlier one.

    `near`: whether `size` is quick, without a request. All methods raise SinkError.

    A sink may have these methods too. With the first one a later run notices an object that is
    another than the recorded one, and of the same size. `listing` and `may_have_objects` are for
    objects that no run has recorded, the others for `scraper list --prune`.

    `object_stat(key)`: an `ObjectStat`, None if there is no such object. It costs what `size` does.
    See `object_stat_of`.
    `listing(prefix)`: a `Listed` of every key that begins with `prefix`, in any order, without a
    request for each. See `listing_of`.
    `may_have_objects()`: False if there is certainly none. See `may_have_objects`.
    `is_linked(key)`: whether the object is reached by a link, which no run made. It is not deleted.
    `remove_emptied(key)`: after `remove(key)`, delete what was only there to hold the object, such
    as empty directories. Never raises.
    `remove_together(keys, last)`: delete these objects in one step, where one takes as long as all.
    `last()` is called when nothing more is expected to fail; if it raises, none is deleted. Raises
    DestinationError.
    """

    near: bool

    def reach(self) -> None:
        """Prepare for reading, where `check` was not called. Raises DestinationError."""

    def size(self, key: str) -> int | None:
        """The object's size in bytes. None if there is no such object."""

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes, in pieces."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins with `prefix`, in any order."""

    def remove(self, key: str) -> None:
        """Delete the object. Nothing happens if there is none."""


Shelf = ReadableSink  # its name before 0.2, for sinks of other packages


class Listed(NamedTuple):
    """An object of a listing: its key, its bytes, and the time it was put.

    The time is in milliseconds since 1970, None if unknown.
    """

    key: str
    size: int
    modified_ms: int | None = None


class SmallObject(NamedTuple):
    """A small object that was read. `age_s`: seconds since it was put, by the store's own clock.

    None if the store does not tell.
    """

    data: bytes
    etag: str
    age_s: float | None = None


@runtime_checkable
class ConditionalSink(Protocol):
    """The methods of a sink that can put a small object on a condition. A lease needs them.

    All methods raise SinkError and DestinationError.
    """

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put an object only if its etag is still `etag`. None: only if there is no object.

        Returns its new etag, or None if the condition did not hold.
        """

    def get_small(self, key: str) -> SmallObject | None:
        """The object, None if there is none."""

    def remove(self, key: str) -> None:
        """Delete the object. Nothing happens if there is none."""


def put_object(sink: Sink, key: str, data: bytes, content_type: str) -> None:
    """Put one small object of our own. Raises what the sink raises."""
    response = Response(200, "", content_type=content_type)
    body = Body("", time.time(), len(data), sha256(data).hexdigest(), response)
    upload = sink.open(key)
    try:
        upload.write(data)
        upload.commit(body)
    finally:
        upload.abort()


def blocking_of(sink: Sink) -> Blocking:
    """Which methods of `sink` may block: all of them, unless it says otherwise."""
    return getattr(sink, "blocking", Blocking.WRITE)


def sync_of(sink: Sink) -> Callable[[], None]:
    """The method `sync` of `sink`. It does nothing where `commit` alone is enough."""
    sync: Callable[[], None] = getattr(sink, "sync", _already_durable)
    return sync


def _already_durable() -> None:
    """Do nothing."""


def object_stat_of(readable: ReadableSink) -> Callable[[str], ObjectStat | None]:
    """The method `object_stat` of `readable`. Without one, only the sizes of objects are known."""

    def sized(key: str) -> ObjectStat | None:
        size = readable.size(key)
        return None if size is None else ObjectStat(size)

    found: Callable[[str], ObjectStat | None] = getattr(readable, "object_stat", sized)
    return found


def listing_of(readable: ReadableSink) -> Callable[[str], Iterator[Listed]]:
    """The method `listing` of `readable`. Without one, each key costs a question for its size."""

    def sized(prefix: str) -> Iterator[Listed]:
        for key in readable.keys(prefix):
            if (size := readable.size(key)) is not None:
                yield Listed(key, size)

    found: Callable[[str], Iterator[Listed]] = getattr(readable, "listing", sized)
    return found


def folders_of(readable: ReadableSink, prefix: str) -> Iterable[str]:
    """What keys have between `prefix` and the next slash, each once. Raises SinkError.

    The method `folders` of `readable` is quick. Without one, all its keys are listed.
    """
    ask: Callable[[str], Iterable[str]] | None = getattr(readable, "folders", None)
    if ask is not None:
        return ask(prefix)
    behind = (key.removeprefix(prefix).partition("/") for key in readable.keys(prefix))
    return {name for name, slash, _ in behind if slash}


def may_have_objects(readable: ReadableSink) -> bool:
    """Whether there may be any object. Raises SinkError."""
    ask: Callable[[], bool] | None = getattr(readable, "may_have_objects", None)
    return ask is None or ask()


def is_linked(readable: ReadableSink, key: str) -> bool:
    """Whether a link leads to the object, where there are links. Raises SinkError."""
    ask: Callable[[str], bool] | None = getattr(readable, "is_linked", None)
    return ask is not None and ask(key)


def remove_emptied(readable: ReadableSink, key: str) -> None:
    """Delete what was only there to hold the object that was deleted, where there is such."""
    work: Callable[[str], None] | None = getattr(readable, "remove_emptied", None)
    if work is not None:
        work(key)


def remove_together_of(
    readable: ReadableSink,
) -> Callable[[Iterable[str], Callable[[], None]], None] | None:
    """The method `remove_together` of `readable`. None: it deletes one object after the other."""
    return getattr(readable, "remove_together", None)


def disk_of(sink: Sink) -> Path | None:
    """A path on the file system that bodies take room on. None if `sink` does not say."""
    return getattr(sink, "disk", None)


def ignores_case(sink: Sink) -> bool:
    """Whether keys that differ only in case or Unicode normal form are one object there."""
    return bool(getattr(sink, "ignores_case", False))


def has_directories(sink: Sink) -> bool:
    """Whether a key can't be a directory of another key there."""
    return bool(getattr(sink, "has_directories", False))


def has_random_access(sink: Sink) -> bool:
    """Whether the bytes of a body may come in any order there."""
    return bool(getattr(sink, "random_access", False))


SinkFactory = Callable[[str, SinkOptions], Sink]


def scheme_of(destination: str) -> str:
    """The URL scheme of a destination, in lower case. A plain path has `file`, `-` has `stdout`."""
    if destination == "-":
        return "stdout"
    form = re.match(r"(?i)(tar|warc|zip):", destination)  # behind it comes a path
    return scheme_in(destination) or (form[1].lower() if form else "file")


def find_sink(destination: str, options: SinkOptions) -> Sink:
    """The sink that is registered for the scheme of `destination`. Raises UsageError."""
    scheme = scheme_of(destination)
    factory = _ours(scheme) if scheme in OURS else _installed(scheme, redact(destination))
    return factory(destination, options)


def _ours(scheme: str) -> SinkFactory:
    module, _, name = OURS[scheme].partition(":")
    factory: SinkFactory = getattr(import_module(module), name)
    return factory


def _installed(scheme: str, shown: str) -> SinkFactory:
    """The factory that an installed package registers for `scheme`. Raises UsageError."""
    from importlib.metadata import entry_points

    points = entry_points(group=ENTRY_POINT_GROUP)
    found = [point for point in points if point.name == scheme]
    if not found:
        known = ", ".join(sorted({point.name for point in points} - {"stdout"} | {"-"}))
        raise UsageError(f"--to {shown!r}: no sink for {scheme}:// (there are: {known})")
    factory: SinkFactory = found[0].load()
    return factory
