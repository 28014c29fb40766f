"""The spool: it holds bodies until they are complete, for sinks that store whole objects at once.

A body is in memory while it is small and while all bodies together are below a limit. From
then on it is in a file. So memory is bounded, however many transfers are in flight.

This module owns the files and their removal. It does not know what is done with a body, or how
much memory a sink gives them.

Rejected: tempfile.SpooledTemporaryFile. It bounds each body but not their sum, and the files
of a killed run stay.
"""

import contextlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import BinaryIO

from scraper.model.errors import DestinationError
from scraper.sinks.directory.temporary_files import TemporaryFiles, remove_leftovers

MIB = 1 << 20
_FREE = 64 * 1024  # the first bytes of each body are not counted
_STEP = MIB  # memory is given in steps, so that a body asks for it only a few times


class Spools:
    """The spools of one run, and those that are `open`.

    Limits in bytes: `memory` of one body, `memory_of_all` of all.

    `parent` says, when the first file is needed, where the files may lie. Raises OSError.
    """

    def __init__(
        self, memory: int, memory_of_all: int, parent: Callable[[], Path] | None = None
    ) -> None:
        self.memory = memory
        self._parent = parent or _directory
        self._left = memory_of_all
        self._lock = threading.Lock()
        self.moving = threading.Lock()  # while a body that is fetched in parts moves to a file
        self._closed = False
        self._files: TemporaryFiles | None = None
        self._names = count()
        self.open: set[Spool] = set()

    def take(self, size: int) -> bool:
        """Whether `size` more bytes of memory may be used. If so, `give` must follow."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Give memory back."""
        with self._lock:
            self._left += size

    def remove_leftovers(self, place: Path | None = None) -> None:
        """Remove the files of runs that were killed. Never raises.

        `place`: where the files lie, if there are any. None: that of the system.
        """
        with contextlib.suppress(OSError, DestinationError):
            if (place or _place()).is_dir():
                remove_leftovers(self._parent())

    def path(self) -> Path:
        """A path for a new file. A later run removes it if this one is killed. Raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError("the run is over")
            if self._files is None:
                self._files = TemporaryFiles(self._parent())
            return self._files.path / f"{next(self._names):x}"

    def close(self) -> None:
        """Close every spool that is open, and remove every file."""
        with self._lock:
            self._closed = True
        for spool in list(self.open):
            spool.close()
        with self._lock:
            if self._files is not None:
                self._files.close()
                self._files = None


class Spool:
    """The bytes of one body so far. One thread at a time uses it, but for the two methods `..._at`.

    A body that is written with `write_at` is written with nothing else.
    """

    def __init__(self, spools: Spools) -> None:
        self.size = 0
        self._spools = spools
        self._taken = 0
        self._file: BinaryIO = BytesIO()
        self._path: Path | None = None
        spools.open.add(self)

    def write(self, chunk: bytes) -> None:
        """Append. Raises OSError; ValueError when closed."""
        self.size += len(chunk)
        if self._path is None and not self._fits():
            self._move()
        self._file.write(chunk)

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Write at `offset`, from any thread. Raises OSError; ValueError when closed."""
        with self._spools.moving:
            if self._path is None:
                self._move()
            self.size = max(self.size, offset + len(chunk))
        fd, written = self._file.fileno(), 0
        while written < len(chunk):
            written += os.pwrite(fd, memoryview(chunk)[written:], offset + written)

    def read_at(self, offset: int, size: int) -> bytes:
        """What was written at `offset`, from any thread. Raises OSError; ValueError when closed."""
        return os.pread(self._file.fileno(), size, offset)

    def in_memory(self) -> bytes | None:
        """The body, without a copy. None if it is in a file."""
        return self._file.getvalue() if isinstance(self._file, BytesIO) else None

    def on_disk(self) -> Path:
        """The file with the complete body. Raises OSError; ValueError when closed."""
        assert self._path is not None, "it is in memory"
        self._file.flush()
        return self._path

    def close(self) -> None:
        """Close and remove it. Never raises."""
        self._spools.open.discard(self)
        with contextlib.suppress(OSError):  # the disk may be full when the buffer is flushed
            self._file.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._give_back()

    def _fits(self) -> bool:
        if self.size > self._spools.memory:
            return False
        lacking = self.size - _FREE - self._taken
        if lacking <= 0:
            return True
        size = -(-lacking // _STEP) * _STEP
        if not self._spools.take(size):
            return False
        self._taken += size
        return True

    def _move(self) -> None:
        assert isinstance(self._file, BytesIO)
        path = self._spools.path()
        file = open(path, "xb+")  # noqa: SIM115 - closed by close()
        memory, self._file, self._path = self._file, file, path
        self._file.write(memory.getbuffer())
        self._give_back()

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        if taken:
            self._spools.give(taken)


def _place() -> Path:
    return Path(tempfile.gettempdir()) / f"scraper-spool-{os.geteuid()}"


def _directory() -> Path:
    """Our own directory, in the system's directory for temporary files. Raises OSError."""
    path = _place()
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} is somebody else's")
    return path
