"""The journal: where the manifest's lines are kept, and read back.

In a file they are appended. Where nothing can be appended to (S3, other sinks)
they are numbered segments, put through the sink itself: the last one again
every few seconds with the lines that have come, until it is full. Replaying
lines in order gives the state of every target; replaying one twice changes
nothing, and so a journal that was cut off while it was compacted is whole.

Owns: those two ways, and compacting. Refuses to know: what a line says
(`codec.py`). Rejected: a segment for each few seconds of a run that takes
days (reading them back is a request each).

A record is written after the sink's commit, never before.
"""

import contextlib
import gzip
import os
import re
import stat
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from io import BufferedReader
from itertools import chain, compress, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.manifest.codec import encode
from scraper.model.errors import DestinationError, ScraperError, SinkError
from scraper.model.records import Response, Result
from scraper.model.urls import redact
from scraper.sinks.base import Body, ReadableSink, Sink, scheme_of
from scraper.sinks.directory import path_of

if TYPE_CHECKING:
    from scraper.manifest.index import Index  # of which most runs need none

DEFAULT_PATH = ".scraper/manifest.jsonl"
SEGMENT_BYTES = 4 << 20
SEGMENT_S = 5.0  # the most that a killed run forgets
PACKED_BYTES = 8 << 20  # of lines in one compacted segment, before gzip
_LAST_PATIENCE_S = 10.0  # when the run is over
_READERS = 4  # segments on their way at once
_SEGMENT = re.compile(r"\.scraper/manifest-(\d+)-[0-9a-f]+\.jsonl(\.gz)?")


class FileManifestStore:
    """One file, appended to; a torn last line of a run that died is closed first.

    What a full disk does not take is kept and tried again at the end, when temporary files are
    gone; a line that it took in part is taken back. Its methods raise DestinationError, as those of
    SinkManifestStore do. `begun`: whether it held lines when it was opened; `readable`: whether it
    could; `index_path`: where an index of it may be kept.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path
        self._lines = bytearray()  # what the file has not taken yet
        self._torn = 0  # bytes that it has of the first of them
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.readable = path.is_file() or not path.exists()  # not a pipe, not /dev/null
            self.begun, torn = _looked_at(path) if path.is_file() else (False, False)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None
        self._size = os.fstat(self._fd).st_size  # with what this run has written
        self.index_path = _index_path(path) if self.readable else None
        if torn:
            self._lines += b"\n"
            try:
                self.flush()
            except DestinationError:
                os.close(self._fd)
                raise

    def __call__(self, result: Result) -> None:
        """Append, with the next `flush`. Never raises."""
        self._lines += encode(result)

    def flush(self) -> None:
        """Hand the lines to the system."""
        try:
            while self._lines:
                taken = os.write(self._fd, self._lines)
                self._size += taken
                end = self._lines.rfind(b"\n", 0, taken) + 1
                self._torn = taken - end if end else self._torn + taken
                del self._lines[:taken]
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def close(self) -> None:
        """Flush to the disk."""
        if self._fd < 0:
            return
        try:
            self.flush()
            if self.readable:
                os.fsync(self._fd)
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None
        finally:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                if self._torn and os.fstat(fd).st_size == self._size:  # nobody else's came after
                    os.ftruncate(fd, self._size - self._torn)
            os.close(fd)

    def catch_up(self, index: "Index") -> None:
        """Absorb what was appended; everything, if this is not the file that was absorbed."""
        try:
            with open(self._path, "rb") as file:
                mark = index.mark
                if mark.seal == _seal(file, mark.bytes):
                    file.seek(mark.bytes)
                else:
                    index.clear()
                index.absorb(file, partial(_seal, file))
        except OSError as error:
            raise DestinationError(f"can't read the manifest {self.place!r}: {error}") from None

    def compact(self, index: "Index") -> None:
        """Write the lines that still say something beside it, and put that in its place."""
        path = self._path.resolve()  # a link stays one
        packed = path.with_name(path.name + ".compact")
        try:
            with open(path, "rb") as old, open(packed, "wb") as new:
                os.fchmod(new.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
                new.writelines(compress(old, chain(index.standing(), repeat(1))))
                new.flush()
                os.fsync(new.fileno())
            os.replace(packed, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                packed.unlink()
            raise DestinationError(_cannot(self.place, error)) from None


class SinkManifestStore:
    """Segments `.scraper/manifest-<number>-<run>.jsonl` in any sink, put by one thread."""

    index_path = None  # in a temporary file: any machine may be the next

    def __init__(self, sink: Sink, destination: str, patience_s: float = 120.0) -> None:
        self._sink = sink
        self._patience_s = patience_s  # with a sink that takes no segment
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
            _store(self._sink, key, gzip.compress(lines, 6))
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
                patience = _LAST_PATIENCE_S if self._closing.is_set() else self._patience_s
                passing = getattr(error, "transient", False)
                if not passing or time.monotonic() + delay > begun + patience:
                    raise DestinationError(f"can't write the manifest: {error}") from None
            self._closing.wait(delay)
            delay = min(2 * delay, 10.0)


def path_for(path: str | None, destination: str) -> Path | None:
    """The file of the manifest given as `path`, else the destination's own; None: no file."""
    if path is not None:
        return Path(path)
    return path_of(destination) / DEFAULT_PATH if scheme_of(destination) == "file" else None


