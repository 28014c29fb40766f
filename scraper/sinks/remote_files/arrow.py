"""HDFS, by fsspec's HadoopFileSystem, which is pyarrow's client on libhdfs and a Java machine.

What was shown: this module passes the conformance suite over pyarrow's own local file system, by
the same wrapper of fsspec. It was never run against HDFS.

HDFS itself does not rename over a file. pyarrow deletes the old one and renames again. If the run
is killed between the two, the object is missing until `verify --repair` finds that.

libhdfs has deadlines of its own (`ipc.client.*` in core-site.xml).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from fsspec.implementations.arrow import ArrowFSWrapper, HadoopFileSystem
from pyarrow import ArrowException
from pyarrow.fs import FileSelector, FileType

from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.faults import Fault, Trouble, of_os_error, of_text, words_of
from scraper.sinks.remote_files.servers import Entry, Settings

_PIECE = 1 << 20
_PORT = 8020  # of a name node


class ArrowServer:
    """See `servers.Server`. Many threads may use what it wraps."""

    def __init__(self, files: ArrowFSWrapper) -> None:
        self._fs: Any = files.fs

    def home(self) -> str:
        """There is none: the root."""
        return ""

    def put(self, path: str, file: BinaryIO, modified_ms: int | None) -> None:
        """See `Server`. No time can be set."""
        del modified_ms
        with _told(path), self._fs.open_output_stream(path) as remote:
            while piece := file.read(_PIECE):
                remote.write(piece)

    def put_new(self, path: str, data: bytes) -> bool:
        """See `Server`. pyarrow has no such call: it is looked first."""
        from io import BytesIO

        if self.stat(path) is not None:
            return False
        self.put(path, BytesIO(data), None)
        return True

    def stat(self, path: str) -> Entry | None:
        """See `Server`."""
        with _told(path):
            found = self._fs.get_file_info(path)
        return None if found.type is FileType.NotFound else _entry(path, found)

    def leads_to_directory(self, path: str) -> bool:
        """Never: no answer tells a link."""
        del path
        return False

    def rename(self, old: str, new: str) -> None:
        """See `Server`, and the module."""
        with _told(f"{old}/{new}"):
            self._fs.move(old, new)

    def read(self, path: str) -> Iterator[bytes]:
        """See `Server`."""
        with _told(path), self._fs.open_input_stream(path) as remote:
            while piece := remote.read(_PIECE):
                yield piece

    def list(self, path: str) -> Iterator[Entry]:
        """See `Server`."""
        with _told(path):
            found = self._fs.get_file_info(FileSelector(path or "/"))
        yield from (_entry(one.base_name, one) for one in found)

    def make_directory(self, path: str) -> None:
        """See `Server`."""
        with _told(path):
            self._fs.create_dir(path, recursive=False)

    def remove(self, path: str) -> None:
        """See `Server`."""
        with _told(path):
            self._fs.delete_file(path)

    def remove_directory(self, path: str) -> None:
        """Nothing: pyarrow deletes what is in it too."""

    def close(self) -> None:
        """Nothing to close."""


def connect(address: Address, settings: Settings) -> ArrowServer:
    """A new client. `hdfs://default/path` is what core-site.xml names. Raises Fault."""
    del settings
    with _told():
        return ArrowServer(
            HadoopFileSystem(
                address.host,
                0 if address.host == "default" else address.port or _PORT,
                address.user,
                skip_instance_cache=True,
            )
        )


def _entry(name: str, found: Any) -> Entry:
    at_ms = None if found.mtime_ns is None else found.mtime_ns // 1_000_000
    is_directory = found.type is FileType.Directory
    return Entry(name, found.type is FileType.File, is_directory, found.size or 0, at_ms)


@contextmanager
def _told(path: str = "") -> Iterator[None]:
    """Errors of pyarrow become Faults. `path` is what was asked for."""
    try:
        yield
    except OSError as error:
        text = words_of(error)
        trouble = of_os_error(error, path)
        if "libjvm" in text or "libhdfs" in text:  # and a hundred places where it is not
            text = "Hadoop's client (libhdfs, and Java for it) can't be loaded"
            hint = "JAVA_HOME and HADOOP_HOME, and CLASSPATH from `hadoop classpath --glob`"
            raise Fault(Trouble.SIGN_IN, text, hint=hint) from None
        raise Fault(trouble, text) from None
    except UnicodeEncodeError:
        raise Fault(Trouble.NAME, "a name that can't be sent as UTF-8") from None
    except ArrowException as error:
        raise Fault(of_text(str(error), about=path), str(error)) from None
