"""A destination that a command changes: `list --prune`, `verify --repair`.

Owns: the order in which it is checked, locked, its manifest opened for records, and an archive that
a killed run left made to agree with that. Does not know:
what is changed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from scraper.cli.place import Place
from scraper.manifest import ManifestStore, StoreTimeouts, leaves_nothing, open_store
from scraper.model.errors import Held
from scraper.model.run_id import new_run_id
from scraper.model.urls import redact
from scraper.run.settling import settle
from scraper.sinks.beginning import insist
from scraper.sinks.lock import Lock, hold, leave_nothing

_PATIENCE_S = 120.0  # with a sink that takes no records


class HeldPlace(NamedTuple):
    """A destination that is held, and its manifest, open for records.

    `check` raises Held once another run may have it. Any thread may call it.
    """

    store: ManifestStore
    check: Callable[[], None]


@contextmanager
def held(place: Place, manifest: str | None) -> Iterator[HeldPlace]:
    """Hold the destination. `manifest` is the one that was named, if any.

    Raises Held, DestinationError, and UsageError for the manifest of another destination, and
    while shards are not done.
    """
    reasons: list[str] = []
    lock: Lock | None = None

    def check() -> None:
        if reasons or (lock is not None and not lock.holds()):
            raise Held(reasons[0] if reasons else f"lost the lock of {redact(place.destination)}")

    with ExitStack() as stack:
        insist(place.sink.check)
        lock = hold(place.sink, place.destination, "fail", reasons.append)
        if lock is not None:
            stack.callback(lock.release)
            if leaves_nothing(manifest, place.destination):
                stack.callback(leave_nothing, lock, place.sink)
        store = open_store(
            manifest,
            place.destination,
            place.sink,
            StoreTimeouts(_PATIENCE_S),
            durable=True,
            moves_undone=False,
        )
        stack.callback(store.release)
        stack.callback(store.close)
        store.run = new_run_id(time.time())
        settle(place.sink, store, manifest, place.destination, stores=False)
        yield HeldPlace(store, check)
