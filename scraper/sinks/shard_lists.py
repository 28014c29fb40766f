"""The lists of shards, where a plan keeps them: one file or object for each shard.

    .scraper/plans/0001-of-8/shard-3/list.gz     and known.gz, what earlier records say of them

In a directory a file grows while the lists are divided, and only its owner can read it: lists may
have secrets. Elsewhere each list grows in a temporary file on this machine, and is put when it is
whole. All of them are there before `plan.json` is.

Owns: where they lie, and that they are there at once. Does not know: what is in them
(`source/shard_list.py`).
"""

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO, Self

from scraper.model.errors import DestinationError, ListBroken, SinkError
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, Sink, put_object
from scraper.sinks.directory.own_files import open_own
from scraper.sinks.home import home_of
from scraper.sinks.own_store import make_directories
from scraper.sinks.plans import LIST, Plan

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_PRIVATE = 0o600
_MOST_BYTES = 1 << 20  # of one line


class ListsOfPlan:
    """A context manager that writes the lists of `plan`. The destination is held alone."""

    def __init__(self, sink: Sink, destination: str, plan: Plan) -> None:
        self._sink, self._plan = sink, plan
        self._home = home_of(destination)
        self._begun: set[tuple[int, str]] = set()
        self._spool: Path | None = None

    def __enter__(self) -> Self:
        """Begin."""
        if self._home is None:
            self._spool = Path(tempfile.mkdtemp(prefix="scraper-plan-"))
        return self

    def __exit__(self, *_: object) -> None:
        """Remove temporary files."""
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)

    def append(self, shard: int, data: bytes, name: str = LIST) -> None:
        """Append to the list of `shard`, or to another file of it. Raises DestinationError."""
        try:
            path = self._path(shard, name)
            with open(open_own(path, _FLAGS, _PRIVATE), "ab") as file:
                file.write(data)
        except OSError as error:
            raise DestinationError(f"can't write the list of shard {shard}: {error}") from None
        self._begun.add((shard, name))

    def finish(self) -> None:
        """All lists are whole: have them in the destination. Raises DestinationError."""
        for shard, name in sorted(self._begun):
            key = self._plan.prefix_of(shard) + name
            try:
                if self._home is not None:
                    with open(open_own(self._path(shard, name), os.O_RDONLY), "rb") as file:
                        os.fsync(file)
                else:
                    data = self._path(shard, name).read_bytes()
                    put_object(self._sink, key, data, "application/gzip")
            except (OSError, SinkError) as error:
                raise DestinationError(f"can't write {key!r}: {error}") from None

    def _path(self, shard: int, name: str) -> Path:
        if self._spool is not None:
            return self._spool / f"{shard}-{name}"
        assert self._home is not None
        prefix = self._plan.prefix_of(shard)
        if (shard, name) not in self._begun:
            return make_directories(self._home, prefix) / name
        return self._home / prefix / name


def list_lines(
    sink: Sink, destination: str, plan: Plan, shard: int, name: str = LIST
) -> Callable[[], Generator[bytes, None, None]]:
    """What opens the lines of the list of `shard`, or of another file. Where none is, none are.

    They raise ListBroken, DestinationError.
    """
    key = plan.prefix_of(shard) + name
    place = f"{redact(destination).rstrip('/')}/{key}"

    def opened() -> Generator[bytes, None, None]:
        try:
            with _opened(sink, destination, key) as file, gzip.GzipFile(fileobj=file) as lines:
                while line := lines.readline(_MOST_BYTES):
                    yield line
        except FileNotFoundError:
            return
        except (OSError, EOFError, SinkError) as error:
            raise ListBroken(f"can't read {place!r}: {error}") from None

    return opened


def _opened(sink: Sink, destination: str, key: str) -> BinaryIO:
    """The list `key`, as a file. Raises FileNotFoundError, OSError, SinkError, DestinationError."""
    if (home := home_of(destination)) is not None:
        return open(open_own(home / key, os.O_RDONLY), "rb")
    assert isinstance(sink, ReadableSink)
    if sink.size(key) is None:
        raise FileNotFoundError
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    for piece in sink.read(key):
        file.write(piece)
    file.seek(0)
    return file
