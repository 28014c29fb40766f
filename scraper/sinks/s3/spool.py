"""The spool: where bodies wait until they are whole, for sinks that put an object at once.

A body is kept in memory while it is small and while all of them together are
not too many bytes, and in a file from then on: however many transfers are in
flight, and whatever servers send, memory is bounded.

Owns: those bounds, the files, their removal. Refuses to know: what becomes of a
body. Rejected: tempfile.SpooledTemporaryFile; it bounds each body, not their
sum, and a killed run's files stay.
"""

import contextlib
import os
import stat
import tempfile
import threading
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import BinaryIO

from scraper.sinks.directory.workspace import Workspace

MIB = 1 << 20
_FREE = 64 * 1024  # bytes of each body that nobody counts
_STEP = MIB  # memory is handed out in pieces, so that a body asks for it a few times only


class Spools:
    """The spools of one run. `memory` and `memory_of_all` are bytes: of a body, of all."""

    def __init__(self, memory: int, memory_of_all: int) -> None:
        self.memory = memory
        self._left = memory_of_all
        self._lock = threading.Lock()
        self._closed = False
        self._workspace: Workspace | None = None
        self._names = count()

    def take(self, size: int) -> bool:
        """Whether `size` more bytes of memory may be used; if so they must be given back."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Give memory back."""
        with self._lock:
            self._left += size

    def path(self) -> Path:
        """A name for a file that no run leaves behind for long. Raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError("the run is over")
            if self._workspace is None:
                self._workspace = Workspace(_directory())
            return self._workspace.path / f"{next(self._names):x}"

    def close(self) -> None:
        """Remove every file."""
        with self._lock:
            self._closed = True
            if self._workspace is not None:
                self._workspace.close()
                self._workspace = None


class Spool:
    """The bytes of one body so far. Used by one thread at a time."""

    def __init__(self, spools: Spools) -> None:
        self.size = 0
        self._spools = spools
        self._taken = 0
        self._file: BinaryIO = BytesIO()
        self._path: Path | None = None

    def write(self, chunk: bytes) -> None:
        """Append. Raises OSError; ValueError when closed."""
        self.size += len(chunk)
        if self._path is None and not self._fits():
            self._move()
        self._file.write(chunk)

    def in_memory(self) -> bytes | None:
        """All of it, without a copy; None if it is in a file."""
        return self._file.getvalue() if isinstance(self._file, BytesIO) else None

    def on_disk(self) -> Path:
        """The file it is in, complete. Raises OSError; ValueError when closed."""
        assert self._path is not None, "it is in memory"
        self._file.flush()
        return self._path

    def close(self) -> None:
        """Let go of it. Never raises."""
        with contextlib.suppress(OSError):  # what is buffered may find the disk full
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


def _directory() -> Path:
    """A directory of our own below the system's for temporary files. Raises OSError."""
    path = Path(tempfile.gettempdir()) / f"scraper-spool-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} is somebody else's")
    return path
