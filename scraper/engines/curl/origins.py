"""Hops that wait for their origin: for its address, or for the first connection to it.

A hop is given to libcurl once its host was looked up. Of the first hops to a TLS server one
goes ahead, and the others wait until its connection stands: it may be an HTTP/2 connection,
which then carries them all. A server of HTTP/1.1 gets the others at once after that.

libcurl's own cache of addresses is kept small. At the end of each hop libcurl looks at every
entry, so that each host would make all further lines dearer. The cache holds the addresses used
last, and gets the others again when they are needed.

Owns: which hops wait for which origin, which addresses libcurl has. Does not know: libcurl's
multi handle, and how a hop ends (`engine.py`). Rejected: libcurl's PIPEWAIT, with which the
others wait until the first response has ended.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import pycurl

from scraper.engines.curl.handle import CurlHandle
from scraper.engines.names import Names
from scraper.engines.resolver import Resolved, Resolver
from scraper.transfer import Transfer

_KEPT = 256  # servers whose addresses libcurl has, at least

Waiting = tuple[CurlHandle, Transfer]


class Origins:
    """Used by one thread. `interrupt` is called from others when there are `answers`.

    libcurl keeps the addresses of more servers than `most_at_once`, the number of hops that may
    be given to it before it acts.
    """

    def __init__(self, most_at_once: int, interrupt: Callable[[], None], names: Names) -> None:
        self._most = max(_KEPT, 2 * most_at_once)
        self._in_libcurl: OrderedDict[str, Resolved] = OrderedDict()  # by server
        self._resolver = Resolver(interrupt, names)
        self._waiting: dict[str, list[Waiting]] = {}  # by origin
        self._new: list[Resolved] = []  # addresses that libcurl takes over when it acts next

    def find(self, origin: str, handle: CurlHandle, transfer: Transfer) -> Resolved | None:
        """What is known of `origin`; None: it is being looked up, and the hop waits here."""
        resolved = self._resolver.find(origin, time.monotonic())
        if resolved is None:
            self._waiting.setdefault(origin, []).append((handle, transfer))
        return resolved

    def admit(self, resolved: Resolved, handle: CurlHandle, transfer: Transfer) -> bool:
        """Whether the hop may be given to libcurl now. If not, it waits for the first connection.

        Raises TransferError when the host could not be looked up.
        """
        if resolved.error is not None:
            raise resolved.error
        if not resolved.connected:
            if resolved.connecting:
                self._waiting.setdefault(resolved.origin, []).append((handle, transfer))
                return False
            resolved.connecting = True
            handle.first_to = resolved
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
