"""A relay: what takes its time, on another thread than the one that moves bytes.

Owns: handing one transfer's chunks and its end to a crew of threads, in order,
and how many bytes may wait for that. Refuses to know: sockets. An engine with
one thread for all transfers uses it where a sink says that it may block, and for
large bodies, whose digest can be computed beside the transport; the slot stays
taken until the end came back through `tell`.
"""

import threading
from collections.abc import Callable

from scraper.engines.base import conclude
from scraper.transfer import Transfer

_FULL = 1 << 20  # bytes that may wait; then no more is read from the server
_BATCH = 1 << 19  # bytes worth waking a thread for


class Offload:
    """For one transfer. `submit` runs a function on some thread; `tell` is called from there.

    It is told when there is room again after a chunk was not taken, when `error`
    is set (nothing more will be written), and when the transfer has `ended`.
    """

    def __init__(
        self,
        transfer: Transfer,
        submit: Callable[[Callable[[], None]], object],
        tell: Callable[["Offload"], None],
    ) -> None:
        self.transfer = transfer
        self.stalled = False  # a chunk was not taken
        self.ended = False
        self.error: Exception | None = None
        self._submit = submit
        self._tell = tell
        self._lock = threading.Lock()
        self._chunks: list[bytes] = []
        self._size = 0
        self._working = False
        self._complete = False
        self._reason: Exception | None = None

    def offer(self, chunk: bytes) -> bool:
        """Take `chunk`, or say that there is no room for it now."""
        with self._lock:
            if self._size >= _FULL:
                self.stalled = True
                return False
            self._chunks.append(chunk)
            self._size += len(chunk)
        if self._size >= _BATCH:
            self._go_on()
        return True

    def end(self, error: Exception | None) -> None:
        """All has been offered; `error` if it is not the whole body."""
        with self._lock:
            self._reason = error
            self._complete = True
        self._go_on()

    def _go_on(self) -> None:
        with self._lock:
            if self._working:
                return
            self._working = True
        self._submit(self._work)

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            if self.error is None and self._reason is None:
                try:
                    self.transfer.data(batch)
                except Exception as error:  # noqa: BLE001 - `conclude` tells which is which
                    self.error = error
                    self._tell(self)
        if self._complete and not self._chunks:
            conclude(self.transfer, self.error or self._reason)
            self.ended = True
            self._tell(self)

    def _next(self) -> bytes | None:
        """What waits; None: nothing to do now."""
        with self._lock:
            if not self._chunks or (self._size < _BATCH and not self._complete):
                self._working = self._complete
                return None
            batch = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
            stalled, self.stalled = self.stalled, False
        if stalled:
            self._tell(self)
        return batch
