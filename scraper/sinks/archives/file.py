"""The file of an archive: where bytes are put, when they are on the disk, and whether it is there.

While it is open to be written it is locked, beside the lock of the destination, which goes by name:
a hard link is another name, and has another directory for our files. Rejected: flock(2) for that;
a process that opens a file again would keep itself out.

Owns: the descriptor. Does not know: what the bytes mean.
"""

import errno
import fcntl
import mmap
import os
import stat
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from scraper.model.errors import DestinationError, Held
from scraper.sinks.directory import flush_path

_LOOK_AGAIN_S = 0.5  # between two looks whether the file still has its name
_WRITES = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_HELD = {errno.EACCES, errno.EAGAIN}
_READS = os.O_RDONLY | os.O_CLOEXEC


class ArchiveFile:
    """The file at `path`; it is made if it is to be written. One thread at a time writes.

    All methods raise OSError. `durable`: its name is on the disk, too. `anew`: there is no such
    file yet. Making it raises DestinationError if it is no file, Held if another process writes it.
    """

    def __init__(self, path: Path, *, writes: bool, durable: bool, anew: bool = False) -> None:
        self.path = path
        self._look_at = 0.0
        self._flushing = threading.Lock()  # guards the next one
        self._flushed = self._written = 0  # writes so far
        is_new = writes and not path.exists()
        flags = _WRITES if writes else _READS
        self.fd = os.open(path, flags | os.O_EXCL if anew else flags, 0o666)
        try:
            self._check()
            if writes:
                self._lock()
            if durable and is_new:
                flush_path(path.parent)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Its bytes."""
        return os.fstat(self.fd).st_size

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes from `at` on."""
        return os.pread(self.fd, size, at)

    def look(self) -> None:
        """Make sure now and then that it still has its name. Raises DestinationError if not."""
        if self.fd < 0:
            raise OSError(errno.EBADF, "the run is over")
        if (now := time.monotonic()) < self._look_at:
            return
        self._look_at = now + _LOOK_AGAIN_S
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path), os.fstat(self.fd)):
                return
        raise DestinationError(f"the archive {str(self.path)!r} was moved or removed")

    def put(self, data: bytes | mmap.mmap, at: int) -> None:
        """Write `data` at `at`."""
        self._written += 1
        size, done = len(data), os.pwrite(self.fd, data, at)
        while done < size:
            with memoryview(data) as whole, whole[done:] as left:
                done += os.pwrite(self.fd, left, at + done)

    def put_all(self, pieces: Iterable[bytes], at: int) -> int:
        """Write `pieces` from `at` on; where they end."""
        for piece in pieces:
            self.put(piece, at)
            at += len(piece)
        return at

    def truncate(self, size: int) -> None:
        """Cut it off."""
        self._written += 1
        os.ftruncate(self.fd, size)

    def flush(self) -> None:
        """Return when all that was written is on the disk. One flush is enough for many threads."""
        mine = self._written
        with self._flushing:
            if self._flushed < mine:
                written = self._written
                os.fsync(self.fd)
                self._flushed = written

    def close(self) -> None:
        """Close it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _check(self) -> None:
        if not stat.S_ISREG(os.fstat(self.fd).st_mode):
            raise DestinationError(f"{str(self.path)!r} is not a file")

    def _lock(self) -> None:
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:  # else the file system has no such locks
                raise Held(f"another run writes {str(self.path)!r}, by another name") from None
