"""SinkManifestStore: a manifest in a sink that can't append, as numbered segments.

A segment is an object `.scraper/manifest-<number>-<run>.jsonl`. The last one is put again every
few seconds with the lines that have come since, until it is full. One thread does the puts.

Compacting puts one packed segment in the place of several. It may be cut off anywhere: a
segment is deleted only when its lines are in another, and a line that is read twice changes
nothing if the lines after it are read twice as well.

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
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, compress, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.manifest.codec import encode
from scraper.manifest.segment_writer import Segment, SegmentWriter, put_object
from scraper.model.errors import DestinationError, ScraperError, SinkError
from scraper.model.records import Result
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink

if TYPE_CHECKING:
    from scraper.manifest.index import Index  # most runs need none

SEGMENT_BYTES = 4 << 20
SEGMENT_S = 5.0  # what came later than this is lost if the run is killed
PACKED_BYTES = 8 << 20  # lines in one compacted segment, before gzip
_READERS = 4  # segments that are read at once
_SEGMENT = re.compile(r"\.scraper/manifest-(\d+)-[0-9a-f]+\.jsonl(\.gz)?")


class SinkManifestStore:
    """Segments `.scraper/manifest-<number>-<run>.jsonl` in any sink, put by one thread."""

    index_path: Path | None = None  # in a temporary file: any machine may be the next

    def __init__(self, sink: Sink, destination: str, patience_s: float = 120.0) -> None:
        self._sink = sink
        self._readable = sink if isinstance(sink, ReadableSink) else None
        self._run = os.urandom(4).hex()
        self.place = f"{redact(destination).rstrip('/')}/.scraper/manifest-*.jsonl"
        segments = self._segments()
        self.readable = self._readable is not None
        self.begun = bool(segments)
        self._number = segments[-1][0] if segments else int(time.time()) * (not self.readable)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._put_lines = 0  # of these, as far as the sink has them or is given them
        self._put_at = time.monotonic()
        self._first = 0  # record of the run that the open segment begins with
        self._failed = False  # a segment was not taken
        self._writer = SegmentWriter(sink, patience_s)

    def __call__(self, result: Result) -> None:
        """Append to the segment that is open."""
        line = encode(result)
        self._lines.append(line)
        self._bytes += len(line)

    def flush(self, *, idle: bool = False) -> None:
        """Put the segment when it is full, or has waited; raises what an earlier put met."""
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
        """Write what is left, and wait until it is durable."""
        if self._lines and (self._failed or len(self._lines) > self._put_lines):
            self._put(full=True)
        self._writer.close()

    def catch_up(self, index: "Index") -> None:
        """Absorb every segment, in order; there is no knowing which of them were rewritten."""
        index.clear()
        index.absorb(self.lines())

    def lines(self) -> Iterator[bytes]:
        """Every line, in order."""
        try:
            for lines in self._read_all(self._segments()):
                yield from lines
        except ScraperError as error:
            raise self._unreadable(error) from None

    def compact(self, index: "Index") -> None:
        """Put one segment of what still says something in the place of several, again and again.

        Whatever is read after a crash means the same: nothing is deleted before what
        stands of it is there, and to read a line twice changes nothing if what came
        after it is read twice as well.
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
        """Put the segment `number`, packed, instead of `old`."""
        assert self._readable is not None
        key = f"{self._key(number)}.gz"
        if lines:
            put_object(self._sink, key, gzip.compress(lines, 6))
        for each in old:
            if each != key:
                self._readable.remove(each)

    def _unreadable(self, error: ScraperError) -> DestinationError:
        if isinstance(error, DestinationError):
            return error
        return DestinationError(f"can't read the manifest {self.place!r}: {error}")

    def _segments(self) -> list[tuple[int, str]]:
        """Numbers and keys of the segments that are there, in order."""
        if self._readable is None:
            return []
        try:
            keys = [
                (_SEGMENT.fullmatch(key), key) for key in self._readable.keys(".scraper/manifest-")
            ]
        except ScraperError as error:
            raise self._unreadable(error) from None
        return sorted((int(found[1]), key) for found, key in keys if found)

    def _read_all(self, segments: Iterable[tuple[int, str]]) -> Iterator[list[bytes]]:
        """The lines of each segment, in order; a few are on their way at once."""
        keys = iter([key for _, key in segments])
        with ThreadPoolExecutor(_READERS, thread_name_prefix="manifest") as readers:
            coming = deque((key, readers.submit(self._read, key)) for key in islice(keys, _READERS))
            while coming:
                key, data = coming.popleft()
                lines = _unpacked(key, data.result())
                del data  # nothing is in memory twice
                coming.extend((key, readers.submit(self._read, key)) for key in islice(keys, 1))
                yield lines

    def _read(self, key: str) -> bytes:
        assert self._readable is not None
        return b"".join(self._readable.read(key))

    def _key(self, number: int) -> str:
        return f".scraper/manifest-{number:08}-{self._run}.jsonl"

    def _put(self, *, full: bool) -> None:
        if not self._put_lines:
            self._number += 1
        data = b"".join(self._lines)
        self._put_lines, self._put_at = len(self._lines), time.monotonic()
        last = self._first + self._put_lines
        self._writer.put(Segment(self._key(self._number), data, self._first, last))
        if full:
            self._lines, self._bytes, self._put_lines, self._first = [], 0, 0, last


def _unpacked(key: str, data: bytes) -> list[bytes]:
    try:
        whole = gzip.decompress(data) if key.endswith(".gz") else data
    except (OSError, EOFError, zlib.error) as error:
        raise SinkError(f"{key!r} is broken: {error}", transient=False) from None
    return whole.splitlines(keepends=True)
