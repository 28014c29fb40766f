"""SinkManifestStore: a manifest in a sink that can't append, as numbered segments.

A segment is an object `.scraper/manifest-<number>-<run>.jsonl`. The last one is put again every
few seconds with the lines that have come since, until it is full. One thread does the puts.

Compacting puts one packed segment, `...jsonl.gz`, in the place of several. It may be cut off
anywhere: a segment is deleted only when its lines are in another, and a line that is read twice
changes nothing if the lines after it are read twice as well.

Owns: segments and their order. Does not know: what a line says (`codec.py`), how a sink that is
away is waited for (`segment_writer.py`). Rejected: a new segment for every few seconds; a run of
days would leave many thousands, and reading each is a request.
"""

import gzip
import os
import re
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, compress, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scraper.manifest.identity import Identity
from scraper.manifest.record import as_json, encode
from scraper.manifest.segment_writer import Segment, SegmentWriter
from scraper.model.errors import DestinationError, ScraperError, SinkError
from scraper.model.records import Result
from scraper.model.threads import submit
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink, put_object
from scraper.sinks.beginning import insist
from scraper.sinks.voids import own_keys, remove_own

if TYPE_CHECKING:
    from scraper.manifest.index import Index  # most runs need none

SEGMENT_BYTES = 4 << 20
SEGMENT_S = 5.0  # what came later than this is lost if the run is killed
PACKED_BYTES = 8 << 20  # lines in one compacted segment, before gzip
_PACKED = "application/gzip"  # the type of a packed segment (RFC 6713)
_READERS = 4  # segments that are read at once
IDENTITY_KEY = ".scraper/manifest-identity.key"
# A text: few runs need it, and `re` compiles it on its first use.
_SEGMENT = r".+/manifest-(\d+)-[0-9a-f]+\.jsonl(\.gz)?"
_PREFIX = ".scraper/"


