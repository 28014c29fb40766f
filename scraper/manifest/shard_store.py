"""ShardStore: the manifest of one shard, and what all earlier manifests say of its hosts.

A shard writes to a manifest of its own. It remembers what the destination's own manifest and those
of earlier plans say, in that order (`sinks/plans.py`). Other shards of its plan may be writing
now; they have other hosts, so they need not be read. Of earlier manifests it takes in only what
concerns its hosts, since taking a line in costs ten times as much as reading it. A plan that was
made beforehand has that apart for each shard (`known.py`).

All manifests of a destination have one secret for their identities, or a target with a secret in
its URL would be another one after a change of plans. Of shards that begin at once one makes it.

Owns: that choice of lines. Does not know: where lines are kept (the other stores). Its index is a
temporary one, and nothing is compacted: the next run without --shard does that.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scraper.manifest.identity import SECRET_BYTES, Identity
from scraper.manifest.secret_file import secret_path_of, write_secret
from scraper.manifest.sink_store import IDENTITY_KEY
from scraper.model import urls
from scraper.model.errors import BadTarget, DestinationError, SinkError
from scraper.model.records import Result
from scraper.sinks.base import ConditionalSink, Sink
from scraper.sinks.directory import OWN
from scraper.sinks.home import home_of
from scraper.sinks.plans import MANIFEST
from scraper.sinks.shard_lock import alone
from scraper.source.keys import host_segment

if TYPE_CHECKING:
    from scraper.manifest.index import Index
    from scraper.manifest.store import ManifestStore
    from scraper.manifest.told_lines import ToldLines

Lines = Callable[[], Iterator[bytes]]
_MOST = 1 << 17  # origins that are remembered
# The URL of a record stands first in it. Of any other line nothing is known.
_ORIGIN = re.compile(rb'\{"url":"(https?://[a-z0-9.-]++(?::[0-9]++)?+)(?=[/?#"])').match
# The key of a target by the rule `hash`: no other target can have it.
_HASH_KEY = re.compile(rb'"key":"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}').search


class ShardStore:
    """See the module and `ManifestStore`.

    `earlier`: what gives the lines of earlier manifests that concern it, None if there are none.
    """

    index_path: Path | None = None
    readable = True
    destination = ""

    def __init__(
        self, own: "ManifestStore", own_lines: Lines, earlier: Lines | None = None
    ) -> None:
        self._own, self._own_lines, self._earlier = own, own_lines, earlier
        self.place = own.place
        self.identity: Identity = own.identity
        self.begun = own.begun or earlier is not None
        self._is_read = False

    @property
    def run(self) -> str:
        """The id of the run."""
        return self._own.run

    @run.setter
    def run(self, run: str) -> None:
        self._own.run = run

    def __call__(self, result: Result) -> None:
        """See `ManifestStore`."""
        self._own(result)

    def append(self, record: Mapping[str, Any]) -> None:
        """See `ManifestStore`."""
        self._own.append(record)

    def adopt(self, lines: Iterable[bytes]) -> None:
        """See `ManifestStore`."""
        self._own.adopt(lines)

    @property
    def recorded(self) -> int:
        """See `ManifestStore`."""
        return self._own.recorded

    def flush(self, *, idle: bool = False) -> None:
        """See `ManifestStore`."""
        self._own.flush(idle=idle)

    def settle(self) -> None:
        """See `ManifestStore`."""
        self._own.settle()

    def close(self) -> None:
        """See `ManifestStore`."""
        self._own.close()

    def release(self) -> None:
        """See `ManifestStore`."""
        self._own.release()

    def told(self, run: str) -> "ToldLines":
        """The lines that the run has recorded already, before it was begun again."""
        from scraper.manifest.told_lines import ToldLines

        return ToldLines(self._own_lines(), run)

    def catch_up(self, index: "Index") -> None:
        """Let `index` absorb what concerns the shard. Once: later only `compact` would need it."""
        if self._is_read:
            return
        self._is_read = True
        index.clear()
        earlier = () if self._earlier is None else self._earlier()
        index.absorb(chain(earlier, self._own_lines()))

    def confirm(self, index: "Index") -> None:
        """Nothing: the index is a temporary one."""

    def compact(self, index: "Index") -> None:
        """Nothing: see the module."""


class HostLines:
    """Which shard each line of a manifest concerns, without parsing it. `shard_of`: of a host.

    A line whose key is not one that only its host can have concerns all shards: it may have taken
    a key over. So does what can't be told.
    """

    def __init__(self, shard_of: Callable[[str], int]) -> None:
        self._shard_of = shard_of
        self._origins: dict[bytes, tuple[int, bytes] | None] = {}

    def of(self, shard: int, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Those of `lines` that concern `shard`."""
        ours, owner = {shard, None}, self.owner
        return (line for line in lines if owner(line) in ours)

    def owner(self, line: bytes) -> int | None:
        """The shard that `line` concerns, None for all of them."""
        found = _ORIGIN(line)
        if found is None:
            return None
        try:
            known = self._origins[found[1]]
        except KeyError:
            known = self._look(found[1])
        if known is None or not (known[1] in line or _HASH_KEY(line)):
            return None
        return known[0]

    def _look(self, origin: bytes) -> tuple[int, bytes] | None:
        """The shard of this origin, and what a line has whose key is this host's. None: unknown."""
        known = None
        with suppress(BadTarget):
            parsed = urls.parse(f"{origin.decode()}/").origin
            known = self._shard_of(parsed.host), f'"key":"{host_segment(parsed)}/'.encode()
        if len(self._origins) >= _MOST:
            self._origins.clear()
        self._origins[origin] = known
        return known


def make_secret(destination: str, sink: Sink) -> Path | None:
    """Make the secret of the identities if there is none. One of several runs does.

    Returns its path in a directory, None in a sink. Raises DestinationError.
    """
    home = home_of(destination)
    path = None if home is None else secret_path_of(home / OWN / MANIFEST)
    try:
        if not _has_secret(path, sink):
            with alone(sink, destination):
                if not _has_secret(path, sink):
                    _put_secret(path, sink, urandom(SECRET_BYTES))
    except (OSError, SinkError) as error:
        raise DestinationError(f"can't write the secret of the manifest: {error}") from None
    return path


def _has_secret(path: Path | None, sink: Sink) -> bool:
    if path is not None:
        return path.exists()
    assert isinstance(sink, ConditionalSink)
    return sink.get_small(IDENTITY_KEY) is not None


def _put_secret(path: Path | None, sink: Sink, secret: bytes) -> None:
    if path is not None:
        write_secret(path, secret)
        return
    assert isinstance(sink, ConditionalSink)
    sink.put_if(IDENTITY_KEY, secret, None)
