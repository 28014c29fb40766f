"""Connections to one server: each is used by one thread at a time, and by none after it broke.

Six threads on one FTP connection lost all six files, and on one of SFTP they hung. So a connection
is lent to one thread and comes back. After a broken connection no further call on it ever
succeeds, so it is closed, and what was to be done is done once more on a new one. A server that
did not answer in time is not asked again at once.

Servers allow a number of connections. Where one more is refused while others are in use, threads
wait for these. A minute later one more is asked for: other clients may have left.

Owns: which connections there are. Does not know: what is done with them.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from scraper.sinks.remote_files.faults import Fault, Trouble
from scraper.sinks.remote_files.servers import Server

T = TypeVar("T")
AGAIN_S = 60.0  # until one more connection is asked for


class Connections:
    """See the module. `connect` makes one and raises Fault; there are at most `most`.

    `clock` gives seconds that never go back.
    """

    def __init__(
        self, connect: Callable[[], Server], most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect = connect
        self._most = self._given = most  # at most, and those that the server gave when it refused
        self._refused_at = -math.inf
        self._clock = clock
        self._free: list[Server] = []
        self._in_use: set[Server] = set()
        self._changed = threading.Condition()
        self._connecting = threading.Lock()  # sshd refuses some of many that come at once
        self._making = 0
        self._closed = False

    def run(self, work: Callable[[Server], T]) -> T:
        """What `work` returns. It is called again where a connection broke that was used before.

        It has to be something that may be done twice. Raises Fault.
        """
        while True:
            fresh = True
            try:
                with self._lent() as (server, fresh):
                    return work(server)
            except Fault as fault:
                if fault.trouble is not Trouble.BROKEN or fresh or self._closed:
                    raise

    @contextmanager
    def borrow(self) -> Iterator[Server]:
        """A connection for the length of a `with` block, which may break off. Raises Fault."""
        with self._lent() as (server, _):
            yield server

    def close(self) -> None:
        """Close all of them, those in use too: a thread that waits for a server goes on."""
        with self._changed:
            self._closed = True
            servers = [*self._free, *self._in_use]
            self._free.clear()
            self._changed.notify_all()
        for server in servers:
            server.close()

    @contextmanager
    def _lent(self) -> Iterator[tuple[Server, bool]]:
        server, fresh = self._take()
        whole = False
        try:
            yield server, fresh
            whole = True
        except Fault as fault:
            whole = not fault.spent
            raise
        finally:  # a block that was left in the middle leaves an answer on its way
            with self._changed:
                self._in_use.discard(server)
                kept = whole and not self._closed
                if kept:
                    self._free.append(server)
                self._changed.notify()
            if not kept:
                server.close()

    def _allowed(self) -> int:
        """How many there may be just now."""
        if self._given == self._most or self._clock() - self._refused_at < AGAIN_S:
            return self._given
        self._given, self._refused_at = self._given + 1, self._clock()
        return self._given

    def _take(self) -> tuple[Server, bool]:
        """A connection, and whether it is a new one."""
        with self._changed:
            while True:
                if self._closed:
                    raise Fault(Trouble.UNKNOWN, "given up when the run was stopped")
                if self._free:
                    server = self._free.pop()
                    self._in_use.add(server)
                    return server, False
                if len(self._in_use) + self._making < self._allowed():
                    self._making += 1
                    break
                self._changed.wait()
        made: Server | None = None
        try:
            with self._connecting:
                made = self._connect()
        except Fault:
            with self._changed:
                others = len(self._in_use) + len(self._free)
                if others:
                    self._given, self._refused_at = others, self._clock()
            if not others:
                raise
        finally:
            with self._changed:
                self._making -= 1
                if made is not None:
                    self._in_use.add(made)
                self._changed.notify_all()
        return (made, True) if made is not None else self._take()