def _index_path(file: Path) -> Path:
    return file.with_name(file.name + ".index")


def open_store(
    path: str | None, destination: str, sink: Sink, patience_s: float
) -> FileManifestStore | SinkManifestStore:
    """The manifest at `path`, or where the destination keeps it. Raises DestinationError.

    `patience_s`: how long a sink is waited for that takes no records.
    """
    file = path_for(path, destination)
    if file is None:
        return SinkManifestStore(sink, destination, patience_s)
    if path is None:
        _refuse_links(file)
    return FileManifestStore(file)


def _refuse_links(file: Path) -> None:
    """In a destination a link may have been planted; one that the user names is the user's."""
    for path in (file, _index_path(file)):
        if path.is_symlink():
            message = f"{str(path)!r} is a link: --manifest PATH keeps the manifest elsewhere"
            raise DestinationError(message)


def read_lines(path: str | None, destination: str, sink: Sink) -> Iterator[bytes]:
    """Every line of the manifest that `open_store` would open, in order; nothing is written.

    Raises DestinationError if there is none, or it can't be read.
    """
    file = path_for(path, destination)
    if file is None:
        store = SinkManifestStore(sink, destination)
        if not store.begun:
            raise DestinationError(f"there is no manifest {store.place!r}")
        yield from store.lines()
        return
    try:
        with open(file, "rb") as lines:
            yield from lines
    except OSError as error:
        reason = error.strerror or str(error)
        raise DestinationError(f"can't read the manifest {str(file)!r}: {reason}") from None


def _store(sink: Sink, key: str, data: bytes) -> None:
    response = Response(200, "", content_type="application/x-ndjson")
    body = Body("", time.time(), len(data), sha256(data).hexdigest(), response)
    upload = sink.open(key)
    try:
        upload.write(data)
        upload.commit(body)
    finally:
        upload.abort()


def _unpacked(key: str, data: bytes) -> list[bytes]:
    try:
        whole = gzip.decompress(data) if key.endswith(".gz") else data
    except (OSError, EOFError, zlib.error) as error:
        raise SinkError(f"{key!r} is broken: {error}", transient=False) from None
    return whole.splitlines(keepends=True)


def _looked_at(path: Path) -> tuple[bool, bool]:
    """Whether the file holds lines, and whether its last one is torn. Raises OSError."""
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False, False
        file.seek(-1, os.SEEK_END)
        return True, file.read(1) != b"\n"


def _seal(file: BufferedReader, size: int) -> str:
    """What the first `size` bytes are known by: the file's place on the disk, their ends."""
    fd = file.fileno()
    found, some = os.fstat(fd), min(size, 512)
    ends = os.pread(fd, some, 0) + os.pread(fd, some, size - some)
    return f"{found.st_dev}:{found.st_ino}:{len(ends) == 2 * some}:{sha256(ends).hexdigest()[:32]}"


def _cannot(place: str, error: OSError) -> str:
    reason = "its directory is a file" if isinstance(error, FileExistsError) else error.strerror
    return f"can't write the manifest {place!r}: {reason or error}"
