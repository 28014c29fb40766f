"""The manifest of a destination: opened for a run, or read by whoever asks what is there.

It is the file at `--manifest`, a file in the destination's own directory, or segments in the sink.
The manifests of shards belong to it (`every_manifest.py`).

Owns: which of these a destination has. Does not know: how lines are kept (`store.py`), what they
say (`codec.py`).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from scraper.manifest.codec import Reading
from scraper.manifest.file_store import ELSEWHERE, FileManifestStore
from scraper.manifest.sink_store import SinkManifestStore
from scraper.manifest.store import ManifestStore, StoreTimeouts
from scraper.model.errors import DestinationError, SinkError
from scraper.model.urls import redact
from scraper.sinks.base import Sink, ignores_case, scheme_of, sync_of
from scraper.sinks.directory import open_own
from scraper.sinks.home import home_of, is_stream

if TYPE_CHECKING:
    from scraper.model.shards import Shard
    from scraper.sinks.plans import Kept, Plan

_READ = os.O_RDONLY | os.O_CLOEXEC
DEFAULT_PATH = ".scraper/manifest.jsonl"
_PLANS = ".scraper/plans"
Lines = Callable[[], Iterator[bytes]]
_NOWHERE = "not kept (--manifest PATH keeps one)"


def path_for(path: str | None, destination: str) -> Path | None:
    """The file of the manifest: `path` if given, else the destination's own. None: no file."""
    if path is not None:
        return Path(path)
    home = home_of(destination)
    return None if home is None else home / DEFAULT_PATH


def leaves_nothing(path: str | None, destination: str) -> bool:
    """Whether nothing of ours stays in `destination`: a directory whose manifest is elsewhere.

    So it is if the manifest at `path` is a file, or will be, and lies not among our own files.
    """
    home = home_of(destination)
    if path is None or (home is None and not is_stream(destination)):
        return False
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe: nothing can lie beside it
        return False
    if home is None:
        return True
    own = os.path.realpath(home / DEFAULT_PATH.partition("/")[0])
    return not os.path.realpath(path).startswith(f"{own}/")


def open_store(  # noqa: PLR0913 - facts of one manifest
    path: str | None,
    destination: str,
    sink: Sink,
    timeouts: StoreTimeouts,
    *,
    durable: bool = False,
    moves_undone: bool = True,
) -> ManifestStore:
    """The manifest at `path`, or where the destination keeps it. `sink` has been checked.

    The destination is held: what shards recorded is moved into its own manifest. `durable`: what a
    flush wrote to a file survives a power cut. Without `moves_undone` the records of shards that
    are not done are not moved: nobody could tell any more that targets of theirs were never tried.
    Raises DestinationError (NoThread too), Held, and UsageError then, or if the manifest at `path`
    is of another destination.
    """
    if path is None and is_stream(destination):
        return _kept_nowhere()
    file = path_for(path, destination)
    sync = sync_of(sink) if durable else None
    if file is not None and path is not None:
        named = full_name(destination, sink)
        return FileManifestStore(file, sync, destination=named, wait_s=timeouts.lock_s)
    shards = _kept(destination, sink)
    if shards and not moves_undone:
        from scraper.sinks.plans import refuse_undone

        refuse_undone(shards)
    store: ManifestStore
    if file is None:
        store = in_sink = SinkManifestStore(sink, destination, timeouts.sink_s)
        in_sink.start()
    else:
        store = FileManifestStore(file, sync, wait_s=timeouts.lock_s, own=True)
    if shards:
        from scraper.manifest.every_manifest import fold

        with ExitStack() as undone:
            undone.callback(store.release)
            undone.callback(store.close)
            fold(store, sink, destination, shards)
            undone.pop_all()
    return store


def _kept_nowhere() -> FileManifestStore:
    """The manifest of a run into stdout: nobody could find it later."""
    made = FileManifestStore(Path(os.devnull))
    made.place = _NOWHERE
    return made


def open_shard_store(  # noqa: PLR0913 - as `open_store`, and the shard
    destination: str,
    sink: Sink,
    timeouts: StoreTimeouts,
    shard: "Shard",
    kept: "Kept",
    *,
    durable: bool = False,
) -> ManifestStore:
    """The manifest of `shard`, which is held and lies where `kept` does. See `open_store`."""
    from scraper.manifest.every_manifest import lines_of
    from scraper.manifest.shard_store import ShardStore, make_secret
    from scraper.sinks.plans import MANIFEST

    secret = make_secret(destination, sink)
    home = home_of(destination)
    own: ManifestStore
    if home is None:
        own = in_sink = SinkManifestStore(sink, destination, timeouts.sink_s, kept.prefix)
        in_sink.start()
    else:
        file = home / kept.prefix / MANIFEST
        sync = sync_of(sink) if durable else None
        own = FileManifestStore(file, sync, wait_s=timeouts.lock_s, own=True, secret=secret)
    with ExitStack() as undone:
        undone.callback(own.release)
        undone.callback(own.close)
        own_lines = partial(lines_of, sink, destination, kept)
        store = ShardStore(own, own_lines, _earlier(destination, sink, shard, kept))
        undone.pop_all()
    return store


def earlier_lines(destination: str, sink: Sink, plan: "Plan") -> Sequence[Lines]:
    """What gives the lines of each manifest that there was before `plan`, in order.

    Raises DestinationError.
    """
    return _parts(None, destination, sink, before=plan)


