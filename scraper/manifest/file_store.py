"""FileManifestStore: a manifest in one file, appended to line by line.

A run that died may have left a torn last line. The next run ends that line first; it says
nothing then. What a full disk does not take is kept and tried again at the end, when temporary
files are gone. A line that the disk took in part is taken back.

Owns: appending, reading back what was appended, compacting. Does not know: what a line says
(`codec.py`), which file it is (`store.py`). Rejected: rewriting the file at the end of a run,
which loses it with a crash.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from io import BufferedReader
from itertools import chain, compress, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.manifest.codec import encode
from scraper.model.errors import DestinationError
from scraper.model.records import Result
from scraper.sinks.directory import flush_path, make_directory

if TYPE_CHECKING:
    from scraper.manifest.index import Index  # most runs need none

_WAITING = 0.03  # share of the time that may be waited for the disk
_LATEST_S = 1.0  # the longest that a record waits for its group
_flush_data = getattr(os, "fdatasync", os.fsync)  # which macOS does not have


class FileManifestStore:
    """The manifest at `path`. See `ManifestStore`; making one raises DestinationError.

    With `sync`, records survive a power cut: it makes the objects durable before their records are
    written, and raises DestinationError. Both wait for the disk, so records are written in groups,
    as databases commit in groups: the next ones wait until the waiting is a small share of the
    time. Without `sync`, records survive the end of the process only.
    """

    def __init__(self, path: Path, sync: Callable[[], None] | None = None) -> None:
        self.place = str(path)
        self._sync = sync
        self._next = 0.0  # when the next group may be written, in monotonic seconds
        self._path = path
        self._lines = bytearray()  # what the file has not taken yet
        self._given = self.recorded = 0  # records of this run
        self._torn = 0  # bytes that it has of the first of them
        try:
            make_directory(path.parent, durable=sync is not None)
            self.readable = path.is_file() or not path.exists()  # not a pipe, not /dev/null
            self.begun, torn = _looked_at(path) if path.is_file() else (False, False)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if sync is not None and not self.begun and self.readable:
                flush_path(path.parent)
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None
        self._size = os.fstat(self._fd).st_size  # with what this run has written
        self.index_path = index_path_of(path) if self.readable else None
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
        self._given += 1

    def flush(self, *, idle: bool = False) -> None:
        """Hand the lines to the system. With `sync`, wait until they are on the disk."""
        begun = time.monotonic()
        if self._lines and self._sync is not None:
            if begun < self._next and not idle:
                return
            self._sync()
        try:
            while self._lines:
                taken = os.write(self._fd, self._lines)
                self._size += taken
                end = self._lines.rfind(b"\n", 0, taken) + 1
                self._torn = taken - end if end else self._torn + taken
                del self._lines[:taken]
            if self._sync is not None and self.readable and self.recorded < self._given:
                _flush_data(self._fd)
                ended = time.monotonic()
                self._next = ended + min((ended - begun) / _WAITING, _LATEST_S)
            self.recorded = self._given
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def close(self) -> None:
        """Flush to the disk."""
        if self._fd < 0:
            return
        try:
            self.flush(idle=True)
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
            if self._sync is not None:
                flush_path(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                packed.unlink()
            raise DestinationError(_cannot(self.place, error)) from None


def index_path_of(file: Path) -> Path:
    """Where the index of the manifest `file` is kept."""
    return file.with_name(file.name + ".index")


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
