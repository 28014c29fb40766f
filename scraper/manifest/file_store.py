"""FileManifestStore: a manifest in one file, appended to line by line.

A run that died may have left a torn last line. The next run cuts it off first (`tail.py`). What a
full disk does not take is kept and tried again at the end, when temporary
files are gone. A line that the disk took in part is taken back.

A file that is moved, removed or replaced during the run would take records along that no later
run reads. So its name is looked at once a second and at the end, and the run stops with an error.

The file is locked (flock) from the opening until `release`, so two runs with different
destinations can't share it. The lock is on the file itself: it holds whatever name or link the
file was opened by, it leaves nothing behind, and it ends with the process.

An index knows how much of the file it absorbed, and the CRC-32 of that. If the file is exactly
as the last run left it (device, inode, size, times of modification and of change), the rest of
it is believed. Otherwise it is read and compared: 5 GB take 5 s. Up to ALWAYS_READ_BYTES it is
always compared. So an edit is noticed unless it leaves size and both times as they were (the
clock set back, an edit in the same tick as the run's end) in a large file, or is made in place
while a run has the file open. A CRC is no protection from an attacker; who can write the
manifest needs no trick.

Owns: appending, the lock, noticing edits, compacting. Does not know: what a line says
(`codec.py`), which file it is (`store.py`). Rejected: rewriting the file at the end of a run,
which loses it with a crash; a lock file beside it, which another name of the file would miss;
comparing the ends of the file only, which misses an edit in the middle.
"""

import contextlib
import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from io import BufferedReader
from itertools import chain, compress, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from scraper.manifest.codec import check_destination
from scraper.manifest.identity import Identity
from scraper.manifest.record import as_json, encode
from scraper.manifest.secret_file import NEW, read_secret, secret_path_of, write_secret
from scraper.manifest.tail import whole_size
from scraper.model.errors import DestinationError, Held
from scraper.model.records import Result
from scraper.sinks.directory import (
    check_own,
    flush_path,
    make_directory,
    open_own,
    replace_own,
)

if TYPE_CHECKING:
    from scraper.manifest.index import Index  # most runs need none

ALWAYS_READ_BYTES = 16 << 20  # a file is compared with what was absorbed up to this size
ELSEWHERE = "remove it, or keep the manifest elsewhere with --manifest PATH"
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_COMPACTED = ".compact"  # the ends of names beside the manifest
_PIECE = 1 << 20
_ENDS = 1 << 16  # bytes at either end that are looked at for another destination
_LOOK_AGAIN_S = 0.2  # while another run holds the file
_IN_PLACE_S = 1.0  # between two looks whether the file still has its name
_WAITING = 0.03  # share of the time that may be waited for the disk
_LATEST_S = 1.0  # the longest that a record waits for its group
_flush_data = getattr(os, "fdatasync", os.fsync)  # which macOS does not have


