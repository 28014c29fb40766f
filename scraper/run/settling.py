"""Settling: a destination and its manifest agree before a run begins.

A run that is killed may have stored what it did not record. A directory may keep that: it is
fetched again, and replaced. In an archive it would stay for ever, so such a sink cuts it off.

A sink that does so has a method `settle(manifest, stored)`. It is called once, when the destination
is held and the manifest is open. `manifest` is the name of the manifest, `stored` tells what it has
(`StoredFacts`), each line anew. It raises DestinationError.

`settle_killed` does the same for a command that deletes, or looks for what is not right, and stores
nothing (`cli/held.py`).

A web archive keeps what it has. Its records get their lines then (`manifest/adoption.py`).

Another method, `all_recorded()`, is called at the end, when the manifest is whole and closed.

Owns: these calls. Does not know: what is cut off, and how.
"""

import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scraper.manifest import ManifestStore, as_json, lines_from
from scraper.sinks.base import Sink
from scraper.sinks.exchanges import learn, record_of, unrecorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scraper.sinks.archives import StoredFacts


def settle(
    sink: Sink,
    store: ManifestStore,
    path: str | None,
    destination: str,
    *,
    stores: bool = True,
) -> None:
    """Let `sink` agree with `store`, which is at `path`. Raises DestinationError.

    `stores`: objects will be stored.
    """
    name = "settle" if stores else "settle_killed"
    agree: Callable[[str, Iterable[StoredFacts]], None] | None = getattr(sink, name, None)
    if agree is None:
        return
    stored: Iterable[StoredFacts] = ()
    if store.begun and store.readable:
        from scraper.manifest.stored import stored_facts

        stored = stored_facts(lines_from(path, destination, sink)())
    agree("" if path is None else os.path.realpath(path), stored)


def adopt(sink: Sink, store: ManifestStore, path: str | None, destination: str) -> None:
    """Record what a killed run has put into a web archive, and tell it what the manifest says.

    In this order: what is recorded last is what holds. Raises DestinationError.
    """
    if not store.readable or record_of(sink) is None:
        return
    from scraper.manifest.adoption import adopted, archived_objects

    def lines() -> Iterator[bytes]:
        return lines_from(path, destination, sink)() if store.begun else iter(())

    told = partial(unrecorded, sink)
    if next(told(), None) is not None:
        store.adopt(as_json(record) + b"\n" for record in adopted(told, lines, store.run))
    learn(sink, lambda: archived_objects(lines()))


def all_recorded(sink: Sink) -> None:
    """Tell `sink` that the manifest has all of it. Raises DestinationError, Held."""
    tell: Callable[[], None] | None = getattr(sink, "all_recorded", None)
    if tell is not None:
        tell()
