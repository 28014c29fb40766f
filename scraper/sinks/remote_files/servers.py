"""One connection to a file server: what the sink needs of it, and which class serves a scheme.

A class of fsspec connects. It is constructed by name: which one `fsspec.filesystem("sftp")` gives
depends on what else is installed. Its `mv` is not used where it copies and deletes, nor its
`open(key, "wb")`, which leaves a part under the key when the body breaks off.

Owns: this seam, and the table of classes. A class that is not in the table is refused: what most
of fsspec's do to rename a file is to copy it and to delete the first.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import BinaryIO, NamedTuple, Protocol

from scraper.sinks.remote_files.address import Address


class Entry(NamedTuple):
    """A file, or a directory. `size` is in bytes, `modified_ms` in milliseconds since 1970.

    What is neither, such as a link, is a file for nobody: `is_file` is False too.
    """

    name: str
    is_file: bool
    is_directory: bool
    size: int
    modified_ms: int | None = None


class Server(Protocol):
    """One connection. One thread at a time uses it. Paths are absolute. All methods raise Fault."""

    def home(self) -> str:
        """The directory that the server gives to who has signed in."""

    def put(self, path: str, file: BinaryIO, modified_ms: int | None) -> None:
        """Make a new file, or replace the content of one. The time is set where that is possible.

        The bytes are on the server's disk where it can tell so.
        """

    def put_new(self, path: str, data: bytes) -> bool:
        """Make a small file only if there is none. Whether it was made."""

    def stat(self, path: str) -> Entry | None:
        """What is there. Links are not followed."""

    def leads_to_directory(self, path: str) -> bool:
        """Whether a link leads to a directory. Asked of what is neither file nor directory."""

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step that replaces an older one. It never copies."""

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""

    def list(self, path: str) -> Iterable[Entry]:
        """What is in a directory. MISSING if there is no such directory."""

    def make_directory(self, path: str) -> None:
        """Make one directory. What is above it exists."""

    def remove(self, path: str) -> None:
        """Delete a file. MISSING if there is none."""

    def remove_directory(self, path: str) -> None:
        """Delete an empty directory."""

    def close(self) -> None:
        """Never raises."""


class Settings(NamedTuple):
    """What a connection is told beside its address. `cacert`: see --cacert."""

    timeout_s: float
    cacert: str | None = None


Connect = Callable[[Address, Settings], Server]

# The class of fsspec that serves a scheme, and our module for it.
CLASSES = {
    "sftp": ("fsspec.implementations.sftp.SFTPFileSystem", "sftp"),
    "ftp": ("fsspec.implementations.ftp.FTPFileSystem", "ftp"),
    "webdav": ("webdav4.fsspec.WebdavFileSystem", "webdav"),
    "webdavs": ("webdav4.fsspec.WebdavFileSystem", "webdav"),
    "smb": ("fsspec.implementations.smb.SMBFileSystem", "smb"),
    "hdfs": ("fsspec.implementations.arrow.HadoopFileSystem", "arrow"),
}


def connector(scheme: str) -> Connect:
    """What connects to a server of this scheme. Raises ImportError without its library."""
    module = import_module(f"scraper.sinks.remote_files.{CLASSES[scheme][1]}")
    connect: Connect = module.connect
    return connect
