"""What a run holds while it runs: its destination, with the lock, the manifest and its memory.

Owns: in which order they are opened, and let go of, also if one of them can't be.
Refuses to know: what is fetched and recorded meanwhile (`loop.py`). Rejected: one
ExitStack for all of it; only a manifest that could be closed may be compacted.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack

from scraper.manifest import History, ManifestStore, open_store, remember
from scraper.model.errors import DestinationError
from scraper.model.settings import Settings
from scraper.run.stopping import Note
from scraper.sinks.base import Sink, SinkOptions, find_sink
from scraper.sinks.lock import hold
from scraper.transfer import Quota


class RunResources:
    """See the module. `store` and `memory` are there from `open` on.

    Raises UsageError when no sink serves `destination`.
    """

    store: ManifestStore
    history: History

    def __init__(self, settings: Settings, destination: str) -> None:
        options = SinkOptions(settings.politeness.max_concurrency, settings.s3)
        self.destination = destination
        self.sink: Sink = find_sink(destination, options)
        self._settings = settings
        self._kept = ExitStack()

    def open(self, quota: Quota, on_lost: Callable[[str], None], note: Note) -> None:
        """Check the destination, lock it, recall what its manifest knows.

        `on_lost` is told, from another thread, when another run has taken it over. Raises
        DestinationError and UsageError; nothing is held then.
        """
        with ExitStack() as stack:
            stack.callback(self.sink.close)
            self.sink.check()
            quota.check_disk()
            left_s = quota.left_s(time.monotonic())
            lock = hold(self.sink, self.destination, self._settings.lock, on_lost, left_s)
            if lock is not None:
                stack.callback(lock.release)
                if lock.remark:
                    note("info", "lock", {"message": lock.remark})
            self._recall()
            self._kept = stack.pop_all()

    def close(self, *, whole: bool) -> None:
        """Let go of everything. `whole`: the run came to its end. Raises DestinationError."""
        try:
            self.store.close()
        except DestinationError:
            whole = False
            raise
        finally:
            self.history.close(self.store, whole=whole)
            self._kept.close()

    def _recall(self) -> None:
        manifest, patience_s = self._settings.manifest, self._settings.retries.retry_max_time
        self.store = open_store(manifest, self.destination, self.sink, patience_s)
        with ExitStack() as undone:
            undone.callback(self.store.close)
            self.history = remember(self._settings.earlier, self.store, self.sink)
            undone.pop_all()
