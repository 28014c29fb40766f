"""Things that somebody may plant under the name of one of our files, for tests.

plant("FIFO", path, elsewhere)       # `elsewhere` is a file that must stay as it is
"""

import os
import socket
import stat
from pathlib import Path

import pytest

WHAT = ("link", "dangling link", "FIFO", "device", "hard link", "directory", "socket")
KEPT = b"not ours\n"


def plant(what: str, path: Path, elsewhere: Path) -> None:
    """Put it at `path`. `elsewhere` is made, a file of somebody else's, with KEPT in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    elsewhere.write_bytes(KEPT)
    match what:
        case "link":
            path.symlink_to(elsewhere)
        case "dangling link":
            path.symlink_to(elsewhere.with_name("nowhere"))
        case "FIFO":
            os.mkfifo(path)
        case "device":
            try:
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
                os.close(os.open(path, os.O_RDWR))
            except PermissionError:
                pytest.skip("only root can make a device, on a file system that allows them")
        case "hard link":
            path.hardlink_to(elsewhere)
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                here = os.open(path.parent, os.O_RDONLY)  # a socket's path has 108 bytes at most
                try:
                    listening.bind(f"/proc/self/fd/{here}/{path.name}")
                finally:
                    os.close(here)
        case _:
            raise AssertionError(what)


def untouched(elsewhere: Path) -> bool:
    """Whether the file is as it was, and the link's other end was not made."""
    return elsewhere.read_bytes() == KEPT and not elsewhere.with_name("nowhere").exists()
