"""An archive written anew, without the members that do not count any more.

The new file gets the name of the old one when it is whole, and not before.

Owns: the new file until then. Does not know: which members count, and what ends an archive.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from scraper.sinks.archives.file import ArchiveFile
from scraper.sinks.archives.packed import PIECE
from scraper.sinks.directory import flush_path

_NEW = ".new"  # the end of its name


def read_range(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes `start` to `end` of a file, in pieces. Raises OSError if there are fewer."""
    while start < end:
        piece = os.pread(fd, min(PIECE, end - start), start)
        if not piece:
            raise OSError(errno.EIO, "the archive was cut short")
        yield piece
        start += len(piece)


@contextmanager
def replaced(old: ArchiveFile) -> Iterator[ArchiveFile]:
    """A new file that takes the place of `old` when the block ends without an error.

    Raises OSError, DestinationError.
    """
    path = old.path.resolve()
    path_of_new = path.with_name(path.name + _NEW)
    with suppress(FileNotFoundError):
        os.unlink(path_of_new)
    new = ArchiveFile(path_of_new, writes=True, durable=False)
    try:
        os.fchmod(new.fd, stat.S_IMODE(os.fstat(old.fd).st_mode))
        yield new
        new.flush()
        os.rename(path_of_new, path)
        flush_path(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(path_of_new)
        raise
    finally:
        new.close()
