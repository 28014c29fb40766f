"""A tar written anew, without the members that do not count any more.

The new file gets the name of the old one when it is whole, and not before.

Owns: the new file until then. Does not know: which members count.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from scraper.sinks.archives.coding import Coding, State
from scraper.sinks.archives.members import Member
from scraper.sinks.archives.packed import PIECE
from scraper.sinks.directory import flush_path

_NEW = ".new"  # the end of its name
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def read_range(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes `start` to `end` of a file, in pieces. Raises OSError if there are fewer."""
    while start < end:
        piece = os.pread(fd, min(PIECE, end - start), start)
        if not piece:
            raise OSError(errno.EIO, "the archive was cut short")
        yield piece
        start += len(piece)


def write_anew(path: Path, fd: int, coding: Coding, members: Iterable[Member]) -> None:
    """Replace the archive at `path`, which is open as `fd`, by one of `members`. Raises OSError."""
    path = path.resolve()
    new = path.with_name(path.name + _NEW)
    made = os.open(new, _FLAGS)
    try:
        os.fchmod(made, stat.S_IMODE(os.fstat(fd).st_mode))
        state = State(len(coding.header))
        with open(made, "wb", closefd=False) as file:
            file.write(coding.header)
            for member in members:
                file.writelines(read_range(fd, member.offset, member.end))
                state = state.after(member.end - member.offset, member.packed, member.crc)
            file.write(coding.tail(state))
        os.fsync(made)
        os.rename(new, path)
        flush_path(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    finally:
        os.close(made)
