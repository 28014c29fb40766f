"""Which address of a host a hop asks a proxy of SOCKS 4 or 5 for, and which one next.

Owns: the addresses that this hop has asked for, and their failures. An address that the proxy does
not reach comes last for the hops that follow: they begin with one that it may reach. All of them
ask for the same one then, so that libcurl finds the kept connections.

Does not know: how a hop is carried out (`engine.py`), who looked the name up (`resolver.py`).
Rejected: libcurl's own look-up for SOCKS, which takes the first address only, and gives `localhost`
both of its addresses whatever the system says.
"""

from typing import Any

import pycurl

from scraper.engines import guard, proxy_errors
from scraper.engines.resolver import Resolved, bracketed
from scraper.model.addresses import is_public
from scraper.model.errors import Kind, TransferError


class SocksAddresses:
    """Of one hop. `ipv4`: the proxy knows no other addresses (SOCKS 4)."""

    def __init__(self, *, ipv4: bool) -> None:
        self._ipv4 = ipv4
        self._guarded = ""
        self._host: Resolved | None = None
        self._asked: list[str] = []
        self._errors: list[TransferError] = []

    def choose(self, easy: Any, host: Resolved, guarded: str) -> None:
        """Let `easy` ask for an address of `host` that this hop has not asked for.

        `guarded`: see `Request`. Raises TransferError when it has none.
        """
        if host.error is not None:
            raise host.error
        self._host, self._guarded = host, guarded
        if guarded and not any(map(is_public, host.addresses)):
            raise guard.blocked(host.addresses[0], guarded)
        left = self._left
        if not left:
            raise TransferError(Kind.DNS, "no IPv4 address, for SOCKS 4", transient=False)
        self._asked.append(left[0])
        port = host.server.rpartition(":")[2]
        easy.setopt(pycurl.CONNECT_TO, [f"::{bracketed(left[0])}:{port}"])

    def next_after(self, name: str, reply: int) -> Resolved | None:
        """The host if it has an address to ask for after this `reply` of the proxy `name`."""
        if reply not in proxy_errors.OF_ADDRESS or self._host is None:
            return None
        self._errors.append(proxy_errors.socks(name, reply))
        self._host.put_last(self._asked[-1])
        return self._host if self._left else None

    def why(self, name: str, reply: int) -> TransferError:
        """The failure of the hop, which ended with this `reply` of the proxy `name`."""
        error = proxy_errors.socks(name, reply)
        if reply not in proxy_errors.OF_ADDRESS:
            return error
        return proxy_errors.of_all([*self._errors, error])

    @property
    def _left(self) -> list[str]:
        addresses = () if self._host is None else self._host.addresses
        judged = [one for one in addresses if not self._guarded or is_public(one)]
        fit = (one for one in judged if not (self._ipv4 and ":" in one))
        return [one for one in fit if one not in self._asked]
