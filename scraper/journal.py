"""The journal: where the manifest's lines are kept, and read back.

In a file they are appended. Where nothing can be appended to (S3, other sinks)
they are numbered segments, put through the sink itself: the last one again
every few seconds with the lines that have come, until it is full. Replaying
lines in order gives the state of every target; replaying one twice changes
nothing, and so a journal that was cut off while it was compacted is whole.

Owns: those two ways, and compacting. Refuses to know: what a line says
(`manifest.py`). Rejected: a segment for each few seconds of a run that takes
days (reading them back is a request each).

A record is written after the sink's commit, never before.
"""

import contextlib
import gzip
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path

from scraper.errors import DestinationError, ScraperError
from scraper.index import Index
from scraper.manifest import encode, read_entry
from scraper.records import Response, Result
from scraper.sinks.base import Body, Shelf, Sink, scheme_of
from scraper.sinks.directory import path_of

DEFAULT_PATH = ".scraper/manifest.jsonl"
SEGMENT_BYTES = 4 << 20
SEGMENT_S = 5.0  # the most that a killed run forgets
PACKED_BYTES = 16 << 20  # of lines in one compacted segment, before gzip
_PATIENCE_S = 120.0  # with a sink that takes no segment
_LAST_PATIENCE_S = 10.0  # when the run is over
_READERS = 4  # segments on their way at once
_LINES = 2_000  # looked up at once
_SEGMENT = re.compile(r"\.scraper/manifest-(\d+)-[0-9a-f]+\.jsonl(\.gz)?")


