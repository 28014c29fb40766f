"""What a run holds while it runs: the destination, its lock, its manifest and its history.

Owns: the order in which they are opened and closed, also when one of them fails. Does not
know: what is fetched and recorded meanwhile (`loop.py`). Rejected: one ExitStack for all of
them. Only a manifest that could be closed may be compacted.
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
    """See the module. `store` and `history` exist after `open`.

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
        """Check the destination, lock it, read its manifest.

        `on_lost` is called, from another thread, when another run has taken the lock. Raises
        DestinationError, Held and UsageError; nothing stays open then.
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
            self._open_manifest()
            self._kept = stack.pop_all()

    def close(self, *, whole: bool) -> None:
        """Close everything. `whole`: the run came to its end. Raises DestinationError."""
        try:
            self.store.close()
        except DestinationError:
            whole = False
            raise
        finally:
            self.history.close(self.store, whole=whole)
            self._kept.close()

    def _open_manifest(self) -> None:
        manifest, patience_s = self._settings.manifest, self._settings.retries.retry_max_time
        self.store = open_store(manifest, self.destination, self.sink, patience_s)
        with ExitStack() as undone:
            undone.callback(self.store.close)
            self.history = remember(self._settings.earlier, self.store, self.sink)
            undone.pop_all()
