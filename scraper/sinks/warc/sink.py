"""The WARC sink: `warc:DIR`. Every exchange goes into rolling `.warc.gz` files with their indexes.

The archive's files lie in DIR: `NAME-NUMBER.warc.gz` and `NAME-NUMBER.cdxj`, and the one that grows
as `NAME-NUMBER.warc.gz.open`. Our own files lie in `DIR/.scraper`, as in any directory.

Whoever writes has the kernel lock of `.scraper/warc/lock`, from before it mends anything until all
is closed. The lock of the destination alone is not enough: a lease runs out while a process is
stopped, and the process wakes with the files open.

Owns: what the other rooms ask of a sink. Does not know: HTTP. An object is never deleted: its
record stays, whatever becomes of its page.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from scraper.model.errors import DestinationError, Fenced, Held, SinkError
from scraper.sinks.base import Blocking, SinkOptions, Upload
from scraper.sinks.directory import OWN, make_directory
from scraper.sinks.directory.open_directories import OpenDirectories
from scraper.sinks.directory.temporary_files import NAME, TemporaryFiles
from scraper.sinks.exchanges import ArchivedObject, Unrecorded
from scraper.sinks.file_lock import FileHold
from scraper.sinks.home import archive_directory
from scraper.sinks.lock import AT_ONCE, Limit
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.warc import recovery
from scraper.sinks.warc.files import Files
from scraper.sinks.warc.finished import FinishedFiles
from scraper.sinks.warc.index import Index, Indexed
from scraper.sinks.warc.journal import SUFFIX as JOURNAL
from scraper.sinks.warc.objects import Objects
from scraper.sinks.warc.recording import WarcRecording
from scraper.sinks.warc.writer import Writer, replay

_OURS = f"{OWN}/warc"  # index and journals
_LOCK = f"{_OURS}/lock"
_TEMPORARY = f"{OWN}/{NAME}"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class WarcSink:
    """The archive that `destination` names: a directory, behind `warc:`."""

    near = True
    blocking = Blocking.NEVER
    usual_size = 1 << 30  # bytes of a file

    def __init__(self, destination: str, options: SinkOptions, root: Path | None = None) -> None:
        self._lie_in(archive_directory(destination) if root is None else root)
        self._most = options.warc_size or self.usual_size
        self._writer: Writer | None = None
        self._hold: FileHold | None = None
        self._fence: Callable[[], bool] = lambda: True
        self._agrees = False  # the index, with the manifest
        self._reader: Objects | None = None
        self._index: Index | None = None
        self._temporary: TemporaryFiles | None = None
        self._names = count()
        self._opening = threading.Lock()

    def _lie_in(self, root: Path) -> None:
        self.root = root
        self._named = root.absolute()
        self.disk = Path(os.path.realpath(root))  # it may be a link; below it none is followed
        self.files = Files(self.disk)
        self._own = self.disk / _OURS

    def check(self) -> None:
        """Make the directories. Raises DestinationError."""
        try:
            make_directory(self._named, durable=False)  # a link to nothing is refused
            directories = OpenDirectories(self.disk)
            for path in (_OURS, _TEMPORARY):
                directories.at(path)  # refuses a link on the way
            directories.close()
            self._temporary = TemporaryFiles(self.disk / _TEMPORARY)
        except OSError as error:
            raise DestinationError(
                f"can't write to directory {str(self.root)!r}: {error.strerror}"
            ) from None

    def recover(self, limit: Limit = AT_ONCE) -> None:
        """Mend what a killed run has left, and be ready to write. The destination is held.

        A process that has the files open still is waited for up to `limit`. Raises Held then.
        """
        self._hold = FileHold(self.disk, limit.most_s, limit.left, limit.on_wait, name=_LOCK)
        writer = Writer(self.files, self._own, self._most, self._fence)
        with _held():
            writer.recover()
        self._writer = writer
        self._reader = Objects(self.files, writer.index)

    def unrecorded(self) -> Iterator[Unrecorded]:
        """See `sinks.exchanges`."""
        return iter(()) if self._writer is None else self._writer.unrecorded()

    def learn(self, objects: Callable[[], Iterator[ArchivedObject]]) -> None:
        """See `sinks.exchanges`. A run does nothing where its index agrees with the manifest."""
        index, writer = self._indexed(), self._writer
        if writer is None:
            index.learn(_indexed_as(one) for one in objects())
            return
        mark = self._mark()
        if not mark or index.mark != mark:
            known = (one for one in objects() if not writer.is_cut_off(one.archived))
            index.learn(map(_indexed_as, known))
            index.agree(mark)
            index.commit()
        self._agrees = True

    def all_recorded(self) -> None:
        """Finish the open files, and drop their journals: the manifest has what they say.

        Raises DestinationError; Held if another run may have the archive.
        """
        if self._writer is not None:
            with _held():
                self._writer.all_recorded()
            if self._agrees:
                self._writer.index.agree(self._mark())
                self._writer.index.commit()

    def _mark(self) -> str:
        """What tells the manifest's state from others; "" if that is not known.

        Nobody else writes into an archive in a directory: what its index was told once, it has.
        """
        return "told"

    def record(self, key: str, about: Mapping[str, Any]) -> WarcRecording:
        """The recording of an attempt at `key`. `about` tells its target."""
        assert self._writer is not None, "between recover() and close()"
        return WarcRecording(self._writer, self._spool, key, about)

    def open(self, key: str) -> Upload:
        """Bodies alone are not taken. Raises SinkError."""
        raise SinkError(f"an archive takes exchanges, not {key!r} alone", transient=False)

    def sync(self) -> None:
        """Return when all records are on the disk. Raises DestinationError."""
        if self._writer is not None:
            self._writer.sync()

    def close(self) -> None:
        """Finish the open files."""
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if self._index is not None:
                self._index.close()
            self._reader = self._index = None
            if self._temporary is not None:
                self._temporary.close()
                self._temporary = None
            hold, self._hold = self._hold, None
            if hold is not None:
                hold.release()

    # ------------------------------------------------------------ reading

    def finished_files(self) -> FinishedFiles:
        """See `sinks.exchanges`."""
        return FinishedFiles(self.files, self._indexed())

    def reach(self) -> None:
        """Raise DestinationError unless there is such a directory."""
        if not self.disk.is_dir():
            raise DestinationError(f"there is no directory {str(self.root)!r}")

    def may_have_objects(self) -> bool:
        """Whether there is any record of an object."""
        return not self._indexed().is_empty()

    def size(self, key: str) -> int | None:
        """Bytes of the object's body, decoded. None if there is no record of it."""
        found = self.object_stat(key)
        return found and found.size

    def object_stat(self, key: str) -> ObjectStat | None:
        """Size, digest and time of the object. None if its record is not there."""
        return self._objects().stat(key)

    def read(self, key: str) -> Iterator[bytes]:
        """The body of its record, decoded."""
        return self._objects().read(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys of all objects."""
        return self._objects().keys(prefix)

    def remove(self, key: str) -> None:
        """Nothing is removed from an archive. Raises SinkError."""
        raise SinkError(
            f"can't delete {key!r}: nothing is deleted from an archive", transient=False
        )

    def _objects(self) -> Objects:
        if self._reader is None:
            self._reader = Objects(self.files, self._indexed())
        return self._reader

    def _indexed(self) -> Index:
        """The index. Without `recover` the journals are read too, and nothing is changed."""
        if self._writer is not None:
            return self._writer.index
        with self._opening:
            if self._index is None:
                self._index = Index(self._own, reads=True)
                for name in recovery.journaled(self._own):
                    with contextlib.suppress(FileNotFoundError):  # a run has ended meanwhile
                        replay(self._index, self._own / (name + JOURNAL))
            return self._index

    def new_file(self) -> Path:
        """The path of a new temporary file."""
        assert self._temporary is not None
        return self._temporary.path / f"{next(self._names):x}"

    def _spool(self) -> int:
        """A file without a name. Raises OSError."""
        path = self.new_file()
        fd = os.open(path, _NEW_FILE, 0o600)
        os.unlink(path)
        return fd


@contextlib.contextmanager
def _held() -> Iterator[None]:
    """Outside of an attempt the fence means that another run has the archive."""
    try:
        yield
    except Fenced as error:
        raise Held(str(error)) from None


def _indexed_as(told: ArchivedObject) -> Indexed:
    """What the index has of an object that the manifest tells."""
    key, archived, size, sha256, modified_ms, left, url = told
    payload = archived.file, archived.offset
    if archived.original_file:
        payload = archived.original_file, archived.original_offset
    place = archived.file, archived.offset, archived.length
    return Indexed(key, *place, size, sha256, modified_ms, left, url, "", *payload, archived.start)
