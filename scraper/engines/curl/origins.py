"""Hops that wait for their origin: for its address, or for a connection to it.

A hop is given to libcurl once its host was looked up, and if it may go over HTTP/2, once it has a
connection to open or to join (`multiplexing.py`).

libcurl's own cache of addresses is kept small. At the end of each hop libcurl looks at every
entry, so that each host would make all further lines dearer. The cache holds the addresses used
last, and gets the others again when they are needed.

Owns: which hops wait for which address, which addresses libcurl has, and a pool for each origin
that may speak HTTP/2. Does not know: libcurl's multi handle, and how a hop ends (`engine.py`).
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import pycurl

from scraper.engines.curl.handle import CurlHandle
from scraper.engines.curl.multiplexing import OriginPool, Place
from scraper.engines.names import Names
from scraper.engines.resolver import Resolved, Resolver
from scraper.transfer import Request, Transfer

_KEPT = 256  # servers whose addresses libcurl has, at least
_POOLS = 10_000  # origins remembered, and those in use

Waiting = tuple[CurlHandle, Transfer]


class Origins:
    """Used by one thread. `interrupt` is called from others when there are `answers`.

    libcurl keeps the addresses of more servers than `most_at_once`, the number of hops that may
    be given to it before it acts.
    """

    def __init__(
        self, most_at_once: int, interrupt: Callable[[], None], names: Names, *, http1_1: bool
    ) -> None:
        self._http1_1 = http1_1
        self._most = max(_KEPT, 2 * most_at_once)
        self._in_libcurl: OrderedDict[str, Resolved] = OrderedDict()  # by server
        self._resolver = Resolver(interrupt, names)
        self._waiting: dict[str, list[Waiting]] = {}  # by origin
        self._pools: dict[str, OriginPool] = {}  # by origin and its proxy
        self._new: list[Resolved] = []  # addresses that libcurl takes over when it acts next

    def place(self, handle: CurlHandle, request: Request, proxy: str | None) -> Place | None:
        """The place of a hop over TLS, None if its origin speaks HTTP/1.1 only."""
        name = request.origin if proxy is None else f"{proxy} {request.origin}"
        pool = self._pools.get(name)
        if pool is None:
            if len(self._pools) >= _POOLS:
                self._pools = {one: its for one, its in self._pools.items() if not its.is_idle}
            pool = self._pools[name] = OriginPool(http1_1=self._http1_1)
        elif pool.has_one_version:
            return None
        return pool.place(handle, fresh=request.fresh)

    def find(self, origin: str, handle: CurlHandle, transfer: Transfer) -> Resolved | None:
        """What is known of `origin`; None: it is being looked up, and the hop waits here."""
        resolved = self._resolver.find(origin, time.monotonic())
        if resolved is None:
            self._waiting.setdefault(origin, []).append((handle, transfer))
        return resolved

    def admit(self, resolved: Resolved, handle: CurlHandle) -> bool:
        """Whether the hop may be given to libcurl now. If not, it waits for a connection.

        Raises TransferError when the host could not be looked up.
        """
        if resolved.error is not None:
            raise resolved.error
        if handle.place is not None and not handle.place.admit():
            return False
        if resolved.in_libcurl:
            self._in_libcurl.move_to_end(resolved.server)
        else:
            self._give(resolved, handle)
        return True

    def answers(self) -> Iterator[Resolved]:
        """Look-ups that have ended, failed ones too. Hops wait for each (`release`)."""
        return self._resolver.answers()

    def release(self, resolved: Resolved) -> list[Waiting]:
        """The hops that wait for this origin. They wait no more."""
        return self._waiting.pop(resolved.origin, [])

    def taken_over(self) -> None:
        """Note that libcurl acted, and has the addresses that handles were given."""
        for resolved in self._new:
            resolved.in_libcurl = True
        self._new.clear()

    def forget(self, origin: str) -> None:
        """Look `origin` up again for the next hop: no connection to it could be made."""
        self._resolver.forget(origin)

    def close(self) -> None:
        """Forget what waits. Wait for no look-up."""
        self._resolver.close()
        self._waiting.clear()
        self._pools.clear()

    def _give(self, resolved: Resolved, handle: CurlHandle) -> None:
        """Let `handle` bring the addresses to libcurl, and take those away that were used least.

        libcurl remembers a host that is an address too, so that this has to be taken away as well.
        """
        changes = [resolved.entry] if resolved.entry else []
        self._in_libcurl[resolved.server] = resolved
        self._in_libcurl.move_to_end(resolved.server)
        if len(self._in_libcurl) > self._most:
            server, oldest = self._in_libcurl.popitem(last=False)
            oldest.in_libcurl = False
            changes.append(f"-{server}")
        if changes:
            handle.easy.setopt(pycurl.RESOLVE, changes)
        self._new.append(resolved)
