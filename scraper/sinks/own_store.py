"""OwnStore: small files of ours in a destination, wherever it is.

    own = OwnStore(sink, destination)
    own.read(".scraper/plans/0001-of-8/shard-0/plan.json")    # None if there is no such file

In a directory they are files, opened so that nothing planted there does harm. Elsewhere they are
objects; an empty one is void (`voids.py`), and there is no such file.

Owns: that choice. Does not know: what the files are for. Rejected: the sink's own methods for
directories too. They take a link for an object, and objects are to be as durable as they can.
"""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from scraper.model.errors import DestinationError, SinkError
from scraper.model.urls import redact
from scraper.sinks.base import ConditionalSink, ReadableSink, Sink, folders_of, put_object
from scraper.sinks.beginning import insist
from scraper.sinks.directory.own_files import open_own, replace_own
from scraper.sinks.home import home_of
from scraper.sinks.voids import own_keys, remove_own

_MOST_BYTES = 64 << 20


class OwnStore:
    """Those of `destination`, which `sink` serves. Keys are those of objects in it."""

    def __init__(self, sink: Sink, destination: str) -> None:
        self._sink, self._home = sink, home_of(destination)
        self._name = redact(destination).rstrip("/")

    def place(self, key: str) -> str:
        """The name of a file, for people."""
        return f"{self._name}/{key}"

    def read(self, key: str) -> bytes | None:
        """The file, None if there is none. Raises DestinationError."""
        try:
            if self._home is not None:
                with open(open_own(self._home / key, os.O_RDONLY), "rb") as file:
                    return file.read(_MOST_BYTES)
            assert isinstance(self._sink, ConditionalSink)
            found = insist(partial(self._sink.get_small, key))
        except FileNotFoundError:
            return None
        except (OSError, SinkError) as error:
            raise self._failed("read", key, error) from None
        return found.data if found is not None and found.data else None

    def create(self, key: str, data: bytes) -> bool:
        """Write a file that there is not yet, and its directory. Raises DestinationError.

        Elsewhere than in a directory: whether there was none.
        """
        try:
            if self._home is None:
                assert isinstance(self._sink, ConditionalSink)
                return self._create(self._sink, key, data)
            prefix, _, name = key.rpartition("/")
            self._replace(make_directories(self._home, prefix) / name, data, sync=True)
        except (OSError, SinkError) as error:
            raise self._failed("write", key, error) from None
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Write a file, whose directory is there. A power cut may undo it.

        Raises DestinationError.
        """
        try:
            if self._home is None:
                put_object(self._sink, key, data, "application/json")
            else:
                self._replace(self._home / key, data, sync=False)
        except (OSError, SinkError) as error:
            raise self._failed("write", key, error) from None

    def remove(self, key: str) -> None:
        """Remove a file if there is one. Raises DestinationError."""
        try:
            if self._home is not None:
                with contextlib.suppress(FileNotFoundError):
                    (self._home / key).unlink()
            else:
                remove_own(self._sink, key)
        except (OSError, SinkError) as error:
            raise self._failed("remove", key, error) from None

    def has(self, key: str) -> bool:
        """Whether there is such a file. Raises SinkError, DestinationError."""
        if self._home is not None:
            return (self._home / key).is_file()
        sink = self._sink
        return isinstance(sink, ReadableSink) and bool(insist(partial(sink.size, key)))

    def names(self, prefix: str) -> Iterator[str]:
        """The files whose keys begin with `prefix`, which ends with a slash, without it.

        Raises SinkError, DestinationError.
        """
        if self._home is None:
            if isinstance(self._sink, ReadableSink):
                found = insist(partial(own_keys, self._sink, prefix))
                yield from (key.removeprefix(prefix) for key in found)
            return
        top = self._home / prefix
        if not self._is_there(prefix):
            return

        def failed(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise DestinationError(f"can't read {error.filename!r}: {error.strerror}")

        for parent, _, files in os.walk(top, onerror=failed):  # no link is followed
            below = os.path.relpath(parent, top)
            yield from (name if below == "." else f"{below}/{name}" for name in files)

    def folders(self, prefix: str) -> list[str]:
        """What keys have between `prefix` and the next slash. Raises SinkError, DestinationError.

        It costs as much as there are such folders, however much they have.
        """
        if self._home is None:
            sink = self._sink
            if not isinstance(sink, ReadableSink):
                return []
            return insist(lambda: [*folders_of(sink, prefix)])
        if not self._is_there(prefix):
            return []
        try:
            return [one.name for one in os.scandir(self._home / prefix) if one.is_dir()]
        except OSError as error:
            raise self._failed("read", prefix, error) from None

    def _is_there(self, prefix: str) -> bool:
        """Whether there is such a directory. Raises DestinationError for a link on the way."""
        assert self._home is not None
        path = self._home
        for name in prefix.strip("/").split("/"):
            path /= name
            refuse_link(path)
        return path.exists()

    @staticmethod
    def _create(sink: ConditionalSink, key: str, data: bytes) -> bool:
        if sink.put_if(key, data, None) is not None:
            return True
        found = sink.get_small(key)
        is_void = found is not None and not found.data
        return is_void and sink.put_if(key, data, found and found.etag) is not None

    @staticmethod
    def _replace(path: Path, data: bytes, *, sync: bool) -> None:
        with replace_own(path, f"{path.name}.new", sync=sync) as file:
            file.write(data)

    def _failed(self, verb: str, key: str, error: Exception) -> DestinationError:
        return DestinationError(f"can't {verb} {self.place(key)!r}: {error}")


def make_directories(home: Path, prefix: str) -> Path:
    """The directory of `prefix` in `home` (see `home.home_of`). What is missing is made.

    A link on the way is refused: it would lead out of the destination. Raises DestinationError,
    OSError.
    """
    path = home
    for name in prefix.strip("/").split("/"):
        path /= name
        path.mkdir(exist_ok=True)
        refuse_link(path)
    return path


def refuse_link(path: Path) -> None:
    """Raise DestinationError if `path` is a link."""
    if path.is_symlink():
        raise DestinationError(f"{str(path)!r} is a link: remove it, or use another destination")
