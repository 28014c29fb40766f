"""Where the files of an archive lie: in a directory, or in a store once they are finished.

A store can't append. So the file that grows lies in a directory on this machine, and is put as one
object when it is finished, its index after it. Then both are removed here. What a killed run has
left there is put by the next run on this machine.

Owns: which file lies where. Does not know: what is in them. Rejected: multipart uploads that grow;
what a killed run has uploaded is not to be seen, and can't be cut back.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from scraper.model.errors import DestinationError, Fenced, SinkError
from scraper.model.records import Response
from scraper.sinks.base import Body, ReadableSink, Sink
from scraper.sinks.beginning import insist_on_first
from scraper.sinks.warc.archive_file import INDEX, OPEN, SUFFIX, refused

_PIECE = 1 << 20
_TYPES = {SUFFIX: "application/warc", INDEX: "text/plain"}
_COPIES = 3  # files of a store that are kept here while they are read


class Files:
    """The files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._sizes: dict[str, int] = {}

    def size(self, name: str) -> int | None:
        """Bytes of a file. None if there is none. Raises SinkError."""
        try:
            return os.stat(self.path(name)).st_size
        except OSError:
            return None

    def has(self, name: str, size: int) -> bool:
        """Whether a file has so many bytes. It may have grown since it was looked at."""
        if self._sizes.get(name, -1) >= size:
            return True
        found = self.size(name)
        if found is None:
            return False
        self._sizes[name] = found
        return found >= size

    def path(self, name: str) -> Path:
        """Where it can be read. Raises SinkError, OSError."""
        final = self.directory / name
        return final if final.exists() else self.directory / (name + OPEN)

    def opened(self, name: str) -> BinaryIO:
        """It, to be read. Raises SinkError, OSError."""
        try:
            return open(self.path(name), "rb")
        except FileNotFoundError:  # it was finished in this moment
            return open(self.path(name), "rb")

    def names(self) -> list[str]:
        """The names of all finished files. Raises SinkError."""
        return sorted(path.name for path in self.directory.glob(f"*{SUFFIX}"))

    def finished(self, name: str) -> None:
        """A file has got its name. Raises SinkError and DestinationError."""

    def close(self) -> None:
        """Release everything."""


class StoredFiles(Files):
    """Files that are put into `inner`. `temporary` names a new file for a copy."""

    def __init__(self, directory: Path, inner: Sink, temporary: Callable[[], Path]) -> None:
        super().__init__(directory)
        self._inner, self._temporary = inner, temporary
        self._copies: dict[str, Path] = {}
        self._copying = threading.RLock()

    def size(self, name: str) -> int | None:
        """See `Files`."""
        here = super().path(name)
        if here.exists():
            return here.stat().st_size
        return self._readable.size(name)

    def path(self, name: str) -> Path:
        """See `Files`: a copy of an object."""
        here = super().path(name)
        if here.exists():
            return here
        with self._copying:
            if name not in self._copies:
                made = self._temporary()
                with open(made, "xb") as file:
                    file.writelines(self._readable.read(name))
                while len(self._copies) >= _COPIES:
                    first = next(iter(self._copies))
                    self._copies.pop(first).unlink()  # who reads it has it open
                self._copies[name] = made
            return self._copies[name]

    def opened(self, name: str) -> BinaryIO:
        """See `Files`. No other thread removes the copy before it is open."""
        with self._copying:
            return super().opened(name)

    def names(self) -> list[str]:
        """See `Files`."""
        keys = insist_on_first(partial(self._readable.keys, ""))
        return sorted(key for key in keys if key.endswith(SUFFIX))

    def finished(self, name: str) -> None:
        """See `Files`: put it, and its index, and remove both here."""
        index = name.removesuffix(SUFFIX) + INDEX
        paths = [self.directory / name, self.directory / index]
        try:
            for path in paths:
                self._put(path)
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise refused(error) from None
        except Fenced:
            raise
        except SinkError as error:
            message = f"can't store {name!r}, which stays in {str(self.directory)!r}"
            raise DestinationError(f"{message}: {error.message}") from None

    def _put(self, path: Path) -> None:
        if not path.exists():
            return
        digest, size = hashlib.sha256(), 0
        upload = self._inner.open(path.name)
        try:
            with open(path, "rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    size += len(piece)
                    upload.write(piece)
            kind = INDEX if path.name.endswith(INDEX) else SUFFIX
            response = Response(200, "", content_type=_TYPES[kind])
            upload.commit(Body("", time.time(), size, digest.hexdigest(), response))
        finally:
            upload.abort()

    @property
    def _readable(self) -> ReadableSink:
        assert isinstance(self._inner, ReadableSink)
        return self._inner

    def put_left(self) -> None:
        """Put what an earlier run has finished and not put. Raises DestinationError."""
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            self.finished(path.name)
