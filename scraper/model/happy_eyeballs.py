"""Connecting to a host with several addresses: one that is dead costs a quarter of a second.

The addresses are tried in turns of their families, beginning with the one that the system
prefers (RFC 8305 4). If no connection stands after `NEXT_AFTER_S`, the next address is tried
beside the first (5). The first connection that stands is taken. libcurl does the same by itself.

Owns: that order, and sockets until one is taken. Does not know: names, TLS. Rejected: urllib3's
own way, one address after another, each with the whole time-out; asyncio's, which needs a loop;
a second look-up for each family (3), since the system's look-up answers for both at once.
"""

import errno
import os
import select
import socket
import time
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

NEXT_AFTER_S = 0.25  # RFC 8305 5: "recommended"
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})

Address = tuple[socket.AddressFamily, Any]  # as a socket's `connect` takes it
Options = Iterable[tuple[int, int, int | bytes]]


def connect(
    addresses: Sequence[Address], timeout_s: float | None, options: Options
) -> socket.socket:
    """A connection to one of `addresses`, of which there is at least one.

    Raises TimeoutError if none stands after `timeout_s` seconds, and the OSError of the last
    that failed if all did.
    """
    if len(addresses) == 1:
        family, address = addresses[0]
        sock = _socket(family, options)
        try:
            sock.settimeout(timeout_s)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock
    race = _Race(in_turns(addresses), options)
    try:
        sock = race.run(timeout_s)
    finally:
        race.close()
    sock.settimeout(timeout_s)
    return sock


def in_turns(addresses: Sequence[Address]) -> list[Address]:
    """The families take turns, the first address of all comes first (RFC 8305 4)."""
    preferred = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    pairs = zip_longest(preferred, others)
    return [one for pair in pairs for one in pair if one is not None]


class _Race:
    """Connections that are being made, by descriptor."""

    def __init__(self, addresses: list[Address], options: Options) -> None:
        self._left = addresses[::-1]
        self._options = list(options)
        self._making: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._error: OSError | None = None

    def run(self, timeout_s: float | None) -> socket.socket:
        """The first that stands. Raises OSError."""
        until = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while True:
            sock = self._begin()
            if sock is not None:
                return sock
            if not self._making and not self._left:
                assert self._error is not None
                raise self._error
            now = time.monotonic()
            next_at = now + NEXT_AFTER_S if self._left else until
            while self._making and (now := time.monotonic()) < min(next_at, until):
                sock = self._wait(min(next_at, until) - now)
                if sock is not None:
                    return sock
            if time.monotonic() >= until:
                raise TimeoutError("no connection within the time")

    def close(self) -> None:
        """Give up all that did not win."""
        for sock in self._making.values():
            sock.close()

    def _begin(self) -> socket.socket | None:
        """Try the next address, if one is left; a socket that is connected at once."""
        if not self._left:
            return None
        family, address = self._left.pop()
        try:
            sock = _socket(family, self._options)
        except OSError as error:
            self._error = error
            return None
        sock.settimeout(0.0)
        code = sock.connect_ex(address)
        if code == 0:
            return sock
        if code not in _UNDER_WAY:
            self._failed(sock, code)
            return None
        self._making[sock.fileno()] = sock
        self._poll.register(sock, select.POLLOUT)
        return None

    def _wait(self, wait_s: float) -> socket.socket | None:
        """Wait for one of them; the one that stands. Returns early when the last one failed."""
        wait_ms = None if wait_s == float("inf") else max(1, round(wait_s * 1000))
        for descriptor, _ in self._poll.poll(wait_ms):
            sock = self._making.pop(descriptor)
            self._poll.unregister(descriptor)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock
            self._failed(sock, code)
        return None

    def _failed(self, sock: socket.socket, code: int) -> None:
        sock.close()
        self._error = OSError(code, os.strerror(code))


def _socket(family: socket.AddressFamily, options: Options) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            sock.setsockopt(*option)
    except OSError:
        sock.close()
        raise
    return sock