class FileManifestStore:
    """The manifest at `path`. See `ManifestStore`.

    `destination` is written into each record; "" if the file lies in its destination. A run that
    holds the file is waited for, up to `wait_s` seconds. Making a store raises DestinationError;
    Held when another run holds the file; UsageError when its records are of another destination.
    `own`: the file is ours, in a destination. Otherwise the user named it, and it may be a link.
    `secret`: the file of the secret of its identities, if that does not lie beside it.

    With `sync`, records survive a power cut: it makes the objects durable before their records are
    written, and raises DestinationError. Both wait for the disk, so records are written in groups,
    as databases commit in groups: the next ones wait until the waiting is a small share of the
    time. Without `sync`, records survive the end of the process only.
    """

    begun: bool
    _size: int  # with what this run has written

    def __init__(  # noqa: PLR0913 - facts of one file
        self,
        path: Path,
        sync: Callable[[], None] | None = None,
        *,
        destination: str = "",
        wait_s: float = 0.0,
        own: bool = False,
        secret: Path | None = None,
    ) -> None:
        self.place = str(path)
        self.run = ""
        self._own = own
        self.destination = destination
        self._sync = sync
        self._next = 0.0  # when the next group may be written, in monotonic seconds
        self._look = 0.0  # when the file's name is looked at again, in monotonic seconds
        self._path, self._secret = path, secret
        self._lines = bytearray()  # what the file has not taken yet
        self._given = self.recorded = 0  # records of this run
        self._torn = 0  # how many bytes of the first of them it has
        self._stat = ""  # the file's state when it was closed
        self._lock = -1
        try:
            make_directory(path.parent, durable=sync is not None)
            self.readable = path.is_file() or not path.exists()  # neither a pipe nor /dev/null
            if self.readable:
                _check_beside(path.resolve())
            self._fd = self._hold(wait_s) if self.readable else self._open(_APPEND)
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None
        try:
            self._begin()
            if sync is not None and not self.begun and self.readable:
                flush_path(path.parent)
        except BaseException as error:
            os.close(self._fd)
            self.release()
            if isinstance(error, OSError):
                raise DestinationError(_cannot(self.place, error)) from None
            raise

    def __call__(self, result: Result) -> None:
        """Append the record of `result`, with the next `flush`. Never raises."""
        identity = self.identity if self.readable else None
        self._lines += encode(result, identity, self.destination, self.run)
        self._given += 1

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record that is no Result, with the next `flush`."""
        ours = {"destination": self.destination} if self.destination else {}
        self._lines += as_json({**record, **ours}) + b"\n"
        self._given += 1

    def adopt(self, lines: Iterable[bytes]) -> None:
        """See `ManifestStore`."""
        for line in lines:
            self._lines += line
            if len(self._lines) >= _PIECE:
                self.flush(idle=True)
        self.settle()
        self.begun = self._size > 0

    def settle(self) -> None:
        """Write everything, and wait until it is on the disk."""
        self.flush(idle=True)
        try:
            if self.readable:
                os.fsync(self._fd)
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def _hold(self, wait_s: float) -> int:
        """Open the file and lock it. Raises Held, OSError.

        A file that was compacted by the run before is another file of the same name.
        """
        until = time.monotonic() + wait_s
        while True:
            fd = self._open(_APPEND)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(self._path)):
                    return fd
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(fd)
                    raise Held(f"another run holds the manifest {self.place!r}") from None
                time.sleep(_LOOK_AGAIN_S)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _open(self, flags: int) -> int:
        """A descriptor of the file. Raises OSError; DestinationError for what was planted."""
        if self._own:
            return open_own(self._path, flags, way_out=ELSEWHERE)
        return os.open(self._path, flags | os.O_CLOEXEC, 0o666)

    def _begin(self) -> None:
        """Look at what the file has. Raises OSError, DestinationError, UsageError."""
        self._lock = os.dup(self._fd) if self.readable else -1  # `close` keeps the lock
        real = self._path.resolve()  # every link to the file has the same index and secret
        self.index_path = index_path_of(real) if self.readable else None
        self._secret_path = self._secret or secret_path_of(real)
        self.identity = Identity(read_secret(self._secret_path) if self.readable else b"")
        self.begun = False
        self._size = os.fstat(self._fd).st_size
        if self.readable and self._size:
            self.begun = True
            with open(self._open(os.O_RDONLY), "rb") as file:
                if self.destination:
                    _check_ends(file, self._size, self.destination)
                self._mend(file)

    def _mend(self, file: BinaryIO) -> None:
        """Cut off torn lines at the end, or end a last line that can't be cut or is whole."""
        whole = whole_size(file, self._size)
        if whole < self._size:  # else its time would change
            with contextlib.suppress(PermissionError):  # it is append-only (chattr +a)
                os.ftruncate(self._fd, whole)
                self._size, self.begun = whole, whole > 0
        file.seek(max(0, self._size - 1))
        if self.begun and file.read(1) != b"\n":
            self._lines += b"\n"
            self.flush()

    def flush(self, *, idle: bool = False) -> None:
        """Hand the lines to the system. With `sync`, wait until they are on the disk."""
        begun = time.monotonic()
        if self._lines and self._sync is not None:
            if begun < self._next and not idle:
                return
            self._sync()
        try:
            if self.identity.unsaved:  # before the lines that need it
                write_secret(self._secret_path, self.identity.secret)
                self.identity.saved()
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
            if begun >= self._look:
                self._check_in_place()
                self._look = begun + _IN_PLACE_S
            self.recorded = self._given
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def _check_in_place(self) -> None:
        """Make sure that the name is still the file's. Raises DestinationError, OSError."""
        if not self.readable:
            return
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(os.fstat(self._fd), os.stat(self._path)):
                return
        raise DestinationError(
            f"the manifest {self.place!r} was moved, removed or replaced during the run"
        )

    def close(self) -> None:
        """Flush to the disk."""
        if self._fd < 0:
            return
        try:
            self._close()
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def _close(self) -> None:
        try:
            self.settle()
            self._check_in_place()
        finally:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                if self._torn and os.fstat(fd).st_size == self._size:  # nobody wrote after it
                    os.ftruncate(fd, self._size - self._torn)
                self._stat = _stat_of(fd) if self.readable else ""
            os.close(fd)

    def release(self) -> None:
        """Let another run have the file. Never raises."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):  # a forked child may keep the file open
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1

    def catch_up(self, index: "Index") -> None:
        """Let `index` absorb what was appended. If the rest has changed, it absorbs everything."""
        try:
            with open(self._open(os.O_RDONLY), "rb") as file:
                mark, stat = index.mark, _stat_of(file.fileno())
                trusted = stat == mark.stat and mark.bytes > ALWAYS_READ_BYTES
                if trusted or _crc_of(file, mark.bytes) == mark.crc:
                    file.seek(mark.bytes)
                else:
                    file.seek(0)
                    index.clear()
                index.absorb(file)
                index.confirm(stat)
        except OSError as error:
            raise DestinationError(f"can't read the manifest {self.place!r}: {error}") from None

    def confirm(self, index: "Index") -> None:
        """After `close`: let a later `catch_up` of `index` begin where this one ended."""
        if self._stat:
            index.confirm(self._stat)

    def compact(self, index: "Index") -> None:
        """Replace the file by one with the lines that still say something."""
        path = self._path.resolve()  # a link stays a link
        try:
            with (
                open(self._open(os.O_RDONLY), "rb") as old,
                replace_own(path, path.name + _COMPACTED) as new,
            ):
                new.writelines(compress(old, chain(index.standing(), repeat(1))))
            if self._sync is not None:
                flush_path(path.parent)
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None


def index_path_of(file: Path) -> Path:
    """Where the index of the manifest `file` is kept."""
    return file.with_name(file.name + ".index")


def _check_beside(file: Path) -> None:
    """Make sure that nothing was planted beside the manifest `file`, under a name that we use.

    SQLite opens its files by their paths. Raises DestinationError, OSError.
    """
    index, secret = index_path_of(file), secret_path_of(file)
    names = (*(index.name + end for end in ("", "-journal", "-wal", "-shm")), secret.name)
    for name in (*names, secret.name + NEW):
        check_own(file.with_name(name))


def _check_ends(file: BufferedReader, size: int, destination: str) -> None:
    """Raise UsageError if the first or last lines are of another destination than this one."""
    for start in (0, max(0, size - _ENDS)):
        file.seek(start)
        for line in file.read(_ENDS).splitlines():
            with contextlib.suppress(ValueError):  # it is torn, or cut here
                check_destination(orjson.loads(line), destination)


def _stat_of(fd: int) -> str:
    """What changes when the file is written to, replaced, or given another date."""
    found = os.fstat(fd)
    change = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{change}"


def _crc_of(file: BufferedReader, size: int) -> int:
    """The CRC-32 of the first `size` bytes, -1 if there are fewer."""
    crc, left = 0, size
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            return -1
        crc, left = zlib.crc32(piece, crc), left - len(piece)
    return crc


def _cannot(place: str, error: OSError) -> str:
    reason = "its directory is a file" if isinstance(error, FileExistsError) else error.strerror
    return f"can't write the manifest {place!r}: {reason or error}"
