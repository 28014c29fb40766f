"""Hops that wait for their origin: for its address, or for the first connection to it.

A hop is given to libcurl once its host was looked up. Of the first hops to a TLS server one
goes ahead, and the others wait until its connection stands: it may be an HTTP/2 connection,
which then carries them all. A server of HTTP/1.1 gets the others at once after that.

Owns: which hops wait for which origin. Does not know: libcurl's multi handle, and how a hop
ends (`engine.py`). Rejected: libcurl's PIPEWAIT, with which the others wait until the first
response has ended.
"""

import time
from collections.abc import Callable, Iterator

import pycurl

from scraper.engines.curl.handle import CurlHandle
from scraper.engines.resolver import Resolved, Resolver
from scraper.transfer import Transfer

Waiting = tuple[CurlHandle, Transfer]


class Origins:
    """Used by one thread. `interrupt` is called from others when there are `answers`."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._resolver = Resolver(interrupt)
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
        if resolved.entry and not resolved.in_libcurl:
            handle.easy.setopt(pycurl.RESOLVE, [resolved.entry])
            self._new.append(resolved)
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

    def close(self) -> None:
        """Forget what waits. Wait for no look-up."""
        self._resolver.close()
        self._waiting.clear()