class FileJournal:
    """One file, appended to; a torn last line of a run that died is closed first.

    Its methods, as those of SinkJournal, raise DestinationError. `begun`: whether it
    held lines when it was opened; `readable`: whether it could; `index_path`: where
    an index of it may be kept.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self.index_path: Path | None = path.with_name(path.name + ".index")
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab+")  # noqa: SIM115 - closed by close()
            self.readable = path.is_file()  # not a pipe, not /dev/null
            self.begun = self.readable and self._file.tell() > 0
            if self.begun:
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self._file.write(b"\n")
                    self._file.flush()
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def __call__(self, result: Result) -> None:
        """Append."""
        try:
            self._file.write(encode(result))
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        try:
            self._file.flush()
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def close(self) -> None:
        """Flush to the disk."""
        if self._file.closed:
            return
        try:
            self._file.flush()
            if self._file.seekable():
                os.fsync(self._file.fileno())
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None
        finally:
            self._file.close()

    def catch_up(self, index: Index) -> None:
        """Absorb what was appended; everything, if this is not the file that was absorbed."""
        try:
            with open(self._path, "rb") as file:
                mark, identity = index.mark, _identity(file.fileno())
                if mark.file != identity or mark.bytes > os.fstat(file.fileno()).st_size:
                    index.clear()
                else:
                    file.seek(mark.bytes)
                index.absorb(file, identity)
        except OSError as error:
            raise DestinationError(f"can't read the manifest {self.place!r}: {error}") from None

    def compact(self, index: Index) -> None:
        """Write the lines that still say something beside it, and put that in its place."""
        packed = self._path.with_name(self._path.name + ".compact")
        try:
            with open(self._path, "rb") as old, open(packed, "wb") as new:
                new.writelines(_standing(old, index))
                new.flush()
                os.fsync(new.fileno())
            os.replace(packed, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                packed.unlink()
            raise DestinationError(_cannot(self.place, error)) from None
        index.clear()


class SinkJournal:
    """Segments `.scraper/manifest-<number>-<run>.jsonl` in any sink, put by one thread."""

    def __init__(self, sink: Sink, destination: str) -> None:
        self.index_path: Path | None = None  # in a temporary file: any machine may be the next
        self._sink = sink
        self._shelf = sink if isinstance(sink, Shelf) else None
        self._run = secrets.token_hex(4)
        self.place = f"{destination.rstrip('/')}/.scraper/manifest-*.jsonl"
        segments = self._segments()
        self.readable = self._shelf is not None
        self.begun = bool(segments)
        self._number = segments[-1][0] if segments else int(time.time()) * (not self.readable)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._put_lines = 0  # of these, as far as the sink has them or is given them
        self._put_at = time.monotonic()
        self._closing = threading.Event()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="manifest")
        self._pending: list[Future[None]] = []

    def __call__(self, result: Result) -> None:
        """Append to the segment that is open."""
        line = encode(result)
        self._lines.append(line)
        self._bytes += len(line)

    def flush(self) -> None:
        """Put the segment when it is full, or has waited; raises what an earlier put met."""
        while self._pending and self._pending[0].done():
            self._pending.pop(0).result()
        full = self._bytes >= SEGMENT_BYTES
        due = time.monotonic() - self._put_at > SEGMENT_S and not self._pending
        if full or (due and len(self._lines) > self._put_lines):
            self._put(full=full)

    def close(self) -> None:
        """Write what is left, and wait until it is durable."""
        if len(self._lines) > self._put_lines:
            self._put(full=True)
        self._closing.set()
        self._writer.shutdown(wait=True)
        pending, self._pending = self._pending, []
        for segment in pending:
            segment.result()

    def catch_up(self, index: Index) -> None:
        """Absorb every segment, in order; there is no knowing which of them were rewritten."""
        index.clear()
        try:
            for lines in self._read_all(self._segments()):
                index.absorb(lines)
        except ScraperError as error:
            raise DestinationError(f"can't read the manifest {self.place!r}: {error}") from None

    def lines(self) -> Iterator[bytes]:
        """Every line, in order. Raises SinkError."""
        return chain.from_iterable(self._read_all(self._segments()))

    def compact(self, index: Index) -> None:
        """Put the lines that still say something into new segments, and delete the old ones."""
        assert self._shelf is not None
        old = self._segments()
        number = old[-1][0] if old else 0
        lines = _standing(chain.from_iterable(self._read_all(old)), index)
        while packed := _up_to(lines, PACKED_BYTES):
            number += 1
            _store(self._sink, f"{self._key(number)}.gz", gzip.compress(packed, 6))
        for _, key in old:
            self._shelf.remove(key)

    def _segments(self) -> list[tuple[int, str]]:
        """Numbers and keys of the segments that are there, in order."""
        if self._shelf is None:
            return []
        try:
            keys = [
                (_SEGMENT.fullmatch(key), key) for key in self._shelf.keys(".scraper/manifest-")
            ]
        except ScraperError as error:
            raise DestinationError(f"can't read the manifest {self.place!r}: {error}") from None
        return sorted((int(found[1]), key) for found, key in keys if found)

    def _read_all(self, segments: Iterable[tuple[int, str]]) -> Iterator[list[bytes]]:
        """The lines of each segment, in order; a few are on their way at once."""
        keys = iter([key for _, key in segments])
        with ThreadPoolExecutor(_READERS, thread_name_prefix="manifest") as readers:
            coming = deque(readers.submit(self._read, key) for key in islice(keys, _READERS))
            while coming:
                lines = coming.popleft().result()
                coming.extend(readers.submit(self._read, key) for key in islice(keys, 1))
                yield lines

    def _read(self, key: str) -> list[bytes]:
        assert self._shelf is not None
        data = b"".join(self._shelf.read(key))
        return (gzip.decompress(data) if key.endswith(".gz") else data).splitlines(keepends=True)

    def _key(self, number: int) -> str:
        return f".scraper/manifest-{number:08}-{self._run}.jsonl"

    def _put(self, *, full: bool) -> None:
        if not self._put_lines:
            self._number += 1
        data = b"".join(self._lines)
        self._put_lines, self._put_at = len(self._lines), time.monotonic()
        if full:
            self._lines, self._bytes, self._put_lines = [], 0, 0
        self._pending.append(self._writer.submit(self._insist, self._key(self._number), data))

    def _insist(self, key: str, data: bytes) -> None:
        """Put a segment; a sink that is away for a while is waited for."""
        begun, delay = time.monotonic(), 0.5
        while True:
            try:
                return _store(self._sink, key, data)
            except ScraperError as error:
                patience = _LAST_PATIENCE_S if self._closing.is_set() else _PATIENCE_S
                passing = getattr(error, "transient", False)
                if not passing or time.monotonic() + delay > begun + patience:
                    raise DestinationError(f"can't write the manifest: {error}") from None
            self._closing.wait(delay)
            delay = min(2 * delay, 10.0)


def open_journal(path: str | None, destination: str, sink: Sink) -> FileJournal | SinkJournal:
    """The manifest at `path`, or where the destination keeps it. Raises DestinationError."""
    if path is not None:
        return FileJournal(Path(path))
    if scheme_of(destination) == "file":
        return FileJournal(path_of(destination) / DEFAULT_PATH)
    return SinkJournal(sink, destination)


def read_lines(path: str | None, destination: str, sink: Sink) -> Iterator[bytes]:
    """Every line of the manifest that `open_journal` would open, in order; nothing is written.

    Raises DestinationError if there is none, or it can't be read.
    """
    if path is None and scheme_of(destination) != "file":
        journal = SinkJournal(sink, destination)
        if not journal.begun:
            raise DestinationError(f"there is no manifest {journal.place!r}")
        yield from journal.lines()
        return
    file = Path(path) if path is not None else path_of(destination) / DEFAULT_PATH
    try:
        with open(file, "rb") as lines:
            yield from lines
    except OSError as error:
        reason = error.strerror or str(error)
        raise DestinationError(f"can't read the manifest {str(file)!r}: {reason}") from None


def _standing(lines: Iterable[bytes], index: Index) -> Iterator[bytes]:
    """The lines that no later one outdates."""
    lines = iter(lines)
    number = 0
    while batch := list(islice(lines, _LINES)):
        entries = [(number + n, read_entry(line)) for n, line in enumerate(batch, 1)]
        number += len(batch)
        for line, stands in zip(batch, index.standing(entries), strict=True):
            if stands:
                yield line


def _up_to(lines: Iterator[bytes], size: int) -> bytes:
    taken: list[bytes] = []
    for line in lines:
        taken.append(line)
        size -= len(line)
        if size <= 0:
            break
    return b"".join(taken)


def _store(sink: Sink, key: str, data: bytes) -> None:
    response = Response(200, "", content_type="application/x-ndjson")
    body = Body("", time.time(), len(data), sha256(data).hexdigest(), response)
    upload = sink.open(key)
    try:
        upload.write(data)
        upload.commit(body)
    except ScraperError:
        upload.abort()
        raise


def _identity(fd: int) -> str:
    """Which file it is: its place on the disk and its first bytes."""
    found = os.fstat(fd)
    return f"{found.st_dev}:{found.st_ino}:{sha256(os.pread(fd, 512, 0)).hexdigest()[:16]}"


def _cannot(place: str, error: OSError) -> str:
    return f"can't write the manifest {place!r}: {error.strerror or error}"
