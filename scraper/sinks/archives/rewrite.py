"""An archive written anew, without the members that do not count any more.

The new file gets the name of the old one when it is whole, and not before. Until then it lies in
our own directory beside the archive, among the temporary files of this run. So it takes no name
that a file of somebody else may have, and the next run removes what a killed one has left. Our
directory may lie on another file system, from which a file can't be renamed: then the new one lies
beside the archive, and the next run knows it by its name.

Owns: the new file until then. Does not know: which members count, and what ends an archive.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.packed import PIECE
from scraper.sinks.archives.place import HOME
from scraper.sinks.directory import OWN, flush_path
from scraper.sinks.directory.open_directories import OpenDirectories
from scraper.sinks.directory.temporary_files import NAME, TemporaryFiles

_NEW = "archive"  # among the temporary files
_RANDOM_BYTES = 8


def read_range(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes `start` to `end` of a file, in pieces. Raises OSError if there are fewer."""
    while start < end:
        piece = os.pread(fd, min(PIECE, end - start), start)
        if not piece:
            raise OSError(errno.EIO, "the archive was cut short")
        yield piece
        start += len(piece)


@contextmanager
def replaced(old: ArchiveFile, last: Callable[[], None]) -> Iterator[ArchiveFile]:
    """A new file that takes the place of `old` when the block ends without an error.

    `last` is called when it is whole and on the disk. If that raises, `old` stays. Raises OSError,
    DestinationError.
    """
    path = old.path.resolve()
    remove_leftovers(path)
    temporary = TemporaryFiles(temporary_directory(_home(path)))
    path_of_new = temporary.path / _NEW
    if _device(temporary.path) != _device(path.parent):
        path_of_new = path.with_name(_beside(path) + os.urandom(_RANDOM_BYTES).hex())
    new: ArchiveFile | None = None
    try:
        new = ArchiveFile(path_of_new, writes=True, durable=False, anew=True)
        os.fchmod(new.fd, stat.S_IMODE(os.fstat(old.fd).st_mode))
        yield new
        new.flush()
        last()
        os.rename(path_of_new, path)
        flush_path(path.parent)
    except BaseException:
        if new is not None:
            with suppress(OSError):
                os.unlink(path_of_new)
        raise
    finally:
        if new is not None:
            new.close()
        temporary.close()


def remove_leftovers(path: Path) -> None:
    """Remove new files beside the archive at `path` that killed runs left. Never raises.

    The destination is held, so no run is writing one.
    """
    begin, length = _beside(path), len(_beside(path)) + 2 * _RANDOM_BYTES
    with suppress(OSError):
        if _device(_home(path)) == _device(path.parent):  # none was made here
            return
        for one in [*os.scandir(path.parent)]:
            if one.name.startswith(begin) and len(one.name) == length:
                with suppress(OSError):
                    os.unlink(one.path)


def temporary_directory(home: Path) -> Path:
    """The directory for temporary files in `home`, reached without a link. Raises OSError."""
    directories = OpenDirectories(home)
    try:
        directories.at(f"{OWN}/{NAME}")
    finally:
        directories.close()
    return home / OWN / NAME


def _home(path: Path) -> Path:
    return path.with_name(path.name + HOME)


def _device(path: Path) -> int:
    return os.stat(path).st_dev


def _beside(path: Path) -> str:
    """How the name of a new file beside the archive begins."""
    digest = blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return f".scraper-new-{digest}-"
