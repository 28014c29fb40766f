"""The sink for file servers: SFTP, FTP, WebDAV, SMB, HDFS. One file for each key.

A body is spooled until it is complete. Then it is put under a temporary name beside its final
name, its size is compared at the server, and it is renamed. A reader sees the old file or the new
one, never a part: on each of these servers a file that is overwritten in place was seen short.

This module owns the order of these calls, and the keys. It does not know any server's protocol
(`servers.py`), which connection is used (`connections.py`), or HTTP towards the web.

Rejected: fsspec's transactions (`autocommit=False`). Of the classes here one ignores them, one has
none, and two keep temporary files where nobody would look for them.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from scraper.model.errors import DestinationError, Fenced, SinkError
from scraper.sinks.base import Blocking, Listed, SinkOptions, SmallObject
from scraper.sinks.beginning import insist_on_rest
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.remote_files.address import HOME, Address
from scraper.sinks.remote_files.connections import Connections
from scraper.sinks.remote_files.faults import Fault, Trouble, of_os_error, words_of
from scraper.sinks.remote_files.leftovers import put_mark, remove, remove_mark, sweep
from scraper.sinks.remote_files.meaning import meaning, unusable
from scraper.sinks.remote_files.probe import Probed, probe
from scraper.sinks.remote_files.replacing import Replacing
from scraper.sinks.remote_files.servers import Server, Settings, connector
from scraper.sinks.remote_files.temporary_names import MARKS, TemporaryNames, run_of
from scraper.sinks.remote_files.tree import Directories, is_directory, walk
from scraper.sinks.remote_files.upload import RemoteUpload
from scraper.sinks.spool import MIB, Spool, Spools
from scraper.source.keys import OWN_DIRECTORY

T = TypeVar("T")
TIMEOUT_S = 60.0
_MEMORY, _MEMORY_OF_ALL = 8 * MIB, 64 * MIB  # bytes of one body, and of all; then on the disk
_SPARE = 2  # connections beside those of transfers: the lease and the manifest


class Found(NamedTuple):
    """What `check` found out, for other processes of the run."""

    run: str
    root: str
    probed: Probed


class RemoteSink:
    """Files below the path of `address`.

    `timeout_s`: for each answer of the server. `memory`: bytes of a body that waits there.
    """

    blocking = Blocking.COMMIT
    near = False
    has_directories = random_access = True
    ignores_case = False
    object_stat: Callable[[str], ObjectStat | None]

    def __init__(
        self,
        address: Address,
        options: SinkOptions,
        timeout_s: float = TIMEOUT_S,
        memory: int = _MEMORY,
    ) -> None:
        self.disk = Path(tempfile.gettempdir())  # of what is too large to wait in memory
        self.found: Found | None = None
        self._address = address
        self._settings = Settings(timeout_s, options.cacert)
        self._connections = Connections(self._connected, options.max_concurrency + _SPARE)
        self._spools = Spools(memory, _MEMORY_OF_ALL)
        self._names = TemporaryNames(os.urandom(8).hex())
        self._directories = Directories()
        self._root = ""
        self._refused: set[str] = set()
        self._is_first = True  # whether this process has made the mark of the run
        self._beginning = threading.Lock()
        self._begun = False
        self._holds: Callable[[], bool] = lambda: True
        self._files = Replacing(self._names, self._directories)
        self._uploads: set[RemoteUpload] = set()
        self._closed = False

    def check(self) -> None:
        """Replace a small file by another one. Raises DestinationError."""
        self._spools.remove_leftovers()
        self._reach()
        try:
            probed = self._connections.run(self._probe)
        except Fault as fault:
            raise unusable(fault, self._address) from None
        self._use(probed)
        self.found = Found(self._names.run, self._root, probed)

    def join(self, found: Found) -> None:
        """Begin as another process of the run did, whose `check` found this out."""
        self._names = self._files.names = TemporaryNames(found.run)
        self._root = self._directories.root = found.root
        self._is_first = False
        self._use(found.probed)

    def reach(self) -> None:
        """Raise DestinationError unless the destination is a directory there."""
        self._reach()
        try:
            found = self._connections.run(lambda server: is_directory(server, self._root or "/"))
        except Fault as fault:
            raise unusable(fault, self._address) from None
        if not found:
            raise DestinationError(f"there is no directory {self._address.shown}{self._root}")

    def open(self, key: str) -> RemoteUpload:
        """An empty spool for `key`. Raises SinkError."""
        upload = RemoteUpload(self, self._checked(key), Spool(self._spools))
        self._uploads.add(upload)
        return upload

    def store(self, key: str, file: BinaryIO, size: int, modified_ms: int) -> None:
        """Put the file. Raises SinkError, DestinationError; OSError where it can't be read."""
        self._begin()
        with self._meaning("store", key):
            path = self._path(key)
            put = partial(self._files.put, path=path, file=file, size=size, at_ms=modified_ms)
            self._connections.run(put)

    def fence(self, holds: Callable[[], bool]) -> None:
        """Change nothing more once `holds()` is false: another run may be at work."""
        self._holds = self._files.holds = holds

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put a small file only if its etag is still `etag`. None: only if there is no file.

        Where there was one, it is looked before it is replaced: a lease has a mutex for the moment
        between. Raises SinkError, DestinationError.
        """

        def put(server: Server) -> bool:
            path = self._path(key)
            self._directories.ensure(server, path.rpartition("/")[0])
            if etag is None:
                return server.put_new(path, data)
            if self._small(server, key) != etag:
                return False
            self._files.put(server, path, BytesIO(data), len(data), None)
            return True

        with self._meaning("write", key):
            return _etag(data) if self._connections.run(put) else None

    def get_small(self, key: str) -> SmallObject | None:
        """The file, None if there is none. Raises SinkError, DestinationError."""

        def get(server: Server) -> bytes | None:
            path = self._path(key)
            return None if server.stat(path) is None else b"".join(server.read(path))

        with self._meaning("read", key):
            try:
                data = self._connections.run(get)
            except Fault as fault:
                if fault.trouble is not Trouble.MISSING:
                    raise
                return None
        return None if data is None else SmallObject(data, _etag(data))

    def size(self, key: str) -> int | None:
        """Bytes of the file. None if there is none, or a link. Raises SinkError."""
        found = self._stat(key)
        return found and found.size

    def _stat(self, key: str) -> ObjectStat | None:
        """`object_stat`, which there is where files keep the time that they are given."""
        with self._meaning("look at", key):
            found = self._connections.run(lambda server: server.stat(self._path(key)))
        if found is None or not found.is_file:
            return None
        return ObjectStat(found.size, None, found.modified_ms)

    def read(self, key: str) -> Iterator[bytes]:
        """The file, a piece at a time. Raises SinkError, DestinationError."""
        with self._meaning("read", key), self._connections.borrow() as server:
            yield from server.read(self._path(key))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every file but temporary ones. Links are not followed. Raises SinkError."""
        return (entry.key for entry in self.listing(prefix))

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        """Every file but temporary ones, with its size and time. Raises SinkError."""
        return insist_on_rest(partial(self._listing, prefix), attrgetter("key"))

    def _listing(self, prefix: str) -> Iterator[Listed]:
        with self._meaning("list", prefix), self._connections.borrow() as server:
            for key, entry in walk(server, self._root, prefix):
                if not run_of(entry.name):
                    yield Listed(key, entry.size, entry.modified_ms)

    def folders(self, prefix: str) -> Iterator[str]:
        """See `base.folders_of`. `prefix` ends with a slash. Raises SinkError."""
        path = self._path(prefix.rstrip("/"))
        with self._meaning("list", prefix):
            try:
                found = self._connections.run(lambda server: list(server.list(path)))
            except Fault as fault:
                if fault.trouble is not Trouble.MISSING:
                    raise
                return
        yield from (entry.name for entry in found if entry.is_directory)

    def may_have_objects(self) -> bool:
        """Whether there is anything beside our own files. Raises SinkError."""
        with self._meaning("list", ""):
            try:
                found = self._connections.run(lambda server: list(server.list(self._root or "/")))
            except Fault as fault:
                if fault.trouble is not Trouble.MISSING:
                    raise
                return False
        return any(entry.name != OWN_DIRECTORY for entry in found)

    def remove(self, key: str) -> None:
        """Delete the file if there is one. Raises SinkError, DestinationError."""
        with self._meaning("delete", key):
            self._connections.run(lambda server: remove(server, self._path(key)))

    def is_linked(self, key: str) -> bool:
        """Whether the file, or a directory on the way to it, is a link."""
        steps = key.split("/")

        def look(server: Server) -> bool:
            paths = ["/".join(steps[: number + 1]) for number in range(len(steps))]
            found = [server.stat(self._path(path)) for path in paths]
            return any(one is not None and not (one.is_file or one.is_directory) for one in found)

        with self._meaning("look at", key):
            return self._connections.run(look)

    def remove_emptied(self, key: str) -> None:
        """Delete the directories of `key` that are empty, from below. The root stays."""

        def work(server: Server) -> None:
            path = key.rpartition("/")[0]
            while path and path != OWN_DIRECTORY:
                server.remove_directory(self._path(path))
                path = path.rpartition("/")[0]

        with suppress(Fault):
            self._connections.run(work)
        self._directories.forget()

    def forget(self, upload: RemoteUpload) -> None:
        """Stop tracking an upload that has ended."""
        self._uploads.discard(upload)

    def close(self) -> None:
        """Abort every upload, remove the mark of the run, close the connections."""
        for upload in list(self._uploads):
            upload.abort()
        if not self._closed and self._begun and self._is_first and self._holds():
            with suppress(Fault):
                self._connections.run(self._end)
        self._closed = True
        self._connections.close()
        self._spools.close()

    def spooling(self, error: OSError | ValueError, key: str) -> SinkError | DestinationError:
        """The error of a body that can't wait on this machine until it is complete.

        ValueError is that of a spool that is closed.
        """
        if self._closed or isinstance(error, ValueError):
            return SinkError("given up when the run was stopped", transient=False)
        text = f"no room for bodies on their way ({self.disk}): {words_of(error)}"
        if of_os_error(error) is Trouble.FULL:
            return DestinationError(text)
        return SinkError(f"can't store {key!r}: {text}", transient=True)

    def _connected(self) -> Server:
        return connector(self._address.scheme)(self._address, self._settings)

    def _reach(self) -> None:
        """Find the library and the directory. Raises DestinationError."""
        scheme, path = self._address.scheme, self._address.path
        try:
            connector(scheme)
        except ImportError as error:
            text = f"{scheme}:// needs what is not installed ({error.name or error})"
            raise DestinationError(text, hint="pip install 'scraper[fsspec]'") from None
        if path != HOME and not path.startswith(f"{HOME}/") and path:
            self._root = self._directories.root = path
            return
        try:
            home = self._connections.run(lambda server: server.home())
        except Fault as fault:
            raise unusable(fault, self._address) from None
        self._root = f"{home.rstrip('/')}{path.removeprefix(HOME)}".rstrip("/")
        self._directories.root = self._root

    def _probe(self, server: Server) -> Probed:
        directory = self._path(OWN_DIRECTORY)
        self._directories.ensure(server, directory)
        return probe(server, directory, self._names)

    def _use(self, probed: Probed) -> None:
        self.ignores_case, self._refused = probed.ignores_case, set(probed.refused)
        if probed.keeps_times:
            self.object_stat = self._stat

    def _begin(self) -> None:
        """Before the first file, after the lock: remove what dead runs left, make our mark."""
        if self._begun or not self._is_first:
            return
        with self._beginning, self._meaning("write", OWN_DIRECTORY):
            if not self._begun:
                self._connections.run(self._first)
                with suppress(Fault):  # a later run tries again
                    self._connections.run(self._sweep)
                self._begun = True

    def _first(self, server: Server) -> None:
        self._directories.ensure(server, self._path(MARKS.rstrip("/")))
        put_mark(server, self._root, self._names.run)

    def _sweep(self, server: Server) -> None:
        sweep(server, self._root, self._names.run, lambda: self._closed)

    def _end(self, server: Server) -> None:
        """Leave nothing. The mark stays if a file may come later: the next run removes it."""
        if self._files.settle(server):
            remove_mark(server, self._root, self._names.run)

    def _small(self, server: Server, key: str) -> str | None:
        path = self._path(key)
        return None if server.stat(path) is None else _etag(b"".join(server.read(path)))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _checked(self, key: str) -> str:
        if run_of(key.rpartition("/")[2]):
            raise SinkError(
                f"can't store {key!r}: a run's own files have such names", transient=False
            )
        if found := self._refused.intersection(key):
            shown = " ".join(map(repr, sorted(found)))
            text = f"can't store {key!r}: the server takes {shown} in a name for something else"
            raise SinkError(text, transient=False)
        return key

    @contextmanager
    def _meaning(self, verb: str, key: str) -> Iterator[None]:
        """Faults inside the `with` block become errors of ours."""
        if self._closed:
            raise SinkError("given up when the run was stopped", transient=False)
        if verb in {"store", "write", "delete"} and not self._holds():
            raise Fenced("the lease of the destination ran out")
        try:
            yield
        except Fault as fault:
            if self._closed:
                raise SinkError("given up when the run was stopped", transient=False) from None
            if verb in {"store", "write", "delete"} and not self._holds():
                raise Fenced("the lease of the destination ran out") from None
            raise meaning(fault, verb, key, self._address) from None


def _etag(data: bytes) -> str:
    return sha256(data).hexdigest()
