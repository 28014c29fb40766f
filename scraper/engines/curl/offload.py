"""Offload: slow work of a transfer is handed to another thread than the one that moves bytes.

An engine with one thread for all transfers uses it where a sink says that it may block, and for
large bodies, whose digest is computed beside the transport. The slot stays taken until the end
was reported (`tell`).

Owns: the chunks and the end of one transfer on their way to a pool of threads, in order, and how
many bytes may wait for that. Does not know: sockets.
"""

import threading
from collections.abc import Callable

from scraper.engines.base import conclude
from scraper.transfer import Transfer

_FULL = 1 << 20  # bytes that may wait; then no more is read from the server
_BATCH = 1 << 19  # bytes worth waking a thread for


class Offload:
    """For one transfer. `submit` runs a function on some thread, and `tell` is called there.

    It is called when there is room again after a chunk was refused, when `error` is set
    (nothing more will be written), and when the transfer has `ended`.
    """

    def __init__(
        self,
        transfer: Transfer,
        submit: Callable[[Callable[[], None]], object],
        tell: Callable[["Offload"], None],
    ) -> None:
        self.transfer = transfer
        self.stalled = False  # a chunk was refused
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

    @property
    def waiting(self) -> int:
        """Bytes that wait. May be asked from any thread."""
        return self._size

    def offer(self, chunk: bytes) -> bool:
        """Take `chunk`; False: there is no room for it now."""
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
        """All was offered. `error`: why it is not the whole body."""
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
            if self.error is None and not (self._reason and self.transfer.abandoned):
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
        """The chunks that wait, as one; None: there is nothing to do now."""
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
