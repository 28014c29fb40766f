"""Where a run of one shard keeps what is its own: manifest, summary, and the file that says "done".

`done.json` is there while the shard is done: its last run has read its list to the end and has
tried every target. It is the summary of that run, and is written after the manifest is durable. A
run removes it when it begins, so that of a run that was killed there is none. `--retry-failed`
leaves it as it is.

Owns: these files. Does not know: locks (`sinks/shard_lock.py`), what records say.
"""

from collections.abc import Mapping
from typing import Any

from scraper.manifest import History, ManifestStore, StoreTimeouts, open_shard_store
from scraper.model.errors import DestinationError, SinkError
from scraper.model.shards import Shard
from scraper.report.summary_file import KEY, SummaryFile
from scraper.sinks.base import Sink
from scraper.sinks.own_store import OwnStore
from scraper.sinks.plans import DONE, Kept


class ShardPlace:
    """See the module. The shard is held, and `kept` is what earlier runs of it have left."""

    def __init__(self, sink: Sink, destination: str, shard: Shard, kept: Kept) -> None:
        self._sink, self._destination = sink, destination
        self._shard, self._kept = shard, kept
        self._done = SummaryFile(sink, destination, key=kept.prefix + DONE)

    def summary_file(self, *, durable: bool) -> SummaryFile:
        """The file of its summary."""
        key = self._kept.prefix + KEY.rpartition("/")[2]
        return SummaryFile(self._sink, self._destination, durable=durable, key=key)

    def open_store(self, timeouts: StoreTimeouts, *, durable: bool) -> ManifestStore:
        """Its manifest. Raises DestinationError."""
        place = self._destination, self._sink, timeouts
        return open_shard_store(*place, self._shard, self._kept, durable=durable)

    def go_on(self, history: History, store: ManifestStore, run: str) -> None:
        """The run was begun before, and goes on. Raises DestinationError."""
        from scraper.manifest.shard_store import ShardStore

        assert isinstance(store, ShardStore)
        history.told = store.told(run)

    def begin(self) -> None:
        """The shard is not done any more. Raises DestinationError."""
        if not self._kept.is_done:
            return
        OwnStore(self._sink, self._destination).remove(self._kept.prefix + DONE)

    def end(self, summary: Mapping[str, Any]) -> None:
        """The shard is done. Raises DestinationError."""
        try:
            self._done.write(summary)
        except (OSError, SinkError) as error:
            raise DestinationError(f"can't write {self._done.place!r}: {error}") from None
