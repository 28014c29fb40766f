"""RateLimit: bytes a second that all transfers of a run may take together (--limit-rate).

Who wants to read a piece of a body reserves it, and is told when its turn is. Turns are in the
order in which they were asked for. So bodies share the rate piece by piece, and a large one can't
hold up the others. What was reserved and did not come is given back.

A piece is so small that those of all transfers together are a sixteenth of a second. Servers that
were slow may send all of them at once. A late wake-up may catch up a thirtieth of a second. So no
second has more than 1.1 times the rate, where the smallest piece allows that.

It counts bytes of bodies as they come, without heads and without the framing of HTTP and TLS.

Systems read ahead: up to 6 MB for each connection on Linux. Servers would send that at once,
however slowly it is read. So sockets get a small buffer, a `window`, whose share grows when fewer
bodies are under way.

Where several processes carry transfers, they reserve from one limit, in memory that they share.

Owns: this decision, the same for every engine. Does not know: sockets, threads, who waits.
Rejected: the speed limit of libcurl, which is one for each transfer and comes in bursts. Rejected:
the rate divided by the number of transfers; those that wait for their servers would leave theirs
unused. Rejected: bytes that are counted after they came, since the first piece of many transfers
would come at once.
"""

import contextlib
import math
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from scraper.model.shared_numbers import SharedNumbers

Shared: TypeAlias = "SharedNumbers | None"  # with other processes, if there are others

_CREDIT_S = 0.03  # what a late wake-up may catch up
_ALL_PIECES_S = 0.06
_ALL_WINDOWS_S = 0.1
_LEAST, _MOST = 1024, 64 * 1024  # bytes of a piece
_LEAST_WINDOW, _MOST_WINDOW = 2048, 200 * 1024  # Linux gives no more than 208 KiB
GROWS_AFTER = 8  # pieces of a body; small bodies need no more than the first buffer
_SO_BUF_LOCK = 72  # Linux 5.14: 0 lets the system choose again


def first_window(sock: socket.socket, size: float) -> None:
    """Let the system read about `size` bytes ahead on a socket that is not connected yet."""
    if size <= _MOST_WINDOW:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(size) // 2)  # it doubles it


def grow_window(sock: socket.socket, size: float) -> None:
    """Let the system read about `size` bytes ahead; inf: as many as it likes.

    A buffer never shrinks: what is on its way would be dropped, and sent again after a while.
    """
    with contextlib.suppress(OSError):
        if size <= _MOST_WINDOW:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < size:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(size) // 2)
        else:
            sock.setsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK, 0)


class RateLimit:
    """`rate`: bytes a second. `at_once`: transfers. From any thread. Times: monotonic seconds.

    `piece`: how many bytes are read at once, at most. `shared`: with the other processes.
    """

    def __init__(self, rate: int, at_once: int, shared: Shared = None) -> None:
        self.rate = rate
        self._at_once = at_once
        self.piece = max(_LEAST, min(_MOST, int(rate * _ALL_PIECES_S) // at_once))
        self._free_at = 0.0  # when all that is reserved has come
        self._lock = threading.Lock()
        self._shared = shared

    def window(self, bodies: int) -> float:
        """Bytes that a system may read ahead for one of `bodies`. inf: as many as it likes.

        Nobody knows how many other processes have, so each body has no more than at first.
        """
        if self._shared is not None:
            bodies = self._at_once
        size = max(_LEAST_WINDOW, self.rate * _ALL_WINDOWS_S / bodies)
        return size if size <= _MOST_WINDOW else math.inf

    def reserve(self, size: int, now: float) -> float:
        """When `size` bytes may be read: `now`, or later."""
        with self._alone():
            turn = max(self._free_at, now - _CREDIT_S)
            self._free_at = turn + size / self.rate
        return max(turn, now)

    def give_back(self, size: int) -> None:
        """Of what was reserved, so many bytes did not come."""
        with self._alone():
            self._free_at -= size / self.rate

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else reserves meanwhile, in this process or in another."""
        shared = self._shared
        if shared is None:
            with self._lock:
                yield
            return
        with shared.alone():
            self._free_at = shared[shared.RATE_FREE_AT]
            yield
            shared[shared.RATE_FREE_AT] = self._free_at
