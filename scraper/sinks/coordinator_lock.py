"""The lock of a coordinator: one at a time runs the shards of a destination.

It lies beside the plans, so that runs of shards do not need it, and shards by hand go on. In a
directory the coordinator shares the lock of the destination too, as its shards do: no run without
`--shard` can begin between two shards. Elsewhere such a run looks at the coordinator's lease.

Owns: that. Does not know: the locks of shards (`sinks/shard_lock.py`).
"""

from collections.abc import Callable

from scraper.model.errors import DestinationError, Held, ScraperError, UsageError
from scraper.model.urls import redact
from scraper.sinks.base import ConditionalSink, Sink
from scraper.sinks.file_lock import FileHold
from scraper.sinks.home import home_of
from scraper.sinks.lease import Lease, Patience
from scraper.sinks.lock import Limit, Lock
from scraper.sinks.own_store import make_directories
from scraper.sinks.plans import COORDINATOR, LOCK


class CoordinatorLock:
    """Raises Held if there is another coordinator, DestinationError, and UsageError for no locks.

    The arguments are those of `lock.hold`.
    """

    def __init__(
        self, sink: Sink, destination: str, how: str, limit: Limit, on_lost: Callable[[str], None]
    ) -> None:
        wait_s = limit.most_s if how == "wait" else 0.0
        self._destination = destination
        self._home = home = home_of(destination)
        self._shared: FileHold | None = None
        if home is None and not isinstance(sink, ConditionalSink):
            raise UsageError(
                "--cluster: this destination has no locks: use a directory, S3 or a file server"
            )
        place = f"the coordinator's place in {redact(destination)}"
        self._lock: Lock
        try:
            if home is not None:
                make_directories(home, COORDINATOR)
                name = f"{COORDINATOR}{LOCK}"
                self._lock = FileHold(home, wait_s, limit.left, limit.on_wait, name=name)
            else:
                assert isinstance(sink, ConditionalSink)
                patience = Patience(wait_s, *limit)
                self._lock = Lease(sink, place, on_lost, patience=patience, prefix=COORDINATOR)
        except DestinationError:
            raise
        except Held:
            raise Held(
                f"another run holds {redact(destination)}: a coordinator (--cluster)"
            ) from None
        except (OSError, ScraperError) as error:
            raise DestinationError(f"can't lock {redact(destination)}: {error}") from None

    def share(self, how: str) -> None:
        """The plan is there: keep out runs of the whole destination. Raises Held."""
        if self._home is not None:
            wait_s = 60.0 if how == "wait" else 0.0
            self._shared = FileHold(self._home, wait_s, shared=True)

    def release(self) -> None:
        """Give it to the next one. Never raises."""
        if self._shared is not None:
            self._shared.release()
        self._lock.release()