def _earlier(destination: str, sink: Sink, shard: "Shard", kept: "Kept") -> Lines | None:
    """What gives the earlier lines that concern `shard`, None if there is no earlier manifest."""
    from scraper.manifest.known import known_lines
    from scraper.manifest.shard_store import HostLines

    try:
        known = known_lines(sink, destination, kept)
    except SinkError as error:
        raise DestinationError(f"can't read the manifest: {error}") from None
    if known is not None:
        return known
    parts = earlier_lines(destination, sink, kept.plan)
    hosts = HostLines(shard.shard_of)

    def ours() -> Iterator[bytes]:
        return hosts.of(shard.number, chain.from_iterable(part() for part in parts))

    return ours if parts else None


def reading_of(path: str | None, destination: str, sink: Sink) -> Reading:
    """How the manifest that `open_store` would open is read. `sink` has been reached."""
    named = "" if path is None else full_name(destination, sink)
    return Reading(ignores_case(sink), named)


def full_name(destination: str, sink: Sink) -> str:
    """What tells `destination` from all others: an absolute path, or a URL and its endpoint.

    Amazon has one name space of buckets, so its endpoints are not told apart.
    """
    if (home := home_of(destination)) is not None:
        scheme = scheme_of(destination)
        return str(home.resolve()) if scheme == "file" else f"{scheme}:{home.resolve()}"
    name, endpoint = redact(destination).rstrip("/"), getattr(sink, "endpoint", "")
    host = endpoint.partition("://")[2].partition("/")[0].partition(":")[0]
    is_amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return f"{name} at {endpoint}" if endpoint and not is_amazon else name


def exists(path: str | None, destination: str, sink: Sink) -> bool:
    """Whether there is a manifest that `read_lines` would read. Nothing is written.

    `sink` has been reached if the manifest lies in it and it is no directory. Raises
    DestinationError if that can't be found out.
    """
    if path is None and _shards(destination, sink):
        return True
    return _exists(path, destination, sink)


def _exists(path: str | None, destination: str, sink: Sink) -> bool:
    """The same, for the destination's own manifest or the one at `path` alone."""
    file = path_for(path, destination)
    if file is None:
        return SinkManifestStore(sink, destination).begun
    try:
        os.stat(file, follow_symlinks=path is not None)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DestinationError(f"can't read the manifest {str(file)!r}: {error.strerror}") from None
    return True


def lines_from(path: str | None, destination: str, sink: Sink) -> Callable[[], Iterator[bytes]]:
    """A function that gives every line that `read_lines` does, the same ones at each call."""
    from scraper.manifest.every_manifest import EveryLine

    return EveryLine(lambda: _parts(path, destination, sink))


def read_lines(path: str | None, destination: str, sink: Sink) -> Iterator[bytes]:
    """Every line of the manifest that `open_store` would open, in order. Nothing is written.

    Without `path` those of all shards follow. Raises DestinationError if there is none, or it
    can't be read.
    """
    return lines_from(path, destination, sink)()


def _shards(destination: str, sink: Sink, before: "Plan | None" = None) -> "Sequence[Kept]":
    """The shards of `destination` that have a manifest, or a plan. Raises DestinationError."""
    found = _kept(destination, sink, before)
    if not found:
        return ()
    from scraper.manifest.every_manifest import has_manifest
    from scraper.sinks.plans import PLAN

    return [one for one in found if has_manifest(one) or PLAN in one.names]


def _kept(destination: str, sink: Sink, before: "Plan | None" = None) -> "Sequence[Kept]":
    """All shards of `destination`, or those `before` a plan. Raises DestinationError."""
    home = home_of(destination)
    if home is not None and not os.path.lexists(home / _PLANS):  # as of most
        return ()
    from scraper.sinks.plans import kept

    try:
        return kept(sink, destination, before)
    except SinkError as error:
        raise DestinationError(f"can't read the manifest: {error}") from None


def _parts(
    path: str | None, destination: str, sink: Sink, before: "Plan | None" = None
) -> list[Lines]:
    """What gives the lines of each manifest, in order. `before`: of the plans before this one."""
    own = partial(_own_lines, path, destination, sink)
    shards = _shards(destination, sink, before) if path is None else ()
    if not (shards or before):
        return [own]
    from scraper.manifest.every_manifest import lines_of

    parts: list[Lines] = []
    if _exists(path, destination, sink):
        parts.append(own)
    return parts + [partial(lines_of, sink, destination, one) for one in shards]


def _own_lines(path: str | None, destination: str, sink: Sink) -> Iterator[bytes]:
    """Every line of the destination's own manifest, or of the one at `path`."""
    file = path_for(path, destination)
    if file is None:
        store = SinkManifestStore(sink, destination)
        if not store.begun:
            raise DestinationError(f"there is no manifest {store.place!r}")
        yield from store.lines()
        return
    try:
        own = path is None
        fd = open_own(file, os.O_RDONLY, way_out=ELSEWHERE) if own else os.open(file, _READ)
        with open(fd, "rb") as lines:
            yield from lines
    except OSError as error:
        reason = error.strerror or str(error)
        raise DestinationError(f"can't read the manifest {str(file)!r}: {reason}") from None