class SinkManifestStore:
    """Segments `.scraper/manifest-<number>-<run>.jsonl` in any sink, put by one thread.

    `prefix` is the beginning of their keys: those of a shard lie apart.
    """

    index_path: Path | None = None  # a temporary file: the next run may be on another machine

    def __init__(
        self, sink: Sink, destination: str, patience_s: float = 120.0, prefix: str = _PREFIX
    ) -> None:
        self._sink = sink
        self._prefix = prefix
        self._readable = sink if isinstance(sink, ReadableSink) else None
        self.run = ""
        self._unique = os.urandom(4).hex()
        self.place = f"{redact(destination).rstrip('/')}/{prefix}manifest-*.jsonl*"
        self.destination = ""  # the segments lie in it
        self._has_secret = prefix != _PREFIX  # as `_segments` found; shards make one before
        segments = self._segments()
        self.readable = self._readable is not None
        self.begun = bool(segments)
        self.identity = Identity(self._secret())
        self._number = segments[-1][0] if segments else int(time.time()) * (not self.readable)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._put_lines = 0  # of these, how many were handed to the writer
        self._put_at = time.monotonic()
        self._first = 0  # record of the run that the open segment begins with
        self._failed = False  # a segment was not taken
        self._writer = SegmentWriter(sink, patience_s)

    def start(self) -> None:
        """Make ready for the records of a run. Raises NoThread."""
        self._writer.start()

    def __call__(self, result: Result) -> None:
        """Append to the open segment."""
        line = encode(result, self.identity if self.readable else None, run=self.run)
        self._lines.append(line)
        self._bytes += len(line)

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record that is no Result to the open segment."""
        line = as_json(record) + b"\n"
        self._lines.append(line)
        self._bytes += len(line)

    def settle(self) -> None:
        """Put what was not put yet, and wait until it is durable."""
        if len(self._lines) > self._put_lines:
            self._put(full=self._bytes >= SEGMENT_BYTES)
        self._writer.wait()

    def flush(self, *, idle: bool = False) -> None:
        """Put the segment when it is full or due. Raises the error of an earlier put."""
        try:
            self._writer.reraise()
        except DestinationError:
            self._failed = True
            raise
        full = self._bytes >= SEGMENT_BYTES
        waited = idle or time.monotonic() - self._put_at > SEGMENT_S
        due = waited and not self._writer.is_busy and len(self._lines) > self._put_lines
        if full or due:
            self._put(full=full)

    @property
    def recorded(self) -> int:
        """See `ManifestStore`."""
        return self._writer.arrived

    def close(self) -> None:
        """Put what is left, and wait until it is durable."""
        if self._lines and (self._failed or len(self._lines) > self._put_lines):
            self._put(full=True)
        self._writer.close()

    def release(self) -> None:
        """Nothing: the lock of the destination is the lock of its segments."""

    def adopt(self, lines: Iterable[bytes]) -> None:
        """See `ManifestStore`. The lines become packed segments, as compacting makes them."""
        left = iter(lines)
        try:
            while group := list(_up_to(PACKED_BYTES, left)):
                self._number += 1
                self._replace([], self._number, b"".join(group))
                self.begun = True
        except ScraperError as error:
            raise DestinationError(f"can't write the manifest {self.place!r}: {error}") from None

    def catch_up(self, index: "Index") -> None:
        """Let `index` absorb every segment, in order. Any of them may have been rewritten."""
        index.clear()
        index.absorb(self.lines())

    def lines(self) -> Iterator[bytes]:
        """Every line, in order."""
        try:
            for lines in self._read_all(self._segments()):
                yield from lines
        except ScraperError as error:
            raise self._unreadable(error) from None

    def confirm(self, index: "Index") -> None:
        """Nothing: the index of segments is made anew by each run."""

    def compact(self, index: "Index") -> None:
        """Put one packed segment in the place of several, until all are packed.

        What is read after a crash means the same: see the module.
        """
        flags, at = index.standing(), 0
        segments = self._segments()
        old: list[str] = []
        kept: list[bytes] = []
        try:
            for (number, key), lines in zip(segments, self._read_all(segments), strict=True):
                old.append(key)
                kept.extend(compress(lines, chain(flags[at : at + len(lines)], repeat(1))))
                at += len(lines)
                if key == segments[-1][1] or sum(map(len, kept)) >= PACKED_BYTES:
                    self._replace(old, number, b"".join(kept))
                    old, kept = [], []
        except ScraperError as error:
            raise DestinationError(f"can't compact the manifest: {error}") from None

    def _replace(self, old: Iterable[str], number: int, lines: bytes) -> None:
        """Put `lines` as the packed segment `number`, then remove the segments `old`."""
        key = f"{self._key(number)}.gz"
        if lines:
            put_object(self._sink, key, gzip.compress(lines, 6), _PACKED)
        for each in old:
            if each != key:
                remove_own(self._sink, each)

    def _unreadable(self, error: ScraperError) -> DestinationError:
        if isinstance(error, DestinationError):
            return error
        return DestinationError(f"can't read the manifest {self.place!r}: {error}")

    def _secret(self) -> bytes:
        """The secret of the identities, b"" if there is none yet."""
        if self._readable is None:
            return b""
        try:
            return self._read(IDENTITY_KEY) if self._has_secret else b""
        except ScraperError as error:
            raise self._unreadable(error) from None

    def _segments(self) -> list[tuple[int, str]]:
        """Numbers and keys of the segments, in order."""
        if self._readable is None:
            return []
        try:
            keys = insist(partial(own_keys, self._readable, f"{self._prefix}manifest-"))
        except ScraperError as error:
            raise self._unreadable(error) from None
        self._has_secret = self._has_secret or IDENTITY_KEY in keys
        return segments_of(keys)

    def _read_all(self, segments: Iterable[tuple[int, str]]) -> Iterator[list[bytes]]:
        assert self._readable is not None
        return read_segments(self._readable, [key for _, key in segments])

    def _read(self, key: str) -> bytes:
        assert self._readable is not None
        read = self._readable.read
        return insist(lambda: b"".join(read(key)))

    def _key(self, number: int) -> str:
        return f"{self._prefix}manifest-{number:08}-{self._unique}.jsonl"

    def _put(self, *, full: bool) -> None:
        if not self._put_lines:
            self._number += 1
        if self.identity.unsaved:
            secret = Segment(IDENTITY_KEY, self.identity.secret, self._first, self._first)
            self._writer.put(secret)
            self.identity.saved()
        data = b"".join(self._lines)
        self._put_lines, self._put_at = len(self._lines), time.monotonic()
        last = self._first + self._put_lines
        self._writer.put(Segment(self._key(self._number), data, self._first, last))
        if full:
            self._lines, self._bytes, self._put_lines, self._first = [], 0, 0, last


def _up_to(size: int, lines: Iterator[bytes]) -> Iterator[bytes]:
    """Take lines until they have `size` bytes."""
    while size > 0 and (line := next(lines, b"")):
        size -= len(line)
        yield line


def segments_of(keys: Iterable[str]) -> list[tuple[int, str]]:
    """Numbers and keys of the segments among `keys`, in order."""
    segments = ((re.fullmatch(_SEGMENT, key), key) for key in keys)
    return sorted((int(found[1]), key) for found, key in segments if found)


def read_segments(readable: ReadableSink, segments: Iterable[str]) -> Iterator[list[bytes]]:
    """The lines of each of the `segments`, in order. Several are read at once.

    Raises SinkError, DestinationError.
    """
    keys = iter(segments)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="manifest") as readers:

        def begin(key: str) -> Future[bytes]:
            return submit(readers, lambda: insist(lambda: b"".join(readable.read(key))))

        coming = deque((key, begin(key)) for key in islice(keys, _READERS))
        while coming:
            key, data = coming.popleft()
            lines = _unpacked(key, data.result())
            del data  # so that no segment is in memory twice
            coming.extend((key, begin(key)) for key in islice(keys, 1))
            yield lines


def _unpacked(key: str, data: bytes) -> list[bytes]:
    try:
        whole = gzip.decompress(data) if key.endswith(".gz") else data
    except (OSError, EOFError, zlib.error) as error:
        raise SinkError(f"{key!r} is broken: {error}", transient=False) from None
    return whole.splitlines(keepends=True)
